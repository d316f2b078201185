"""Two processes on one database and one Valkey, and one that starts anew: what was promised holds across them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from storage.embedded_valkey import EmbeddedValkey
from storage.hot import MemoryHot
from storage.hot_redis import open_redis_hot
from storage.telemetry import open_telemetry
from tests.integration.sockets import Exchange, Line, fix, now_ms, open_exchange
from tests.integration.world import HOME, World

FAR = (39.260, -76.600)


async def node(stack: AsyncExitStack, world: World, valkey: EmbeddedValkey) -> Exchange:
    """One more process of the same house, with its own writer of fixes."""
    hot = await stack.enter_async_context(open_redis_hot(valkey.url))
    telemetry = await stack.enter_async_context(open_telemetry(world.stores.db.url))
    stores = replace(world.stores, hot=hot, telemetry=telemetry)
    return await stack.enter_async_context(open_exchange(replace(world, stores=stores)))


@pytest.fixture
async def nodes(world: World, valkey: EmbeddedValkey) -> AsyncIterator[tuple[Exchange, Exchange]]:
    """Two processes."""
    async with AsyncExitStack() as stack:
        yield await node(stack, world, valkey), await node(stack, world, valkey)


async def test_positions_and_events_cross_nodes(nodes: tuple[Exchange, Exchange]) -> None:
    """A phone on one node, its customer and dispatcher on the other: position, frame, event and end arrive."""
    here, there = nodes
    world = here.world
    booking_id, session = await here.on_the_way()
    watcher = await there.connect("/gps", world.customers[0])
    assert (await watcher.ask("watch", {"booking_id": str(booking_id)}))["phase"] == "en_route"
    desk = await there.connect("/gps", world.dispatcher)
    await desk.ask("watch_map", {"all": True})
    phone = await here.connect("/gps", world.technicians[0])
    await phone.ask("fix", {"session_id": session, "fixes": [fix(1, now_ms(), *FAR)]})
    position = await watcher.hear("position")
    assert position["session_id"] == session
    assert (await desk.hear("frame"))["moved"][0][0] == str(booking_id)
    await here.command(booking_id, "arrive", world.technician(0))
    assert (await watcher.hear("ended", 1.0))["reason"] == "arrived"
    assert (await desk.hear("frame"))["gone"] == [str(booking_id)]


async def test_a_phone_that_changes_nodes_loses_nothing(nodes: tuple[Exchange, Exchange]) -> None:
    """The next owner continues with the track: fixes count once over both nodes, and the old socket is superseded."""
    here, there = nodes
    world = here.world
    booking_id, session = await here.on_the_way()
    watcher = await here.connect("/gps", world.customers[0])
    await watcher.ask("watch", {"booking_id": str(booking_id)})
    old = await here.connect("/gps", world.technicians[0])
    t = now_ms()
    await old.ask("fix", {"session_id": session, "device_id": "a", "fixes": [fix(1, t, *FAR)]})
    first = await watcher.hear("position")
    await asyncio.sleep(0.4)
    new = await there.connect("/gps", world.technicians[0])
    again = [fix(1, t, *FAR), fix(2, t + 1000, *FAR)]
    ack = await new.ask("fix", {"session_id": session, "device_id": "a", "fixes": again})
    assert (ack["acked_seq"], ack["counts"]["duplicate"], ack["counts"]["live"]) == (2, 1, 1)
    assert (await old.hear("superseded"))["session_id"] == session
    assert (await watcher.hear("position"))["n"] > first["n"]
    late = await old.ask("fix", {"session_id": session, "device_id": "a", "fixes": [fix(3, t + 2000, *FAR)]})
    assert late["rejected"] == [{"seq": 3, "reason": "superseded"}]


async def durable(phone: Line, session: str, seq: int, t: int) -> None:
    """Send fixes 1 to `seq` one by one, as a phone does, until all are durable; the second is malformed."""
    sent: list[dict[str, Any]] = [fix(n, t + n * 100, *FAR) for n in range(1, seq + 1)]
    sent[1]["lat"] = 999.0
    for each in sent:
        await phone.ask("fix", {"session_id": session, "device_id": "a", "fixes": [each]})
    await durable_at(phone, session, sent[-1], seq)


async def durable_at(phone: Line, session: str, last: dict[str, Any], seq: int) -> None:
    """Send the last fix again until `durable_seq` has reached it."""
    async with asyncio.timeout(5):
        while True:
            ack = await phone.ask("fix", {"session_id": session, "device_id": "a", "fixes": [last]})
            if (ack["acked_seq"], ack["durable_seq"]) == (seq, seq):
                return
            await asyncio.sleep(0.1)


async def test_what_is_durable_stays_so_on_another_node(nodes: tuple[Exchange, Exchange]) -> None:
    """A phone that forgot what was durable goes on with its next number alone, and that becomes durable too."""
    here, there = nodes
    _, session = await here.on_the_way()
    t = now_ms() - 5_000
    await durable(await here.connect("/gps", here.world.technicians[0]), session, 7, t)
    phone = await there.connect("/gps", here.world.technicians[0])
    await durable_at(phone, session, fix(8, t + 800, *FAR), 8)


async def test_what_is_durable_stays_so_after_a_restart(world: World) -> None:
    """With its hot state lost, too, a new process knows what was handled, the malformed number among it."""
    t = now_ms() - 5_000
    async with open_exchange(world) as before:
        _, session = await before.on_the_way()
        await durable(await before.connect("/gps", world.technicians[0]), session, 4, t)
    async with open_telemetry(world.stores.db.url) as telemetry:
        stores = replace(world.stores, hot=MemoryHot(), telemetry=telemetry)
        async with open_exchange(replace(world, stores=stores)) as after:
            phone = await after.connect("/gps", world.technicians[0])
            await durable_at(phone, session, fix(5, t + 500, *FAR), 5)


async def test_a_stranger_takes_no_session_from_its_owner(nodes: tuple[Exchange, Exchange]) -> None:
    """Another technician who knows a session's id is told that there is none, and its owner hears nothing of it."""
    here, there = nodes
    world = here.world
    _, session = await here.on_the_way()
    owner = await here.connect("/gps", world.technicians[0])
    await owner.ask("fix", {"session_id": session, "fixes": [fix(1, now_ms(), *FAR)]})
    stranger = await there.connect("/gps", world.technicians[1])
    answer = await stranger.ask("fix", {"session_id": session, "fixes": [fix(1, now_ms(), *FAR)]})
    assert answer["error"]["code"] == "not_found"
    await asyncio.sleep(0.5)
    assert owner.said() == []
    ack = await owner.ask("fix", {"session_id": session, "fixes": [fix(2, now_ms(), *FAR)]})
    assert (ack["acked_seq"], ack["rejected"]) == (2, [])


