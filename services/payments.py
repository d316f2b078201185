"""Asking the payment gateway, and turning its answers into facts: each once, whoever brings the answer first.

No call is made inside a transaction. An intent is committed, one job at a time may ask for it, and the answer, from a
call or a webhook, is settled under the booking's lock, where an intent that already succeeded changes nothing: twenty
jobs and two webhooks for one capture make one event, one ledger transaction and one movement of money.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from domain import booking_events as ev
from domain import ledger
from domain.booking import FINAL, Booking, apply
from domain.context import SYSTEM, Context
from domain.facts import Fact
from domain.money import Money
from domain.payments import (
    Authorized,
    Declined,
    Kind,
    PaymentIntent,
    PaymentSettled,
    Purpose,
    Status,
    Unknown,
    after,
    failure_matters,
    hold,
    refundable,
    release,
)
from domain.refusals import Refusal
from services.job import Later
from services.payment_gateway import GatewayAnswer, GatewayUnreachable
from services.reply import Answer, Reply
from services.sandbox_gateway import SandboxGateway
from services.stores import Stores
from storage import bookings, payments
from storage import ledger as books
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record

log = structlog.get_logger(__name__)

ATTEMPT_S = 4.0  # how long one call may take
AUTHORIZE_ATTEMPTS = 3  # the customer waits: at most twelve seconds and the pauses
ASKING_LEASE_S = 8.0  # a job that died while asking is outwaited for so long

UNANSWERED = (GatewayUnreachable, TimeoutError, OSError)


async def authorize(stores: Stores, intent: PaymentIntent) -> Authorized | Declined | Unknown:
    """Hold the amount, or verify the method, while the customer waits; asked again by the same id when no answer comes.

    Call it outside any transaction, with the intent committed. `Unknown` may still hold money: release it.
    """
    for attempt in range(AUTHORIZE_ATTEMPTS):
        if attempt:
            await asyncio.sleep(0.1 * attempt)
        try:
            answer = await _perform(stores, intent)
        except UNANSWERED as error:
            log.warning(
                "gateway_unanswered",
                intent_id=str(intent.intent_id),
                kind=intent.kind,
                error=type(error).__name__,
            )
            continue
        if answer.status == "succeeded":
            return Authorized(answer.ref, verified_only=intent.kind is Kind.VERIFY)
        return Declined(answer.reason or "declined")
    return Unknown("unanswered")


async def ask_gateway(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """The job behind capture, void and refund: take the right to ask, ask, settle. Raises Later when it must wait."""
    intent_id = UUID(payload["intent_id"])
    async with stores.db.transaction() as tx:
        intent = await payments.ask(tx, intent_id, context.now, ASKING_LEASE_S)
        if intent is None:
            known = await payments.get(tx, intent_id)
            if known is not None and known.status in {Status.PENDING, Status.FAILED}:
                raise Later("somebody else is asking")
            return
    try:
        answer = await _perform(stores, intent)
    except UNANSWERED as error:
        async with stores.db.transaction() as tx:
            await payments.stop_asking(tx, intent_id, context.now, ASKING_LEASE_S)
        raise Later(f"the gateway gave no answer: {type(error).__name__}") from error
    await settle(stores, intent_id, Status(answer.status), answer.ref, context)


async def give_up(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """After the last try: the intent has failed as far as anybody knows; a late success still wins."""
    await settle(stores, UUID(payload["intent_id"]), Status.FAILED, None, context)


async def hold_payment(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """The visit comes near and its method was only verified: want a hold, unless it was cancelled or held meanwhile."""
    async with stores.db.transaction() as tx:
        booking = await bookings.lock(tx, UUID(payload["booking_id"]))
        if booking is None or booking.state in FINAL or booking.payment_status != "verified":
            return
        intents = await payments.of_booking(tx, booking.booking_id)
        checked = next((i for i in intents if i.kind is Kind.VERIFY and i.status is Status.SUCCEEDED), None)
        if checked is not None and not any(i.kind is Kind.AUTHORIZE for i in intents):
            await record(tx, hold(checked, new_id()), context)


async def abandon_authorization(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """Release a hold whose booking never came to be: its process died between asking and committing."""
    intent_id = UUID(payload["intent_id"])
    async with stores.db.transaction() as tx:
        intent = await payments.lock(tx, intent_id)
        if intent is None or intent.status is Status.DECLINED or await bookings.get(tx, intent.booking_id):
            return
        if any(other.parent_id == intent_id for other in await payments.of_booking(tx, intent.booking_id)):
            return
        facts: list[Fact] = [PaymentSettled(intent_id, Status.FAILED)]
        if intent.kind is Kind.AUTHORIZE:
            facts += release(intent, new_id())
        await record(tx, facts, context)


async def receive_webhook(
    stores: Stores, gateway: str, headers: Mapping[str, str], body: bytes, context: Context
) -> Answer:
    """Take what a gateway tells us: 401 for a wrong signature or an old one; told twice, counted once."""
    if gateway != stores.gateway.name:
        return Refusal("not_found", "There is no such gateway.")
    message = stores.gateway.read_message(headers, body, context.now)
    if message is None:
        return Refusal("unauthenticated", "The webhook's signature is wrong or too old.")
    async with stores.db.reading() as tx:
        story = await payments.story(tx, message.intent_id)
        seen = await payments.seen(tx, gateway, message.message_id)
    if story is None:
        return Refusal("not_found", "There is no such payment.")
    if not seen:
        told = replace(context, actor=SYSTEM, correlation_id=story)
        await settle(stores, message.intent_id, Status(message.answer.status), message.answer.ref, told,
                     message=(gateway, message.message_id))  # fmt: skip
    return Reply(200, {"received": True})


async def deliver_sandbox_webhooks(stores: Stores, stop: asyncio.Event) -> None:
    """Carry the sandbox's webhooks to where a real gateway's arrive, signed as they would be, until `stop`."""
    if not isinstance(stores.gateway, SandboxGateway):
        await stop.wait()
        return

    async def send(headers: Mapping[str, str], body: bytes) -> None:
        now = datetime.now(UTC)
        answer = await receive_webhook(
            stores, "sandbox", headers, body, Context(SYSTEM, now, "sandbox-webhooks")
        )
        if isinstance(answer, Refusal):
            log.warning("sandbox_webhook_refused", code=answer.code)

    await stores.gateway.deliver(send, stop)


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


async def _perform(stores: Stores, intent: PaymentIntent) -> GatewayAnswer:
    async with asyncio.timeout(ATTEMPT_S):
        return await stores.gateway.perform(intent)


async def _consequences(
    tx: Tx, booking: Booking, intent: PaymentIntent, reported: Status, context: Context, commission_bp: int
) -> Sequence[Fact]:
    """What an answer means for the booking and the books. The booking is locked."""
    if reported is not Status.SUCCEEDED:
        if failure_matters(intent.kind, intent.purpose) and booking.payment_status in {
            "pending",
            "verified",
            "authorized",
        }:
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
