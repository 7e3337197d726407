"""What a charger's answer says of its capabilities, however it is spelled; and what deeds prove."""

from typing import Any

import pytest

from berth.database import Capabilities
from gateway import ocpp_schemas as schemas
from gateway.capability_answers import read_configuration, read_variables, shown_by
from gateway.frames import Payload
from gateway.ocpp16 import OCPP16
from gateway.ocpp201 import OCPP201
from tests.gateway.commands import terms
from workflows.messages import ReserveNowResult, ReserveStatus


def configuration(unknown: list[str] | None = None, **values: str | None) -> Payload:
    keys: list[Payload] = [
        {"key": key, "readonly": True} | ({} if value is None else {"value": value})
        for key, value in values.items()
    ]
    return {"configurationKey": keys, "unknownKey": unknown or []}


@pytest.mark.parametrize(
    ("profiles", "reservations"),
    [
        ("Core,FirmwareManagement,Reservation", True),
        ("Core, FirmwareManagement, Reservation ", True),  # CTEK
        ("Core,Local Auth List Management,Reservation,Smart Charging", True),
        ("Core,Reser\nvation", True),
        ("core;RESERVATION", True),
        ("Core,SmartCharging", False),
        ("Core,ReservationManagement", False),
        ("", None),
        (" , ", None),
        (None, None),
    ],
)
def test_the_feature_profiles_are_read_as_they_are_spelled_in_the_field(
    profiles: str | None, reservations: bool | None
) -> None:
    answer = configuration(SupportedFeatureProfiles=profiles)
    assert read_configuration(answer) == Capabilities(reservations, whole_charger=False)


@pytest.mark.parametrize(("value", "whole"), [("true", True), (" TRUE", True), ("false", False), ("1", None)])
def test_connector_zero_is_as_the_charger_says(value: str, whole: bool | None) -> None:
    answer = configuration(reserveconnectorzerosupported=value, supportedFeatureProfiles="Core")
    assert read_configuration(answer) == Capabilities(False, whole)


def test_without_a_word_of_connector_zero_there_is_none() -> None:
    unknown = configuration(unknown=["SupportedFeatureProfiles", "ReserveConnectorZeroSupported"])
    assert read_configuration(unknown) == Capabilities(None, False)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"configurationKey": None},
        {"configurationKey": [5, None, []]},
        {"configurationKey": {}, "unknownKey": []},
        configuration(ReserveConnectorZeroSupported=None),
    ],
)
def test_an_answer_that_says_nothing_leaves_all_unknown(answer: dict[str, Any]) -> None:
    assert read_configuration(answer) == Capabilities()


def variables(**said: str | None) -> Payload:
    """A value, or a status that is none: `?Status`."""
    return {
        "getVariableResult": [
            {"component": {"name": "ReservationCtrlr"}, "variable": {"name": name}}
            | (
                {"attributeStatus": value[1:]}
                if value is not None and value.startswith("?")
                else {"attributeStatus": "Accepted", "attributeValue": value}
            )
            for name, value in said.items()
        ]
    }


@pytest.mark.parametrize(
    ("said", "capabilities"),
    [
        ({"Available": "true", "Enabled": "true", "NonEvseSpecific": "true"}, Capabilities(True, True)),
        ({"Available": "true", "Enabled": "false", "NonEvseSpecific": "false"}, Capabilities(False, False)),
        ({"Available": "false", "Enabled": "?UnknownVariable"}, Capabilities(False, None)),
        ({"Available": "?UnknownVariable", "Enabled": "True"}, Capabilities(True, None)),
        ({"available": "true", "nonevsespecific": "?UnknownVariable"}, Capabilities(True, False)),
        # MicroOcpp: no such component, and a charger with reservations may say the same (lbbrhzn/ocpp#2035).
        (
            dict.fromkeys(["Available", "Enabled", "NonEvseSpecific"], "?UnknownComponent"),
            Capabilities(None, False),
        ),
        (dict.fromkeys(["Available", "Enabled", "NonEvseSpecific"], "?Rejected"), Capabilities()),
        ({"Available": None}, Capabilities()),
        ({"Available": "maybe"}, Capabilities()),
        ({}, Capabilities()),
    ],
)
def test_absent_variables_are_unknown_but_for_any_evse(
    said: dict[str, str | None], capabilities: Capabilities
) -> None:
    assert read_variables(variables(**said)) == capabilities


def test_variables_of_another_component_are_not_meant() -> None:
    answer = variables(Available="true")
    answer["getVariableResult"][0]["component"]["name"] = "SmartChargingCtrlr"
    assert read_variables(answer) == Capabilities()
    assert read_variables({"getVariableResult": "none"}) == Capabilities()


@pytest.mark.parametrize("dialect", [OCPP16, OCPP201])
def test_the_question_fits_its_schema(dialect: Any) -> None:
    action, payload = dialect.inquiry
    schemas.check(dialect.version, action, "request", payload)


@pytest.mark.parametrize(
    ("result", "port_number", "capabilities"),
    [
        (ReserveNowResult(status=ReserveStatus.ACCEPTED), 1, Capabilities(reservations=True)),
        (ReserveNowResult(status=ReserveStatus.ACCEPTED), None, Capabilities(True, True)),
        (ReserveNowResult(status=ReserveStatus.REJECTED), None, Capabilities()),
        (ReserveNowResult(status=ReserveStatus.OCCUPIED), 1, Capabilities()),
        (ReserveNowResult(error="NotImplemented"), 1, Capabilities(reservations=False)),
        (ReserveNowResult(error="NotSupported"), None, Capabilities(reservations=False)),
        (ReserveNowResult(error="InternalError"), 1, Capabilities()),
        (ReserveNowResult(error="InvalidResponse"), 1, Capabilities()),
    ],
)
def test_an_answer_to_reserve_now_proves_what_it_proves(
    result: ReserveNowResult, port_number: int | None, capabilities: Capabilities
) -> None:
    assert shown_by(result, terms(port_number=port_number)) == capabilities
