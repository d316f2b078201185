"""No gap under any commit order: the tail of the outbox, and the seam between history and live."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services import feed
from services.stores import Stores
from storage.outbox import START, Place
from tests.integration.sockets import Exchange, open_exchange
from tests.integration.world import AREA, World

EVENT = """
INSERT INTO app.booking_events (event_id, booking_id, seq, type, at, actor_role, correlation_id, data)
VALUES ($1, $2, $3, 'booking.noted', now(), 'customer', 'test-relay', '{"kind": "message"}')
"""
OUTBOX = """
INSERT INTO app.outbox (event_id, topic, booking_id, area_id, audience, correlation_id, at)
VALUES ($1, 'booking.noted', $2, $3, $4, 'test-relay', now())
"""


@pytest.fixture
async def exchange(world: World) -> AsyncIterator[Exchange]:
    """The realtime door of the world."""
    async with open_exchange(world) as opened:
        yield opened


async def happen(connection: Any, booking_id: UUID, customer_id: UUID, seq: int) -> UUID:
    """Write one event of a booking as the journal would, in the caller's transaction."""
    event_id = uuid4()
    await connection.execute(EVENT, event_id, booking_id, seq)
    await connection.execute(OUTBOX, event_id, booking_id, AREA, [customer_id])
    return event_id


async def test_earlier_transaction_that_commits_later_is_not_lost(exchange: Exchange) -> None:
    """What began first and commits last holds the rest back, and then comes first: the reader misses neither."""
    world = exchange.world
    booking_id = await world.book()
    line = await exchange.connect("/bookings", world.customers[0])
    await line.ask("sync", {"cursor": None})
    slow, quick = await asyncpg.connect(world.owner_url), await asyncpg.connect(world.owner_url)
    try:
        holding = slow.transaction()
        await holding.start()
        first = await happen(slow, booking_id, world.customers[0], 1001)
        second = await happen(quick, booking_id, world.customers[0], 1002)
        await asyncio.sleep(1.5)
        assert line.said() == []
        await holding.commit()
        heard = [(await line.hear("event"))["event_id"] for _ in range(2)]
        assert heard == [str(first), str(second)]
    finally:
        await slow.close()
        await quick.close()


async def test_a_storm_of_commits_arrives_whole(exchange: Exchange) -> None:
    """Sixty transactions end in any order, some roll back: a live reader and one by cursor get all, in one order."""
    world = exchange.world
    booking_id = await world.book()
    line = await exchange.connect("/bookings", world.customers[0])
    start = (await line.ask("sync", {"cursor": None}))["cursor"]
    pool = await asyncpg.create_pool(world.owner_url, min_size=8, max_size=8)
    rng = random.Random(7)
    done: list[str] = []

    async def one(seq: int) -> None:
        await asyncio.sleep(rng.random())
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            event_id = await happen(connection, booking_id, world.customers[0], seq)
            await asyncio.sleep(rng.random() * 0.2)
            if seq % 7 == 0:
                await transaction.rollback()
            else:
                await transaction.commit()
                done.append(str(event_id))

    try:
        await asyncio.gather(*(one(seq) for seq in range(2000, 2060)))
        live = [(await line.hear("event"))["event_id"] for _ in done]
        assert sorted(live) == sorted(done)
        back = await exchange.connect("/bookings", world.customers[0])
        answer = await back.ask("sync", {"cursor": start})
        assert [event["event_id"] for event in answer["events"]] == live
    finally:
        await pool.close()


