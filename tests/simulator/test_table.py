"""The reservation table without a socket."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simulator import (
    ManualClock,
    Personality,
    Phase,
    Port,
    PortStatus,
    Reservation,
    ReservationTable,
    load_personality,
    personality_names,
)

SPECIFICATION = load_personality()


def table(personality: Personality = SPECIFICATION, ports: int = 2) -> tuple[ReservationTable, ManualClock]:
    """A table with so many ports and its clock."""
    clock = ManualClock()
    return ReservationTable(personality, [Port(number) for number in range(1, ports + 1)], clock), clock


def request(clock: ManualClock, reservation_id: int = 1, port: int | None = 1, tag: str = "A") -> Reservation:
    """A request that ends in ten minutes."""
    return Reservation(reservation_id, port, tag, clock() + timedelta(minutes=10))


def test_an_unspecific_reservation_of_a_plug_type_needs_a_port_with_it() -> None:
    clock = ManualClock()
    ports = [Port(1, ("cCCS2",)), Port(2, ("cG105",))]
    held = ReservationTable(SPECIFICATION, ports, clock)
    assert held.reserve(replace(request(clock, 1, None), plug_type="cG105")).accepted
    assert held.status(2) is PortStatus.RESERVED
    assert held.status(1) is PortStatus.AVAILABLE
    assert held.reserve(replace(request(clock, 2, None), plug_type="cG105")).reply == "Occupied"
    assert held.reserve(request(clock, 3, None)).accepted
    assert held.status(1) is PortStatus.RESERVED


@pytest.mark.parametrize(
    ("faulted", "unavailable", "occupied", "answer"),
    [
        ([1, 2], [], [], "Faulted"),
        ([], [1, 2], [], "Unavailable"),
        ([], [], [1, 2], "Occupied"),
        ([1], [2], [], "Faulted"),
        ([1], [], [2], "Occupied"),
    ],
)
def test_a_whole_charger_is_refused_for_what_its_ports_have(
    faulted: list[int], unavailable: list[int], occupied: list[int], answer: str
) -> None:
    held, clock = table()
    for number in faulted:
        held.ports[number].is_faulted = True
    for number in unavailable:
        held.ports[number].is_operative = False
    for number in occupied:
        held.ports[number].phase = Phase.CHARGING
    assert held.reserve(request(clock, port=None)).reply == answer


def test_a_whole_charger_reservation_survives_the_loss_of_one_port() -> None:
    held, clock = table()
    held.reserve(request(clock, port=None))
    held.ports[1].is_faulted = True
    assert held.port_lost(1) == []
    assert held.status(2) is PortStatus.RESERVED
    held.ports[2].is_faulted = True
    assert [gone.reservation_id for gone in held.port_lost(2)] == [1]


def test_a_failed_replacement_may_lose_the_old_one() -> None:
    loses = SPECIFICATION.model_copy(update={"failed_replacement_keeps_old": False})
    held, clock = table(loses)
    held.reserve(request(clock, 1, 1))
    held.ports[2].is_faulted = True
    assert held.reserve(request(clock, 1, 2)).reply == "Faulted"
    assert held.held == ()


def test_what_is_dumped_can_be_loaded() -> None:
    held, clock = table()
    held.reserve(replace(request(clock), parent_id_tag="P", id_tag_type="Central"))
    other, _ = table()
    other.load(held.dump())
    assert other.held == held.held


def test_a_group_may_be_refused() -> None:
    held, clock = table(SPECIFICATION.model_copy(update={"group_tag": "refused"}))
    held.reserve(replace(request(clock), parent_id_tag="P"))
    assert not held.enter(1, "B", parent_id_tag="P").allowed


def test_a_token_of_another_type_is_another_token() -> None:
    held, clock = table()
    held.reserve(replace(request(clock), id_tag_type="Central"))
    assert not held.enter(1, "A", id_tag_type="ISO14443").allowed
    assert held.enter(1, "A", id_tag_type="Central").allowed


def test_micro_ocpp_clears_all_reservations_of_a_tag_that_starts() -> None:
    held, clock = table(load_personality("microocpp16"))
    held.reserve(request(clock, 1, 1))
    held.reserve(request(clock, 2, 2))
    entry = held.enter(1, "A")
    assert entry.reservation is not None
    held.use(entry.reservation)
    assert held.held == ()


@given(
    name=st.sampled_from(personality_names()),
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([None, 1, 2, 9]), st.sampled_from("ABC")), max_size=12
    ),
)
@settings(max_examples=200, deadline=None)
def test_no_make_ever_holds_what_it_refused(name: str, steps: list[tuple[int, int | None, str]]) -> None:
    held, clock = table(load_personality(name))
    for reservation_id, port, tag in steps:
        before = {one.reservation_id for one in held.held}
        answer = held.reserve(request(clock, reservation_id, port, tag))
        after = {one.reservation_id for one in held.held}
        if not answer.accepted:
            assert after <= before


class SpecificationMachine(RuleBasedStateMachine):
    """A charger of the specification through any story."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.clock = table(ports=3)

    @rule(reservation_id=st.integers(1, 5), port=st.sampled_from([None, 1, 2, 3]), tag=st.sampled_from("ABC"))
    def reserve(self, reservation_id: int, port: int | None, tag: str) -> None:
        answer = self.held.reserve(request(self.clock, reservation_id, port, tag))
        holds = [
            (one.port_number, one.id_tag) for one in self.held.held if one.reservation_id == reservation_id
        ]
        assert not answer.accepted or holds == [(port, tag)]

    @rule(reservation_id=st.integers(1, 5))
    def cancel(self, reservation_id: int) -> None:
        known = any(one.reservation_id == reservation_id for one in self.held.held)
        answer = self.held.cancel(reservation_id)
        assert answer is not None
        assert answer.accepted is known

    @rule(minutes=st.integers(1, 8))
    def wait(self, minutes: int) -> None:
        self.clock.advance(minutes * 60)
        self.held.expire()

    @rule(port=st.integers(1, 3), faulted=st.booleans())
    def fault(self, port: int, faulted: bool) -> None:
        self.held.ports[port].is_faulted = faulted
        if faulted:
            self.held.port_lost(port)

    @precondition(lambda self: self.held.held)
    @rule(data=st.data(), port=st.integers(1, 3))
    def use(self, data: st.DataObject, port: int) -> None:
        one = data.draw(st.sampled_from(self.held.held))
        entry = self.held.enter(port, one.id_tag)
        if entry.reservation is not None:
            assert entry.reservation.id_tag == one.id_tag
            self.held.use(entry.reservation)

    @invariant()
    def one_reservation_a_port_and_one_port_a_reservation(self) -> None:
        ids = [one.reservation_id for one in self.held.held]
        ports = [one.port_number for one in self.held.held if one.port_number is not None]
        assert len(set(ids)) == len(ids)
        assert len(set(ports)) == len(ports)

    @invariant()
    def nothing_expired_is_held_and_the_alarm_is_set(self) -> None:
        now = self.clock()
        assert all(one.expires_at > now for one in self.held.held)
        assert (self.held.next_expiry() is not None) == bool(self.held.held)

    @invariant()
    def a_foreign_token_never_enters_a_reserved_port(self) -> None:
        for number in self.held.ports:
            if self.held.is_reserved(number):
                assert not self.held.enter(number, "STRANGER").allowed


TestSpecificationMachine = SpecificationMachine.TestCase
TestSpecificationMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
