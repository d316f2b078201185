"""A booking to begin with, for tests of the rules."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain import booking_events as ev
from domain.booking import Booking, Price, State, apply

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CUSTOMER = UUID(int=1)
TECHNICIANS = tuple(UUID(int=100 + n) for n in range(4))


def blank(starts_in: timedelta = timedelta(minutes=30)) -> Booking:
    """Return a booking before its first event."""
    return Booking(
        booking_id=UUID(int=7), number="D-1", state=State.REQUESTED, version=0, service="haircut",
        experience=("quiet_visit",), customer_id=CUSTOMER, technician_id=None, match_id=UUID(int=8),
        card_id=UUID(int=9), area_id=UUID(int=10), jurisdiction="US-MD", starts_at=NOON + starts_in,
        ends_at=NOON + starts_in + timedelta(minutes=45), expected_end_at=None, deadline_at=None,
        price=Price(4000, 500, 270, 4770, "USD", 600), payment_status="pending", gps_session_id=None,
        fallback="none", address=b"sealed", offered=(), near_at=None, arrived_at=None, fee_amount=0, rated=False,
        created_at=NOON, updated_at=NOON,
    )  # fmt: skip


def requested(starts_in: timedelta = timedelta(minutes=30)) -> Booking:
    """Return a booking that asks the first technician, with five minutes to answer."""
    happened = ev.Requested(TECHNICIANS[0], NOON + timedelta(minutes=5))
    return apply(blank(starts_in), happened, NOON).booking
