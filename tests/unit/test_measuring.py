"""Counting a booking's events: the same figures however they are told, and never other than the booking itself."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from domain import booking_events as ev
from domain.booking import FINAL, BookingEvent, apply
from domain.context import Role
from domain.measuring import COUNTED, UNMEASURED, Origin, Told, Visit, measure, measured
from storage.rows import encode
from tests.unit.bookings import NOON, TECHNICIANS, blank
from tests.unit.test_booking_life import BookingLife

ORIGIN = Origin(
    booking_id=UUID(int=7), match_id=UUID(int=8), service="haircut", experience=(), area_id=UUID(int=10),
    jurisdiction="US-MD", starts_at=NOON + timedelta(minutes=30), currency="USD", quoted_amount=4770,
    positions={TECHNICIANS[0]: 2, TECHNICIANS[1]: 3},
)  # fmt: skip


def told(fact: BookingEvent, at: datetime, role: Role = Role.SYSTEM) -> Told:
    """Return an event as the database gives it back."""
    data: dict[str, Any] = orjson.loads(encode(fact.happened.data()))
    return Told(fact.booking.version, fact.happened.type, at, role, data)


def story(*steps: tuple[ev.Happened, float, Role]) -> list[Told]:
    """Tell what happened at so many minutes past noon."""
    booking, events = blank(), []
    for happened, minute, role in steps:
        fact = apply(booking, happened, NOON + timedelta(minutes=minute))
        events.append(told(fact, fact.booking.updated_at, role))
        booking = fact.booking
    return events


ASKED = (ev.Requested(TECHNICIANS[0], NOON), 0, Role.CUSTOMER)
ACCEPTED = (ev.Accepted(TECHNICIANS[0], {}), 2, Role.TECHNICIAN)


def test_every_event_is_measured_or_left_out_on_purpose() -> None:
    """A new kind of event has to be thought about here."""
    assert {happened.type for happened in ev.HAPPENED} == COUNTED.keys() | UNMEASURED
    assert not COUNTED.keys() & UNMEASURED


class MeasuredLife(BookingLife):
    """A booking's random life, counted as it goes."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        super().__init__()
        self.visit = Visit(ORIGIN)
        self.all: list[Told] = []

    @initialize()
    def hear_of_it(self) -> None:
        """The request is an event too."""
        happened = ev.Requested(TECHNICIANS[0], NOON + timedelta(minutes=5))
        self._count(told(apply(blank(), happened, NOON), NOON))

    def _count(self, event: Told) -> None:
        self.all.append(event)
        self.visit = measure(self.visit, event)

    def _take(self, outcome: Any) -> None:
        heard = len(self.events)
        super()._take(outcome)
        for fact, at in self.events[heard:]:
            self._count(told(fact, at))

    @rule(what=st.sampled_from(["authorized", "verified", "captured", "refunded", "failed", "voided"]))
    def pay(self, what: str) -> None:
        """The gateway says something, in any order."""
        happened: dict[str, ev.Happened] = {
            "authorized": ev.PaymentAuthorized(UUID(int=1), 4770, "USD", verified_only=False),
            "verified": ev.PaymentAuthorized(UUID(int=1), 4770, "USD", verified_only=True),
            "captured": ev.PaymentCaptured(UUID(int=1), 4770, "USD"),
            "refunded": ev.PaymentRefunded(UUID(int=1), 4770, "USD", full=True),
            "failed": ev.PaymentFailed(UUID(int=1), "capture"),
            "voided": ev.PaymentVoided(UUID(int=1)),
        }
        self._take((apply(self.booking, happened[what], self.now),))

    @invariant()
    def figures_are_the_bookings(self) -> None:
        """What both know is the same."""
        b, v = self.booking, self.visit
        if not self.all:
            return
        assert (v.seq, v.state, v.technician_id) == (b.version, b.state, b.technician_id)
        assert (v.fee_amount, v.arrived_at, v.payment_status) == (
            b.fee_amount,
            b.arrived_at,
            b.payment_status,
        )
        assert [o.technician_id for o in v.offers] == list(b.offered)
        assert (v.ended_at is not None) == (b.state in FINAL)

    @invariant()
    def told_again_it_is_the_same(self) -> None:
        """From the start, or with everything twice."""
        assert measured(ORIGIN, self.all) == self.visit
        assert measured(ORIGIN, [*self.all, *self.all]) == self.visit

    @invariant()
    def at_most_the_newest_offer_waits(self) -> None:
        """Every older one was answered, and none waits on a booking that ended."""
        waiting = [offer for offer in self.visit.offers if offer.answer is None]
        assert waiting in ([], list(self.visit.offers[-1:]))
        assert not (waiting and self.visit.state in FINAL)


