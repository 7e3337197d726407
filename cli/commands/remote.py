"""Asking a Berth, here or elsewhere, over its HTTP API (BERTH_URL, BERTH_API_KEY)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.commands.ending import NO_ANSWER, end, exit_code_for, say
from cli.commands.local import settings

if TYPE_CHECKING:
    from cli.client import ApiClient

_MAX_ID = 2**31 - 1


@contextmanager
def remote_berth() -> Iterator["ApiClient"]:
    """A client of the API; what it refuses ends the command with its own sentence.

    Raises StartError for a BERTH_URL or BERTH_API_KEY that is no good.
    """
    from cli.client import ApiClient, NoAnswer, Refused, key_for

    own = settings()
    url = os.environ.get("BERTH_URL") or f"{own.api_scheme}://127.0.0.1:{own.api_port}"
    try:
        with ApiClient(url, key_for(os.environ.get("BERTH_API_KEY"), own.var, url), say) as client:
            yield client
    except Refused as error:
        end(str(error), exit_code_for(error.status))
    except NoAnswer as error:
        end(str(error), NO_ANSWER)


def is_remote() -> bool:
    """Whether the commands speak to a Berth that the settings here do not describe."""
    return bool(os.environ.get("BERTH_URL"))


def charger_id(client: "ApiClient", charger: str) -> int:
    """The id of a charger that people name by its id or its OCPP identity. Raises Refused, NoAnswer."""
    if charger.isascii() and charger.isdecimal() and int(charger) <= _MAX_ID:
        return int(charger)
    found: int = client.charger_by_identity(charger)["id"]
    return found


def charger_id_unless_none(client: "ApiClient", charger: str | None) -> int | None:
    """The same for an option. Raises Refused, NoAnswer."""
    return None if charger is None else charger_id(client, charger)
