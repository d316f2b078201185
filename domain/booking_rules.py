"""What a booking allows: each rule reads `rule(booking, command, actor, now, ...)` and answers facts or a Refusal.

The transition table of `domain/booking.py` says who may go from where to where; the rules here add what a table cannot:
waiting times, windows, prices. They never look at the world; what they need to know is handed to them.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain import booking_events as ev
from domain import commands
from domain.booking import FINAL, TRANSITIONS, Booking, State, Transition, apply
from domain.context import Actor, Role
from domain.facts import Decided, Fact
from domain.refusals import FieldError, Refusal

type Facts = tuple[Fact, ...]

EVENTS_MOST = 500  # of one booking; then its people have said enough, and can only act
TIP_MOST_TIMES = 2  # a slipped finger, or a stolen card, shall not tip a fortune
NOTE_BY = frozenset({Role.CUSTOMER, Role.TECHNICIAN, Role.DISPATCHER})
BEFORE_SERVICE = frozenset({"late", "access"})
ON_THE_WAY = frozenset({State.ACCEPTED, State.EN_ROUTE, State.ARRIVED, State.IN_SERVICE})
ENOUGH = Refusal("booking_state", "Too much was said about this visit already.")
OVERRIDES = frozenset({State.ARRIVED, State.IN_SERVICE, State.COMPLETED, State.CANCELLED, State.NO_SHOW})


def permitted(booking: Booking, command: str, role: Role) -> Transition | Refusal:
    """Find the row of the table for this command, state and role, or refuse with `booking_state`."""
    for row in TRANSITIONS:
        if row.command == command and booking.state in row.sources and role in row.by:
            return row
    return Refusal(
        "booking_state", f"A booking that is {booking.state} does not take '{command}' from a {role}."
    )


def accept(booking: Booking, actor: Actor, now: datetime, evidence: dict[str, Any]) -> Facts | Refusal:
    """The asked technician says yes in time; `evidence` is what the licence gate relied on."""
    row = permitted(booking, "accept", actor.role)
    if isinstance(row, Refusal):
        return row
    if booking.technician_id is None:
        return Refusal("booking_state", "No technician is asked at the moment.")
    if booking.deadline_at is not None and now > booking.deadline_at:
        return Refusal("booking_state", "The time to answer has run out.")
    return (apply(booking, ev.Accepted(booking.technician_id, evidence), now),)


def decline(
    booking: Booking,
    actor: Actor,
    now: datetime,
    *,
    sealed: bytes,
    final: bool,
    reason_code: str | None = None,
) -> Facts | Refusal:
    """The asked technician says no, for a `sealed` reason; unless `final`, the next card is asked."""
    row = permitted(booking, "decline", actor.role)
    if isinstance(row, Refusal):
        return row
    if booking.technician_id is None:
        return Refusal("booking_state", "No technician is asked at the moment.")
    return (apply(booking, ev.Declined(booking.technician_id, final, reason_code), now, note=sealed),)


def expire(booking: Booking, now: datetime, *, final: bool) -> Facts | Refusal:
    """Nobody answered by `deadline_at`; unless `final`, the next card is asked."""
    row = permitted(booking, "expire", Role.SYSTEM)
    if isinstance(row, Refusal):
        return row
    if booking.deadline_at is None or now < booking.deadline_at:
        return Refusal("booking_state", "The time to answer has not run out.")
    return (apply(booking, ev.Expired(booking.technician_id, final), now),)


def reassign(
    booking: Booking, technician_id: UUID, now: datetime, *, cause: str, deadline_at: datetime, role: Role,
    card_id: UUID | None = None,
) -> Facts | Refusal:  # fmt: skip
    """Another technician is asked, by a dispatcher or because a card's fallback says so; the quoted total stays."""
    row = permitted(booking, "reassign", role)
    if isinstance(row, Refusal):
        return row
    if technician_id == booking.technician_id:
        return Refusal("booking_state", "That technician has this booking already.")
    happened = ev.Reassigned(booking.technician_id, technician_id, cause, deadline_at, card_id)
    return (apply(booking, happened, now),)


