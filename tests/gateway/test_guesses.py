"""Wrong passwords slow down who sends them."""

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from directory import Credentials, Directory, NewCharger
from gateway.guesses import Guesses
from tests.gateway.house import House, Temporal
from tests.gateway.station import Station, basic

PASSWORD = "0123456789abcdef0123"


class Clock:
    """A time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_a_few_in_a_row_one_more_is_checked_at_a_time() -> None:
    clock = Clock()
    guesses = Guesses(at_once=3, every=10, clock=clock)
    for _ in range(3):
        assert not guesses.are_too_many("a")
        guesses.count("a")
    assert guesses.are_too_many("a")
    assert not guesses.are_too_many("b")
    clock.now += 10
    assert not guesses.are_too_many("a")
    guesses.count("a")
    assert guesses.are_too_many("a")
    guesses.forget("a")
    assert not guesses.are_too_many("a")


def test_a_burst_is_news_once() -> None:
    clock = Clock()
    guesses = Guesses(at_once=1, every=10, clock=clock)
    guesses.count("a")
    assert [guesses.is_news("a"), guesses.is_news("a")] == [True, False]
    clock.now += 10
    guesses.count("a")
    assert guesses.is_news("a"), "another burst"


def test_memory_is_bounded() -> None:
    guesses = Guesses(at_once=1, every=10, keys=2)
    for key in ("a", "b", "c"):
        guesses.count(key)
    assert [guesses.are_too_many(key) for key in ("a", "b", "c")] == [False, True, True]


async def test_guesses_at_one_charger_are_not_checked_while_another_gets_in(
    directory: Directory, temporal: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for identity in ("CP-1", "CP-2"):
        await directory.chargers.add(NewCharger(identity, password=PASSWORD))
    checked: list[bytes] = []
    check = Credentials.check_password

    async def counted(self: Credentials, presented: bytes) -> bool:
        checked.append(presented)
        return await check(self, presented)

    monkeypatch.setattr(Credentials, "check_password", counted)
    async with House(directory, temporal) as house:
        with capture_logs() as logs:
            statuses = [await _refused(house.url(), f"guess-{number}") for number in range(10)]
        assert statuses == [401] * 5 + [429] * 5
        assert len(checked) == 5
        slowed = [entry for entry in logs if entry["event"] == "charger_guesses_slowed"]
        assert [(entry["ocpp_identity"], entry["address"]) for entry in slowed] == [("CP-1", "127.0.0.1")]
        assert "guess-" not in str(logs)
        headers = basic("CP-2", PASSWORD.encode())
        async with Station(house.url("CP-2"), headers=headers) as station:
            await station.boot()


async def test_guesses_from_one_address_at_many_chargers_are_slowed(
    directory: Directory, temporal: Temporal
) -> None:
    for number in range(20):
        await directory.chargers.add(NewCharger(f"CP-{number}", password=PASSWORD))
    async with House(directory, temporal) as house:
        statuses = [
            await _refused(house.url(f"CP-{number % 20}"), "guess", f"CP-{number % 20}")
            for number in range(80)
        ]
    assert set(statuses[:50]) == {401}
    assert 429 in statuses[50:]


async def _refused(url: str, password: str, identity: str = "CP-1") -> int:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(
            url,
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers=basic(identity, password.encode()),
        )
    return refusal.value.response.status_code