async def test_history_meets_the_present_without_a_gap(exchange: Exchange) -> None:
    """Sockets that sync while events pour in get every event once they are live; copies are told by event_id."""
    world = exchange.world
    booking_id = await world.book()
    cursor = (await (await exchange.connect("/bookings", world.customers[0])).ask("sync", {"cursor": None}))[
        "cursor"
    ]
    writer = await asyncpg.connect(world.owner_url)
    written: list[str] = []

    async def pour() -> None:
        for seq in range(3000, 3150):
            event_id = await happen(writer, booking_id, world.customers[0], seq)
            written.append(str(event_id))

    async def read() -> set[str]:
        await asyncio.sleep(random.random() * 0.2)
        line = await exchange.connect("/bookings", world.customers[0])
        found: list[str] = []
        at, more = cursor, True
        while more:
            answer = await line.ask("sync", {"cursor": at})
            found += [event["event_id"] for event in answer["events"]]
            at, more = answer["cursor"], answer["more"]
        await pouring
        await asyncio.sleep(1.5)
        found += [data["event_id"] for name, data in line.said() if name == "event"]
        return set(found)

    pouring = asyncio.ensure_future(pour())
    try:
        for found in await asyncio.gather(*(read() for _ in range(6))):
            assert set(written) <= found
    finally:
        await pouring
        await writer.close()


async def test_what_happens_during_a_first_sync_is_not_lost(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay passes an event between the present that a null sync read and its answer: the reader has it anyway."""
    really = feed.head

    async def slow(stores: Stores) -> Place:
        place = await really(stores)
        await asyncio.sleep(1.0)
        return place

    line = await exchange.connect("/bookings", exchange.world.customers[0])
    monkeypatch.setattr(feed, "head", slow)
    syncing = asyncio.ensure_future(line.ask("sync", {"cursor": None}))
    await asyncio.sleep(0.3)
    await exchange.world.book()
    answer = await syncing
    assert answer["more"] is False
    await asyncio.sleep(1.5)
    told = answer["events"] + [data for name, data in line.said() if name == "event"]
    assert "booking.requested" in {event["type"] for event in told}


async def test_who_is_dropped_during_a_sync_is_forgotten(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that ends while its sync reads leaves nothing behind."""
    really = feed.head

    async def ended(stores: Stores) -> Place:
        (client,) = wire.clients.values()
        wire.drop(client, "token_revoked")
        await line.down.wait()
        return await really(stores)

    monkeypatch.setattr(feed, "head", ended)
    wire = exchange.realtime._wire
    door = wire.sio.namespace_handlers["/bookings"]
    line = await exchange.connect("/bookings", exchange.world.customers[0])
    await line.client.emit("sync", {"cursor": None}, namespace="/bookings")
    async with asyncio.timeout(5):
        await line.down.wait()
        while wire.clients or door._feeds:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert (door._feeds, door.readers({"audience": exchange.world.customers})) == ({}, set())


async def test_lost_listener_only_slows(exchange: Exchange) -> None:
    """When the connection that listens is killed, polling goes on delivering, and it listens again."""
    world = exchange.world
    line = await exchange.connect("/bookings", world.customers[0])
    await line.ask("sync", {"cursor": None})
    owner = await asyncpg.connect(world.owner_url)
    killed = await owner.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'doorstep-listen'"
        " AND datname = current_database()"
    )
    await owner.close()
    assert killed == 1
    booking_id = await world.book()
    assert (await line.hear("event"))["booking_id"] == str(booking_id)


async def test_cursor_of_another_life_expires(exchange: Exchange) -> None:
    """After a restore the epoch differs: every cursor from before is told to start over."""
    world = exchange.world
    line = await exchange.connect("/bookings", world.customers[0])
    cursor = (await line.ask("sync", {"cursor": None}))["cursor"]
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute("UPDATE app.epoch SET epoch = 'another'")
    await owner.close()
    assert (await line.ask("sync", {"cursor": cursor}))["error"]["code"] == "cursor_expired"


async def test_cursor_whose_row_is_gone_expires(world: World) -> None:
    """A cursor with a row behind it that is not kept has expired, though an older row is; the one at it has not."""
    await world.book()
    stores = world.stores
    epoch = await feed.epoch(stores)
    head = await feed.head(stores)
    assert await feed.place_of(stores, feed.encode_cursor(epoch, head)) == head
    assert await feed.place_of(stores, feed.encode_cursor(epoch, START)) == START
    ahead = feed.encode_cursor(epoch, Place(head.xid + 10_000, 1))
    assert await feed.place_of(stores, ahead) == feed.EXPIRED
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute("DELETE FROM app.outbox WHERE outbox_id = $1", head.outbox_id)
    await owner.close()
    assert await feed.place_of(stores, feed.encode_cursor(epoch, head)) == head
    before = feed.encode_cursor(epoch, Place(head.xid, head.outbox_id - 1))
    for gone in (before, feed.encode_cursor(epoch, START)):
        assert await feed.place_of(stores, gone) == feed.EXPIRED


