"""A cancellation policy is data: tiers by state and lead time, read back as they were written."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import booking_events as ev
from domain.booking import Booking, State, apply
from domain.cancellation import CHARGED, CancellationPolicy, Tier, fee, free_until, idle, policy_of, terms
from tests.unit.bookings import NOON, TECHNICIANS, requested

HOUR = 3600
STEPS = CancellationPolicy(
    version=7,
    free_until_s=24 * HOUR,
    tiers=(
        Tier(State.ACCEPTED, 1000),
        Tier(State.ACCEPTED, 5000, lead_under_s=HOUR),
        Tier(State.ACCEPTED, 2500, lead_under_s=4 * HOUR),
        Tier(State.EN_ROUTE, 10_000, lead_under_s=HOUR),
    ),
    no_show_fee_bp=10_000,
)
TIERS = st.builds(
    Tier, st.sampled_from(CHARGED), st.integers(0, 10_000), st.none() | st.integers(1, 10_000_000)
)
POLICIES = st.builds(
    CancellationPolicy,
    st.integers(1, 99),
    st.integers(0, 10_000_000),
    st.lists(TIERS).map(tuple),
    st.integers(0, 10_000),
)


def accepted(hours: float) -> Booking:
    """Return an accepted visit that begins in so many hours; 4500 without tax."""
    booking = requested(timedelta(hours=hours))
    return apply(booking, ev.Accepted(TECHNICIANS[0], {}), NOON).booking


def departed(hours: float) -> Booking:
    """Return the same, with its technician on the way."""
    return apply(accepted(hours), ev.Departed(session_id()), NOON).booking


def session_id() -> UUID:
    """Return some id."""
    return requested().booking_id


@pytest.mark.parametrize(
    ("booking", "amount"),
    [
        (accepted(24), 0), (accepted(23.9), 450), (accepted(4), 450), (accepted(3.9), 1125), (accepted(1), 1125),
        (accepted(0.9), 2250), (accepted(-1), 2250), (departed(2), 0), (departed(0.5), 4500),
        (requested(timedelta(minutes=-5)), 0),
    ],
)  # fmt: skip
def test_the_shortest_lead_time_that_holds_counts(booking: Booking, amount: int) -> None:
    """Free a day before; then step by step; a state without a tier costs nothing."""
    charged = fee(booking, NOON, STEPS)
    assert (charged.amount, charged.policy) == (amount, "7")


def test_free_until_is_told_while_it_matters() -> None:
    """Before it is past, and before the technician is on the way."""
    assert free_until(accepted(30), NOON, STEPS) == NOON + timedelta(hours=6)
    assert free_until(requested(timedelta(hours=30)), NOON, STEPS) == NOON + timedelta(hours=6)
    assert free_until(accepted(24), NOON, STEPS) is None
    assert free_until(departed(30), NOON, STEPS) is None


@given(POLICIES)
def test_a_policy_is_read_as_it_was_written(policy: CancellationPolicy) -> None:
    """Through its JSON and back it is the same."""
    assert policy_of(policy.version, terms(policy)) == policy


@given(POLICIES, st.floats(-100, 1000))
def test_a_fee_lies_between_nothing_and_the_price_without_tax(
    policy: CancellationPolicy, hours: float
) -> None:
    """Whatever the tiers say, and never anything while cancelling is free."""
    for booking in (accepted(hours), departed(hours)):
        assert 0 <= fee(booking, NOON, policy).amount <= 4500
    if free_until(accepted(hours), NOON, policy) is not None:
        assert fee(accepted(hours), NOON, policy).amount == 0


def test_tiers_that_never_count_are_found() -> None:
    """Twice the same lead time, or a lead time in which cancelling is free: each is told by its place."""
    tiers = (
        Tier(State.ACCEPTED, 1, HOUR),
        Tier(State.ACCEPTED, 2, HOUR),
        Tier(State.ACCEPTED, 3, 2 * HOUR + 1),
        Tier(State.EN_ROUTE, 4, 99 * HOUR),
    )
    assert [place for place, _ in idle(2 * HOUR, tiers)] == [1, 2]
