"""What a charger can do: the question in both OCPP versions, tolerant reading of the answer, and of deeds.

Absent is not unsupported: both versions leave most of this optional, so what is not said stays unknown.
"""

import re
from collections.abc import Iterable

from berth.database import Capabilities
from gateway import fields
from gateway.frames import Payload
from workflows.messages import ReserveNowResult, ReserveStatus, Terms

_PROFILES = "SupportedFeatureProfiles"
_CONNECTOR_ZERO = "ReserveConnectorZeroSupported"
_RESERVATIONS = "ReservationCtrlr"
_UNKNOWN_ACTION = ("NotImplemented", "NotSupported")

ASK_CONFIGURATION: Payload = {"key": [_PROFILES, _CONNECTOR_ZERO]}
"""GetConfiguration.req (OCPP 1.6 §5.8); both keys are in every charger's reach (§9.1.29, §9.3.1)."""

ASK_VARIABLES: Payload = {
    "getVariableData": [
        {"component": {"name": _RESERVATIONS}, "variable": {"name": name}}
        for name in ("Available", "Enabled", "NonEvseSpecific")
    ]
}
"""GetVariablesRequest (OCPP 2.0.1 B06, §2.8); a station that takes fewer at once stays unknown."""


def read_configuration(payload: Payload) -> Capabilities:
    """GetConfiguration.conf. Without ReserveConnectorZeroSupported there is no whole charger (§9.3.1)."""
    values = {
        _plain(fields.text(entry, "key")): fields.text(entry, "value")
        for entry in fields.records(payload, "configurationKey")
    }
    profiles = values.get(_plain(_PROFILES))
    if _plain(_CONNECTOR_ZERO) in values:
        whole_charger = _boolean(values[_plain(_CONNECTOR_ZERO)])
    else:
        whole_charger = False if values or payload.get("unknownKey") else None
    return Capabilities(
        reservations="reservation" in _listed(profiles) if _listed(profiles) else None,
        whole_charger=whole_charger,
    )


def read_variables(payload: Payload) -> Capabilities:
    """GetVariablesResponse. NonEvseSpecific absent means no (H01.FR.19), the others absent nothing at all."""
    answers = {
        _plain(fields.text(fields.record(result, "variable"), "name")): result
        for result in fields.records(payload, "getVariableResult")
        if _plain(fields.text(fields.record(result, "component"), "name")) == _plain(_RESERVATIONS)
    }
    whole_charger = _value(answers.get("nonevsespecific", {}))
    if whole_charger is None and _is_absent(answers.get("nonevsespecific", {})):
        whole_charger = False
    return Capabilities(
        reservations=_unless_off(_value(answers.get(name, {})) for name in ("available", "enabled")),
        whole_charger=whole_charger,
    )


def shown_by(result: ReserveNowResult, terms: Terms) -> Capabilities:
    """What an answer to ReserveNow proves. Rejected proves nothing: it has many reasons (OCPP 1.6 §7.40)."""
    if result.status is ReserveStatus.ACCEPTED:
        return Capabilities(reservations=True, whole_charger=True if terms.port_number is None else None)
    return Capabilities(reservations=False if result.error in _UNKNOWN_ACTION else None)


def _unless_off(said: Iterable[bool | None]) -> bool | None:
    known = [value for value in said if value is not None]
    return all(known) if known else None


def _value(result: Payload) -> bool | None:
    if fields.text(result, "attributeStatus") != "Accepted":
        return None
    return _boolean(fields.text(result, "attributeValue"))


def _is_absent(result: Payload) -> bool:
    return fields.text(result, "attributeStatus") in ("UnknownComponent", "UnknownVariable")


def _listed(profiles: str | None) -> set[str]:
    return {_plain(name) for name in re.split("[,;]", profiles or "")} - {""}


def _boolean(text: str | None) -> bool | None:
    return {"true": True, "false": False}.get(_plain(text))


def _plain(text: str | None) -> str:
    # Seen in the field: blanks after commas and inside names, line breaks, any case.
    return "".join((text or "").split()).casefold()
