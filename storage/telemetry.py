"""Raw fixes on their way to PostgreSQL: a bounded queue, written by COPY in batches, kept for days and then dropped.

What always holds: `durable_seq` never runs ahead of a commit, so a phone that forgets only up to it loses nothing. With
PostgreSQL away rows wait here up to `MAX_ROWS`; then `offer` says no, and the phones keep theirs and send them again.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from geo.handled import WINDOW, Handled
from storage.db import Database, Tx, open_database
from storage.loops import kept_running

log = structlog.get_logger(__name__)

MAX_ROWS = 100_000
BATCH_ROWS = 5_000
WRITE_EVERY_S = 0.2
RETRY_MOST_S = 3.0
FLUSH_WITHIN_S = 5.0
MAX_FOLLOWED = (
    50_000  # sessions whose durable_seq is known; beyond, the one longest untouched answers 0 again
)
PARTITIONS_AHEAD = 7
LATE_H = 24

INCOMING = "CREATE TEMP TABLE IF NOT EXISTS incoming_fixes (LIKE telemetry.fixes) ON COMMIT DELETE ROWS"
STORE = """
INSERT INTO telemetry.fixes (session_day, session_id, device_id, seq, t, received_at, lat, lon, acc_m, spd_mps, hdg_deg,
                             verdict, reason)
SELECT session_day, session_id, device_id, seq, t, received_at, lat, lon, acc_m, spd_mps, hdg_deg, verdict, reason
FROM incoming_fixes ON CONFLICT DO NOTHING
"""
FIXES = """
SELECT session_day, session_id, device_id, seq, t, received_at, lat, lon, acc_m, spd_mps, hdg_deg, verdict, reason
FROM telemetry.fixes WHERE session_day = $1 AND session_id = $2 ORDER BY received_at, seq
"""
STORED = """
SELECT device_id, min(seq) AS first, max(seq) AS last
FROM (SELECT device_id, seq, seq - row_number() OVER (PARTITION BY device_id ORDER BY seq) AS run
      FROM telemetry.fixes WHERE session_day = $1 AND session_id = $2) AS numbered
GROUP BY device_id, run ORDER BY device_id, first
"""
NEWEST = """
SELECT DISTINCT ON (session_id) session_day, session_id, device_id, seq, t, received_at, lat, lon, acc_m, spd_mps,
       hdg_deg, verdict, reason
