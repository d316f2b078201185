"""What happens without anybody's message: silence, absence, slowness, and connections that never say who they are."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from realtime import wire
from services.policy import Policy
from tests.conftest import Database
from tests.integration.sockets import Exchange, fix, now_ms, open_exchange
from tests.integration.world import open_world

FAR = (39.260, -76.600)
QUICK = Policy(fresh_within_s=1.0, lost_after_s=2.0, presence_ttl_s=3.0, presence_grace_s=0.5)


@asynccontextmanager
async def quick_exchange(database: Database) -> AsyncIterator[Exchange]:
    """Serve a world in which everything happens within seconds."""
    async with (
        open_world(database.app_url, database.owner_url, QUICK) as world,
        open_exchange(world) as opened,
    ):
        yield opened


@pytest.fixture
async def exchange(database: Database) -> AsyncIterator[Exchange]:
    """The realtime door of a quick world."""
    async with quick_exchange(database) as opened:
        yield opened


async def test_silence_is_told(exchange: Exchange) -> None:
    """A phone that falls silent turns delayed and then lost, for the customer and on the map, with growing n."""
    world = exchange.world
    booking_id, session = await exchange.on_the_way()
    watcher = await exchange.connect("/gps", world.customers[0])
    await watcher.ask("watch", {"booking_id": str(booking_id)})
    desk = await exchange.connect("/gps", world.dispatcher)
    await desk.ask("watch_map", {"all": True})
    phone = await exchange.connect("/gps", world.technicians[0])
    await phone.ask("fix", {"session_id": session, "fixes": [fix(1, now_ms(), *FAR)]})
    heard = [await watcher.hear("position") for _ in range(3)]
    assert [position["freshness"] for position in heard] == ["live", "delayed", "lost"]
    assert heard[0]["n"] < heard[1]["n"] < heard[2]["n"]
    assert heard[2]["age_s"] >= 2
    rows = [(await desk.hear("frame"))["moved"][0] for _ in range(3)]
    assert [row[-1] for row in rows] == ["live", "delayed", "lost"]
    answer = await watcher.ask("watch", {"booking_id": str(booking_id)})
    assert answer["freshness"] == "lost"
    await phone.ask("fix", {"session_id": session, "fixes": [fix(2, now_ms(), *FAR)]})
    back = await watcher.hear("position")
    assert back["freshness"] == "live"
    assert back["n"] > heard[2]["n"]


async def test_absence_is_noticed_after_the_grace_time(exchange: Exchange) -> None:
    """A technician without any socket is offline after the grace time; a quick return is no absence."""
    world = exchange.world
    desk = await exchange.connect("/presence", world.dispatcher)
    await desk.ask("watch", {})
    phone = await exchange.connect("/presence", world.technicians[0])
    await phone.ask("set", {"state": "available"})
    assert (await desk.hear("changed"))["state"] == "available"
    await phone.client.disconnect()
    back = await exchange.connect("/presence", world.technicians[0])
    await asyncio.sleep(2.0)
    assert desk.said() == []
    await back.client.disconnect()
    assert (await desk.hear("changed"))["state"] == "offline"
    await exchange.connect("/presence", world.technicians[0])
    assert (await desk.hear("changed"))["state"] == "available"


async def test_lease_outlives_its_time_to_live_while_connected(exchange: Exchange) -> None:
    """A device that stays connected stays present without saying anything."""
    world = exchange.world
    desk = await exchange.connect("/presence", world.dispatcher)
    await desk.ask("watch", {})
    phone = await exchange.connect("/presence", world.technicians[0])
    await phone.ask("set", {"state": "available"})
    await desk.hear("changed")
    await asyncio.sleep(4.0)
    assert desk.said() == []


async def test_a_technician_on_the_way_is_busy(exchange: Exchange) -> None:
    """The booking decides before the word: busy while on the way, also without a socket, and free again after."""
    world = exchange.world
    desk = await exchange.connect("/presence", world.dispatcher)
    await desk.ask("watch", {})
    phone = await exchange.connect("/presence", world.technicians[0])
    await phone.ask("set", {"state": "available"})
    await desk.hear("changed")
    booking_id, _ = await exchange.on_the_way()
    assert (await desk.hear("changed"))["state"] == "busy"
    assert (await phone.ask("set", {"state": "available"}))["state"] == "busy"
    await exchange.command(booking_id, "cancel", world.technician(0), "engine trouble")
    assert (await desk.hear("changed"))["state"] == "available"


async def test_who_never_joins_is_let_go(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that joins no namespace is closed."""
    monkeypatch.setattr(wire, "JOIN_WITHIN_S", 0.5)
    url = f"{exchange.url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        assert (await socket.receive()).type is aiohttp.WSMsgType.TEXT
        async with asyncio.timeout(5):
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                continue


async def test_a_slow_reader_holds_nobody_up(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lets too much wait is ended as slow; memory stays bounded, and other readers get everything."""
    monkeypatch.setattr(wire, "MAX_QUEUED", 20)
    world = exchange.world
    good = await exchange.connect("/bookings", world.customers[0])
    await good.ask("sync", {"cursor": None})
    door = exchange.realtime._wire
    url = f"{exchange.url}/socket.io/?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as slow:
        auth = json.dumps({"token": await exchange.token(world.customers[0])})
        await slow.send_str(f"40/bookings,{auth}")
        sid = ""
        while not sid:
            frame = (await slow.receive()).data
            sid = json.loads(frame.split(",", 1)[1])["sid"] if frame.startswith("40/bookings") else ""
        victim = door.clients["/bookings", sid]  # from here on it reads nothing more
        async with asyncio.timeout(20):
            while not victim.ending:
                door.send([victim], "event", {"padding": "x" * 60_000})
                await asyncio.sleep(0)
            while ("/bookings", sid) in door.clients:
                await asyncio.sleep(0.05)
        booking_id = await world.book()
        assert (await good.hear("event"))["booking_id"] == str(booking_id)


async def test_a_slow_watcher_gets_fewer_and_never_older(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a watcher does not read, positions are held back; what it reads then is the newest alone."""
    world = exchange.world
    booking_id, session = await exchange.on_the_way()
    watcher = await exchange.connect("/gps", world.customers[0])
    await watcher.ask("watch", {"booking_id": str(booking_id)})
    door = exchange.realtime._wire
    (client,) = [c for c in door.clients.values() if c.sid == watcher.client.get_sid("/gps")]
    phone = await exchange.connect("/gps", world.technicians[0])
    busy = True
    really = door.busy
    monkeypatch.setattr(door, "busy", lambda each: busy if each is client else really(each))
    t = now_ms()
    for seq in range(1, 9):
        await phone.ask(
            "fix", {"session_id": session, "fixes": [fix(seq, t + seq * 50, FAR[0] + seq * 1e-5, FAR[1])]}
        )
    assert watcher.said() == []
    busy = False
    newest = await watcher.hear("position")
    assert newest["t"] == t + 400
    await asyncio.sleep(0.3)
    assert [data for name, data in watcher.said() if name == "position" and data["freshness"] == "live"] == []
