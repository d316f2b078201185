"""Ordered subscribers: no gap under any commit order, exactly once, retries, dead letters, a restored database."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain.context import Actor, Context, Role
from domain.refusals import Refusal
from services import dead_letters, subscribers
from services.reply import Reply
from services.subscriber import Subscriber
from services.subscribers import Patience, one_pass
from storage.db import open_database
from storage.listen import Listener
from tests.conftest import Database
from tests.integration.following import HEAR, Book, noting, open_book

HURRIED = Patience(attempts=3, first_s=0.0, longest_s=0.0)
STANDING = "SELECT attempts FROM app.subscriptions WHERE subscriber = 'test'"
RESTORED = """
UPDATE app.epoch SET life = 'elsewhere';
UPDATE app.outbox SET xid = ((xid::text::bigint + 9000000)::text)::xid8;
UPDATE app.subscriptions SET xid = ((xid::text::bigint + 9000000)::text)::xid8;
"""
DOOMED = """
import asyncio, os
from domain.context import Actor, Context, Role
from domain.refusals import Refusal
from services import dead_letters, subscribers
from services.reply import Reply
from services.policy import Policy
from services.stores import Stores
from services.subscriber import Subscriber
from storage.db import open_database
from storage.listen import Listener
from tests.integration.following import HEAR

async def handle(stores, tx, events):
    for event in events:
        await tx.execute(HEAR, "test", event.event_id)
    print("holding", flush=True)
    await asyncio.sleep(60)

async def main():
    async with open_database(os.environ["URL"], min_size=1) as db:
        stores = Stores(db, None, None, None, None, Policy(), b"k" * 32)
        await subscribers.run(stores, asyncio.Event(), [Subscriber("test", handle, begins="oldest")])

asyncio.run(main())
"""


@pytest.fixture
async def book(database: Database) -> AsyncIterator[Book]:
    """An outbox to write into."""
    async with open_book(database) as opened:
        yield opened


async def drain(book: Book, subscriber: Subscriber, patience: Patience = HURRIED) -> None:
    """Pass until there is nothing more to do."""
    while (await one_pass(book.stores, subscriber, patience)).wait_s == 0.0:
        continue
    while (await one_pass(book.stores, subscriber, patience)).rows:
        continue


async def until_heard(book: Book, count: int, within_s: float = 15.0) -> list[UUID]:
    """Wait until the test's subscriber wrote down so many events."""
    async with asyncio.timeout(within_s):
        while len(heard := await book.heard()) < count:
            await asyncio.sleep(0.01)
    return heard


@pytest.mark.parametrize("seed", range(3))
async def test_no_order_of_commits_leaves_a_gap(book: Book, seed: int) -> None:
    """Five connections begin, write, commit and roll back in any order, with passes between: each row is heard once."""
    rng = random.Random(seed)
    subscriber = noting()
    lines = [await asyncpg.connect(book.urls.owner_url) for _ in range(5)]
    open_now: dict[int, tuple[Any, list[UUID]]] = {}
    committed: list[UUID] = []
    try:
        for _ in range(150):
            n = rng.randrange(5)
            if n not in open_now:
                transaction = lines[n].transaction()
                await transaction.start()
                open_now[n] = (transaction, [])
            elif rng.random() < 0.6:
                open_now[n][1].append(await book.happen(connection=lines[n]))
            else:
                transaction, written = open_now.pop(n)
                if rng.random() < 0.2:
                    await transaction.rollback()
                else:
                    await transaction.commit()
                    committed += written
            if rng.random() < 0.4:
                await one_pass(book.stores, subscriber)
        for transaction, written in open_now.values():
            await transaction.commit()
            committed += written
        await drain(book, subscriber)
    finally:
        for line in lines:
            await line.close()
    assert await book.heard() == await book.in_order(committed)


async def test_two_processes_hear_each_event_once(book: Book) -> None:
    """Two runners with pools of their own, and one that is cancelled in the middle: nothing twice, nothing lost."""
    subscriber = noting()
    stop = asyncio.Event()
    async with open_database(book.urls.app_url) as second:
        other = replace(book.stores, db=second, listener=Listener())
        listeners = [
            asyncio.create_task(stores.listener.run(book.urls.app_url)) for stores in (book.stores, other)
        ]
        runners = [
            asyncio.create_task(subscribers.run(stores, stop, [subscriber]))
            for stores in (book.stores, other, other)
        ]
        written: list[UUID] = []
        for n in range(120):
            written.append(await book.happen())
            if n == 60:
                runners[2].cancel()
        heard = await until_heard(book, len(written))
        stop.set()
        for listener in listeners:
            listener.cancel()
        await asyncio.wait([*listeners, *runners])
    assert heard == await book.in_order(written)


