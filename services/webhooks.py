"""The founder's webhooks: made, pointed elsewhere, paused, given a new secret, taken away. Each of these is audited.

A secret is answered once, when it is drawn, and never again. Addresses are looked up before they are taken, so that a
private one is refused at once; the poster refuses it again at every attempt. Neither is in the audit: it is for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from domain.context import Context
from domain.facts import Decided
from domain.refusals import FieldError, Refusal
from domain.webhooks import AT_MOST, TOPICS, Webhook
from services.booking_view import stamp
from services.field_errors import wrong
from services.paging import paged
from services.posting import AddressRefusedError
from services.reply import Answer, Reply
from services.stores import Stores
from services.webhook_queue import not_found
from services.webhook_secrets import new_secret, seal
from storage import webhook_deliveries as deliveries
from storage import webhooks
from storage.ids import new_id
from storage.journal import record

REFUSED = {
    "malformed": "This is no address of a web server",
    "scheme": "Only https is posted to",
    "credentials": "An address holds no name and password here",
    "port": "This port is not posted to",
    "private_address": "This address is not on the public internet",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be another; None leaves a part as it is."""

    url: str | None = None
    topics: tuple[str, ...] | None = None
    description: str | None = None
    state: str | None = None


async def register(
    stores: Stores, url: str, topics: tuple[str, ...], description: str, context: Context
) -> Answer:
    """Make a webhook; 201 with its secret, which is never answered again. Refuses `webhook_state` when there are 20."""
    refused = await _unfit(stores, url, topics)
    if refused is not None:
        return refused
    secret, webhook_id, now = new_secret(), new_id(), context.now
    async with stores.db.transaction() as tx:
        lane = await webhooks.free_lane(tx)
        if lane is None:
            return Refusal("webhook_state", f"There are {AT_MOST} webhooks already: delete one first.")
        webhook = Webhook(webhook_id, lane, url, topics, description, "active", None, now, now, None)
        await webhooks.add(tx, webhook, context.actor.person_id)
        await webhooks.add_secret(tx, webhook_id, seal(stores.secret_key, webhook_id, secret), now, now)
        await record(tx, [_decided("created", webhook_id, topics=list(topics))], context)
    return Reply(201, {**_view(webhook), "secret": secret})


async def list_(stores: Stores, limit: int, cursor: str | None) -> Answer:
    """List the webhooks, oldest first."""
    async with stores.db.reading() as tx:
        found = await webhooks.every(tx)
    return paged([_view(webhook) for webhook in found], "webhook_id", limit, cursor)


async def read(stores: Stores, webhook_id: UUID) -> Answer:
    """Read one webhook."""
    async with stores.db.reading() as tx:
        webhook = await webhooks.get(tx, webhook_id)
    return not_found() if webhook is None else Reply(200, _view(webhook))


async def visible(stores: Stores, webhook_id: UUID) -> Refusal | None:
    """Refuse with 404 what does not exist."""
    answer = await read(stores, webhook_id)
    return answer if isinstance(answer, Refusal) else None


async def change(stores: Stores, webhook_id: UUID, wanted: Change, context: Context) -> Answer:
    """Point a webhook elsewhere, pause it or let it go on. What waits for a paused one is dropped: replay it later."""
    if wanted.url is not None or wanted.topics is not None:
        refused = await _unfit(stores, wanted.url, wanted.topics or ())
        if refused is not None:
            return refused
    async with stores.db.transaction() as tx:
        webhook = await webhooks.get(tx, webhook_id, lock=True)
        if webhook is None:
            return not_found()
        await webhooks.change(
            tx,
            webhook_id,
            webhook.url if wanted.url is None else wanted.url,
            webhook.topics if wanted.topics is None else wanted.topics,
            webhook.description if wanted.description is None else wanted.description,
        )
        if wanted.state is not None and wanted.state != webhook.state:
            reason = None if wanted.state == "active" else "by_hand"
            await webhooks.set_state(tx, webhook_id, wanted.state, reason, context.now)
            if reason is not None:
                await deliveries.drop_all(tx, webhook_id, context.now)
        said = {
            "url": "another",
            "topics": list(wanted.topics or ()),
            "description": "another",
            "state": wanted.state,
        }
        told = {name: value for name, value in said.items() if getattr(wanted, name) is not None}
        await record(tx, [_decided("changed", webhook_id, **told)], context)
        after = await webhooks.get(tx, webhook_id)
    return not_found() if after is None else Reply(200, _view(after))


