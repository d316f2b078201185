"""From the newest positions to those who watch: customers at once, dispatchers by the tick, and the end of it in time.

What ends a leg is heard twice: by the relay, as a rule within milliseconds, and from PostgreSQL itself twice a
second, so that a transaction that holds the outbox back cannot keep a watcher looking. Positions of a session that
ended are dropped.
"""

import asyncio
import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.disclosure import STAGES
from realtime.arrivals import Arrivals
from realtime.door import AWAY, log
from realtime.fleet import Fleet
from realtime.wire import Wire
from services import watching
from services.journeys import Journeys
from services.live_position import LivePosition
from services.measures import Measures
from services.stores import Stores
from storage.hot import Topic

FRAME_EVERY_S = 0.25
FLUSH_EVERY_S = 0.05
LOOK_EVERY_S = 0.5
LOOK_BACK = timedelta(seconds=30)  # a commit may come so long after the time that it carries
MAX_ENDED = 50_000  # sessions known to be over; the oldest is forgotten long after its last fix
QUIET = frozenset({"booking.noted", "booking.rated", "booking.extended"})


class Fanout:
    """The hub of one process. `journeys` is set by who attaches the doors."""

    def __init__(self, stores: Stores, wire: Wire, measures: Measures) -> None:
        self.arrivals = Arrivals(wire, stores.policy)
        self.fleet = Fleet(wire, stores.policy)
        self.journeys: Journeys | None = None
        self._stores = stores
        self._wire = wire
        self._measures = measures
        self._ended: OrderedDict[UUID, None] = OrderedDict()
        self._dirty: set[UUID] = set()  # at most one entry for each booking that is followed here
        self._wake = asyncio.Event()
        self._newest: tuple[OrderedDict[UUID, LivePosition], ...] = (OrderedDict(), OrderedDict())
        stores.hot.subscribe(Topic.POSITIONS, self._on_position)

    def _on_position(self, payload: bytes) -> None:
        position = LivePosition.decode(payload)
        if position is None or position.session_id in self._ended:
            return
        now_ms = round(time.time() * 1000)
        self._take(position, now_ms)
        if not self.arrivals.moved(position):
            self.look_up(position.booking_id)
        self._measures.fix_to_send_s.observe(max(0.0, now_ms / 1000 - position.t_ms / 1000))

    def _take(self, position: LivePosition, now_ms: int) -> None:
        freshness = self.fleet.freshness(position, now_ms)
        if self.fleet.put(position, freshness):
            for queue in self._newest:
                queue.pop(position.booking_id, None)
            stage = STAGES.index(freshness)
            if stage < len(self._newest):
                self._newest[stage][position.booking_id] = position

    def on_row(self, row: dict[str, Any]) -> None:
        """Something happened to a booking: if it is followed here, its leg is looked at again."""
        if row["topic"] not in QUIET:
            self.look_up(row["booking_id"])

    def look_up(self, booking_id: UUID) -> None:
        """Read this booking's leg again, soon."""
        if self.arrivals.watched(booking_id) or self.fleet.session_of(booking_id) is not None:
            self._dirty.add(booking_id)
            self._wake.set()

    async def run(self) -> None:
        """Load what is under way, then tick, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._load())
            tasks.create_task(self._frames())
            tasks.create_task(self._flush())
            tasks.create_task(self._look_up_dirty())
            tasks.create_task(self._look_for_ends())

    async def _load(self) -> None:
        while True:
            try:
                for position in await watching.fleet(self._stores):
                    self._take(position, round(time.time() * 1000))
                return
            except AWAY as error:
                log.warning("fleet_not_loaded", error=type(error).__name__)
                await asyncio.sleep(1)

    async def _frames(self) -> None:
        while True:
            await asyncio.sleep(FRAME_EVERY_S)
            now_ms = round(time.time() * 1000)
            self._age(now_ms)
            self.fleet.tick(now_ms)

    def _age(self, now_ms: int) -> None:
        """Positions that turned delayed or lost: each queue is in the order of its next change, or nearly so."""
        for stage, queue in enumerate(self._newest):
            for booking_id in tuple(queue):
                position = queue[booking_id]
                freshness = self.fleet.freshness(position, now_ms)
                if STAGES.index(freshness) <= stage:
                    break
                del queue[booking_id]
                if stage + 1 < len(self._newest):
                    self._newest[stage + 1][booking_id] = position
                self.fleet.aged(booking_id, freshness)
                self.arrivals.aged(booking_id)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self.arrivals.flush()

    async def _look_up_dirty(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
            if not dirty:
                continue
            try:
                await self._look_up(dirty)
            except AWAY as error:
                log.warning("legs_not_looked_up", error=type(error).__name__)
                self._dirty |= dirty
                await asyncio.sleep(0.5)
                self._wake.set()

    async def _look_up(self, booking_ids: set[UUID]) -> None:
        for leg in (await watching.legs(self._stores, booking_ids)).values():
            on_map = self.fleet.session_of(leg.booking_id)
            if on_map is not None and on_map != leg.session_id:
                await self._end(leg.booking_id, on_map)
            self.arrivals.looked_up(leg)
            newest = await watching.newest(self._stores, leg.session_id)
            if newest is not None and newest.session_id not in self._ended:
                self._take(newest, round(time.time() * 1000))
                self.arrivals.moved(newest)

    async def _look_for_ends(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                now = datetime.now(UTC)
                for closed in await watching.closed_since(self._stores, now - LOOK_BACK):
                    if closed.session_id not in self._ended:
                        await self._closed(closed)
                await self._end_shares(now)
            except AWAY as error:
                log.warning("ends_not_looked_for", error=type(error).__name__)

    async def _closed(self, closed: watching.ClosedLeg) -> None:
        await self._end(closed.booking_id, closed.session_id)
        if self.arrivals.watched(closed.booking_id):
            for leg in (await watching.legs(self._stores, [closed.booking_id])).values():
                self.arrivals.looked_up(leg, closed.reason)

    async def _end(self, booking_id: UUID, session_id: UUID) -> None:
        self._ended[session_id] = None
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        if self.fleet.session_of(booking_id) == session_id:
            self.fleet.remove(booking_id)
            for queue in self._newest:
                queue.pop(booking_id, None)
        if self.journeys is not None:
            self.journeys.close(session_id)
        await self._stores.hot.forget_position(session_id)

    async def _end_shares(self, now: datetime) -> None:
        holders = [client for client in self._wire.clients.values() if client.share is not None]
        if not holders:
            return
        share_ids = [client.share.share_id for client in holders if client.share is not None]
        over = await watching.ended_shares(self._stores, share_ids, now)
        for client in holders:
            if client.share is not None and client.share.share_id in over:
                self._wire.drop(client, "ended")
