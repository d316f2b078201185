"""Each node tails the outbox itself, read-only, in commit-safe order: no leader, and no other store is needed.

NOTIFY only wakes it, on a connection of its own that is made again when lost; polling is the guarantee. Rows appear
below the xid horizon, so no commit order leaves a gap; the horizon's age is a metric, for one forgotten transaction
holds back everything behind it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from realtime.bookings import BookingsDoor
from services import feed
from services.measures import Measures
from services.stores import Stores
from storage import outbox
from storage.outbox import Place

log = structlog.get_logger("realtime")

CHANNEL = "doorstep_outbox"
POLL_EVERY_S = 1.0
BUSY_POLL_S = 0.1  # while transactions are open, rows may appear without another NOTIFY
PAGE = 200
LISTEN_AGAIN_S = 2.0
PING_EVERY_S = 10.0
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

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
        self._wake = asyncio.Event()
        self._place: Place | None = None
        self._epoch = ""
        self._listening_anew = False
        self._horizon = (0, time.monotonic())
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Tail and listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tail())
            tasks.create_task(self._listen())

    async def _tail(self) -> None:
        while True:
            wait_s = POLL_EVERY_S
            try:
                if self._place is None or self._listening_anew:
                    await self._begin()
                if await self._pass():
                    continue
                if await self._look_at_horizon():
                    wait_s = BUSY_POLL_S
            except AWAY as error:
                log.warning("relay_waits", error=type(error).__name__)
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def _begin(self) -> None:
        """Start at the present; go on where we were, unless the database was restored meanwhile."""
        self._listening_anew = False
        async with self._stores.db.reading() as tx:
            epoch = await outbox.epoch(tx)
            head = await outbox.head(tx)
        if epoch != self._epoch:
            if self._epoch:
                self._bookings.start_over()
            self._epoch, self._place = epoch, head
        self.ready.set()

    async def _pass(self) -> bool:
        """Send what is new; True when there may be more."""
        place = self._place
        if place is None:
            return False
        async with self._stores.db.reading() as tx:
            rows = [dict(record) for record in await outbox.read_after(tx, place, PAGE)]
            shown = await feed.batch(tx, rows, self._epoch) if self._bookings.wanted(rows) else None
        if not rows:
            return False
        for row in rows:
            for told in self._changed:
                told(row)
        if shown is not None:
            self._bookings.deliver(shown)
            now = datetime.now(UTC)
            for row in rows:
                self._measures.relay_lag_s.observe(max(0.0, (now - row["at"]).total_seconds()))
        self._place = Place(rows[-1]["xid"], rows[-1]["outbox_id"])
        return len(rows) == PAGE

    async def _look_at_horizon(self) -> bool:
        """Note the horizon's age; True while transactions are open that could hold rows back."""
        async with self._stores.db.reading() as tx:
            horizon = await outbox.horizon(tx)
        oldest, since = self._horizon
        if horizon.oldest != oldest or horizon.oldest == horizon.next:
            self._horizon = (horizon.oldest, time.monotonic())
            since = self._horizon[1]
        self._measures.horizon_age_s.set(time.monotonic() - since)
        return horizon.oldest < horizon.next

    async def _listen(self) -> None:
        while True:
            connection = None
            try:
                connection = await asyncpg.connect(
                    self._stores.db.url, timeout=5, server_settings={"application_name": "doorstep-listen"}
                )
                await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
                self._listening_anew = True
                self._wake.set()
                while not connection.is_closed():
                    await asyncio.sleep(PING_EVERY_S)
                    await connection.execute("SELECT 1", timeout=5)
            except AWAY as error:
                log.warning("listen_lost", error=type(error).__name__)
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(LISTEN_AGAIN_S)