def depart(
    booking: Booking, actor: Actor, now: datetime, *, session_id: UUID, opens_before_s: int
) -> Facts | Refusal:
    """The technician sets off, at the earliest `opens_before_s` before the visit; a GPS session opens."""
    row = permitted(booking, "depart", actor.role)
    if isinstance(row, Refusal):
        return row
    opens_at = booking.starts_at - timedelta(seconds=opens_before_s)
    if now < opens_at:
        return Refusal("booking_state", f"Departure opens at {opens_at.isoformat()}.")
    return (apply(booking, ev.Departed(session_id), now),)


def came_near(booking: Booking, now: datetime, *, session_id: UUID, by: str) -> Facts | Refusal:
    """The technician is close, once a leg."""
    if booking.state != State.EN_ROUTE or booking.gps_session_id != session_id or booking.near_at is not None:
        return Refusal("booking_state", "Only the leg that is under way comes near, and once.")
    return (apply(booking, ev.CameNear(session_id, by), now),)


def arrive(
    booking: Booking, command: commands.Arrive, actor: Actor, now: datetime, *, wait_s: int
) -> Facts | Refusal:
    """At the door, by button or detector; after `wait_s` a no-show may be said.

    When button and detector race, the second finds nothing left to do: no facts, no refusal.
    """
    if booking.state == State.ARRIVED:
        return ()
    row = permitted(booking, "arrive", actor.role)
    if isinstance(row, Refusal):
        return row
    if command.gps_session_id is not None and command.gps_session_id != booking.gps_session_id:
        return Refusal("booking_state", "That leg is not under way.")
    until = now + timedelta(seconds=wait_s)
    return (apply(booking, ev.Arrived(booking.gps_session_id, command.by, until), now),)


def waited(booking: Booking, now: datetime) -> Facts | Refusal:
    """The waiting time at the door is over, and nobody opened."""
    until = booking.deadline_at
    if booking.state != State.ARRIVED or until is None or now < until:
        return Refusal("booking_state", "Nobody has waited at this door for so long.")
    return (apply(booking, ev.Waited(until), now),)


def start(booking: Booking, actor: Actor, now: datetime) -> Facts | Refusal:
    """The visit begins and should take as long as was booked."""
    row = permitted(booking, "start", actor.role)
    if isinstance(row, Refusal):
        return row
    return (apply(booking, ev.Started(now + (booking.ends_at - booking.starts_at)), now),)


def extend(booking: Booking, command: commands.Extend, actor: Actor, now: datetime) -> Facts | Refusal:
    """The visit takes longer, from when it should end or from now, whichever is later; the customer hears of it."""
    row = permitted(booking, "extend", actor.role)
    if isinstance(row, Refusal):
        return row
    if booking.version >= EVENTS_MOST:
        return ENOUGH
    end = max(booking.expected_end_at or booking.ends_at, now) + timedelta(minutes=command.minutes)
    return (apply(booking, ev.Extended(command.minutes, end), now),)


def overran(booking: Booking, now: datetime) -> Facts | Refusal:
    """The visit should be over and is not. Once for each expected end: its deadline is claimed beside this."""
    end = booking.expected_end_at
    if booking.state != State.IN_SERVICE or end is None or now < end:
        return Refusal("booking_state", "This visit does not overrun.")
    return (apply(booking, ev.Overran(end), now),)


def note(
    booking: Booking, command: commands.Note, actor: Actor, now: datetime, sealed: bytes
) -> Facts | Refusal:
    """From any of its people to the others: a note is for the time of the service; late and access for the way too."""
    if actor.role not in NOTE_BY:
        return Refusal("forbidden", "Only the people of a visit write notes to each other.")
    allowed = ON_THE_WAY if command.kind in BEFORE_SERVICE else frozenset({State.IN_SERVICE})
    if booking.state not in allowed:
        return Refusal(
            "booking_state", f"A booking that is {booking.state} takes no note of kind {command.kind}."
        )
    if booking.version >= EVENTS_MOST:
        return ENOUGH
    return (apply(booking, ev.Noted(command.kind, actor.role), now, note=sealed),)


