"""A client of the chargers' control, for the command line."""

from typing import Any
from urllib.parse import quote

import httpx

DEFAULT_CONTROL_URL = "http://127.0.0.1:9100"


class ControlError(Exception):
    """The control cannot be reached, or refused; the text says why."""


async def chargers(control_url: str = DEFAULT_CONTROL_URL) -> list[dict[str, Any]]:
    """All chargers, in short. Raises ControlError."""
    found: list[dict[str, Any]] = await _ask(control_url, "GET", "/chargers")
    return found


async def charger(identity: str, control_url: str = DEFAULT_CONTROL_URL, frames: int = 20) -> dict[str, Any]:
    """One charger with its last frames. Raises ControlError."""
    path = f"/chargers/{quote(identity, safe='')}?frames={frames}"
    found: dict[str, Any] = await _ask(control_url, "GET", path)
    return found


async def send(control_url: str, identity: str, action: str, /, **arguments: Any) -> dict[str, Any]:
    """Make a charger do something (see `simulator.control`); its state afterwards. Raises ControlError."""
    path = f"/chargers/{quote(identity, safe='')}/{quote(action, safe='')}"
    state: dict[str, Any] = await _ask(control_url, "POST", path, arguments)
    return state


async def _ask(control_url: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    async with httpx.AsyncClient(base_url=control_url, trust_env=False, timeout=30) as client:
        try:
            response = await client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ControlError(f"no answer from {control_url}: {error}") from error
    if response.is_error:
        raise ControlError(response.json().get("detail", response.text))
    return response.json()
