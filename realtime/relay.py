"""Each node tails the outbox itself, read-only, in commit-safe order: no leader, and no other store is needed.

NOTIFY only wakes it (`storage/listen.py`); polling is the guarantee. Rows appear below the xid horizon, so no commit
order leaves a gap; the horizon's age is a metric, for one forgotten transaction holds back everything behind it.
A row that cannot be shown ends nothing and is not passed over in silence: after a few tries it becomes a dead letter,
those whom it concerns are sent away to sync anew, and the rest goes on.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from realtime.bookings import BookingsDoor
from services import feed, relaying
from services.measures import Measures
from services.stores import Stores
from storage import outbox, tracing
from storage.outbox import START, Place
from storage.relayed import Reached

log = structlog.get_logger("realtime")

POLL_EVERY_S = 1.0
HELD_POLL_S = (0.02, 0.25)  # while an open transaction holds rows back, growing with the time that it has
PAGE = 200
TRIES = 3  # of a row that cannot be shown; the stream waits meanwhile
TRY_AGAIN_S = 0.2
NOTE_EVERY_S = 0.5
NOTES = 10_000  # when the database is away for longer, the oldest notes of what was sent are lost
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InterfaceError,
)

type Changed = Callable[[dict[str, Any]], None]


class Relay:
    """The tail of one process. `changed` is called with each row, in order, before it is sent."""

    def __init__(
        self, stores: Stores, bookings: BookingsDoor, measures: Measures, changed: Sequence[Changed]
    ) -> None:
        self._stores = stores
        self._bookings = bookings
        self._measures = measures
        self._changed = changed
        self._place: Place | None = None
        self._epoch = ""
        self._listened = -1
        self._horizon = (0, time.monotonic())
        self._reached: deque[Reached] = deque(maxlen=NOTES)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Tail until cancelled, and write down what was sent."""
        with self._stores.listener.waking() as wake:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._note())
                tasks.create_task(self._tail(wake))

    async def _tail(self, wake: asyncio.Event) -> None:
        while True:
            wait_s = POLL_EVERY_S
            try:
                if self._place is None or self._listened != self._stores.listener.made:
                    await self._begin()
                if await self._pass():
                    continue
                if await self._look_at_horizon():
                    wait_s = min(max(self._stores.vitals.horizon_age_s / 5, HELD_POLL_S[0]), HELD_POLL_S[1])
            except AWAY as error:
                log.warning("relay_waits", error=type(error).__name__)
            except Exception:  # a row's own fault is met in `_pass`; nothing ends the stream of a process
                log.exception("relay_failed")
            try:
                async with asyncio.timeout(wait_s):
                    await wake.wait()
            except TimeoutError:
                continue
            finally:
                wake.clear()

    async def _begin(self) -> None:
        """Start at the present; go on where we were, unless the database was restored meanwhile."""
        listened = self._stores.listener.made
        async with self._stores.db.reading() as tx:
            epoch = await outbox.epoch(tx)
            head = await outbox.head(tx)
        if epoch != self._epoch:
            if self._epoch:
                self._bookings.start_over()
            self._epoch, self._place = epoch, head
        self._listened = listened
        self.ready.set()

    async def _pass(self) -> bool:
        """Send what is new; True when there may be more."""
        place = self._place
        if place is None:
            return False
        async with self._stores.db.reading() as tx:
            rows = [dict(record) for record in await outbox.read_after(tx, place, PAGE)]
        if not rows:
            return False
        try:
            await self._show(rows)
        except AWAY:
            raise
        except Exception:
            log.warning("relay_goes_row_by_row", rows=len(rows), exc_info=True)
            for row in rows:
                await self._show_one(row)
                self._place = Place(row["xid"], row["outbox_id"])
        self._place = Place(rows[-1]["xid"], rows[-1]["outbox_id"])
        return len(rows) == PAGE

    async def _show(self, rows: list[dict[str, Any]]) -> None:
        """Tell this process and its sockets; doing it twice sends nothing twice."""
        for row in rows:
            if row["seq"] is not None:
                for told in self._changed:
                    told(row)
        if not self._bookings.wanted(rows):
            return
        batch = {"messaging.batch.message_count": len(rows)}
        with tracing.stories("relay", (row["correlation_id"] for row in rows), batch):
            async with self._stores.db.reading() as tx:
                shown = await feed.batch(tx, rows, self._epoch)
            now = datetime.now(UTC)
            for event_id, sockets in self._bookings.deliver(shown):
                self._reached.append(Reached(event_id, now, sockets))
        for row in rows:
            self._measures.relay_lag_s.observe(max(0.0, (now - row["at"]).total_seconds()))

    async def _show_one(self, row: dict[str, Any]) -> None:
        """Show a row, or lay it down after a few tries and let those whom it concerns start over."""
        for attempt in range(1, TRIES + 1):
            try:
                await self._show([row])
            except AWAY:
                raise
            except Exception as error:
                if attempt < TRIES:
                    await asyncio.sleep(TRY_AGAIN_S)
                    continue
                log.exception(
                    "relay_gave_up",
                    event_id=str(row["event_id"]),
                    topic=row["topic"],
                    correlation_id=row["correlation_id"],
                )
                await relaying.give_up(self._stores, row, attempt, error)
                self._bookings.start_over(row)
            return

    async def _note(self) -> None:
        """Write down which events reached how many sockets, until cancelled."""
        try:
            while True:
                await asyncio.sleep(NOTE_EVERY_S)
                await self._write_notes()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._write_notes()

    async def _write_notes(self) -> None:
        if not self._reached:
            return
        reached, self._reached = self._reached, deque(maxlen=NOTES)
        try:
            await relaying.note(self._stores, reached)
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("relay_notes_wait", error=type(error).__name__)
            self._reached = deque([*reached, *self._reached], maxlen=NOTES)

    async def _look_at_horizon(self) -> bool:
        """Note the horizon's age; True while rows wait, for which no other NOTIFY will come."""
        async with self._stores.db.reading() as tx:
            horizon = await outbox.horizon(tx, self._place or START)
        oldest, since = self._horizon
        if horizon.oldest != oldest or horizon.oldest == horizon.next:
            self._horizon = (horizon.oldest, time.monotonic())
            since = self._horizon[1]
        self._stores.vitals.horizon_age_s = time.monotonic() - since
        self._measures.horizon_age_s.set(self._stores.vitals.horizon_age_s)
        return horizon.waiting
