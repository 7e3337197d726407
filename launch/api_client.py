"""Berth's own HTTP API, for the commands that people type."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from launch.api_key import api_key_file
from launch.problem import StartError

TIMEOUT = httpx.Timeout(75.0, connect=5.0)
"""Longer than the longest `Prefer: wait`."""

Json = dict[str, Any]


class Refused(Exception):
    """The API answered with an error; the text is its own sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


class ApiClient:
    """Reserves, cancels and reads over HTTP.

    Every method returns the answer's JSON; raises Refused, or StartError when nobody answers at `url`.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT, trust_env=False
        )

    def reserve(self, body: Json, wait: int | None = None) -> Json:
        """Ask a charger to hold a port; `wait` bounds the seconds the API waits for its answer."""
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        return self._ask("POST", "/api/ocpp/reservations", json=body, headers=headers)

    def cancel(self, charger_id: int, reservation_id: int) -> Json:
        """Have a charger let go of a reservation."""
        body = {"chargerId": charger_id, "reservationId": reservation_id}
        return self._ask("POST", "/api/ocpp/reservations/cancel", json=body)

    def reservations(self, **filters: str | int | None) -> Json:
        """One page of reservations, newest first."""
        given = {name: value for name, value in filters.items() if value is not None}
        return self._ask("GET", "/api/ocpp/reservations", params=given)

    def reservation(self, charger_id: int, reservation_id: int) -> Json:
        """One reservation with its story."""
        return self._ask("GET", f"/api/ocpp/reservations/{charger_id}/{reservation_id}")

    def charger_by_identity(self, ocpp_identity: str) -> Json:
        """A charger with its ports."""
        return self._ask("GET", f"/api/chargers/by-ocpp-id/{quote(ocpp_identity, safe='')}")

    def _ask(self, method: str, path: str, **request: Any) -> Json:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise StartError(
                f"BERTH_URL: no answer from {self._url} ({error}); is the API running? (`berth doctor`)"
            ) from error
        try:
            content: Json = answer.json()
        except ValueError as error:
            raise StartError(f"BERTH_URL: {self._url} does not speak like Berth's API") from error
        if answer.is_error:
            raise Refused(answer.status_code, str(content.get("error", answer.reason_phrase)))
        return content


def key_for(given: str | None, var: Path) -> str:
    """The API key to use: the given one (BERTH_API_KEY), else that of `berth up`.

    Raises StartError when there is neither.
    """
    if given:
        return given
    path = api_key_file(var)
    try:
        return path.read_text().strip()
    except OSError as error:
        raise StartError(f"BERTH_API_KEY: not set, and {path} of `berth up` is not here") from error