def complete(booking: Booking, actor: Actor, now: datetime) -> Facts | Refusal:
    """The service is done."""
    row = permitted(booking, "complete", actor.role)
    if isinstance(row, Refusal):
        return row
    return (apply(booking, ev.Completed(), now),)


def cancel(
    booking: Booking, command: commands.Cancel, actor: Actor, now: datetime, *, sealed: bytes, fee_amount: int,
    policy: str, deadline_at: datetime,
) -> Facts | Refusal:  # fmt: skip
    """End the visit, with the fee that the policy names; or, from its technician, give it back until `deadline_at`."""
    row = permitted(booking, "cancel", actor.role)
    if isinstance(row, Refusal):
        return row
    if row.target == State.REQUESTED:
        if booking.technician_id is None:
            return Refusal("booking_state", "No technician has this booking.")
        released = ev.Released(booking.technician_id, deadline_at, command.reason_code)
        return (apply(booking, released, now, note=sealed),)
    event = apply(
        booking, ev.Cancelled(actor.role, fee_amount, policy, command.reason_code), now, note=sealed
    )
    if actor.role == Role.CUSTOMER:
        return (event,)
    return (event, Decided("booking.cancelled", "booking", str(booking.booking_id), command.reason))


def no_show(
    booking: Booking, actor: Actor, now: datetime, *, wait_s: int, fee_amount: int, policy: str
) -> Facts | Refusal:
    """Nobody opened for the whole waiting time, as it was told at arrival."""
    row = permitted(booking, "no-show", actor.role)
    if isinstance(row, Refusal):
        return row
    until = booking.deadline_at or (booking.arrived_at or now) + timedelta(seconds=wait_s)
    if now < until:
        return Refusal("booking_state", f"Please wait until {until.isoformat()}.")
    return (apply(booking, ev.NoShow(fee_amount, policy), now),)


def rate(booking: Booking, command: commands.Rate, now: datetime, sealed: bytes | None) -> Facts | Refusal:
    """The customer rates a completed visit, once; the comment is sealed under their key."""
    if booking.state != State.COMPLETED:
        return Refusal("booking_state", "Only a completed visit can be rated.")
    if booking.rated:
        return Refusal("already_rated", "This visit was rated already.")
    if command.tip_amount and command.tip_currency != booking.price.currency:
        words = f"This visit was paid in {booking.price.currency}, and so is its tip."
        return Refusal("validation", words, (FieldError("/tip/currency", "not_allowed", words),))
    if command.tip_amount > TIP_MOST_TIMES * booking.price.total:
        words = f"A tip is at most {TIP_MOST_TIMES} times what the visit cost."
        return Refusal("validation", words, (FieldError("/tip/amount", "out_of_range", words),))
    return (apply(booking, ev.Rated(command.stars, command.tip_amount), now, note=sealed),)


def override(
    booking: Booking, command: commands.Override, actor: Actor, now: datetime, *, wait_s: int
) -> Facts | Refusal:
    """A dispatcher of the area or the founder sets the state by hand; the audit says who and why."""
    if actor.role not in (Role.DISPATCHER, Role.FOUNDER):
        return Refusal("forbidden", "Only a dispatcher or the founder may override.")
    if booking.state in FINAL or command.state not in OVERRIDES or command.state == booking.state:
        return Refusal(
            "booking_state", f"A booking that is {booking.state} cannot be set to {command.state}."
        )
    if booking.technician_id is None and command.state != State.CANCELLED:
        return Refusal("booking_state", "Without a technician it can only be cancelled.")
    happened = ev.Overridden(
        str(booking.state),
        command.state,
        no_show_from=now + timedelta(seconds=wait_s) if command.state == State.ARRIVED else None,
        expected_end_at=now + (booking.ends_at - booking.starts_at)
        if command.state == State.IN_SERVICE
        else None,
    )
    data = {"from": str(booking.state), "to": command.state}
    return (
        apply(booking, happened, now),
        Decided("booking.overridden", "booking", str(booking.booking_id), command.reason, data),
    )
