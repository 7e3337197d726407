"""Berth's own HTTP API, for the commands that people type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from time import sleep
from typing import Any, Self
from urllib.parse import quote

import httpx

from berth.errors import StartError
from cli.up.var_folder import api_key_file

TIMEOUT = httpx.Timeout(75.0, connect=5.0)
"""Longer than the longest `Prefer: wait`."""

PAGE = 500
"""Items that the API gives at once, at most."""

MAX_PATIENCE = 60
"""Seconds; the longest `Retry-After` of a rate limit that is waited for."""

RESERVATIONS, CHARGERS, KEYS = "/api/ocpp/reservations", "/api/chargers", "/api/keys"
TOKENS, MESSAGES, WEBHOOKS = "/api/tokens", "/api/ocpp-messages", "/api/webhooks"

Json = dict[str, Any]


class Refused(Exception):
    """The API answered with an error; the text is its own sentence, `status` HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


class NoAnswer(Exception):
    """Nobody answers, or not as the API does; the text is a sentence for people."""


@dataclass(frozen=True)
class Found:
    """Items of a list, and whether there are more."""

    items: list[Json]
    has_more: bool


class ApiClient:
    """Reserves, cancels, reads and manages over HTTP.

    Results come without their envelope. Every method raises Refused or NoAnswer. When the key has no requests
    left for the moment, it waits as long as the API says, and `say`s so.
    """

    def __init__(self, url: str, key: str, say: Callable[[str], None] = lambda sentence: None) -> None:
        """Raises StartError, naming the variable, for a URL or a key that cannot be."""
        self._url = url
        self._say = say
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise StartError(f"BERTH_URL: {url} is no URL ({error})") from error
        if base.scheme not in ("http", "https") or not base.host:
            raise StartError("BERTH_URL: must be like https://berth.example")
        if base.port is not None and base.port >= 2**16:
            raise StartError(f"BERTH_URL: there is no port {base.port}")
        if not (key.isascii() and key.isprintable()):
            raise StartError("BERTH_API_KEY: has characters that no key has")
        try:
            trusted = httpx.create_ssl_context()  # SSL_CERT_FILE counts also where a proxy does not
        except OSError as error:
            raise StartError(f"SSL_CERT_FILE, SSL_CERT_DIR: cannot be used ({error})") from error
        self._http = httpx.Client(
            base_url=base,
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT,
            verify=trusted,
            trust_env=not _is_here(base.host),  # a proxy is for what is elsewhere
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def reserve(self, body: Json, wait: int | None = None) -> Json:
        """Ask a charger to hold a port; `wait` bounds the seconds the API waits for its answer."""
        return self._ask("POST", RESERVATIONS, json=body, headers=_prefer(wait))

    def cancel(self, charger_id: int, reservation_id: int, wait: int | None = None) -> Json:
        """Have a charger let go of a reservation."""
        body = {"chargerId": charger_id, "reservationId": reservation_id}
        return self._ask("POST", f"{RESERVATIONS}/cancel", json=body, headers=_prefer(wait))

    def reservation(self, charger_id: int, reservation_id: int) -> Json:
        """One reservation with its timeline."""
        return self._ask("GET", f"{RESERVATIONS}/{charger_id}/{reservation_id}")

    def charger(self, charger_id: int) -> Json:
        """A charger with its ports."""
        return self._ask("GET", f"{CHARGERS}/{charger_id}")

    def charger_by_identity(self, ocpp_identity: str) -> Json:
        """The same, by the last part of its socket's URL."""
        return self._ask("GET", f"{CHARGERS}/by-ocpp-id/{quote(ocpp_identity, safe='')}")

    def add_charger(self, body: Json) -> Json:
        """Make a charger known."""
        return self._ask("POST", CHARGERS, json=body)

    def change_charger(self, charger_id: int, changes: Json) -> Json:
        """Change what is named of a charger; None takes a value away."""
        return self._ask("PATCH", f"{CHARGERS}/{charger_id}", json=changes)

    def change_password(self, charger_id: int, wait: int | None = None) -> Json:
        """Have a charger take a new password, which Berth makes up."""
        return self._ask("POST", f"{CHARGERS}/{charger_id}/password", headers=_prefer(wait))

    def remove_charger(self, charger_id: int) -> None:
        """Forget a charger."""
        self._ask("DELETE", f"{CHARGERS}/{charger_id}")

    def create_key(self, body: Json) -> Json:
        """Make an API key; `key` is shown this once."""
        return self._ask("POST", KEYS, json=body)

    def revoke_key(self, key_id: int) -> None:
        """End an API key at once."""
        self._ask("DELETE", f"{KEYS}/{key_id}")

    def put_token(self, body: Json) -> Json:
        """List a driver's token, or change it."""
        return self._ask("PUT", TOKENS, json=body)

    def remove_token(self, id_tag: str) -> None:
        """Forget a driver's token."""
        self._ask("DELETE", TOKENS, params={"idTag": id_tag})

    def add_webhook(self, body: Json) -> Json:
        """Make a webhook; `secret` is shown this once."""
        return self._ask("POST", WEBHOOKS, json=body)

    def remove_webhook(self, webhook_id: int) -> None:
        """Forget a webhook with its deliveries."""
        self._ask("DELETE", f"{WEBHOOKS}/{webhook_id}")

    def test_webhook(self, webhook_id: int) -> Json:
        """Have a ping sent; the delivery it is."""
        return self._ask("POST", f"{WEBHOOKS}/{webhook_id}/test")

    def replay(self, webhook_id: int, delivery_id: int) -> Json:
        """Have an event sent again; the delivery it is."""
        return self._ask("POST", f"{WEBHOOKS}/{webhook_id}/deliveries/{delivery_id}/replay")

    def found(self, path: str, limit: int | None = None, **filters: object) -> Found:
        """The first `limit` items of a list, or all of them; filters that are None are left out."""
        given = {name: value for name, value in filters.items() if value is not None}
        items: list[Json] = []
        cursor: str | None = None
        while True:
            rest = PAGE if limit is None else min(PAGE, limit - len(items))
            page, cursor = self.page(path, rest, cursor, given)
            items += page
            if cursor is None or not page or (limit is not None and len(items) >= limit):
                return Found(items, cursor is not None)

    def page(
        self, path: str, limit: int, cursor: str | None = None, filters: Mapping[str, Any] | None = None
    ) -> tuple[list[Json], str | None]:
        """One page of a list, and the cursor of the next one if there is one."""
        params = {**(filters or {}), "limit": limit}
        if cursor is not None:
            params["nextPageCursor"] = cursor
        content = self._send("GET", path, params=params)
        pagination = content.get("pagination")
        if not isinstance(content.get("data"), list) or not isinstance(pagination, dict):
            raise self._not_berth()
        return content["data"], pagination.get("nextPageCursor")

    def _ask(self, method: str, path: str, **request: Any) -> Json:
        content = self._send(method, path, **request)
        data = content.get("data", {})
        if not isinstance(data, dict):
            raise self._not_berth()
        return data

    def _send(self, method: str, path: str, **request: Any) -> Json:
        """The JSON object of the answer, empty when it has no body."""
        answer = self._request(method, path, **request)
        while (seconds := _seconds_to_wait(answer)) is not None:
            self._say(f"{_sentence(answer)}; waiting {seconds} s")
            sleep(seconds)
            answer = self._request(method, path, **request)
        if answer.is_error:
            raise Refused(answer.status_code, _sentence(answer))
        if answer.is_redirect:
            raise NoAnswer(f"BERTH_URL: {self._url} leads elsewhere, to {answer.headers['location']}")
        if not answer.content:
            return {}
        content = _json(answer)
        if content is None:
            raise self._not_berth()
        return content

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **request)
        except httpx.TimeoutException as error:
            raise self._no_answer("no answer in time") from error
        except httpx.RequestError as error:
            raise self._no_answer(str(error) or type(error).__name__) from error

    def _no_answer(self, why: str) -> NoAnswer:
        return NoAnswer(
            f"BERTH_URL: no answer from {self._url} ({why}); is the API running? (`berth doctor`)"
        )

    def _not_berth(self) -> NoAnswer:
        return NoAnswer(f"BERTH_URL: {self._url} does not speak like Berth's API")