FROM telemetry.fixes WHERE session_day = ANY ($1) AND session_id = ANY ($2) AND verdict = 'live'
ORDER BY session_id, t DESC
"""
MAKE = "SELECT telemetry.make_partitions($1, $2)"
DROP = "SELECT partition_name, rows_dropped FROM telemetry.drop_partitions($1)"

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
)


class FixRow(NamedTuple):
    """One fix with its verdict, in the order of the columns. `session_day`: the UTC day on which its session opened."""

    session_day: date
    session_id: UUID
    device_id: str
    seq: int
    t: datetime
    received_at: datetime
    lat: float
    lon: float
    acc_m: float | None
    spd_mps: float | None
    hdg_deg: float | None
    verdict: str
    reason: str | None


class Telemetry:
    """The one writer of raw fixes in this process. `run` and `keep_partitions` are its loops."""

    def __init__(self, database: Database, *, retention_h: int = 72, max_rows: int = MAX_ROWS) -> None:
        self._database = database
        self._retention_h = retention_h
        self._max_rows = max_rows
        self._queue: deque[FixRow] = deque()
        self._writing: Sequence[FixRow] = ()
        self._durable: OrderedDict[tuple[UUID, str], Handled] = OrderedDict()
        self._wake = asyncio.Event()
        self.refused_rows = 0
        self.written_rows = 0

    @property
    def waiting_rows(self) -> int:
        """How many rows are not in PostgreSQL yet."""
        return len(self._queue) + len(self._writing)

    def offer(self, rows: Sequence[FixRow]) -> bool:
        """Take rows to be written, all or (when the queue is full) none: False, and the phone keeps them."""
        if self.waiting_rows + len(rows) > self._max_rows:
            self.refused_rows += len(rows)
            return False
        self._queue.extend(rows)
        self._wake.set()
        return True

    def durable_seq(self, session_id: UUID, device_id: str = "") -> int:
        """Return the highest number up to which all fixes of this device are committed or need no row."""
        handled = self._durable.get((session_id, device_id))
        return handled.upto if handled is not None else 0

    def settle(self, session_id: UUID, device_id: str, seqs: Sequence[int]) -> None:
        """These numbers are dealt with for good: committed, or not worth a row."""
        handled = self._durable.get((session_id, device_id), Handled())
        for seq in seqs:
            if seq - handled.upto <= WINDOW:  # beyond it the phone sends again: a gap is never given up
                handled = handled.adding(seq)
        self._follow(session_id, device_id, handled)

    def settle_up_to(self, session_id: UUID, device_id: str, seq: int) -> None:
        """Nothing up to this number will ever get a row: a phone may forget it all."""
        handled = self._durable.get((session_id, device_id), Handled())
        self._follow(session_id, device_id, handled.reaching(seq))

    def _follow(self, session_id: UUID, device_id: str, handled: Handled) -> None:
        self._durable[session_id, device_id] = handled
        self._durable.move_to_end((session_id, device_id))
        if len(self._durable) > MAX_FOLLOWED:
            self._durable.popitem(last=False)

    async def stored(self, session_day: date, session_id: UUID) -> dict[str, list[range]]:
        """Read which numbers of each device are in PostgreSQL, and settle them: another process wrote them."""
        found: dict[str, list[range]] = {}
        async with self._database.reading() as tx:
            for record in await tx.fetch(STORED, session_day, session_id):
                found.setdefault(record["device_id"], []).append(range(record["first"], record["last"] + 1))
        for device_id, runs in found.items():
            self.settle(session_id, device_id, [seq for run in runs for seq in run])
        return found

    async def fixes(self, session_day: date, session_id: UUID) -> list[FixRow]:
        """Read what is stored of a session, in the order in which it came in."""
        async with self._database.reading() as tx:
            return [FixRow(*record.values()) for record in await tx.fetch(FIXES, session_day, session_id)]

    async def newest(self, session_days: Sequence[date], session_ids: Sequence[UUID]) -> list[FixRow]:
        """Read the newest live fix of each of these sessions."""
        async with self._database.reading() as tx:
            return [FixRow(*record.values()) for record in await tx.fetch(NEWEST, session_days, session_ids)]

    async def run(self) -> None:
        """Write until cancelled. Call `flush` afterwards for what waits then."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(WRITE_EVERY_S)
            await self._drain()

    async def flush(self) -> None:
        """Write what waits, once and within seconds, if PostgreSQL answers."""
        async with asyncio.timeout(FLUSH_WITHIN_S):
            await self._drain(tries=1)

    async def _drain(self, tries: int | None = None) -> None:
        self._wake.clear()
        wait_s, tried = WRITE_EVERY_S, 0
        while self._queue or self._writing:
            if not self._writing:
                self._writing = [self._queue.popleft() for _ in range(min(BATCH_ROWS, len(self._queue)))]
            try:
                await self._write(self._writing)
            except (*AWAY, asyncpg.PostgresError) as error:  # whatever it is, the loop lives on and says so
                tried += 1
                log.warning("telemetry_away", error=type(error).__name__, waiting_rows=self.waiting_rows)
                if tries is not None and tried >= tries:
                    return
                await asyncio.sleep(wait_s)
                wait_s = min(RETRY_MOST_S, wait_s * 2)
            else:
                wait_s, self._writing = WRITE_EVERY_S, ()

    async def _write(self, rows: Sequence[FixRow]) -> None:
        """Write a batch; one that PostgreSQL cannot take is halved until the one bad row is found and left out."""
        try:
            async with self._database.transaction() as tx:
                await self._copy(tx, rows)
        except (
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
            ValueError,
            OverflowError,
        ) as error:
            if len(rows) > 1:
                await self._write(rows[: len(rows) // 2])
                await self._write(rows[len(rows) // 2 :])
                return
            log.warning("fix_not_storable", error=type(error).__name__)
        self.written_rows += len(rows)
        by_device: dict[tuple[UUID, str], list[int]] = {}
        for row in rows:
            by_device.setdefault((row.session_id, row.device_id), []).append(row.seq)
        for (session_id, device_id), seqs in by_device.items():
            self.settle(session_id, device_id, seqs)

    async def _copy(self, tx: Tx, rows: Sequence[FixRow]) -> None:
        await tx.execute(INCOMING)
        await tx.copy_records_to_table("incoming_fixes", records=rows, columns=FixRow._fields)
        await tx.execute(STORE)

    async def make_partitions(self, today: date) -> int:
        """Make the partitions of yesterday, today and the days ahead; return how many were missing."""
        async with self._database.transaction() as tx:
            made: int = await tx.fetchval(MAKE, today - timedelta(days=1), PARTITIONS_AHEAD + 1)
            return made

    async def drop_old(self, now: datetime) -> int:
        """Drop the days of which every fix is past retention (late ones included); return the rows that went."""
        keep_from = (now - timedelta(hours=self._retention_h + LATE_H)).date()
        async with self._database.transaction() as tx:
            dropped = await tx.fetch(DROP, keep_from)
        for record in dropped:
            log.info("telemetry_dropped", partition=record["partition_name"], rows=record["rows_dropped"])
        return sum(record["rows_dropped"] for record in dropped)

    async def keep_partitions(self) -> None:
        """Make and drop partitions, now and every hour, until cancelled."""
        while True:
            wait_s = 3600.0
            try:
                now = datetime.now(UTC)
                await self.make_partitions(now.date())
                await self.drop_old(now)
            except (*AWAY, asyncpg.PostgresError) as error:
                log.warning("telemetry_partitions_failed", error=type(error).__name__)
                wait_s = 30.0
            await asyncio.sleep(wait_s)


@asynccontextmanager
async def open_telemetry(url: str, *, retention_h: int = 72) -> AsyncIterator[Telemetry]:
    """Open the writer with its own small pool under `doorstep_telemetry`; its loops end, flushed, with the block."""
    async with open_database(url, role="doorstep_telemetry", min_size=1, max_size=3) as database:
        telemetry = Telemetry(database, retention_h=retention_h)
        await telemetry.make_partitions(datetime.now(UTC).date())
        loops = [
            asyncio.create_task(kept_running("telemetry writer", telemetry.run)),
            asyncio.create_task(kept_running("telemetry partitions", telemetry.keep_partitions)),
        ]
        try:
            yield telemetry
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops)
            with suppress(TimeoutError):
                await telemetry.flush()
