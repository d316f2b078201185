"""What a gateway's answer means: each answer becomes true once, whoever brings it first.

An answer is settled under the booking's lock, then the intent's; an intent that has succeeded changes nothing any more.
So twenty jobs and two webhooks for one capture make one event, one ledger transaction and one movement of money.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from domain import booking_events as ev
from domain import ledger
from domain.booking import FINAL, Booking, apply
from domain.context import Context
from domain.facts import Fact
from domain.money import Money
from domain.payments import (
    Kind,
    PaymentIntent,
    PaymentSettled,
    Purpose,
    Status,
    after,
    failure_matters,
    refundable,
    release,
)
from services.stores import Stores
from storage import bookings, payments
from storage import ledger as books
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record

log = structlog.get_logger(__name__)

UNPAID = frozenset({"pending", "verified", "authorized"})


async def settle(
    stores: Stores, intent_id: UUID, reported: Status, ref: str | None, context: Context,
    message: tuple[str, str] | None = None,
) -> bool:  # fmt: skip
    """Make an answer true, once: the intent, the booking's event and the ledger in one transaction.

    Returns False where it changed nothing. `message` is the webhook that brought it, remembered in the same commit.
    """
    async with stores.db.transaction() as tx:
        if message is not None and not await payments.first_seen(tx, *message):
            return False
        known = await payments.get(tx, intent_id)
        if known is None:
            return False
        booking = await bookings.lock(tx, known.booking_id)
        intent = await payments.lock(tx, intent_id)
        if intent is None or after(intent.status, reported) == intent.status:
            return False
        facts: list[Fact] = [PaymentSettled(intent_id, reported, ref)]
        if booking is not None:
            facts += await _consequences(tx, booking, intent, reported, context, stores.policy.commission_bp)
        await record(tx, facts, context)
    told = log.info if reported is Status.SUCCEEDED else log.warning
    told("payment_settled", intent_id=str(intent_id), kind=intent.kind, status=reported)
    return True


async def _consequences(
    tx: Tx, booking: Booking, intent: PaymentIntent, reported: Status, context: Context, commission_bp: int
) -> Sequence[Fact]:
    """What an answer means for the booking and the books. The booking is locked."""
    if reported is not Status.SUCCEEDED:
        if failure_matters(intent.kind, intent.purpose) and booking.payment_status in UNPAID:
            return (apply(booking, ev.PaymentFailed(intent.intent_id, intent.kind), context.now),)
        return ()
    of = ledger.Of(new_id(), booking.booking_id, booking.technician_id, booking.jurisdiction)
    match intent.kind:
        case Kind.CAPTURE | Kind.CHARGE:
            taken = ev.PaymentCaptured(intent.intent_id, intent.amount, intent.currency)
            return apply(booking, taken, context.now), _taken(of, booking, intent, commission_bp)
        case Kind.REFUND:
            return await _returned(tx, of, booking, intent, context)
        case Kind.AUTHORIZE if booking.state in FINAL:
            return release(intent, new_id())
        case Kind.AUTHORIZE if booking.payment_status == "verified":
            held = ev.PaymentAuthorized(intent.intent_id, intent.amount, intent.currency, verified_only=False)
            return (apply(booking, held, context.now),)
        case Kind.VOID if booking.state in FINAL and booking.payment_status == "authorized":
            return (apply(booking, ev.PaymentVoided(intent.intent_id), context.now),)
        case _:
            return ()


def _taken(of: ledger.Of, booking: Booking, intent: PaymentIntent, commission_bp: int) -> ledger.LedgerPosted:
    amount = Money(intent.amount, intent.currency)
    match intent.purpose:
        case Purpose.TIP:
            return ledger.tip(of, amount)
        case Purpose.VISIT if intent.amount == booking.price.total:
            return ledger.capture(of, booking.price, commission_bp)
        case Purpose.VISIT:
            raise ValueError("a visit is paid in full or not at all")
        case purpose:
            return ledger.fee(of, purpose, amount, commission_bp)


async def _returned(
    tx: Tx, of: ledger.Of, booking: Booking, intent: PaymentIntent, context: Context
) -> Sequence[Fact]:
    credited = await books.left_of_booking(tx, booking.booking_id, intent.currency)
    captured = await books.only_taking(tx, booking.booking_id)
    posted = ledger.refund(of, Money(intent.amount, intent.currency), credited, intent.reason, captured)
    full = sum(credited.values()) == intent.amount
    back = ev.PaymentRefunded(intent.intent_id, intent.amount, intent.currency, full)
    return apply(booking, back, context.now), posted


async def paid(tx: Tx, booking_id: UUID) -> tuple[PaymentIntent, int] | None:
    """Return the payment that a refund would go back to, and how much of it may still be given back.

    The booking is locked, so that no two refunds see the same remainder. None where nothing was taken.
    """
    intents = await payments.of_booking(tx, booking_id)
    for intent in intents:
        taken = intent.kind in {Kind.CAPTURE, Kind.CHARGE} and intent.purpose is not Purpose.TIP
        if taken and intent.status is Status.SUCCEEDED:
            refunds = [(i.amount, i.status) for i in intents if i.kind is Kind.REFUND]
            return intent, refundable(intent.amount, refunds)
    return None
