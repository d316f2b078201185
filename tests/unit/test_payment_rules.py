"""Which answers of a gateway may still change what we know, and what a cancellation costs."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import booking_events as ev
from domain.booking import Booking, State, apply
from domain.cancellation import FIRST, Tier, fee, no_show_fee
from domain.facts import JobWanted
from domain.payments import (
    Kind,
    PaymentIntended,
    PaymentIntent,
    Purpose,
    Status,
    after,
    collect,
    failure_matters,
    refund,
    refundable,
    release,
    tip,
)
from tests.unit.bookings import NOON, TECHNICIANS, requested

HELD = PaymentIntent(
    UUID(int=1), UUID(int=2), Kind.AUTHORIZE, "sandbox_ok", 4770, "USD", status=Status.SUCCEEDED
)
SESSION = UUID(int=77)


@given(st.lists(st.sampled_from([Status.SUCCEEDED, Status.DECLINED, Status.FAILED]), min_size=1, max_size=6))
def test_a_success_wins_in_any_order(answers: list[Status]) -> None:
    """Answers may come late, twice and out of order: whether the money moved is told alike."""
    ends = set()
    for order in list(permutations(answers))[:50]:
        status = Status.PENDING
        for answer in order:
            status = after(status, answer)
        ends.add(status is Status.SUCCEEDED)
    assert ends == {Status.SUCCEEDED in answers}


def test_no_failure_follows_a_success() -> None:
    """Neither a decline nor giving up changes a success; a first ending stays against another failure."""
    assert after(Status.SUCCEEDED, Status.FAILED) is Status.SUCCEEDED
    assert after(Status.SUCCEEDED, Status.DECLINED) is Status.SUCCEEDED
    assert after(Status.DECLINED, Status.FAILED) is Status.DECLINED
    assert after(Status.FAILED, Status.SUCCEEDED) is Status.SUCCEEDED


def test_a_failed_refund_or_tip_leaves_the_visit_paid() -> None:
    """Only what was to pay for the visit can make its payment a failed one."""
    assert failure_matters(Kind.CAPTURE, Purpose.VISIT)
    assert failure_matters(Kind.CHARGE, Purpose.NO_SHOW_FEE)
    assert not failure_matters(Kind.REFUND, Purpose.VISIT)
    assert not failure_matters(Kind.VOID, Purpose.VISIT)
    assert not failure_matters(Kind.CHARGE, Purpose.TIP)


def test_each_wish_is_an_intent_and_its_job() -> None:
    """What is wanted of the gateway and the job that asks are one pair, so that they commit together."""
    for facts, kind, job in (
        (collect(HELD, UUID(int=3), 4770), Kind.CAPTURE, "capture_payment"),
        (release(HELD, UUID(int=3)), Kind.VOID, "void_payment"),
        (tip(HELD, UUID(int=3), 100), Kind.CHARGE, "capture_payment"),
        (refund(HELD, UUID(int=3), 100, "why"), Kind.REFUND, "refund_payment"),
    ):
        intended, wanted = facts
        assert isinstance(intended, PaymentIntended)
        assert isinstance(wanted, JobWanted)
        assert (intended.intent.kind, intended.intent.parent_id) == (kind, HELD.intent_id)
        assert (wanted.name, wanted.payload) == (job, {"intent_id": str(UUID(int=3))})


@pytest.mark.parametrize("amount", [0, -1, 4771])
def test_no_more_than_is_held_is_taken(amount: int) -> None:
    """A capture is of something, and at most of what is held."""
    with pytest.raises(ValueError, match="cannot take"):
        collect(HELD, UUID(int=3), amount)


def test_what_may_still_be_given_back_counts_refunds_on_their_way() -> None:
    """A pending refund holds its amount, and one without an answer too; a declined one gives it free."""
    refunds = [(100, Status.SUCCEEDED), (50, Status.PENDING), (30, Status.FAILED), (20, Status.DECLINED)]
    assert refundable(1000, refunds) == 820


def at(*events: ev.Happened, starts_in: timedelta = timedelta(hours=5)) -> Booking:
    """Return a booking after these events."""
    booking = requested(starts_in)
    for happened in events:
        booking = apply(booking, happened, NOON).booking
    return booking


ACCEPTED = ev.Accepted(TECHNICIANS[0], {})
DEPARTED = ev.Departed(SESSION)


@pytest.mark.parametrize(
    ("booking", "amount"),
    [
        (at(), 0),
        (at(starts_in=timedelta(minutes=1)), 0),
        (at(ACCEPTED), 0),
        (at(ACCEPTED, starts_in=timedelta(hours=2)), 0),
        (at(ACCEPTED, starts_in=timedelta(hours=2, seconds=-1)), 1125),
        (at(ACCEPTED, DEPARTED), 2250),
        (at(ACCEPTED, DEPARTED, ev.Arrived(SESSION, "technician")), 2250),
        (at(ACCEPTED, ev.Completed()), 0),
    ],
)
def test_the_fee_follows_state_and_lead_time(booking: Booking, amount: int) -> None:
    """Free until accepted and while there is time; a quarter after that; half from departure on; tax is not charged."""
    charged = fee(booking, NOON, FIRST)
    assert (charged.amount, charged.policy) == (amount, "1")


def test_a_no_show_costs_by_its_own_rate() -> None:
    """Nobody opened the door: half of the price without tax."""
    assert no_show_fee(at(ACCEPTED, DEPARTED), FIRST).amount == 2250


@given(st.integers(0, 20_000))
def test_a_fee_never_exceeds_the_price(rate_bp: int) -> None:
    """Even a policy gone wrong takes no more than the visit costs."""
    policy = replace(FIRST, tiers=(Tier(State.EN_ROUTE, rate_bp),))
    assert 0 <= fee(at(ACCEPTED, DEPARTED), NOON, policy).amount <= 4500
