"""Idempotency-Key: a request repeated under the same key gets the first final answer again."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Header, Response
from pydantic import BaseModel

from api.errors import BadRequest, Conflict
from api.services import Services
from berth.database import ApiKey, UnreachableError

log = structlog.get_logger(__name__)

MAX_KEY = 255
PENDING_CODE = 202
"""Not the last word: a repeat asks again."""

REPLAYED = "Idempotent-Replayed"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_KEY,
        description="Your name for this request. The same key with the same body: the recorded final answer "
        "(`Pending` is never recorded); with another body: 409. Per API key.",
        examples=["3f0c5c1e-8a55-4b0c-9c1e-5a1f2f3c4d5e"],
    ),
]


@dataclass(frozen=True, slots=True)
class Asking:
    """One request under an idempotency key; `name` is the same whenever it is repeated."""

    api_key_id: int
    key: str
    body_hash: str

    @property
    def name(self) -> str:
        """What names the request outside the database, without its words."""
        words = f"{self.api_key_id}\n{self.body_hash}\n{self.key}"
        return hashlib.sha256(words.encode()).hexdigest()[:32]


async def answered_once(
    key: str | None,
    body: BaseModel,
    caller: ApiKey,
    here: Services,
    ask: Callable[[str | None], Awaitable[Response]],
) -> Response:
    """The recorded answer of this request, else what `ask` answers, recorded when it is final.

    `ask` gets the name of the request, None without a key. Raises Conflict when the key has another body.
    """
    if key is None:
        return await ask(None)
    if not key.isprintable():
        raise BadRequest("Idempotency-Key: must have printable characters only")
    asking = Asking(caller.id, key, _hash(body))
    recorded = await here.database.idempotency.find(caller.id, key)
    if recorded is not None:
        if recorded.body_hash != asking.body_hash:
            raise Conflict("Idempotency-Key: was used with another body")
        return Response(
            recorded.answer_json, recorded.status_code, {REPLAYED: "true"}, media_type="application/json"
        )
    response = await ask(asking.name)
    if response.status_code != PENDING_CODE:
        await _record(asking, response, here)
    return response


async def _record(asking: Asking, response: Response, here: Services) -> None:
    try:
        await here.database.idempotency.record(
            asking.api_key_id,
            asking.key,
            asking.body_hash,
            response.status_code,
            bytes(response.body).decode(),
        )
    except UnreachableError:
        # The outcome is known: better an answer without a record than none.
        log.warning("answer_not_recorded", api_key_id=asking.api_key_id)


def _hash(body: BaseModel) -> str:
    return hashlib.sha256(f"{type(body).__name__}{body.model_dump_json()}".encode()).hexdigest()
