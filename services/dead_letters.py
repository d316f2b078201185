"""What nobody could do, of both queues in one list: events that a subscriber gave up, and jobs that gave up.

A replay of an event gives it to its subscriber now, out of the order that it lost, and says at once how it went; a
replay of a job lets the worker take it again. Both are decisions of a person, and stand in the audit.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from domain.context import SYSTEM, Context
from domain.facts import Decided
from domain.refusals import Refusal
from services import feed, subscribers
from services.booking_view import stamp
from services.paging import cursor_of, foreign_cursor, item_behind
from services.relaying import RELAY
from services.reply import Answer, Reply
from services.stores import Stores
from services.subscriber import Subscriber
from storage import dead_letters, jobs, journal, outbox, subscriptions
from storage.db import Tx

log = structlog.get_logger(__name__)

NOT_FOUND = Refusal("not_found", "There is no such dead letter.")
CLOSED = Refusal("dead_letter_state", "It was replayed already.")
GONE = Refusal("dead_letter_state", "Its event is no longer kept.")
NOBODY = Refusal("dead_letter_state", "This release has no subscriber of that name.")


async def list_(stores: Stores, *, done: bool, limit: int, cursor: str | None) -> Answer:
    """List dead letters, newest first; `done`: those that were replayed well instead of the open ones."""
    before = None if cursor is None else item_behind(cursor)
    if cursor is not None and before is None:
        return foreign_cursor()
    async with stores.db.reading() as tx:
        records = await dead_letters.list_(tx, done=done, before=before, limit=limit + 1)
    items = [_view(record) for record in records[:limit]]
    last = records[limit - 1] if len(records) > limit else None
    next_cursor = None if last is None else cursor_of(last["at"], last["dead_letter_id"])
    return Reply(200, {"items": items, "next_cursor": next_cursor})


async def replay(
    stores: Stores, dead_letter_id: UUID, context: Context, known: Sequence[Subscriber] | None = None
) -> Answer:
    """Give it another try. An event that fails again stays open; the answer's `state` tells."""
    async with stores.db.transaction() as tx:
        letter = await dead_letters.lock(tx, dead_letter_id)
        if letter is None:
            return await again(tx, dead_letter_id, context)
        if letter["state"] == "done":
            return CLOSED
        record = await outbox.one(tx, letter["event_id"])
        if record is None:
            return GONE
        if letter["name"] == RELAY:
            error = await _shown(tx, dict(record))
        else:
            named = {s.name: s for s in (subscribers.SUBSCRIBERS if known is None else known)}
            if letter["name"] not in named:
                return NOBODY
            error = await _given(stores, tx, named[letter["name"]], record)
        after = await dead_letters.replayed(
            tx, dead_letter_id, at=context.now, by=context.actor.person_id, error=error
        )
        outcome = "done" if error is None else "failed"
        data = {"subscriber": letter["name"], "event_id": str(letter["event_id"]), "outcome": outcome}
        await _decided(tx, "dead_letter.replayed", "dead_letter", dead_letter_id, data, context)
    log.info("dead_letter_replayed", dead_letter_id=str(dead_letter_id), **data)
    return Reply(200, _view(letter if after is None else after))


async def again(tx: Tx, job_id: UUID, context: Context) -> Answer:
    """Let a job that gave up run again."""
    job = await jobs.requeue(tx, job_id)
    if job is None:
        return NOT_FOUND
    await _decided(tx, "job.replayed", "job", job_id, {"name": job["name"]}, context)
    return Reply(200, _view({**job, "state": "done"}))


async def _given(stores: Stores, tx: Tx, subscriber: Subscriber, record: Any) -> str | None:
    """Give one event to its subscriber; returns the kind of error, or None when it went well."""
    await subscriptions.hold(tx, subscriber.name)  # it never runs twice at once
    try:
        async with tx.transaction(), asyncio.timeout(subscribers.HANDLE_WITHIN_S):
            await subscriber.handle(stores, tx, [subscribers.happened(record)])
    except Exception as error:
        if tx.is_closed():
            raise
        log.warning("dead_letter_failed_again", subscriber=subscriber.name, exc_info=True)
        return type(error).__name__
    return None


async def _shown(tx: Tx, row: Mapping[str, Any]) -> str | None:
    """Tell whether a row that sockets could not be shown can be shown now: those who sync will get it."""
    try:
        shown = await feed.batch(tx, [row], "")
        shown.event(shown.rows[0], SYSTEM)
    except Exception as error:
        if tx.is_closed():
            raise
        log.warning("dead_letter_failed_again", subscriber=RELAY, exc_info=True)
        return type(error).__name__
    return None


async def _decided(
    tx: Tx, action: str, kind: str, subject_id: UUID, data: Mapping[str, Any], context: Context
) -> None:
    fact = Decided(action, kind, str(subject_id), None, data)
    await journal.record(tx, [fact], context)


def _view(record: asyncpg.Record | Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dead_letter_id": str(record["dead_letter_id"]),
        "source": record["source"],
        "name": record["name"],
        "topic": record["topic"],
        "event_id": None if record["event_id"] is None else str(record["event_id"]),
        "job_id": None if record["job_id"] is None else str(record["job_id"]),
        "correlation_id": record["correlation_id"],
        "attempts": record["attempts"],
        "error": record["error"],
        "at": stamp(record["at"]),
        "state": record["state"],
    }
