"""`berth control`: controls running simulated chargers."""

import asyncio
from typing import Any

from berth.errors import StartError
from cli.output import show_fields, show_json, show_table
from simulator import console


def control(
    url: str, identity: str | None, action: str | None, arguments: list[str], as_json: bool = False
) -> None:
    """Show all chargers, one charger, or have it do something and show it then.

    `arguments` are NAME=VALUE. Raises StartError when nobody listens at `url`, or it refuses.
    """
    values = dict(_argument(argument) for argument in arguments)
    try:
        answer = asyncio.run(_ask(url, identity, action, values))
    except console.ControlError as error:
        raise StartError(_refusal(str(error))) from error
    if as_json:
        show_json(answer)
    elif isinstance(answer, list):
        _show_all(answer)
    else:
        _show_one(answer)


def _refusal(text: str) -> str:
    if text.startswith("no answer"):
        return f"BERTH_SIMULATOR_PORT: {text}; `berth simulate` runs chargers"
    return "\n".join(line for line in text.splitlines() if "further information" not in line)


async def _ask(url: str, identity: str | None, action: str | None, values: dict[str, Any]) -> Any:
    if identity is None:
        return await console.chargers(url)
    if action is None:
        return await console.charger(identity, url, frames=10)
    return await console.send(url, identity, action, **values)


def _argument(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise StartError(f"{text}: must be NAME=VALUE, as in port=1")
    return name, value


def _show_all(chargers: list[dict[str, Any]]) -> None:
    show_table(
        ("identity", "version", "personality", "socket", "ports", "reservations"),
        (
            (
                charger["identity"],
                charger["version"],
                charger["personality"],
                "online" if charger["accepted"] else "offline",
                ", ".join(f"{port['number']}: {port['status']}" for port in charger["ports"]),
                ", ".join(str(held["reservation_id"]) for held in charger["reservations"]) or None,
            )
            for charger in chargers
        ),
        "No simulated chargers.",
    )


def _show_one(charger: dict[str, Any]) -> None:
    show_fields(
        (name, charger.get(name))
        for name in ("identity", "version", "personality", "connected", "accepted", "silent", "result")
    )
    show_table(
        ("port", "status", "plugged", "meter", "transaction"),
        (
            (port["number"], port["status"], port["plugged"], port["meter"], port["transaction"])
            for port in charger["ports"]
        ),
        "It has no ports.",
    )
    show_table(
        ("reservation", "port", "token", "until"),
        (
            (held["reservation_id"], held["port_number"], held["id_tag"], held["expires_at"])
            for held in charger["reservations"]
        ),
        "It holds no reservation.",
    )
    if charger["frames"]:
        frames = ((frame["at"], frame["direction"], frame["text"]) for frame in charger["frames"])
        show_table(("at", "", "frame"), frames, "")
