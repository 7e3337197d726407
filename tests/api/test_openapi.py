"""The OpenAPI document tells the truth."""

import re
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
        "/api/chargers/{id}/password",
        "/api/keys",
        "/api/keys/{id}",
        "/api/ocpp-messages",
        "/api/ocpp/reservations",
        "/api/ocpp/reservations/cancel",
        "/api/ocpp/reservations/{chargerId}/{reservationId}",
        "/api/tokens",
        "/api/webhooks",
        "/api/webhooks/{id}",
        "/api/webhooks/{id}/deliveries",
        "/api/webhooks/{id}/deliveries/{deliveryId}/replay",
        "/api/webhooks/{id}/test",
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
            if name.startswith(("Data_", "Page_")) and field == "data":  # the item has one
                continue
            assert "examples" in facts, f"{name}.{field}"


def test_every_operation_below_api_needs_a_key(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == path.startswith("/api/"), path


def test_every_operation_says_what_it_does_and_every_parameter_has_an_example(
    document: dict[str, Any],
) -> None:
    for operation in operations(document):
        assert operation["summary"], operation["operationId"]
        assert operation["description"], operation["operationId"]
        for parameter in operation.get("parameters", []):
            name = f"{operation['operationId']}: {parameter['name']}"
            assert parameter["description"], name
            assert "examples" in parameter["schema"], name


def test_every_operation_has_a_name_of_its_own_that_reads_well_in_a_generated_client(
    document: dict[str, Any],
) -> None:
    names = [operation["operationId"] for operation in operations(document)]
    assert len(names) == len(set(names))
    assert {"reserve", "cancelReservation", "listReservations", "getCharger"} < set(names)
    for name in names:
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+){0,4}", name), name


def test_every_operation_below_api_lists_the_errors_that_any_may_have(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path.startswith("/api/"):
                assert {"401", "403", "429", "500", "503"} <= operation["responses"].keys(), path
                assert "413" in operation["responses"] or "requestBody" not in operation, path
            for response in operation["responses"].values():
                assert "X-Request-Id" in response["headers"], path


def test_who_is_told_to_wait_is_told_how_long(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for status in ("429", "503"):
            if status in operation["responses"]:
                assert "Retry-After" in operation["responses"][status]["headers"]


async def test_the_page_for_people_asks_no_other_host(caller: Caller) -> None:
    http = caller()
    page = await http.get("/docs")
    addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert len(addresses) == 3
    for address in addresses:
        assert address.startswith("/docs/static/")
        assert (await http.get(address)).status_code == 200
    assert "http" not in page.text.replace("http-equiv", "")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")


async def test_a_file_that_is_not_there_is_404_with_a_sentence(caller: Caller) -> None:
    response = await caller().get("/docs/static/../../settings.py")
    assert response.status_code == 404
    response = await caller().get("/docs/static/none.js")
    assert response.status_code == 404
    assert response.json() == {"error": "there is nothing at /docs/static/none.js"}
