"""Who hears of everything that happened, in order: a cursor for each subscriber, moved in the transaction of its work.

One process at a time works on a subscriber, any process takes over, and what it writes is written exactly once. A row
that fails is tried again with backoff and jitter while everything behind it waits, so order holds; after the last try
it becomes a dead letter and the cursor moves on. NOTIFY wakes; polling is the guarantee.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import structlog

from services import notifications, webhook_queue
from services.metrics import METRICS
from services.stores import Stores
from services.subscriber import Happened, Subscriber
from storage import dead_letters, outbox, subscriptions, tracing
from storage.db import Tx
from storage.dead_letters import DeadLetter
from storage.outbox import START, Place

log = structlog.get_logger(__name__)

SUBSCRIBERS: tuple[Subscriber, ...] = (METRICS, notifications.SUBSCRIBER, webhook_queue.SUBSCRIBER)

BATCH = 100
HANDLE_WITHIN_S = 8.0  # under the pool's idle limit: a handler that hangs fails, and loses no connection
POLL_EVERY_S = 1.0
REST_S = 0.1  # after a batch, so that storms make batches; also while rows are held back by the horizon
AWAY_FOR_S = 2.0
AT_ONCE = 2  # connections of one process that subscribers may hold together
AWAY = (asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.InterfaceError, OSError)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a row is tried and how long between: about a minute and a half in all."""

    attempts: int = 10
    first_s: float = 0.25
    longest_s: float = 30.0

    def delay(self, attempt: int) -> timedelta:
        """Return the wait after a failed try: somewhere in the upper half of a doubling bound."""
        bound = min(self.first_s * 2 ** (attempt - 1), self.longest_s)
        return timedelta(seconds=random.uniform(bound / 2, bound))  # noqa: S311 - jitter, no secret


class Passed(NamedTuple):
    """What one pass did: rows handled or given up, and how long to wait before the next (None: until woken)."""

    rows: int
    wait_s: float | None


PATIENCE = Patience()
TAKEN = Passed(0, POLL_EVERY_S)  # another process has it, and hears of the same NOTIFYs


async def run(
    stores: Stores,
    stop: asyncio.Event,
    subscribers: Sequence[Subscriber] | None = None,
    patience: Patience = PATIENCE,
) -> None:
    """Follow the outbox for all subscribers until `stop`; each goes at its own pace."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        for subscriber in SUBSCRIBERS if subscribers is None else subscribers:
            tasks.create_task(_follow(stores, subscriber, patience, gate, stop))
        await stop.wait()


async def _follow(
    stores: Stores, subscriber: Subscriber, patience: Patience, gate: asyncio.Semaphore, stop: asyncio.Event
) -> None:
    with stores.listener.waking() as wake:
        stopping = asyncio.create_task(_wake_at_end(stop, wake))
        try:
            while not stop.is_set():
                wake.clear()
                wait_s = await _guarded_pass(stores, subscriber, patience, gate)
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_EVERY_S if wait_s is None else wait_s):
                        await (wake if wait_s is None else stop).wait()
        finally:
            stopping.cancel()


async def _wake_at_end(stop: asyncio.Event, wake: asyncio.Event) -> None:
    await stop.wait()
    wake.set()


async def _guarded_pass(
    stores: Stores, subscriber: Subscriber, patience: Patience, gate: asyncio.Semaphore
) -> float | None:
    """Make one pass and return how long to wait; a store that is away is waited for, whatever else is an error."""
    try:
        async with gate:
            return (await one_pass(stores, subscriber, patience)).wait_s
    except (*AWAY, TimeoutError) as error:
        log.warning("subscriber_waits", subscriber=subscriber.name, error=type(error).__name__)
        return AWAY_FOR_S
    except Exception:
        log.exception("subscriber_failed", subscriber=subscriber.name)
        return AWAY_FOR_S


async def one_pass(stores: Stores, subscriber: Subscriber, patience: Patience = PATIENCE) -> Passed:
    """Handle the next batch, in one transaction with the cursor. Raises asyncpg's errors when the database is away."""
    async with stores.db.transaction() as tx:
        epoch = await subscriptions.claim(tx, subscriber.name)
        if epoch is None:
            return TAKEN
        standing = await subscriptions.find(tx, subscriber.name)
        if standing is None:
            begin = START if subscriber.begins == "oldest" else await outbox.head(tx)
            await subscriptions.begin(tx, subscriber.name, begin, epoch)
            return Passed(0, 0.0)
        now = datetime.now(UTC)
        if standing.next_try_at is not None and standing.next_try_at > now:
            return Passed(0, min((standing.next_try_at - now).total_seconds(), POLL_EVERY_S))
        if standing.behind:
            records = await subscriptions.backlog(tx, subscriber.name, BATCH)
        else:
            records = await outbox.read_after(tx, standing.place, BATCH)
        if not records:
            return Passed(0, REST_S if (await outbox.horizon(tx, standing.place)).waiting else None)
        events = [happened(record) for record in records[: 1 if standing.failing else BATCH]]
        work = _Pass(stores, tx, subscriber, standing, patience)
        handled = await work.take(events)
        await work.move(events[:handled])
        if handled < len(events):
            await work.note_failure(events[handled])
        more = handled == len(events) and (len(records) == BATCH or len(events) < len(records))
    return Passed(handled, 0.0 if more or handled < len(events) else REST_S)


