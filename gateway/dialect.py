"""What the session needs to know of one OCPP version; `ocpp16` and `ocpp201` each fill one in."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from berth.database import Capabilities
from gateway.frames import Answer, Payload, ProtocolFault
from gateway.ocpp_schemas import Version
from gateway.reports import ChargerReports
from workflows.messages import ChangePasswordResult, Terms

Handler = Callable[[ChargerReports, Payload], Awaitable[Payload]]
"""Takes what a CALL says, gives the payload of its answer, always schema-valid."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One OCPP version."""

    version: Version
    subprotocol: str
    routes: Mapping[str, Handler]  # inbound action -> handler
    fault_codes: Mapping[ProtocolFault, str]  # CALLERROR codes of this version; absent = not answered
    reserve_now: Callable[[int, Terms, bool], Payload]  # reservation id, terms, whether to name the group
    cancel_reservation: Callable[[int], Payload]
    change_password: Callable[[str], tuple[str, Payload]]  # the CALL that sends a new password
    read_password_answer: Callable[[Answer], ChangePasswordResult]
    inquiry: tuple[str, Payload]  # the CALL that asks for the charger's capabilities
    read_capabilities: Callable[[Payload], Capabilities]
