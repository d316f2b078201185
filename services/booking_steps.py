"""Steps that several commands share: the licence gate, what is taken or let go of a hold, sealed words, deadlines."""

from datetime import datetime, timedelta
from uuid import UUID

from domain import payments
from domain.booking import Booking, BookingEvent
from domain.booking_rules import Facts
from domain.context import Context
from domain.gate import Stopped
from domain.payments import Kind, Purpose
from domain.refusals import Refusal
from services.policy import Policy
from services.qualification import qualify
from storage import payments as payment_rows
from storage import personal
from storage.db import Tx
from storage.ids import new_id


def answer_by(policy: Policy, now: datetime) -> datetime:
    """Return until when a technician may answer."""
    return now + timedelta(seconds=policy.answer_within_s)


def not_qualified(stopped: Stopped) -> Refusal:
    """Return the refusal of the licence gate, saying what is missing."""
    return Refusal("not_qualified", f"The gate '{stopped.gate}' stops this technician.",
                   extra={"gate": stopped.gate, "missing": list(stopped.missing)})  # fmt: skip


async def gate(
    tx: Tx, booking: Booking, technician_id: UUID | None, context: Context
) -> dict[str, object] | Refusal:
    """Ask the licence gate for the whole visit; answers the evidence, or `not_qualified`."""
    if technician_id is None:
        return Refusal("booking_state", "No technician is asked at the moment.")
    passed = await qualify(
        tx, technician_id, service=booking.service, jurisdiction=booking.jurisdiction, starts_at=booking.starts_at,
        ends_at=max(booking.ends_at, context.now + (booking.ends_at - booking.starts_at)), now=context.now,
    )  # fmt: skip
    return not_qualified(passed) if isinstance(passed, Stopped) else passed.evidence


async def sealed(tx: Tx, context: Context, text: str) -> bytes:
    """Seal words under the key of who wrote them."""
    if context.actor.person_id is None:
        raise ValueError("only people write notes")
    key = await personal.key_of(tx, context.actor.person_id)
    if key is None:
        raise ValueError("an erased person writes nothing")
    return personal.seal(key, text)


async def collect(tx: Tx, booking: Booking, amount: int, purpose: Purpose) -> Facts:
    """Take `amount` from what is held, or let the hold go when there is nothing to take."""
    held = await payment_rows.unresolved(tx, booking.booking_id)
    if held is None:
        return ()
    if amount > 0:
        return tuple(payments.collect(held, new_id(), min(amount, held.amount), purpose))
    return tuple(payments.release(held, new_id())) if held.kind == Kind.AUTHORIZE else ()


def after(facts: Facts) -> Booking:
    """Return the booking as the last event left it."""
    for fact in reversed(facts):
        if isinstance(fact, BookingEvent):
            return fact.booking
    raise ValueError("no booking event among the facts")
