"""The official JSON schemas, as the `ocpp` package ships them."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from json import loads
from typing import Any

from jsonschema_rs import Draft4Validator, Draft6Validator

from simulator.personality import Reply, Version

_CODES: dict[str, dict[str, Reply]] = {
    "1.6": {
        "required": "OccurenceConstraintViolation",
        "type": "TypeConstraintViolation",
        "enum": "PropertyConstraintViolation",
        "maxLength": "PropertyConstraintViolation",
        "": "FormationViolation",
    },
    "2.0.1": {
        "required": "OccurrenceConstraintViolation",
        "type": "TypeConstraintViolation",
        "enum": "PropertyConstraintViolation",
        "maxLength": "PropertyConstraintViolation",
        "": "FormatViolation",
    },
}


@dataclass(frozen=True, slots=True)
class Violation:
    """How a payload breaks its schema: the CALLERROR for it, the fields concerned, and in words."""

    code: Reply
    fields: frozenset[str]
    text: str


@lru_cache
def schema(version: Version, name: str) -> dict[str, Any]:
    """The schema of that name, without its ending. Raises FileNotFoundError when there is none."""
    folder = files("ocpp") / ("v" + version.replace(".", "")) / "schemas"
    content: dict[str, Any] = loads((folder / f"{name}.json").read_text("utf-8-sig"))
    return content


def request_schema_name(version: Version, action: str) -> str:
    """The file of a CALL's payload."""
    return action if version == "1.6" else f"{action}Request"


@lru_cache
def _validator(version: Version, name: str) -> Draft4Validator | Draft6Validator:
    # Dates are read by the charger itself: what a bad one brings is a matter of its personality.
    kind = Draft4Validator if version == "1.6" else Draft6Validator
    return kind(schema(version, name), validate_formats=False)


def check_request(version: Version, action: str, payload: Any) -> Violation | None:
    """The first way in which a CALL's payload breaks its schema; None when it does not, or has no schema."""
    try:
        validator = _validator(version, request_schema_name(version, action))
    except FileNotFoundError:
        return None
    if validator.is_valid(payload):
        return None
    errors = list(validator.iter_errors(payload))
    first = errors[0]
    codes = _CODES[version]
    fields = frozenset(
        str(getattr(error.kind, "property", None) or (error.instance_path or [""])[0]) for error in errors
    )
    return Violation(codes.get(first.kind.name, codes[""]), fields, first.message)