async def rotate(stores: Stores, webhook_id: UUID, overlap_s: int, context: Context) -> Answer:
    """Draw a new secret; until `overlap_s` from now the ones before it sign as well."""
    secret, until = new_secret(), context.now + timedelta(seconds=overlap_s)
    async with stores.db.transaction() as tx:
        if await webhooks.get(tx, webhook_id, lock=True) is None:
            return not_found()
        box = seal(stores.secret_key, webhook_id, secret)
        await webhooks.add_secret(tx, webhook_id, box, context.now, until)
        await record(tx, [_decided("rotated", webhook_id, overlap_s=overlap_s)], context)
    body = {"webhook_id": str(webhook_id), "secret": secret, "others_sign_until": stamp(until)}
    return Reply(200, body)


async def remove(stores: Stores, webhook_id: UUID, context: Context) -> Answer:
    """Delete a webhook with its secrets; what waits for it is dropped. 204."""
    async with stores.db.transaction() as tx:
        if await webhooks.get(tx, webhook_id, lock=True) is None:
            return not_found()
        await webhooks.remove(tx, webhook_id, context.now)
        await deliveries.drop_all(tx, webhook_id, context.now)
        await record(tx, [_decided("deleted", webhook_id)], context)
    return Reply(204, {})


async def delivered(
    stores: Stores, webhook_id: UUID, state: str | None, before: UUID | None, limit: int
) -> Answer:
    """List what was and is to be delivered, newest first, each with its attempts."""
    async with stores.db.reading() as tx:
        if await webhooks.get(tx, webhook_id) is None:
            return not_found()
        found = await deliveries.list_(tx, webhook_id, state, before, limit + 1)
    items = [_delivery_view(one, attempts) for one, attempts in found[:limit]]
    more = items[-1]["delivery_id"] if len(found) > limit else None
    return Reply(200, {"items": items, "next_cursor": more})


async def _unfit(stores: Stores, url: str | None, topics: Sequence[str]) -> Refusal | None:
    errors = [
        FieldError(f"/topics/{i}", "not_allowed", "There is no such type of event")
        for i, topic in enumerate(topics)
        if topic not in TOPICS
    ]
    if url is not None:
        try:
            await stores.poster.check(url)
        except AddressRefusedError as refused:
            errors.insert(0, FieldError("/url", "not_allowed", REFUSED[str(refused)]))
    return wrong(*errors) if errors else None


def _decided(action: str, webhook_id: UUID, **data: Any) -> Decided:
    return Decided(f"webhook.{action}", "webhook", str(webhook_id), data=data)


def _view(webhook: Webhook) -> dict[str, Any]:
    return {
        "webhook_id": str(webhook.webhook_id),
        "url": webhook.url,
        "topics": list(webhook.topics),
        "description": webhook.description,
        "state": webhook.state,
        "reason": webhook.reason,
        "created_at": stamp(webhook.created_at),
        "changed_at": stamp(webhook.changed_at),
        "failing_since": stamp(webhook.failing_since),
    }


def _delivery_view(one: deliveries.Delivery, attempts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "delivery_id": str(one.delivery_id),
        "event_id": str(one.event_id),
        "type": one.type,
        "booking_id": None if one.booking_id is None else str(one.booking_id),
        "correlation_id": one.correlation_id,
        "replay": one.replay,
        "state": one.state,
        "created_at": stamp(one.created_at),
        "next_try_at": stamp(one.next_try_at),
        "settled_at": stamp(one.settled_at),
        "attempts": [{**attempt, "at": stamp(attempt["at"])} for attempt in attempts],
    }
