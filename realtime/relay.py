"""Each node tails the outbox itself, read-only, in commit-safe order: no leader, and no other store is needed.

NOTIFY only wakes it (`storage/listen.py`); polling is the guarantee. Rows appear below the xid horizon, so no commit
order leaves a gap; the horizon's age is a metric, for one forgotten transaction holds back everything behind it.
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

POLL_EVERY_S = 1.0
BUSY_POLL_S = 0.1  # while transactions are open, rows may appear without another NOTIFY
PAGE = 200
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
        self._place: Place | None = None
        self._epoch = ""
        self._listened = -1
        self._horizon = (0, time.monotonic())
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Tail until cancelled."""
        with self._stores.listener.waking() as wake:
            await self._tail(wake)

    async def _tail(self, wake: asyncio.Event) -> None:
        while True:
            wait_s = POLL_EVERY_S
            try:
                if self._place is None or self._listened != self._stores.listener.made:
                    await self._begin()
                if await self._pass():
                    continue
                if await self._look_at_horizon():
                    wait_s = BUSY_POLL_S
            except AWAY as error:
                log.warning("relay_waits", error=type(error).__name__)
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
            shown = await feed.batch(tx, rows, self._epoch) if self._bookings.wanted(rows) else None
        if not rows:
            return False
        for row in rows:
            if row["seq"] is not None:
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