async def test_presence_and_revocation_cross_nodes(nodes: tuple[Exchange, Exchange]) -> None:
    """A word said on one node is seen on the other; a family revoked on one ends its sockets on the other."""
    here, there = nodes
    world = here.world
    desk = await there.connect("/presence", world.dispatcher)
    await desk.ask("watch", {})
    phone = await here.connect("/presence", world.technicians[0])
    await phone.ask("set", {"state": "available", "lat": HOME[0], "lon": HOME[1]})
    assert (await desk.hear("changed"))["state"] == "available"
    family = world.customers[0]
    line = await there.connect(
        "/bookings", auth={"token": await there.token(world.customers[0], family=family)}
    )
    await here.world.stores.hot.revoke_family(family, 60)
    assert (await line.hear("closing"))["reason"] == "token_revoked"


async def test_without_redis_bookings_go_on(nodes: tuple[Exchange, Exchange], valkey: EmbeddedValkey) -> None:
    """With Valkey gone events still reach every node, a node serves its own phones, and positions cross again later."""
    here, there = nodes
    world = here.world
    line = await there.connect("/bookings", world.customers[0])
    await line.ask("sync", {"cursor": None})
    valkey.stop()
    booking_id, session = await here.on_the_way()
    assert (await line.hear("event"))["type"] == "booking.requested"
    watcher = await here.connect("/gps", world.customers[0])
    await watcher.ask("watch", {"booking_id": str(booking_id)})
    remote = await there.connect("/gps", world.customers[0])
    await remote.ask("watch", {"booking_id": str(booking_id)})
    phone = await here.connect("/gps", world.technicians[0])
    t = now_ms()
    assert (await phone.ask("fix", {"session_id": session, "fixes": [fix(1, t, *FAR)]}))["counts"][
        "live"
    ] == 1
    assert (await watcher.hear("position"))["session_id"] == session
    valkey.start()
    async with asyncio.timeout(8):
        seq = 2
        while not any(name == "position" for name, _ in remote.said()):
            await phone.ask("fix", {"session_id": session, "fixes": [fix(seq, t + seq * 500, *FAR)]})
            seq += 1
            await asyncio.sleep(0.3)


async def test_a_restart_forgets_no_fix_and_no_marker(world: World) -> None:
    """A new process goes on from stored fixes: nothing counts twice, and the map shows the last place."""
    async with open_exchange(world) as before:
        _, session = await before.on_the_way()
        phone = await before.connect("/gps", world.technicians[0])
        t = now_ms()
        readings = [fix(n, t + n * 100, FAR[0] + n * 1e-5, FAR[1]) for n in range(1, 6)]
        await phone.ask("fix", {"session_id": session, "device_id": "a", "fixes": readings})
        async with asyncio.timeout(5):
            while world.stores.telemetry.waiting_rows:
                await asyncio.sleep(0.05)
    async with AsyncExitStack() as stack:
        telemetry = await stack.enter_async_context(open_telemetry(world.stores.db.url))
        stores = replace(world.stores, hot=MemoryHot(), telemetry=telemetry)
        after = await stack.enter_async_context(open_exchange(replace(world, stores=stores)))
        desk = await after.connect("/gps", world.dispatcher)
        async with asyncio.timeout(5):
            while not (rows := (await desk.ask("watch_map", {"all": True}))["rows"]):
                await asyncio.sleep(0.1)
        assert rows[0][2] == pytest.approx(FAR[0], abs=1e-3)
        phone = await after.connect("/gps", world.technicians[0])
        ack = await phone.ask(
            "fix", {"session_id": session, "device_id": "a", "fixes": [*readings, fix(6, t + 900, *FAR)]}
        )
        assert (ack["acked_seq"], ack["counts"]["duplicate"], ack["counts"]["live"]) == (6, 5, 1)
        assert ack["durable_seq"] == 5