async def test_who_is_killed_leaves_nothing_half_done(book: Book) -> None:
    """A process that is killed after its writes and before its commit: another one does the batch, once."""
    written = [await book.happen() for _ in range(3)]
    doomed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DOOMED, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
        env={**os.environ, "URL": book.urls.app_url},
    )  # fmt: skip
    try:
        assert doomed.stdout is not None
        while (await doomed.stdout.readline()).strip() != b"holding":
            assert doomed.returncode is None
    finally:
        doomed.send_signal(signal.SIGKILL)
        await doomed.wait()
    stop = asyncio.Event()
    running = asyncio.create_task(subscribers.run(book.stores, stop, [noting()]))
    assert await until_heard(book, 3) == written
    stop.set()
    await running


async def test_a_poison_becomes_a_dead_letter_and_holds_up_nobody(book: Book) -> None:
    """The row is tried a bounded number of times while those behind it wait; then the rest follows, in order."""
    first, poison, last = await book.happen(), await book.happen("test.poison"), await book.happen()
    subscriber = noting()
    await one_pass(book.stores, subscriber, HURRIED)  # enters the subscriber
    await one_pass(book.stores, subscriber, HURRIED)
    assert await book.heard() == [first]
    assert await book.one(STANDING) == 1
    await one_pass(book.stores, subscriber, HURRIED)
    assert await book.one(STANDING) == 2
    assert await book.heard() == [first]
    await drain(book, subscriber)
    assert await book.heard() == [first, last]
    letter = await book.owner.fetchrow("SELECT * FROM app.dead_letters")
    assert letter is not None
    assert (letter["subscriber"], letter["event_id"]) == ("test", poison)
    assert (letter["attempts"], letter["error"]) == (3, "ValueError")
    assert await book.one(STANDING) == 0


async def test_a_failure_that_passes_keeps_the_order(book: Book) -> None:
    """A row that fails twice and then goes through comes before what is behind it, and no letter is written."""
    falls = 2
    hearing = noting()

    async def handle(stores: Any, tx: Any, events: Any) -> None:
        nonlocal falls
        if any(event.event_id == second for event in events) and falls:
            falls -= len(events) == 1
            raise OSError("a disk is full")
        await hearing.handle(stores, tx, events)

    written = [await book.happen() for _ in range(3)]
    second = written[1]
    await drain(book, Subscriber("test", handle, begins="oldest"), HURRIED)
    assert await book.heard() == written
    assert await book.one("SELECT count(*) FROM app.dead_letters") == 0