def key_for(given: str | None, var: Path, url: str = "http://127.0.0.1") -> str:
    """The API key to use: the given one (BERTH_API_KEY), else that of `berth up` for a Berth on this machine.

    Raises StartError when there is none.
    """
    if given:
        return given
    if not _is_here(_host(url)):
        raise StartError(f"BERTH_API_KEY: not set; {url} needs one of its own (`berth key create`)")
    path = api_key_file(var)
    try:
        return path.read_text().strip()
    except OSError as error:
        raise StartError(f"BERTH_API_KEY: not set, and {path} of `berth up` is not here") from error


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL:  # ApiClient says so
        return ""


def _is_here(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _prefer(wait: int | None) -> Mapping[str, str]:
    return {} if wait is None else {"Prefer": f"wait={wait}"}


def _seconds_to_wait(answer: httpx.Response) -> int | None:
    """For what was refused for the number of requests alone: nothing was done, so asking again is safe."""
    after = answer.headers.get("Retry-After", "")
    if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or not (after.isascii() and after.isdecimal()):
        return None
    return max(1, int(after)) if int(after) <= MAX_PATIENCE else None


def _json(answer: httpx.Response) -> Json | None:
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _sentence(answer: httpx.Response) -> str:
    content = _json(answer)
    if content is not None and isinstance(content.get("error"), str):
        return str(content["error"])
    # Not Berth itself, most likely a proxy in front of it.
    return f"{answer.url} answers {answer.status_code} {answer.reason_phrase}".rstrip()
