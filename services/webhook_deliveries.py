"""Posting an event to a webhook: one attempt a try of its job, signed afresh, written down, and judged.

Nothing is held open while a receiver thinks: what is to be said is read before, what came of it is written after. A
worker that dies in between posts again, under the same `webhook-id`. Each webhook has a lane of jobs of its own, with
its own bound and a worker beside the one that moves money, so that a slow receiver holds up nobody.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from domain import webhooks as rules
from domain.context import SYSTEM, Context
from domain.facts import Decided
from domain.webhooks import PING, Outcome, Webhook
from services import jobs
from services.job import Hopeless, Job, Later
from services.posting import AddressRefusedError, UnreachableError
from services.stores import Stores
from services.webhook_message import event_message, ping_message
from services.webhook_secrets import signed_headers, unseal
from storage import bookings, outbox, webhooks
from storage import webhook_deliveries as deliveries
from storage.db import Tx
from storage.journal import record
from storage.webhook_deliveries import Delivery

log = structlog.get_logger(__name__)

ANSWER_WITHIN_S = 15.0
AT_ONCE = 4  # posts to one webhook under way, in all processes; further ones wait in the table of jobs
LOOK_EVERY_S = 1.0  # for the first webhook of a house


@dataclass(frozen=True, slots=True)
class _Message:
    webhook: Webhook
    delivery: Delivery
    body: bytes
    headers: Mapping[str, str]


async def deliver(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """Make one attempt. Raises `Later` when another is due, `Hopeless` when this was the last that failed."""
    message = await _prepare(stores, UUID(payload["delivery_id"]), context)
    if message is None:
        return
    began = time.monotonic()
    outcome = await _post(stores, message)
    took_ms = round((time.monotonic() - began) * 1000)
    wait_s = await _settle(stores, message, outcome, took_ms, context)
    if outcome.good or outcome.gone:
        return
    if wait_s is None:
        raise Hopeless(outcome.word())
    raise Later(outcome.word(), wait_s)


async def give_up(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """Call a delivery dead that its job could not even try, however often it ran."""
    async with stores.db.transaction() as tx:
        await deliveries.give_up(tx, UUID(payload["delivery_id"]), context.now)


JOBS: Mapping[str, Job] = {
    rules.job_of(lane): Job(deliver, give_up, at_once=AT_ONCE) for lane in range(rules.AT_MOST)
}


async def work(stores: Stores, stop: asyncio.Event) -> None:
    """Deliver until `stop`; there is room for what all lanes together may have under way.

    A house that never had a webhook is spared the worker and its connection.
    """
    while not stop.is_set() and not await _any(stores):
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
    if not stop.is_set():
        await jobs.work(stores, stop, JOBS, at_once=AT_ONCE * len(JOBS))


async def _any(stores: Stores) -> bool:
    async with stores.db.reading() as tx:
        return await webhooks.any_ever(tx)


async def _prepare(stores: Stores, delivery_id: UUID, context: Context) -> _Message | None:
    """Read what is to be said, and sign it; None when nothing is to be said any more."""
    async with stores.db.transaction() as tx:
        delivery = await deliveries.get(tx, delivery_id)
        if delivery is None or delivery.state in {"delivered", "dropped"}:
            return None
        webhook = await webhooks.get(tx, delivery.webhook_id)
        body = await _body(tx, delivery, context.now)
        if webhook is None or body is None or not (webhook.active or delivery.type == PING):
            await deliveries.drop(tx, delivery_id, context.now)
            return None
        boxes = await webhooks.secrets(tx, webhook.webhook_id, context.now)
    opened = [unseal(stores.secret_key, webhook.webhook_id, box) for box in boxes]
    secrets = [secret for secret in opened if secret is not None]
    headers = signed_headers(secrets, delivery.event_id, context.now, body) if secrets else {}
    return _Message(webhook, delivery, body, headers)


async def _body(tx: Tx, delivery: Delivery, now: datetime) -> bytes | None:
    if delivery.type == PING:
        return ping_message(delivery.webhook_id, now)
    event = await deliveries.event(tx, delivery.event_id)
    booking = None if event is None else await bookings.get(tx, event["booking_id"])
    return (
        None
        if event is None or booking is None
        else event_message(dict(event), booking, await outbox.epoch(tx))
    )


async def _post(stores: Stores, message: _Message) -> Outcome:
    if not message.headers:
        return Outcome(None, "secret_unreadable")
    headers = {**message.headers, "Content-Type": "application/json"}
    try:
        answer = await stores.poster.post(
            message.webhook.url, message.body, headers, timeout_s=ANSWER_WITHIN_S
        )
    except AddressRefusedError as refused:
        return Outcome(None, str(refused), hopeless=True)
    except UnreachableError as error:
        return Outcome(None, str(error))
    return Outcome(answer.status, retry_after_s=answer.retry_after_s)


async def _settle(
    stores: Stores, message: _Message, outcome: Outcome, took_ms: int, context: Context
) -> float | None:
    """Write the attempt down and what follows from it; returns how long to wait for the next, if there is one."""
    now = datetime.now(UTC)
    webhook_id, delivery_id = message.webhook.webhook_id, message.delivery.delivery_id
    async with stores.db.transaction() as tx:
        webhook = await webhooks.get(tx, webhook_id, lock=True)  # before its deliveries, as everybody does
        delivery = await deliveries.get(tx, delivery_id, lock=True)
        if delivery is None:
            return None
        await deliveries.attempted(tx, delivery_id, context.now, took_ms, outcome)
        attempts = delivery.attempts + 1
        wait_s = None
        if delivery.state in {"delivered", "dropped"}:
            return None  # another worker, or a person, was quicker
        if outcome.good:
            await deliveries.settle(tx, delivery_id, "delivered", attempts, next_try_at=None, settled_at=now)
            await webhooks.well_again(tx, webhook_id)
            return None
        wait_s = rules.next_delay_s(attempts, outcome, random.random())  # noqa: S311 - jitter, no secret
        if wait_s is None:
            await deliveries.settle(tx, delivery_id, "dead", attempts, next_try_at=None, settled_at=now)
        else:
            next_try_at = now + timedelta(seconds=wait_s)
            await deliveries.settle(
                tx, delivery_id, "pending", attempts, next_try_at=next_try_at, settled_at=None
            )
        await _judge(tx, webhook, outcome, replace(context, now=now))
    return wait_s


async def _judge(tx: Tx, webhook: Webhook | None, outcome: Outcome, context: Context) -> None:
    """Stop telling a webhook that wants to hear nothing, or that has not heard anything for days."""
    if webhook is None:
        return
    if outcome.gone:
        await stop_telling(tx, webhook.webhook_id, "disabled", "gone", context)
    elif webhook.active and rules.fails_too_long(webhook.failing_since, context.now):
        await stop_telling(tx, webhook.webhook_id, "paused", "failing", context)
    else:
        await webhooks.fails(tx, webhook.webhook_id, context.now)


async def stop_telling(tx: Tx, webhook_id: UUID, state: str, reason: rules.Reason, context: Context) -> None:
    """Move a webhook out of `active` by the system's own decision; what waits for it is dropped."""
    if not await webhooks.set_state(tx, webhook_id, state, reason, context.now):
        return
    await deliveries.drop_all(tx, webhook_id, context.now)
    by_system = replace(context, actor=SYSTEM)
    await record(tx, [Decided(f"webhook.{state}", "webhook", str(webhook_id), reason)], by_system)
    log.warning("webhook_stopped", webhook_id=str(webhook_id), state=state, reason=reason)