ALERT = """
INSERT INTO app.outbox (event_id, topic, booking_id, area_id, audience, correlation_id, at, payload)
VALUES ($1, 'alert.raised', $2, $3, '{}', 'test-relay', now(), $4)
"""
UNREADABLE = EVENT.replace("""'{"kind": "message"}'""", "'[1]'")


async def until(owner: Any, sql: str, *given: Any) -> Any:
    """Wait until a query returns a row."""
    async with asyncio.timeout(10):
        while (row := await owner.fetchrow(sql, *given)) is None:
            await asyncio.sleep(0.02)
    return row


async def test_an_alert_goes_to_the_dispatchers_of_its_area_alone(exchange: Exchange) -> None:
    """It arrives as it was written, is never part of a sync, and how many it reached is noted."""
    world = exchange.world
    booking_id = await world.book()
    lines = [
        await exchange.connect("/bookings", who)
        for who in (world.dispatcher, world.customers[0], world.founder)
    ]
    cursors = [(await line.ask("sync", {"cursor": None}))["cursor"] for line in lines]
    told = {"alert_id": str(uuid4()), "kind": "silent", "booking_id": str(booking_id), "state": "raised",
            "at": "2026-11-24T00:00:00.000Z", "data": {"silent_s": 90}}  # fmt: skip
    owner = await asyncpg.connect(world.owner_url)
    try:
        alert_id = uuid4()
        for area_id, event_id in ((uuid4(), uuid4()), (AREA, alert_id)):
            await owner.execute(ALERT, event_id, booking_id, area_id, json.dumps(told))
        await happen(owner, booking_id, world.customers[0], 1001)
        assert await lines[0].hear("alert") == told
        for line in lines:
            await line.hear("event")
            assert [name for name, _ in line.said() if name == "alert"] == []
        noted = await until(owner, "SELECT * FROM app.relayed WHERE event_id = $1", alert_id)
        assert noted["sockets"] == 1
    finally:
        await owner.close()
    back = await exchange.connect("/bookings", world.dispatcher)
    answer = await back.ask("sync", {"cursor": cursors[0]})
    assert [event["type"] for event in answer["events"]] == ["booking.noted"]


async def test_a_row_that_cannot_be_shown_ends_no_stream(exchange: Exchange) -> None:
    """It is laid down, those whom it concerns start over, everybody else hears on, and no sync is stuck at it."""
    world = exchange.world
    bookings = [await world.book(customer=n, asked=(n,)) for n in (0, 1)]
    concerned, other = [await exchange.connect("/bookings", who) for who in world.customers]
    cursor = (await concerned.ask("sync", {"cursor": None}))["cursor"]
    await other.ask("sync", {"cursor": None})
    owner = await asyncpg.connect(world.owner_url)
    try:
        bad_id = uuid4()
        async with owner.transaction():
            good_id = await happen(owner, bookings[0], world.customers[0], 1001)
            await owner.execute(UNREADABLE, bad_id, bookings[0], 1002)
            await owner.execute(OUTBOX, bad_id, bookings[0], AREA, [world.customers[0]])
            later_id = await happen(owner, bookings[1], world.customers[1], 1001)
        assert (await concerned.hear("event"))["event_id"] == str(good_id)
        assert (await other.hear("event"))["event_id"] == str(later_id)
        assert (await concerned.hear("closing"))["reason"] == "restart"
        letter = await until(owner, "SELECT * FROM app.dead_letters")
        assert (letter["subscriber"], letter["event_id"]) == ("relay", bad_id)
    finally:
        await owner.close()
    back = await exchange.connect("/bookings", world.customers[0])
    assert (await back.ask("sync", {"cursor": cursor}))["error"]["code"] == "cursor_expired"
    assert (await back.ask("sync", {"cursor": None}))["more"] is False
