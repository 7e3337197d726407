"""Flipturn's part of the OpenAPI document: a client written for it finds all it knows, as it knows it.

The table is what Flipturn documents; Berth may have more, never less and never another type.
"""

from typing import Any

import pytest
from fastapi import FastAPI

BODIES: dict[tuple[str, str], dict[str, str]] = {
    ("post", "/api/ocpp/reservations"): {
        "portId": "integer",
        "expiryDate": "string",
        "idTag": "string",
        "reservationId": "integer",
        "parentIdTag": "string",
        "idTokenType": "string",
    },
    ("post", "/api/ocpp/reservations/cancel"): {"chargerId": "integer", "reservationId": "integer"},
}

REQUIRED: dict[tuple[str, str], set[str]] = {
    # What Flipturn's clients always send may be required, nothing else.
    ("post", "/api/ocpp/reservations"): {"portId", "expiryDate", "idTag", "reservationId"},
    ("post", "/api/ocpp/reservations/cancel"): {"chargerId", "reservationId"},
}

_CHARGER = {
    "id": "integer",
    "name": "string",
    "manufacturer": "string",
    "model": "string",
    "serialNumber": "string",
    "firmwareVersion": "string",
    "latitude": "number",
    "longitude": "number",
    "externalId": "string",
    "ocppId": "string",
    "type": "string",
    "networkServiceProvider": "null",
    "chargerType": "null",
    "numberOfPorts": "integer",
    "powerSharing": "boolean",
    "connectionStatus.status": "string",
    "connectionStatus.timestamp": "string",
    "ports[].id": "integer",
    "ports[].name": "string",
    "ports[].portNumber": "integer",
    "ports[].maximumPowerKw": "number",
    "ports[].connectorType": "string",
    "ports[].ocppStatus.status": "string",
    "ports[].ocppStatus.timestamp": "string",
    "ports[].ocppStatus.errorCode": "string",
    "ports[].ocppStatus.vendorErrorCode": "string",
    "ports[].ocppStatus.info": "string",
    "ports[].currentChargingSession.id": "integer",
    "ports[].currentChargingSession.startTime": "string",
    "ports[].currentChargingSession.energyDeliveredKwh": "number",
    "ports[].currentChargingSession.ocppIdTag": "string",
    "ports[].currentChargingSession.ocppTransactionId": "integer",
}
_IN_DATA = {f"data.{name}": kind for name, kind in _CHARGER.items()}

ANSWERS: dict[tuple[str, str], dict[str, str]] = {
    ("post", "/api/ocpp/reservations"): {"data.status": "string"},
    ("post", "/api/ocpp/reservations/cancel"): {"data.status": "string"},
    ("get", "/api/chargers/{id}"): _IN_DATA,
    ("get", "/api/chargers/by-external-id/{id}"): _IN_DATA,
    ("get", "/api/chargers/by-ocpp-id/{id}"): _IN_DATA,
    ("get", "/api/ocpp-messages"): {
        "data[].id": "integer",
        "data[].createdAt": "string",
        "data[].ocppChargerIdentity": "string",
        "data[].messageType": "string",
        "data[].messagePayload": "any",
        "data[].messageResponse": "any",
        "data[].chargerId": "integer",
        "data[].protocol": "string",
        "pagination.hasNextPage": "boolean",
        "pagination.nextPageCursor": "string",
    },
}

PARAMETERS: dict[tuple[str, str], dict[str, str]] = {
    ("get", "/api/chargers/{id}"): {"id": "integer"},
    ("get", "/api/chargers/by-external-id/{id}"): {"id": "string"},
    ("get", "/api/chargers/by-ocpp-id/{id}"): {"id": "string"},
    ("get", "/api/ocpp-messages"): {
        "chargerId": "integer",
        "startTimestamp": "string",
        "endTimestamp": "string",
        "messageType[]": "array",
        "limit": "integer",
        "nextPageCursor": "string",
    },
}

ENUMS: dict[tuple[str, str, str], list[str]] = {
    ("post", "/api/ocpp/reservations", "data.status"): [
        "Accepted",
        "Faulted",
        "Occupied",
        "Rejected",
        "Unavailable",
    ],
    ("post", "/api/ocpp/reservations/cancel", "data.status"): ["Accepted", "Rejected"],
}

ID_TOKEN_TYPES = ["Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress"]

ERRORS = {"400", "401", "429", "500"}


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    """The document of the application."""
    return app.openapi()


def whole(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The schema itself: behind its reference, and without its null."""
    for _ in range(5):
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif choices := [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]:
            (schema,) = choices
    return schema


def at(schema: dict[str, Any], path: str, document: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field such as `data[].id`."""
    for step in path.split("."):
        schema = whole(whole(schema, document)["properties"][step.removesuffix("[]")], document)
        if step.endswith("[]"):
            schema = whole(schema["items"], document)
    return schema


def answer_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """The schema of a call's 200."""
    content = document["paths"][path][method]["responses"]["200"]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


def body_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """The schema of what a call is sent."""
    body = document["paths"][path][method]["requestBody"]
    assert body["required"] is True
    return whole(body["content"]["application/json"]["schema"], document)


@pytest.mark.parametrize("call", BODIES, ids=" ".join)
def test_a_body_takes_what_flipturns_clients_send(document: dict[str, Any], call: tuple[str, str]) -> None:
    body = body_of(document, *call)
    for name, kind in BODIES[call].items():
        assert at(body, name, document)["type"] == kind, name
    assert set(body["required"]) <= REQUIRED[call]


@pytest.mark.parametrize("call", ANSWERS, ids=" ".join)
def test_an_answer_has_all_that_flipturns_has(document: dict[str, Any], call: tuple[str, str]) -> None:
    answer = answer_of(document, *call)
    for name, kind in ANSWERS[call].items():
        assert at(answer, name, document).get("type", "any") == kind, name


@pytest.mark.parametrize("call", PARAMETERS, ids=" ".join)
def test_a_call_takes_flipturns_parameters(document: dict[str, Any], call: tuple[str, str]) -> None:
    method, path = call
    operation = document["paths"][path][method]
    found = {parameter["name"]: parameter for parameter in operation["parameters"]}
    for name, kind in PARAMETERS[call].items():
        assert whole(found[name]["schema"], document)["type"] == kind, name
        assert found[name]["required"] is (found[name]["in"] == "path"), name


@pytest.mark.parametrize("field", ENUMS, ids=" ".join)
def test_flipturns_words_are_all_there(document: dict[str, Any], field: tuple[str, str, str]) -> None:
    method, path, name = field
    words = at(answer_of(document, method, path), name, document)["enum"]
    assert set(words) == {*ENUMS[field], "Pending"}, "which a Flipturn key never sees"


def test_the_kinds_of_tokens_are_flipturns(document: dict[str, Any]) -> None:
    body = body_of(document, "post", "/api/ocpp/reservations")
    assert at(body, "idTokenType", document)["enum"] == ID_TOKEN_TYPES
    assert at(body, "idTag", document)["maxLength"] == 20


@pytest.mark.parametrize("call", [*BODIES, *PARAMETERS], ids=" ".join)
def test_an_error_is_a_sentence_under_flipturns_codes(
    document: dict[str, Any], call: tuple[str, str]
) -> None:
    method, path = call
    found = document["paths"][path][method]["responses"]
    assert found.keys() >= ERRORS
    for status in ERRORS:
        schema = found[status]["content"]["application/json"]["schema"]
        assert at(schema, "error", document)["type"] == "string"
