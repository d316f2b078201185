"""Asking the payment gateway: while a customer waits, or by a job that comes back until it has an answer.

No call is made inside a transaction. An intent is committed, one job at a time may ask for it by its id, and the answer
is settled in `services/payment_outcomes.py`, where a webhook's answer meets it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from domain.booking import FINAL
from domain.context import Context
from domain.facts import Fact
from domain.payments import (
    Authorized,
    Declined,
    Kind,
    PaymentIntent,
    PaymentSettled,
    Status,
    Unknown,
    hold,
    release,
)
from services.job import Later
from services.payment_gateway import GatewayAnswer, GatewayUnreachable
from services.payment_outcomes import settle
from services.stores import Stores
from storage import bookings, payments, tracing
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
    answered = replace(context, now=datetime.now(UTC))
    await settle(stores, intent_id, Status(answer.status), answer.ref, answered)


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


async def _perform(stores: Stores, intent: PaymentIntent) -> GatewayAnswer:
    with tracing.step(f"gateway {intent.kind}", {"doorstep.gateway": stores.gateway.name}, outside=True):
        async with asyncio.timeout(ATTEMPT_S):
            return await stores.gateway.perform(intent)
