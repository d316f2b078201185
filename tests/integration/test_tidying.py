"""What goes by policy, and what never goes: the unread, the young, and what is append-only by other hands."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from app import dead_letters, retention
from app.settings import Settings, SettingsError
from services.subscribers import Patience, one_pass
from services.tidying import tidy, would_go
from tests.conftest import Database
from tests.integration.following import Book, noting, open_book

AGE = "UPDATE app.outbox SET at = now() - interval '8 days'"
HURRIED = Patience(attempts=2, first_s=0.0, longest_s=0.0)
REQUEST = """
INSERT INTO app.requests (request_id, correlation_id, at, route, status, actor_role)
VALUES (uuidv7(), 'test-tidying', now() - $1::interval, 'POST /v1/bookings', 201, 'customer')
"""
JOB = """
INSERT INTO app.jobs (job_id, name, payload, correlation_id, wanted_at, run_at)
VALUES ($1, 'test', '{}', 'test-tidying', now() - $2::interval, now() - $2::interval)
"""
RUN = """
INSERT INTO app.job_runs (job_id, attempt, started_at, ended_at, outcome)
VALUES ($1, 1, now() - $2::interval, now() - $2::interval, 'done')
"""
QUEUED = """
INSERT INTO jobs.pgqueuer (priority, status, entrypoint, payload)
VALUES (0, 'failed', 'test', convert_to(jsonb_build_object('job_id', $1::text)::text, 'UTF8'))
"""


@pytest.fixture
async def book(database: Database) -> AsyncIterator[Book]:
    """An outbox to write into."""
    async with open_book(database) as opened:
        yield opened


async def passes(book: Book, count: int = 6) -> None:
    """Let the test's subscriber go on."""
    for _ in range(count):
        await one_pass(book.stores, noting(), HURRIED)


async def left(book: Book) -> int:
    """Count the rows of the outbox."""
    return int(await book.one("SELECT count(*) FROM app.outbox"))


async def test_nothing_goes_that_a_subscriber_has_not_read(book: Book) -> None:
    """Old rows stay while they are unread, and go once they are read; the newest stays for the cursors at the head."""
    now = datetime.now(UTC)
    await passes(book, 1)
    for _ in range(5):
        await book.happen()
    await book.owner.execute(AGE)
    assert await tidy(book.stores, now) == {}
    await passes(book)
    for _ in range(3):
        await book.happen()
    assert await would_go(book.stores, now) == {"outbox": 5}
    assert await tidy(book.stores, now, batch=2, pause_s=0) == {"outbox": 5}
    assert await left(book) == 3
    await passes(book)
    await book.owner.execute(AGE)
    await tidy(book.stores, now)
    assert await left(book) == 1
    assert len(await book.heard()) == 8
    told = await book.owner.fetch(
        "SELECT data FROM audit.events WHERE action = 'retention.ran' ORDER BY audit_id"
    )
    assert [row["data"] for row in told] == ['{"outbox": 5}', '{"outbox": 2}']


async def test_what_a_dead_letter_needs_stays_and_blocks_nothing(book: Book) -> None:
    """The row of an open letter survives its time, and those behind it go."""
    poison = await book.happen("test.poison")
    for _ in range(3):
        await book.happen()
    await passes(book)
    await book.owner.execute(AGE)
    assert await tidy(book.stores, datetime.now(UTC), batch=1, pause_s=0) == {"outbox": 2}
    assert await book.one("SELECT count(*) FROM app.outbox WHERE event_id = $1", poison) == 1


async def test_unread_of_a_former_life_stays(book: Book) -> None:
    """What waits on a subscriber's backlog after a restore is unread, whatever the cursor says."""
    await passes(book, 1)
    for _ in range(3):
        await book.happen()
    await book.owner.execute("UPDATE app.epoch SET life = 'elsewhere'")
    await book.owner.fetchval("SELECT app.renew_epoch()")
    await book.happen()
    await book.owner.execute(AGE)
    await tidy(book.stores, datetime.now(UTC))
    assert await left(book) == 4
    await passes(book)
    assert len(await book.heard()) == 4


async def test_old_stories_go_whole_and_young_ones_cannot(book: Book) -> None:
    """Requests and jobs past policy go, held jobs stay; under the floor nothing goes, whatever is asked."""
    old, held, young = uuid4(), uuid4(), uuid4()
    for days in (401, 399):
        await book.owner.execute(REQUEST, timedelta(days=days))
    for job_id, days in ((old, 401), (held, 401), (young, 80)):
        await book.owner.execute(JOB, job_id, timedelta(days=days))
        await book.owner.execute(RUN, job_id, timedelta(days=days))
    await book.owner.execute(QUEUED, str(held))
    assert await tidy(book.stores, datetime.now(UTC)) == {"requests": 1, "jobs": 1}
    async with book.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT app.forget_jobs(now(), 100)") == 0
        assert await tx.fetchval("SELECT app.forget_requests(now(), 100)") == 1  # 399 days: over the floor
        assert await tx.fetchval("SELECT app.forget_outbox(now(), 100)") == 0
    assert await book.one("SELECT count(*) FROM app.job_runs") == 2


async def test_the_owner_cannot_edit_stories_either(book: Book) -> None:
    """Old or young, a row is neither changed nor deleted by hand, nor changed under the name of retention."""
    await book.owner.execute(REQUEST, timedelta(days=500))
    await book.owner.execute(REQUEST, timedelta(days=1))
    await book.owner.execute("SET doorstep.retention = 'on'")
    for edit in ("DELETE FROM app.requests", "UPDATE app.requests SET status = 500", "TRUNCATE app.requests"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await book.owner.execute(edit)
    await book.owner.execute("RESET doorstep.retention")
    with pytest.raises(asyncpg.RestrictViolationError):
        await book.owner.execute("DELETE FROM app.requests WHERE at < now() - interval '100 days'")


async def test_the_command_line_tidies_and_replays(book: Book) -> None:
    """`retention run` says what would go, then takes it; `dead-letter` lists, and says why it cannot replay."""
    await book.happen("test.poison")
    await passes(book)
    await book.owner.execute(REQUEST, timedelta(days=401))
    settings = Settings(database_url=SecretStr(book.urls.app_url), secret_key=SecretStr("k" * 32))
    assert await asyncio.to_thread(retention.run, settings, dry=True) == {"requests": 1}
    assert await asyncio.to_thread(retention.run, settings, dry=False) == {"requests": 1}
    assert await asyncio.to_thread(retention.run, settings, dry=False) == {}
    (line,) = await asyncio.to_thread(dead_letters.listed, settings)
    assert line.endswith("test.poison, 2 tries: ValueError")
    with pytest.raises(SettingsError, match="no subscriber of that name"):
        await asyncio.to_thread(dead_letters.replay, settings, line.split()[0])
