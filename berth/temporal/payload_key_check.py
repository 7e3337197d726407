"""Whether a process has the keys it needs: one that cannot read what Temporal stores does not start."""

from collections.abc import Mapping

from berth.database import Database
from berth.errors import StartError
from berth.payload_keys import PayloadKey, parse_keys
from berth.settings import Settings


async def check_payload_keys(settings: Settings, database: Database) -> None:
    """See that BERTH_PAYLOAD_KEY has every key in use, and enter the one it encrypts with.

    Raises StartError for a key that is missing, and for another key under the same id.
    """
    given = () if settings.payload_key is None else parse_keys(settings.payload_key.get_secret_value())
    obstacle = _obstacle(given, await database.payload_keys.all())
    if obstacle is not None:
        raise StartError(f"BERTH_PAYLOAD_KEY: {obstacle}")
    if given:
        await database.payload_keys.enter(given[0].id, given[0].proof)


def _obstacle(given: tuple[PayloadKey, ...], in_use: Mapping[str, str]) -> str | None:
    proofs = {key.id: key.proof for key in given}
    for key_id, proof in in_use.items():
        if key_id not in proofs:
            return (
                f"lacks the key {key_id!r}, without which reservations cannot be read; add it, or retire it "
                f"when its last history is gone: berth payload-key --retire {key_id}"
            )
        if proofs[key_id] != proof:
            return f"its key {key_id!r} is another one than that which payloads are encrypted with"
    return None
