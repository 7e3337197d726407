"""Wrong passwords slow down who sends them."""

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from berth.database import Credentials, Database, NewCharger
from gateway.channel import Channel
from gateway.password_throttle import PasswordThrottle
from gateway.trusted_networks import TrustedNetworks
from tests.gateway.stack import Stack, Temporal
from tests.gateway.station import Station, basic

PASSWORD = "0123456789abcdef0123"


class Clock:
    """A time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_a_few_in_a_row_one_more_is_checked_at_a_time() -> None:
    clock = Clock()
    guesses = PasswordThrottle(at_once=3, every=10, clock=clock)
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
    guesses = PasswordThrottle(at_once=1, every=10, clock=clock)
    guesses.count("a")
    assert [guesses.is_news("a"), guesses.is_news("a")] == [True, False]
    clock.now += 10
    guesses.count("a")
    assert guesses.is_news("a"), "another burst"


def test_memory_is_bounded() -> None:
    guesses = PasswordThrottle(at_once=1, every=10, keys=2)
    for key in ("a", "b", "c"):
        guesses.count(key)
    assert [guesses.are_too_many(key) for key in ("a", "b", "c")] == [False, True, True]


def test_a_network_is_known_for_one_charger() -> None:
    known = TrustedNetworks()
    known.enter(1, "192.0.2.1")
    assert known.has(1, "192.0.2.1")
    assert not known.has(1, "192.0.2.2")
    assert not known.has(2, "192.0.2.1")


def test_the_memory_of_networks_is_bounded_and_no_charger_pushes_out_another() -> None:
    known = TrustedNetworks(chargers=2, of_each=2)
    known.enter(1, "a")
    for network in ("a", "b", "a", "c"):
        known.enter(2, network)
    assert [known.has(2, network) for network in ("a", "b", "c")] == [True, False, True]
    assert known.has(1, "a")
    known.enter(3, "a")
    assert [known.has(charger, "a") for charger in (1, 2, 3)] == [False, True, True]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_who_has_one_address_of_ipv6_has_all_of_its_network(address: str, network: str) -> None:
    assert Channel(address).network == network


async def test_strangers_who_guess_do_not_lock_a_charger_out_of_where_it_was(
    database: Database, temporal: Temporal
) -> None:
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD))
    right = basic("CP-1", PASSWORD.encode())
    async with Stack(database, temporal) as stack:
        async with Station(stack.url(), headers=right, address="127.0.1.1") as station:
            await station.boot()
        strangers = (f"127.0.2.{number}" for number in range(1, 255))
        statuses = [await _refused(stack.url(), "guess", address=next(strangers)) for _ in range(50)]
        assert set(statuses) == {401}
        while await _refused(stack.url(), "guess", address=next(strangers)) != 429:
            pass
        # From there wrong ones are still counted, and looked at.
        assert [await _refused(stack.url(), "guess", address="127.0.1.1") for _ in range(4)] == [401] * 4
        async with Station(stack.url(), headers=right, address="127.0.1.1") as station:
            await station.boot()
        statuses = [await _refused(stack.url(), "guess", address="127.0.1.1") for _ in range(6)]
        assert statuses == [401] * 5 + [429]


async def test_guesses_at_one_charger_are_not_checked_while_another_gets_in(
    database: Database, temporal: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for identity in ("CP-1", "CP-2"):
        await database.chargers.add(NewCharger(identity, password=PASSWORD))
    checked: list[bytes] = []
    check = Credentials.check_password

    async def counted(self: Credentials, presented: bytes) -> bool:
        checked.append(presented)
        return await check(self, presented)

    monkeypatch.setattr(Credentials, "check_password", counted)
    async with Stack(database, temporal) as stack:
        with capture_logs() as logs:
            statuses = [await _refused(stack.url(), f"guess-{number}") for number in range(10)]
        assert statuses == [401] * 5 + [429] * 5
        assert len(checked) == 5
        slowed = [entry for entry in logs if entry["event"] == "charger_guesses_slowed"]
        assert [(entry["ocpp_identity"], entry["address"]) for entry in slowed] == [("CP-1", "127.0.0.1")]
        assert "guess-" not in str(logs)
        headers = basic("CP-2", PASSWORD.encode())
        async with Station(stack.url("CP-2"), headers=headers) as station:
            await station.boot()


async def test_guesses_from_one_address_at_many_chargers_are_slowed(
    database: Database, temporal: Temporal
) -> None:
    for number in range(20):
        await database.chargers.add(NewCharger(f"CP-{number}", password=PASSWORD))
    async with Stack(database, temporal) as stack:
        statuses = [
            await _refused(stack.url(f"CP-{number % 20}"), "guess", f"CP-{number % 20}")
            for number in range(80)
        ]
    assert set(statuses[:50]) == {401}
    assert 429 in statuses[50:]


async def _refused(url: str, password: str, identity: str = "CP-1", address: str | None = None) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(
            url,
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers=basic(identity, password.encode()),
            local_addr=None if address is None else (address, 0),
        )
    return refusal.value.response.status_code