class _Pass:
    """The transaction of one batch."""

    def __init__(
        self,
        stores: Stores,
        tx: Tx,
        subscriber: Subscriber,
        standing: subscriptions.Standing,
        patience: Patience,
    ) -> None:
        self._stores, self._tx, self._subscriber = stores, tx, subscriber
        self._standing, self._patience = standing, patience
        self._error: Exception | None = None

    async def take(self, events: Sequence[Happened]) -> int:
        """Give the batch, or, when it fails, its rows one by one; return how many of them are done with."""
        if await self._give(events):
            return len(events)
        if len(events) > 1:
            for count, event in enumerate(events):
                if not await self._give([event]):
                    return count
            return len(events)
        return 1 if await self._gave_up(events[0]) else 0

    async def _give(self, events: Sequence[Happened]) -> bool:
        try:
            with tracing.stories(
                f"subscriber {self._subscriber.name}",
                (event.correlation_id for event in events),
                {"messaging.batch.message_count": len(events)},
            ):
                async with self._tx.transaction(), asyncio.timeout(HANDLE_WITHIN_S):
                    await self._subscriber.handle(self._stores, self._tx, events)
        except Exception as error:
            if self._tx.is_closed():  # the database went away: nobody's fault, and nothing was written
                raise
            self._error = error
            return False
        return True

    async def _gave_up(self, event: Happened) -> bool:
        attempts = self._standing.attempts + 1
        if self._standing.failing != event.event_id or attempts < self._patience.attempts:
            return False
        error = type(self._error).__name__
        letter = DeadLetter(
            self._subscriber.name, event.event_id, event.outbox_id, event.topic, event.correlation_id, attempts, error
        )  # fmt: skip
        await dead_letters.put(self._tx, letter, datetime.now(UTC))
        log.error("subscriber_gave_up", **self._told(event, attempts), exc_info=self._error)
        return True

    async def note_failure(self, event: Happened) -> None:
        """Write down that this event failed once more, and when it is tried again."""
        known = self._standing.failing == event.event_id
        attempts = self._standing.attempts + 1 if known else 1
        await subscriptions.retry(
            self._tx, self._subscriber.name, event.event_id, attempts=attempts,
            next_try_at=datetime.now(UTC) + self._patience.delay(attempts), error=type(self._error).__name__,
        )  # fmt: skip
        log.warning("subscriber_retries", **self._told(event, attempts), exc_info=self._error)

    async def move(self, events: Sequence[Happened]) -> None:
        """Move the cursor behind these events; their place in a backlog is given up instead."""
        if not events:
            return
        before = after = self._standing.place
        if self._standing.behind:
            await subscriptions.caught_up(
                self._tx, self._subscriber.name, [event.outbox_id for event in events]
            )
        else:
            after = Place(events[-1].xid, events[-1].outbox_id)
        highest = max(event.outbox_id for event in events)
        if not await subscriptions.advance(self._tx, self._subscriber.name, before, after, highest):
            raise RuntimeError("the cursor was moved by somebody else")

    def _told(self, event: Happened, attempt: int) -> dict[str, Any]:
        return {
            "subscriber": self._subscriber.name,
            "topic": event.topic,
            "event_id": str(event.event_id),
            "correlation_id": event.correlation_id,
            "attempt": attempt,
            "error": type(self._error).__name__,
        }


def happened(record: asyncpg.Record) -> Happened:
    """Return a row of the outbox as subscribers see it."""
    return Happened(
        xid=record["xid"],
        outbox_id=record["outbox_id"],
        event_id=record["event_id"],
        topic=record["topic"],
        booking_id=record["booking_id"],
        area_id=record["area_id"],
        audience=record["audience"],
        removed_id=record["removed_id"],
        correlation_id=record["correlation_id"],
        at=record["at"],
        seq=record["seq"],
        data=record["data"],
        actor_id=record["actor_id"],
        actor_role=record["actor_role"],
        causation_id=record["causation_id"],
    )
