"""The official JSON schemas of OCPP, as they ship inside the package `ocpp`.

Compiled on first use and kept. What comes in is judged leniently (violations are logged and counted,
the message is used all the same); what goes out is judged strictly.
"""

from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Literal

import jsonschema_rs
import orjson

Version = Literal["1.6", "2.0.1"]
Kind = Literal["request", "response"]

_PACKAGE = {"1.6": "v16", "2.0.1": "v201"}
_DRAFT = {"1.6": jsonschema_rs.Draft4Validator, "2.0.1": jsonschema_rs.Draft6Validator}
_SUFFIX = {
    ("1.6", "request"): "",
    ("1.6", "response"): "Response",
    ("2.0.1", "request"): "Request",
    ("2.0.1", "response"): "Response",
}
_FAULTS_NAMED = 5


class SchemaViolation(ValueError):
    """A payload of ours does not fit its schema; `faults` says where, never with values."""

    def __init__(self, version: Version, action: str, kind: Kind, faults: list[str]) -> None:
        self.faults = faults
        super().__init__(f"{action} {kind} does not fit OCPP {version}: {', '.join(faults)}")


def faults(version: Version, action: str, kind: Kind, payload: dict[str, Any]) -> list[str]:
    """Where the payload departs from its schema, as `path: rule` (the first few); empty when it fits.

    Values are left out, they may be tokens. Raises FileNotFoundError for an action this version lacks.
    """
    validator = _validator(version, action, kind)
    if validator.is_valid(payload):
        return []
    return [
        f"{'.'.join(str(part) for part in error.instance_path) or 'payload'}: {error.kind.name}"
        for error in islice(validator.iter_errors(payload), _FAULTS_NAMED)
    ]


def check(version: Version, action: str, kind: Kind, payload: dict[str, Any]) -> None:
    """Raises SchemaViolation when the payload does not fit its schema."""
    found = faults(version, action, kind, payload)
    if found:
        raise SchemaViolation(version, action, kind, found)


@cache
def _validator(version: Version, action: str, kind: Kind) -> jsonschema_rs.Validator:
    name = action + _SUFFIX[version, kind]
    text = (files("ocpp") / _PACKAGE[version] / "schemas" / f"{name}.json").read_text("utf-8-sig")
    return _DRAFT[version](orjson.loads(text), validate_formats=True)
