"""What a payment gateway tells us unasked: believed when signed and fresh, counted once however often it comes."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from domain.context import SYSTEM, Context
from domain.payments import Status
from domain.refusals import Refusal
from services.payment_outcomes import settle
from services.reply import Answer, Reply
from services.sandbox_gateway import SandboxGateway
from services.stores import Stores
from storage import causes, payments

log = structlog.get_logger(__name__)


async def receive(
    stores: Stores, gateway: str, headers: Mapping[str, str], body: bytes, context: Context
) -> Answer:
    """Take what a gateway tells us: 401 for a wrong signature or an old one; told twice, counted once."""
    if gateway != stores.gateway.name:
        return Refusal("not_found", "There is no such gateway.")
    message = stores.gateway.read_message(headers, body, context.now)
    if message is None:
        return Refusal("unauthenticated", "The webhook's signature is wrong or too old.")
    async with stores.db.reading() as tx:
        cause = await causes.of_intent(tx, message.intent_id)
        seen = await payments.seen(tx, gateway, message.message_id)
    if cause is None:
        return Refusal("not_found", "There is no such payment.")
    if not seen:
        told = replace(context, actor=SYSTEM, correlation_id=cause.correlation_id, causation_id=cause.id)
        await settle(stores, message.intent_id, Status(message.answer.status), message.answer.ref, told,
                     message=(gateway, message.message_id))  # fmt: skip
    return Reply(200, {"received": True})


async def deliver_sandbox(stores: Stores, stop: asyncio.Event) -> None:
    """Carry the sandbox's webhooks to where a real gateway's arrive, signed as they would be, until `stop`."""
    if not isinstance(stores.gateway, SandboxGateway):
        await stop.wait()
        return

    async def send(headers: Mapping[str, str], body: bytes) -> None:
        now = datetime.now(UTC)
        answer = await receive(stores, "sandbox", headers, body, Context(SYSTEM, now, "sandbox-webhooks"))
        if isinstance(answer, Refusal):
            log.warning("sandbox_webhook_refused", code=answer.code)

    await stores.gateway.deliver(send, stop)
