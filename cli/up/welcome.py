"""What `berth up` shows when everything runs: where to look, and a reservation ready to copy."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from berth.database import Charger

RESERVATION_ID = 1001
"""The number of the reservation in the example."""


@dataclass(frozen=True)
class Welcome:
    """Everything a person needs in the first minute."""

    api_url: str
    gateway_url: str
    ui_url: str | None
    api_key: str = field(repr=False)
    api_key_file: Path | None
    chargers: Sequence[Charger]
    open_to_network: bool

    def show(self, console: Console) -> None:
        """Write it, never wrapped: the commands must survive copying."""

        def line(text: str = "", style: str = "") -> None:
            console.print(Text(text, style), soft_wrap=True)

        def row(name: str, value: str, remark: str = "") -> None:
            console.print(
                Text.assemble(f"  {name:10}", (value, "cyan"), (f"   {remark}" if remark else "", "dim")),
                soft_wrap=True,
            )

        line()
        line("Berth is up.", "bold green")
        line()
        row("API", f"{self.api_url}/docs")
        if self.ui_url:
            row("Temporal", self.ui_url)
        row("Gateway", f"{self.gateway_url}/ocpp/{{identity}}", self._online())
        row("API key", self.api_key, f"kept in {self.api_key_file}" if self.api_key_file else "")
        if self.open_to_network:
            line()
            line(
                "  The gateway takes chargers without a password from the network (BERTH_OPEN_CHARGERS).",
                "yellow",
            )
        for title, command in self.examples():
            line()
            line(title, "bold")
            line(command)
        line()
        line("Ctrl-C stops everything; the next start finds every reservation again.", "dim")
        line()

    def examples(self) -> list[tuple[str, str]]:
        """Title and shell command, ready to copy; none without a charger to reserve."""
        charger = next((charger for charger in self.chargers if charger.ports), None)
        if charger is None:
            return []
        port = charger.ports[0]
        key = f"-H 'Authorization: Bearer {self.api_key}'"
        as_json = "-H 'Content-Type: application/json'"
        reservations = f"{self.api_url}/api/ocpp/reservations"
        # The shell fills in the date, so that the command works whenever it is copied.
        body = (
            f'{{"portId": {port.id}, "reservationId": {RESERVATION_ID}, "idTag": "CARD-1", '
            f'"expiryDate": "\'$({_in_five_minutes()})\'"}}'
        )
        number = json.dumps({"chargerId": charger.id, "reservationId": RESERVATION_ID})
        return [
            (
                f"Reserve port {port.port_number} of {charger.ocpp_identity} for five minutes:",
                f"curl {reservations} \\\n  {key} \\\n  {as_json} \\\n  -d '{body}'",
            ),
            (
                "See it, with its timeline so far:",
                f"curl {reservations}/{charger.id}/{RESERVATION_ID} \\\n  {key}",
            ),
            (
                "Cancel it:",
                f"curl {reservations}/cancel \\\n  {key} \\\n  {as_json} \\\n  -d '{number}'",
            ),
        ]

    def _online(self) -> str:
        names = [f"{charger.ocpp_identity} ({charger.protocol})" for charger in self.chargers]
        return f"online: {', '.join(names)}" if names else "no charger is online yet"


def _in_five_minutes() -> str:
    offset = "-v+5M" if sys.platform == "darwin" else "-d '+5 minutes'"
    return f"date -u {offset} +%Y-%m-%dT%H:%M:%SZ"
