"""When somebody has to look: the deadlines behind alerts, set by the house's numbers as a booking goes its way.

The deadlines of the booking's own life (to answer, to wait at the door, to be over) follow from its events alone, in
`storage/deadlines.py`; these two depend on policy. `unnoticed` and `not_there` are what they cause.
"""

from datetime import datetime, timedelta

from domain import booking_events as ev
from domain.alerts import Kind, about
from domain.booking import Booking, BookingEvent, State
from domain.booking_rules import Facts
from domain.context import Context
from domain.refusals import Refusal
from services.policy import Policy
from services.stores import Stores
from storage.db import Tx
from storage.deadlines import DeadlineSet

WHOLE_BP = 10_000


def timed[F: Facts | Refusal](policy: Policy, outcome: F) -> F | Facts:
    """Return the facts with the deadline that the last of them sets; a refusal as it is."""
    if isinstance(outcome, Refusal):
        return outcome
    last = next((fact for fact in reversed(outcome) if isinstance(fact, BookingEvent)), None)
    due = None if last is None else _due(policy, last)
    return outcome if last is None or due is None else (*outcome, DeadlineSet(last.booking.booking_id, *due))


def _due(policy: Policy, last: BookingEvent) -> tuple[str, datetime] | None:
    booking = last.booking
    match last.happened:
        case ev.Requested(deadline_at=until) | ev.Reassigned(deadline_at=until):
            part = (until - booking.updated_at) * policy.alert_unanswered_after_bp / WHOLE_BP
            return "unnoticed", booking.updated_at + part
        case ev.Accepted():
            return "not_there", booking.starts_at + timedelta(seconds=policy.alert_not_departed_s)
        case ev.Departed():
            return "not_there", booking.starts_at + timedelta(seconds=policy.alert_not_arrived_s)
        case _:
            return None


async def unnoticed(stores: Stores, tx: Tx, booking: Booking, context: Context) -> Facts | Refusal:  # noqa: ARG001 - a Consequence
    """Half of the time to answer is over, and nobody has."""
    if booking.state != State.REQUESTED:
        return ()
    return (about(booking, Kind.UNANSWERED, cause="waiting", deadline_at=booking.deadline_at),)


async def not_there(stores: Stores, tx: Tx, booking: Booking, context: Context) -> Facts | Refusal:  # noqa: ARG001 - a Consequence
    """The visit should have begun, and its technician has not set off, or not arrived."""
    if booking.state not in (State.ACCEPTED, State.EN_ROUTE):
        return ()
    return (about(booking, Kind.LATE_TO_START, state=str(booking.state), starts_at=booking.starts_at),)
