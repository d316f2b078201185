"""Raw fixes reach PostgreSQL once, `durable_seq` follows the commit, and days come and go by policy."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from storage.db import open_database
from storage.telemetry import FixRow, Telemetry, open_telemetry
from tests.conftest import Database

NOW = datetime.now(UTC)
TODAY = NOW.date()


def fix(session_id: UUID, seq: int, *, day: date = TODAY, device_id: str = "", lat: float = 39.3) -> FixRow:
    """One live fix."""
    return FixRow(day, session_id, device_id, seq, NOW, NOW, lat, -76.6, 5.0, None, 90.0, "live", None)


@pytest.fixture
async def telemetry(database: Database) -> AsyncIterator[Telemetry]:
    """A running writer."""
    async with open_telemetry(database.app_url) as opened:
        yield opened


async def written(telemetry: Telemetry) -> None:
    """Wait until nothing waits."""
    async with asyncio.timeout(10):
        while telemetry.waiting_rows:
            await asyncio.sleep(0.02)


async def test_rows_reach_postgres_once(telemetry: Telemetry) -> None:
    """A fix offered twice is stored once, and the numbers count as durable without a gap only."""
    session = uuid4()
    assert telemetry.offer([fix(session, 1), fix(session, 2), fix(session, 4)])
    assert telemetry.durable_seq(session) == 0
    await written(telemetry)
    assert telemetry.durable_seq(session) == 2
    assert telemetry.offer([fix(session, 2), fix(session, 3)])
    await written(telemetry)
    assert telemetry.durable_seq(session) == 4
    assert sorted(row.seq for row in await telemetry.fixes(TODAY, session)) == [1, 2, 3, 4]


async def test_devices_count_for_themselves(telemetry: Telemetry) -> None:
    """Two devices of one session may use the same numbers."""
    session = uuid4()
    assert telemetry.offer(
        [fix(session, 1, device_id="a"), fix(session, 1, device_id="b"), fix(session, 2, device_id="b")]
    )
    await written(telemetry)
    assert (telemetry.durable_seq(session, "a"), telemetry.durable_seq(session, "b")) == (1, 2)
    assert len(await telemetry.fixes(TODAY, session)) == 3


async def test_settled_without_a_row(telemetry: Telemetry) -> None:
    """A number that needs no row closes the gap that it would leave."""
    session = uuid4()
    telemetry.settle(session, "", [1])
    assert telemetry.offer([fix(session, 2)])
    await written(telemetry)
    assert telemetry.durable_seq(session) == 2


async def test_full_queue_says_so(database: Database) -> None:
    """When the queue is full nothing of the offer is taken, and nothing counts as durable."""
    async with open_database(database.app_url, role="doorstep_telemetry", min_size=1, max_size=1) as pool:
        telemetry = Telemetry(pool, max_rows=3)
        session = uuid4()
        assert telemetry.offer([fix(session, 1), fix(session, 2)])
        assert not telemetry.offer([fix(session, 3), fix(session, 4)])
        assert telemetry.refused_rows == 2
        assert telemetry.durable_seq(session) == 0


async def test_bad_row_takes_no_others_with_it(telemetry: Telemetry) -> None:
    """A row that PostgreSQL refuses is left out; its batch is stored."""
    session = uuid4()
    bad = fix(session, 2, device_id="x" * 100)
    assert telemetry.offer([fix(session, 1), bad, fix(session, 2), fix(session, 3)])
    await written(telemetry)
    assert [row.seq for row in await telemetry.fixes(TODAY, session)] == [1, 2, 3]


async def test_survives_a_lost_connection(telemetry: Telemetry, database: Database) -> None:
    """When every connection of the writer is killed, rows wait and are written by the next one."""
    session = uuid4()
    assert telemetry.offer([fix(session, 1)])
    await written(telemetry)
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await owner.close()
    assert telemetry.offer([fix(session, 2)])
    await written(telemetry)
    assert telemetry.durable_seq(session) == 2


async def test_partitions_are_made_ahead_and_dropped_whole(telemetry: Telemetry, database: Database) -> None:
    """Each day of the next week has its partition; only days wholly past retention go, the default one's rows too."""
    old, kept, unplaced = uuid4(), uuid4(), uuid4()
    now = datetime.now(UTC)
    before_midnight = now - timedelta(minutes=5)  # when this run crosses it, the writer may have begun before
    long_ago = TODAY - timedelta(days=30)
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute("SELECT telemetry.make_partitions($1, 0)", long_ago)
        rows = [fix(old, 1, day=long_ago), fix(kept, 1), fix(unplaced, 1, day=long_ago - timedelta(days=5))]
        assert telemetry.offer(rows)
        await written(telemetry)
        assert await owner.fetchval("SELECT count(*) FROM telemetry.fixes_default") == 1
        names = {
            r["relname"]
            for r in await owner.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'fixes_2%'")
        }
        weeks = [
            {f"fixes_{day + timedelta(days=n):%Y%m%d}" for n in range(-1, 8)}
            for day in (before_midnight.date(), now.date())
        ]
        assert any(week <= names for week in weeks)
        assert await telemetry.drop_old(now) == 2
        assert await owner.fetchval("SELECT to_regclass($1)", f"telemetry.fixes_{long_ago:%Y%m%d}") is None
        assert [r["session_id"] for r in await owner.fetch("SELECT session_id FROM telemetry.fixes")] == [
            kept
        ]
    finally:
        await owner.close()


async def test_telemetry_role_reads_no_truth(telemetry: Telemetry) -> None:
    """The writer's role may write fixes and nothing else."""
    async with telemetry._database.reading() as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.fetchval("SELECT count(*) FROM app.people")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute("DELETE FROM telemetry.fixes")


async def test_end_flushes(database: Database) -> None:
    """What waits at the end of the process is written before it goes."""
    session = uuid4()
    async with open_telemetry(database.app_url) as telemetry:
        assert telemetry.offer([fix(session, 1)])
    owner = await asyncpg.connect(database.owner_url)
    assert await owner.fetchval("SELECT count(*) FROM telemetry.fixes WHERE session_id = $1", session) == 1
    await owner.close()
