"""Steps that several commands share: the licence gate, what is taken or let go of a hold, sealed words, deadlines."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain import payments
from domain.booking import Booking, BookingEvent
from domain.booking_rules import Facts
from domain.context import Context
from domain.gate import Stopped
from domain.payments import Kind, PaymentIntent, Purpose
from domain.refusals import Refusal
from services.policy import Policy
from services.qualification import judge
from storage import credentials, personal
from storage import payments as payment_rows
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
    grounds = await credentials.grounds(tx, technician_id, booking.jurisdiction, booking.service)
    return judged(booking, grounds, context)


def judged(
    booking: Booking, grounds: Mapping[str, Any] | None, context: Context
) -> dict[str, object] | Refusal:
    """Ask the licence gate by the grounds that were read; None where no technician is asked."""
    if grounds is None:
        return Refusal("booking_state", "No technician is asked at the moment.")
    passed = judge(
        grounds, service=booking.service, starts_at=booking.starts_at,
        ends_at=max(booking.ends_at, context.now + (booking.ends_at - booking.starts_at)), now=context.now,
    )  # fmt: skip
    return not_qualified(passed) if isinstance(passed, Stopped) else passed.evidence


async def sealed(tx: Tx, context: Context, text: str) -> bytes:
    """Seal words under the key of who wrote them."""
    if context.actor.person_id is None:
        raise ValueError("only people write notes")
    return sealed_under(await personal.key_of(tx, context.actor.person_id), text)


def sealed_under(author_key: bytes | None, text: str) -> bytes:
    """Seal words under their author's key. Raises ErasedError: who was erased writes nothing."""
    return personal.seal(personal.needed(author_key), text)


async def collect(tx: Tx, booking: Booking, amount: int, purpose: Purpose) -> Facts:
    """Take `amount` from what is held, or let the hold go when there is nothing to take."""
    return taken(await payment_rows.unresolved(tx, booking.booking_id), amount, purpose)


def taken(held: PaymentIntent | None, amount: int, purpose: Purpose) -> Facts:
    """Take `amount` from a hold that was read, or let it go when there is nothing to take."""
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
