"""Encryption of payloads: what it hides, what it still reads, and what it says when it cannot."""

import base64

import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from berth.payload_keys import PayloadKey, fresh_key, parse_keys
from berth.temporal.codec import UnreadablePayload, data_converter

TOKEN = "CARD-SECRET-4711"
OLD, NEW = PayloadKey("old", bytes(range(32))), PayloadKey("new", bytes(range(32, 64)))


def converter(*keys: PayloadKey) -> DataConverter:
    return data_converter(SecretStr(",".join(key.in_setting() for key in keys)) if keys else None)


async def encoded(*keys: PayloadKey) -> Payload:
    [payload] = await converter(*keys).encode([TOKEN])
    return payload


async def decoded(payload: Payload, *keys: PayloadKey) -> object:
    [value] = await converter(*keys).decode([payload], [str])
    return value


async def test_what_is_encrypted_shows_nothing_but_the_id_of_its_key() -> None:
    payload = await encoded(NEW)
    assert dict(payload.metadata) == {"encoding": b"binary/encrypted", "encryption-key-id": b"new"}
    assert TOKEN.encode() not in payload.SerializeToString()
    assert await decoded(payload, NEW) == TOKEN


async def test_the_same_value_is_encrypted_differently_each_time() -> None:
    assert (await encoded(NEW)).data != (await encoded(NEW)).data


async def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    assert (await encoded(NEW, OLD)).metadata["encryption-key-id"] == b"new"
    assert await decoded(await encoded(OLD), NEW, OLD) == TOKEN


async def test_payloads_from_before_encryption_are_read() -> None:
    assert await decoded(await encoded(), NEW) == TOKEN


async def test_without_a_key_payloads_stay_as_temporal_shows_them() -> None:
    payload = await encoded()
    assert (payload.metadata["encoding"], payload.data) == (b"json/plain", f'"{TOKEN}"'.encode())


@pytest.mark.parametrize("keys", [(), (NEW,)], ids=["no key", "another key"])
async def test_a_missing_key_is_named(keys: tuple[PayloadKey, ...]) -> None:
    with pytest.raises(
        UnreadablePayload, match="the key 'old', which is not among those of BERTH_PAYLOAD_KEY"
    ):
        await decoded(await encoded(OLD), *keys)


async def test_another_key_under_the_same_id_does_not_decrypt() -> None:
    with pytest.raises(UnreadablePayload, match="'old' is another one"):
        await decoded(await encoded(OLD), PayloadKey("old", NEW.secret))


@pytest.mark.parametrize("position", [0, 11, 12, 20, -1], ids=lambda position: f"byte {position}")
async def test_a_changed_byte_is_noticed(position: int) -> None:
    payload = await encoded(NEW)
    changed = bytearray(payload.data)
    changed[position] ^= 1
    payload.data = bytes(changed)
    with pytest.raises(UnreadablePayload, match="is damaged"):
        await decoded(payload, NEW)


@pytest.mark.parametrize("length", [0, 5, 12, 27])
async def test_a_payload_cut_short_is_noticed(length: int) -> None:
    payload = await encoded(NEW)
    payload.data = payload.data[:length]
    with pytest.raises(UnreadablePayload, match="is damaged"):
        await decoded(payload, NEW)


async def test_the_id_of_the_key_is_authenticated() -> None:
    payload = await encoded(NEW)
    payload.metadata["encryption-key-id"] = b"twin"
    with pytest.raises(UnreadablePayload, match="is damaged"):
        await decoded(payload, NEW, PayloadKey("twin", NEW.secret))


async def test_what_a_failure_says_is_encrypted_too() -> None:
    failure = Failure()
    await converter(NEW).encode_failure(ApplicationError(f"no {TOKEN}", TOKEN, type="NotSent"), failure)
    assert TOKEN.encode() not in failure.SerializeToString()
    assert (failure.message, failure.application_failure_info.type) == ("Encoded failure", "NotSent")
    error = await converter(NEW).decode_failure(failure)
    assert isinstance(error, ApplicationError)
    assert (error.message, error.details) == (f"no {TOKEN}", (TOKEN,))


async def test_a_failure_without_a_key_says_itself() -> None:
    failure = Failure()
    await converter().encode_failure(ApplicationError("the charger is offline"), failure)
    assert failure.message == "the charger is offline"


def test_a_fresh_key_is_a_setting_of_256_bits_and_never_the_same() -> None:
    first, second = fresh_key(), fresh_key()
    assert parse_keys(f"{first.in_setting()}, {second.in_setting()}") == (first, second)
    assert len(first.secret) == 32
    assert first.secret != second.secret


def test_a_key_does_not_show_itself() -> None:
    assert repr(NEW) == "PayloadKey(id='new')"


GOOD = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        ("", "key 1 must be like id:base64"),
        (GOOD, "key 1 must be like id:base64"),
        (f"a:{GOOD},", "key 2 must be like id:base64"),
        (f"ä:{GOOD}", "key 1 must be like id:base64"),
        (f"a:{GOOD},b:{GOOD[:-1]}", "key 2 is not base64"),
        (f"a:{base64.b64encode(bytes(16)).decode()}", "key 1 must have 32 bytes, not 16"),
        (f"a:{GOOD},a:{GOOD}", "must give each key an id of its own"),
    ],
)
def test_a_malformed_setting_says_what_is_wrong_and_quotes_nothing(setting: str, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{rule}") as caught:
        parse_keys(setting)
    assert GOOD not in str(caught.value)
