"""The OpenAPI document tells the truth."""

from typing import Any

import pytest
from fastapi import FastAPI

from tests.api.conftest import Caller


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    """The document of the application."""
    return app.openapi()


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


async def test_it_is_served_with_its_pages_to_everybody(caller: Caller) -> None:
    assert (await caller().get("/openapi.json")).status_code == 200
    assert (await caller().get("/docs")).status_code == 200


def test_every_path_is_there(document: dict[str, Any]) -> None:
    assert sorted(document["paths"]) == [
        "/api/chargers",
        "/api/chargers/by-external-id/{id}",
        "/api/chargers/by-ocpp-id/{id}",
        "/api/chargers/{id}",
        "/api/ocpp/reservations",
        "/api/ocpp/reservations/cancel",
        "/api/ocpp/reservations/{chargerId}/{reservationId}",
        "/health/live",
        "/health/ready",
    ]


def test_the_shape_of_fastapis_422_is_nowhere(document: dict[str, Any]) -> None:
    assert all("422" not in operation["responses"] for operation in operations(document))
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()


def test_every_error_has_the_contracts_shape(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for status, response in operation["responses"].items():
            if status == "default" or status >= "400":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Error"}


def test_every_field_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, facts in schema.get("properties", {}).items():
            assert "description" in facts, f"{name}.{field}"
            if name.startswith("Data_"):  # the envelope
                continue
            assert "examples" in facts, f"{name}.{field}"


def test_every_operation_below_api_needs_a_key(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == path.startswith("/api/"), path


def test_the_names_are_flipturns(document: dict[str, Any]) -> None:
    body = document["components"]["schemas"]["ReservationBody"]
    assert sorted(body["required"]) == ["expiryDate", "idTag", "portId", "reservationId"]
    assert sorted(body["properties"]) == [
        "expiryDate",
        "force",
        "idTag",
        "idTokenType",
        "offlinePolicy",
        "parentIdTag",
        "portId",
        "reservationId",
    ]
