"""A port of a charger: what is physically true of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """How far a driver has come at a port."""

    IDLE = "idle"
    AUTHORIZED = "authorized"
    CHARGING = "charging"
    FINISHING = "finishing"


class PortStatus(StrEnum):
    """The status of a port in the words of OCPP 1.6 §7.7; OCPP 2.0.1 folds three of them into Occupied."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


@dataclass(slots=True)
class Port:
    """A 1.6 connector, or a 2.0.1 EVSE whose connectors have the plug types given."""

    number: int
    plug_types: tuple[str, ...] = ("cCCS2",)
    phase: Phase = Phase.IDLE
    is_plugged: bool = False
    is_faulted: bool = False
    is_operative: bool = True
    plugged_connector: int = 1
    meter: int = 0
    """Energy register, Wh."""


def make_ports(ports: int | Sequence[Port]) -> list[Port]:
    """So many ports with one connector each, or fresh copies of those given."""
    if isinstance(ports, int):
        return [Port(number) for number in range(1, ports + 1)]
    return [Port(port.number, port.plug_types) for port in ports]
