"""From what happened to what is to be posted: the subscriber of the outbox, replays from any cursor, and pings.

A delivery and its job are written together: by the subscriber in the transaction of its cursor, so that an event is
queued once for each webhook that hears of it. A replay queues it again under the same event id, by which receivers
know it. Order is not promised, `seq` tells.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.context import SYSTEM, Context
from domain.facts import Decided, Fact, JobWanted
from domain.refusals import Refusal
from domain.webhooks import PING, TYPES, WAITING_AT_MOST, DeliveryWanted, Webhook, job_of
from services.feed import encode_cursor, place_of
from services.reply import Answer, Reply
from services.stores import Stores
from services.subscriber import Happened, Subscriber
from services.webhook_deliveries import stop_telling
from storage import outbox, webhooks
from storage import webhook_deliveries as deliveries
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record, record_all
from storage.outbox import START, Place

REPLAY_AT_MOST = 1000  # events of one call; the answer says where to go on


async def queue(stores: Stores, tx: Tx, events: Sequence[Happened]) -> None:  # noqa: ARG001 - a subscriber's signature
    """Queue each event for every webhook that hears of it; one with too much waiting is paused instead."""
    stories: list[tuple[Sequence[Fact], Context]] = []
    now = datetime.now(UTC)
    for webhook in await webhooks.active(tx):
        heard = [e for e in events if e.seq is not None and webhook.hears(e.topic)]
        if not heard:
            continue
        if await deliveries.waiting(tx, webhook.webhook_id, WAITING_AT_MOST + 1) > WAITING_AT_MOST:
            await stop_telling(tx, webhook.webhook_id, "paused", "behind", _context(heard[-1], now))
            continue
        stories += [(_wanted(webhook, e.event_id, e.topic, e.booking_id)[1], _context(e, now)) for e in heard]
    await record_all(tx, stories)


SUBSCRIBER = Subscriber("webhooks", queue)


async def replay(
    stores: Stores,
    webhook_id: UUID,
    *,
    cursor: str | None,
    since: datetime | None,
    delivery_id: UUID | None,
    context: Context,
) -> Answer:
    """Queue again what happened behind a cursor, or since a moment, or one delivery; 202 with how many that are.

    At most `REPLAY_AT_MOST` at a time: `next_cursor` is where the next call goes on, null at the end. Refuses
    `cursor_expired` where what is asked for is not kept any more, `webhook_state` where the webhook does not listen.
    """
    place = START
    if cursor is not None:
        found = await place_of(stores, cursor)
        if isinstance(found, Refusal):
            return Refusal("cursor_expired", "The cursor is unknown or too old.")
        place = found
    async with stores.db.transaction() as tx:
        webhook = await webhooks.get(tx, webhook_id, lock=True)
        if webhook is None:
            return not_found()
        if not webhook.active:
            return Refusal("webhook_state", "The webhook is not active: let it go on first.")
        if await deliveries.waiting(tx, webhook_id, WAITING_AT_MOST) + REPLAY_AT_MOST > WAITING_AT_MOST:
            return Refusal("webhook_state", "Too much waits for this webhook already.")
        gone_until = await outbox.forgotten_until(tx)
        if since is not None and gone_until is not None and since <= gone_until:
            return Refusal("cursor_expired", "Events of that time are not kept any more.")
        if delivery_id is not None:
            return await _replay_one(tx, webhook, delivery_id, context)
        topics = [topic for topic in sorted(TYPES) if webhook.hears(topic)]
        rows = await deliveries.after(tx, place, topics, since, REPLAY_AT_MOST + 1)
        more, rows = len(rows) > REPLAY_AT_MOST, rows[:REPLAY_AT_MOST]
        end = Place(rows[-1]["xid"], rows[-1]["outbox_id"]) if more else None
        next_cursor = encode_cursor(await outbox.epoch(tx), end) if end else None
        decided = _replayed(webhook, len(rows), cursor=cursor, since=since.isoformat() if since else None)
        stories: list[tuple[Sequence[Fact], Context]] = [([decided], context)]
        stories += [
            (
                _wanted(webhook, r["event_id"], r["topic"], r["booking_id"], replay=True)[1],
                _told(context, dict(r)),
            )
            for r in rows
        ]
        await record_all(tx, stories)
    return Reply(202, {"queued": len(rows), "next_cursor": next_cursor})


async def ping(stores: Stores, webhook_id: UUID, context: Context) -> Answer:
    """Queue a test delivery, also to a webhook that is paused; 202."""
    async with stores.db.transaction() as tx:
        webhook = await webhooks.get(tx, webhook_id, lock=True)
        if webhook is None:
            return not_found()
        if await deliveries.waiting(tx, webhook_id, WAITING_AT_MOST + 1) > WAITING_AT_MOST:
            return Refusal("webhook_state", "Too much waits for this webhook already.")
        delivery_id, facts = _wanted(webhook, new_id(), PING, None)
        await record(tx, facts, context)
    return Reply(202, {"delivery_id": str(delivery_id)})


def not_found() -> Refusal:
    """Return the refusal for what does not exist."""
    return Refusal("not_found", "There is no such webhook.")


async def _replay_one(tx: Tx, webhook: Webhook, delivery_id: UUID, context: Context) -> Answer:
    delivery = await deliveries.get(tx, delivery_id)
    if delivery is None or delivery.webhook_id != webhook.webhook_id:
        return Refusal("not_found", "There is no such delivery of this webhook.")
    if delivery.type == PING:
        return Refusal("webhook_state", "A test delivery is not repeated: ping again.")
    _, facts = _wanted(webhook, delivery.event_id, delivery.type, delivery.booking_id, replay=True)
    decided = _replayed(webhook, 1, delivery_id=str(delivery_id))
    told = Context(context.actor, context.now, delivery.correlation_id, causation_id=delivery.event_id)
    await record_all(tx, [([decided], context), (facts, told)])
    return Reply(202, {"queued": 1, "next_cursor": None})


def _wanted(
    webhook: Webhook, event_id: UUID, topic: str, booking_id: UUID | None, *, replay: bool = False
) -> tuple[UUID, list[Fact]]:
    """Return a delivery's id, and the delivery with its job."""
    delivery_id = new_id()
    wanted = DeliveryWanted(delivery_id, webhook.webhook_id, event_id, topic, booking_id, replay)
    return delivery_id, [wanted, JobWanted(job_of(webhook.lane), {"delivery_id": str(delivery_id)})]


def _replayed(webhook: Webhook, queued: int, **asked: str | None) -> Decided:
    data = {"queued": queued, **{name: value for name, value in asked.items() if value is not None}}
    return Decided("webhook.replayed", "webhook", str(webhook.webhook_id), data=data)


def _context(event: Happened, now: datetime) -> Context:
    return Context(SYSTEM, now, event.correlation_id, causation_id=event.event_id)


def _told(context: Context, row: Mapping[str, Any]) -> Context:
    return Context(context.actor, context.now, row["correlation_id"], causation_id=row["event_id"])