async def test_a_handler_that_hangs_is_a_failure(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer than the limit is stopped and counted, and its half-done work is gone."""
    monkeypatch.setattr(subscribers, "HANDLE_WITHIN_S", 0.05)

    async def handle(_stores: Any, tx: Any, events: Any) -> None:
        await tx.execute(HEAR, "test", events[0].event_id)
        await tx.execute("SELECT pg_sleep(30)")

    await book.happen()
    await drain(book, Subscriber("test", handle, begins="oldest"))
    assert await book.heard() == []
    assert await book.one("SELECT error FROM app.dead_letters") == "TimeoutError"


async def test_a_database_that_goes_away_is_nobodys_failure(book: Book) -> None:
    """The connection dies in the middle of the work: no try is counted, and the batch is done by another connection."""
    hearing = noting()
    deaths = 3

    async def handle(stores: Any, tx: Any, events: Any) -> None:
        nonlocal deaths
        await hearing.handle(stores, tx, events)
        if deaths:
            deaths -= 1
            await book.one("SELECT pg_terminate_backend($1)", await tx.fetchval("SELECT pg_backend_pid()"))
            await tx.execute("SELECT 1")

    written = [await book.happen(), await book.happen()]
    subscriber = Subscriber("test", handle, begins="oldest")
    await one_pass(book.stores, subscriber, HURRIED)
    for _ in range(3):
        with pytest.raises(subscribers.AWAY):
            await one_pass(book.stores, subscriber, HURRIED)
        assert await book.one(STANDING) == 0
    await drain(book, subscriber)
    assert await book.heard() == written


async def test_a_new_subscriber_begins_where_it_says(book: Book) -> None:
    """One begins with what happens next, one with the oldest row that is kept."""
    before = await book.happen()
    old, new = noting("old"), Subscriber("new", noting("new").handle)
    await drain(book, old)
    await drain(book, new)
    after = await book.happen()
    await drain(book, old)
    await drain(book, new)
    assert await book.heard("old") == [before, after]
    assert await book.heard("new") == [after]


async def test_polling_alone_is_enough(book: Book) -> None:
    """With nobody listening to NOTIFY, everything still comes."""
    stop = asyncio.Event()
    running = asyncio.create_task(subscribers.run(book.stores, stop, [noting()]))
    written = [await book.happen()]
    await until_heard(book, 1)
    written.append(await book.happen())
    assert await until_heard(book, 2) == written
    stop.set()
    await running


async def test_a_lost_listen_connection_is_noticed_and_made_again(book: Book) -> None:
    """The server ends the connection: it is made anew and wakes everybody, since a NOTIFY may have been missed."""
    listener = book.stores.listener
    listening = asyncio.create_task(listener.run(book.urls.app_url))
    stop = asyncio.Event()
    running = asyncio.create_task(subscribers.run(book.stores, stop, [noting()]))
    try:
        with listener.waking() as wake:
            async with asyncio.timeout(10):
                await wake.wait()
                await book.one(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE application_name = 'doorstep-listen' AND datname = current_database()"
                )
                while listener.up:
                    await asyncio.sleep(0.01)
                wake.clear()
                written = [await book.happen()]  # its NOTIFY reaches nobody
                await wake.wait()
                assert listener.made == 2
                wake.clear()
                written.append(await book.happen())
                await wake.wait()
        assert await until_heard(book, 2) == written
    finally:
        stop.set()
        listening.cancel()
        await asyncio.wait([listening, running])


async def test_another_life_of_the_database_loses_nothing_and_repeats_nothing(book: Book) -> None:
    """After a restore into a cluster whose transaction ids start anew: the unread first, then what happens there."""
    subscriber = noting()
    read = [await book.happen() for _ in range(3)]
    await drain(book, subscriber)
    unread = [await book.happen(), await book.happen("test.poison"), await book.happen()]
    await book.owner.execute(RESTORED)
    early = (
        await book.happen()
    )  # before anybody noticed the restore: its transaction id is lower than the cursor
    await drain(book, subscriber)
    late = await book.happen()
    await drain(book, subscriber)
    assert await book.heard() == [*read, unread[0], unread[2], early, late]
    assert await book.one("SELECT event_id FROM app.dead_letters") == unread[1]
    assert await book.one("SELECT count(*) FROM app.subscription_backlog") == 0
    await book.owner.execute(RESTORED)
    await drain(book, subscriber)
    assert len(await book.heard()) == 7


async def test_patience_is_bounded() -> None:
    """All tries together take between half a minute and two minutes."""
    waits = [subscribers.PATIENCE.delay(n) for n in range(1, subscribers.PATIENCE.attempts)]
    assert timedelta(seconds=30) < sum(waits, timedelta()) < timedelta(seconds=120)


async def test_a_dead_letter_is_replayed_once_and_audited(book: Book) -> None:
    """It is listed, fails again and stays open with its tries counted, then goes through and is closed for good."""
    well = False
    hearing = noting()

    async def handle(stores: Any, tx: Any, events: Any) -> None:
        if not well:
            raise ValueError("not yet")
        await hearing.handle(stores, tx, events)

    subscriber = Subscriber("test", handle, begins="oldest")
    event_id = await book.happen()
    await drain(book, subscriber)
    listed = await dead_letters.list_(book.stores, done=False, limit=10, cursor=None)
    assert isinstance(listed, Reply)
    (letter,) = listed.body["items"]
    assert (letter["name"], letter["event_id"], letter["attempts"]) == ("test", str(event_id), 3)
    context = Context(Actor(None, Role.FOUNDER), datetime.now(UTC), "test-replay")

    async def replay() -> Any:
        return await dead_letters.replay(
            book.stores, UUID(letter["dead_letter_id"]), context, known=[subscriber]
        )

    again = await replay()
    assert (again.body["state"], again.body["attempts"]) == ("open", 4)
    well = True
    assert (await replay()).body["state"] == "done"
    assert (await replay()).code == "dead_letter_state"
    assert await book.heard() == [event_id]
    outcomes = await book.owner.fetch(
        "SELECT data ->> 'outcome' AS outcome FROM audit.events WHERE action = 'dead_letter.replayed' ORDER BY audit_id"
    )
    assert [row["outcome"] for row in outcomes] == ["failed", "done"]
    listed = await dead_letters.list_(book.stores, done=True, limit=10, cursor=None)
    assert isinstance(listed, Reply)
    assert [item["event_id"] for item in listed.body["items"]] == [str(event_id)]


async def test_dead_letters_come_in_pages(book: Book) -> None:
    """Pages of two show all five, each once, newest first; a cursor of another list is refused."""
    poisons = [await book.happen("test.poison") for _ in range(5)]
    for _ in poisons:
        await drain(book, noting())
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await dead_letters.list_(book.stores, done=False, limit=2, cursor=cursor)
        assert isinstance(page, Reply)
        found += [item["event_id"] for item in page.body["items"]]
        cursor = page.body["next_cursor"]
        if cursor is None:
            break
    assert found == [str(event_id) for event_id in reversed(poisons)]
    assert isinstance(await dead_letters.list_(book.stores, done=False, limit=2, cursor="bm8"), Refusal)