MeasuredLife.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMeasuredLife = MeasuredLife.TestCase


def test_the_next_card_is_an_offer_of_its_own() -> None:
    """Declined, expired, given back and taken away: each offer has its answer, its place and its time."""
    first, second, third, fourth = TECHNICIANS
    visit = measured(ORIGIN, story(
        ASKED,
        (ev.Declined(first, final=False), 1, Role.TECHNICIAN),
        (ev.Reassigned(None, second, "declined", NOON, UUID(int=9)), 1, Role.SYSTEM),
        (ev.Accepted(second, {}), 4, Role.TECHNICIAN),
        (ev.Released(second, NOON), 5, Role.TECHNICIAN),
        (ev.Reassigned(None, third, "released", NOON, UUID(int=9)), 5, Role.SYSTEM),
        (ev.Reassigned(third, fourth, "dispatcher", NOON), 8, Role.DISPATCHER),
        (ev.Expired(fourth, final=True), 20, Role.SYSTEM),
    ))  # fmt: skip
    assert [(o.technician_id, o.answer, o.cause, o.card_position) for o in visit.offers] == [
        (first, "declined", "customer", 2), (second, "accepted", "declined", 3), (third, "withdrawn", "released", None),
        (fourth, "expired", "dispatcher", None),
    ]  # fmt: skip
    assert [(o.answered_at - o.offered_at).total_seconds() for o in visit.offers if o.answered_at] == [
        60, 180, 180, 720,
    ]  # fmt: skip
    assert visit.offers[1].released_at == NOON + timedelta(minutes=5)
    assert (visit.card_position, visit.releases, visit.state) == (2, 1, "expired")
    assert visit.accepted_at == NOON + timedelta(minutes=4)


def test_a_place_is_for_cards_alone() -> None:
    """Who was chosen by a dispatcher was asked for by no card, though the match showed one."""
    visit = measured(ORIGIN, story(ASKED, (ev.Reassigned(TECHNICIANS[0], TECHNICIANS[1], "dispatcher", NOON), 1,
                                           Role.DISPATCHER)))  # fmt: skip
    assert [o.card_position for o in visit.offers] == [2, None]


def test_a_time_set_by_hand_is_marked() -> None:
    """A dispatcher who says that somebody arrived measures nothing; who ended it, and from where, is kept."""
    visit = measured(ORIGIN, story(
        ASKED, ACCEPTED,
        (ev.Overridden("accepted", "arrived"), 30, Role.DISPATCHER),
        (ev.Overridden("arrived", "cancelled"), 40, Role.FOUNDER),
    ))  # fmt: skip
    assert (visit.arrived_by, visit.ended_by, visit.ended_from) == ("override", "founder", "arrived")


@given(st.lists(st.integers(1, 500), max_size=6), st.lists(st.integers(1, 500), max_size=6))
def test_money_adds_up(taken: list[int], given_back: list[int]) -> None:
    """Price, fee and tip are taken together; every refund counts."""
    steps = [(ev.PaymentCaptured(UUID(int=1), amount, "USD"), 3, Role.SYSTEM) for amount in taken]
    back = [(ev.PaymentRefunded(UUID(int=1), a, "USD", full=False), 4, Role.SYSTEM) for a in given_back]
    visit = measured(ORIGIN, story(ASKED, ACCEPTED, *steps, *back))
    assert (visit.captured_amount, visit.refunded_amount) == (sum(taken), sum(given_back))


def test_a_reason_code_is_kept_where_an_event_has_one() -> None:
    """People's words are sealed and stay so; a code may be counted."""
    cancelled = Told(
        2, "booking.cancelled", NOON, Role.CUSTOMER, {"fee_amount": 0, "reason_code": "personal"}
    )
    assert measured(ORIGIN, [*story(ASKED), cancelled]).reason_code == "personal"


def test_a_kind_of_tomorrow_is_passed_over() -> None:
    """While releases mix, an unknown event changes no figure but the place in the story."""
    visit = measured(ORIGIN, [*story(ASKED), Told(2, "booking.of_tomorrow", NOON, Role.SYSTEM, {})])
    assert (visit.seq, visit.state) == (2, "requested")
