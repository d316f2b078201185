"""The realtime door over real stores: who comes in, what they hear, and what ends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from socketio.exceptions import ConnectionError as NotConnected

from services import sharing
from services.reply import Reply
from storage.ids import new_id
from tests.integration.sockets import Exchange, fix, now_ms, open_exchange
from tests.integration.world import HOME, World

FAR = (39.260, -76.600)  # about 4 km from the door
OPENING = "?EIO=4&transport=polling"


@pytest.fixture
async def exchange(world: World) -> AsyncIterator[Exchange]:
    """The realtime door of the world."""
    async with open_exchange(world) as opened:
        yield opened


async def refused(exchange: Exchange, namespace: str, auth: dict[str, Any]) -> str:
    """Return the code with which a connection was refused."""
    codes: list[Any] = []
    import socketio  # noqa: PLC0415 - a raw client, for its connect_error

    client = socketio.AsyncClient(reconnection=False, handle_sigint=False)
    client.on("connect_error", codes.append, namespace=namespace)
    with pytest.raises(NotConnected):
        await client.connect(
            exchange.url, auth=auth, namespaces=[namespace], transports=["websocket"], wait_timeout=5
        )
    await client.disconnect()
    return str(codes[0]["data"]["code"])


async def test_only_who_may_comes_in(exchange: Exchange) -> None:
    """Nobody, a forged token, a spent one and an unknown share are refused with their code."""
    customer = exchange.world.customers[0]
    assert await refused(exchange, "/bookings", {}) == "unauthenticated"
    assert await refused(exchange, "/bookings", {"token": "forged"}) == "unauthenticated"
    assert (
        await refused(exchange, "/bookings", {"token": await exchange.token(customer, ttl_s=-1)})
        == "token_expired"
    )
    assert await refused(exchange, "/gps", {"share": "unknown"}) == "not_found"
    assert await refused(exchange, "/bookings", {"share": "unknown"}) == "forbidden"
    assert await refused(exchange, "/presence", {"token": await exchange.token(customer)}) == "forbidden"


async def test_foreign_origin_is_refused(exchange: Exchange) -> None:
    """A browser of another site gets 403; the page's own origin and an app without one get in."""
    url = f"{exchange.url}/socket.io/{OPENING}"
    async with aiohttp.ClientSession() as http:
        async with http.get(url, headers={"Origin": "https://evil.example"}) as answer:
            assert answer.status == 403
        async with http.get(url, headers={"Origin": exchange.url}) as answer:
            assert answer.status == 200
        async with http.get(url) as answer:
            assert answer.status == 200


async def test_allowed_origin_gets_in(world: World) -> None:
    """An origin that the settings name may connect, and its browser may read the answer."""
    async with (
        open_exchange(world, allowed_origins=("https://app.example",)) as exchange,
        aiohttp.ClientSession() as http,
    ):
        url = f"{exchange.url}/socket.io/{OPENING}"
        async with http.get(url, headers={"Origin": "https://app.example"}) as answer:
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


async def test_sync_then_live(exchange: Exchange) -> None:
    """A socket hears nothing before its sync, then what concerns it, live and in order."""
    world = exchange.world
    line = await exchange.connect("/bookings", world.customers[0])
    other = await exchange.connect("/bookings", world.customers[1])
    dispatch = await exchange.connect("/bookings", world.dispatcher)
    for each in (line, other, dispatch):
        answer = await each.ask("sync", {"cursor": None})
        assert answer["ok"], answer
        assert (answer["events"], answer["more"]) == ([], False)
    booking_id = await world.book()
    event = await line.hear("event")
    assert (event["type"], event["booking_id"]) == ("booking.requested", str(booking_id))
    assert event["booking"]["address"]["line1"] == "12 Harbor Street"
    await exchange.command(booking_id, "accept", world.technician(0))
    types = [(await line.hear("event"))["type"] for _ in range(2)]
    assert sorted(types) == ["booking.accepted", "payment.authorized"]
    assert (await dispatch.hear("event"))["booking_id"] == str(booking_id)
    assert other.said() == []


async def test_cursor_recovers_what_was_missed(exchange: Exchange) -> None:
    """After an absence a cursor brings everything since, once and in order, and then the live ones."""
    world = exchange.world
    line = await exchange.connect("/bookings", world.customers[0])
    cursor = (await line.ask("sync", {"cursor": None}))["cursor"]
    await line.client.disconnect()
    booking_id = await world.book()
    await exchange.command(booking_id, "accept", world.technician(0))
    back = await exchange.connect("/bookings", world.customers[0])
    answer = await back.ask("sync", {"cursor": cursor})
    types = [event["type"] for event in answer["events"]]
    assert {"booking.requested", "booking.accepted"} <= set(types)
    assert answer["more"] is False
    assert [e["seq"] for e in answer["events"]] == list(range(1, len(types) + 1))
    again = await back.ask("sync", {"cursor": answer["cursor"]})
    assert again["events"] == []
    await exchange.command(booking_id, "depart", world.technician(0))
    assert (await back.hear("event"))["type"] == "booking.departed"


async def test_foreign_cursor_expires(exchange: Exchange) -> None:
    """A cursor that is not ours, or of another life of the database, is told so."""
    line = await exchange.connect("/bookings", exchange.world.customers[0])
    for cursor in ("nonsense", "b3RoZXJ8MXwx", ""):
        answer = await line.ask("sync", {"cursor": cursor})
        assert answer["error"]["code"] == "cursor_expired"
    missing = await line.ask("sync", {})
    assert missing["error"]["code"] == "validation"


async def test_technician_taken_off_hears_it_last(exchange: Exchange) -> None:
    """After a reassignment the one taken off hears that and nothing more, and not for whom it was."""
    world = exchange.world
    booking_id = await world.book(asked=(0,))
    await exchange.command(booking_id, "accept", world.technician(0))
    line = await exchange.connect("/bookings", world.technicians[0])
    await line.ask("sync", {"cursor": None})
    await exchange.command(booking_id, "reassign", world.dispatch(), world.technicians[1], "sick")
    event = await line.hear("event")
    assert event["type"] == "booking.reassigned"
    assert event["booking"]["technician"] is None
    assert "line1" not in event["booking"]["address"]
    await exchange.command(booking_id, "accept", world.technician(1))
    await asyncio.sleep(1.0)
    assert line.said() == []


async def test_fix_reaches_the_customer(exchange: Exchange) -> None:
    """A fix is acknowledged and reaches the customer; far away as an area, with its ETA, near by exactly."""
    world = exchange.world
    booking_id, session = await exchange.on_the_way()
    watcher = await exchange.connect("/gps", world.customers[0])
    answer = await watcher.ask("watch", {"booking_id": str(booking_id)})
    assert (answer["phase"], answer["position"], answer["freshness"]) == ("en_route", None, None)
    phone = await exchange.connect("/gps", world.technicians[0])
    t = now_ms()
    ack = await phone.ask("fix", {"session_id": session, "device_id": "a", "fixes": [fix(1, t, *FAR)]})
    assert ack["ok"], ack
    assert (ack["acked_seq"], ack["counts"]["live"], ack["rejected"]) == (1, 1, [])
    position = await watcher.hear("position")
    assert position["session_id"] == session
    assert position["eta"] is not None
    assert position["freshness"] == "live"
    again = await phone.ask("fix", {"session_id": session, "device_id": "a", "fixes": [fix(1, t, *FAR)]})
    assert again["counts"] == {"live": 0, "late": 0, "duplicate": 1, "rejected": 0}
    near = await phone.ask(
        "fix",
        {
            "session_id": session,
            "device_id": "a",
            "fixes": [fix(n, t + n * 1000, FAR[0] + n * 1e-4, FAR[1]) for n in (2, 3)],
        },
    )
    assert near["acked_seq"] == 3
    later = await watcher.hear("position")
    assert later["n"] > position["n"]
    async with asyncio.timeout(5):
        while (await phone.ask("fix", {"session_id": session, "device_id": "a", "fixes": [fix(3, t, *FAR)]}))[
            "durable_seq"
        ] < 3:
            await asyncio.sleep(0.1)


async def test_area_hides_what_is_far(exchange: Exchange) -> None:
    """While arrival is more than twenty minutes off, the watcher sees a cell's centre and no heading, speed or way."""
    booking_id, session = await exchange.on_the_way()
    watcher = await exchange.connect("/gps", exchange.world.customers[0])
    await watcher.ask("watch", {"booking_id": str(booking_id)})
    phone = await exchange.connect("/gps", exchange.world.technicians[0])
    away = (HOME[0] + 0.4, HOME[1])
    await phone.ask(
        "fix", {"session_id": session, "fixes": [fix(1, now_ms(), *away, hdg_deg=10.0, spd_mps=12.0)]}
    )
    position = await watcher.hear("position")
    assert position["precision"] == "area"
    assert (position["hdg_deg"], position["spd_mps"], position["remaining_m"]) == (None, None, None)
    assert (position["lat"], position["lon"]) != away
    assert abs(position["lat"] - away[0]) < 0.01


async def test_bad_fixes_cost_only_themselves(exchange: Exchange) -> None:
    """An unreadable reading is refused by its number; the others of its message count."""
    _, session = await exchange.on_the_way()
    phone = await exchange.connect("/gps", exchange.world.technicians[0])
    t = now_ms()
    bad = {"seq": 2, "t": t, "lat": 999, "lon": 0}
    odd = {"seq": 3, "t": "now", "lat": 1, "lon": 0}
    future = fix(4, t + 3_600_000, *FAR)
    before = fix(5, t - 3_600_000, *FAR)
    ack = await phone.ask(
        "fix", {"session_id": session, "fixes": [fix(1, t, *FAR), bad, odd, future, before]}
    )
    assert {r["seq"]: r["reason"] for r in ack["rejected"]} == {
        2: "invalid",
        3: "invalid",
        4: "future",
        5: "before_session",
    }
    assert ack["counts"]["live"] == 1
    assert ack["acked_seq"] == 5


async def test_other_sessions_do_not_exist(exchange: Exchange) -> None:
    """A technician cannot send for another's session, nor a customer watch another's visit."""
    booking_id, session = await exchange.on_the_way()
    thief = await exchange.connect("/gps", exchange.world.technicians[1])
    ack = await thief.ask("fix", {"session_id": session, "fixes": [fix(1, now_ms(), *FAR)]})
    assert ack["error"]["code"] == "not_found"
    curious = await exchange.connect("/gps", exchange.world.customers[1])
    answer = await curious.ask("watch", {"booking_id": str(booking_id)})
    assert answer["error"]["code"] == "not_found"
    own = await exchange.connect("/gps", exchange.world.technicians[0])
    assert (await own.ask("watch", {"booking_id": str(booking_id)}))["error"]["code"] == "forbidden"
    assert (await curious.ask("fix", {"session_id": session, "fixes": []}))["error"]["code"] == "forbidden"
    assert (await curious.ask("watch_map", {"all": True}))["error"]["code"] == "forbidden"


async def test_second_device_takes_over(exchange: Exchange) -> None:
    """A second device takes the session over with its own numbers; the first is told and refused."""
    _, session = await exchange.on_the_way()
    first = await exchange.connect("/gps", exchange.world.technicians[0])
    second = await exchange.connect("/gps", exchange.world.technicians[0])
    t = now_ms()
    await first.ask(
        "fix", {"session_id": session, "device_id": "a", "fixes": [fix(n, t, *FAR) for n in (1, 2)]}
    )
    ack = await second.ask(
        "fix", {"session_id": session, "device_id": "b", "fixes": [fix(1, t + 1000, *FAR)]}
    )
    assert (ack["acked_seq"], ack["counts"]["live"]) == (1, 1)
    assert (await first.hear("superseded"))["session_id"] == session
    ack = await first.ask("fix", {"session_id": session, "device_id": "a", "fixes": [fix(3, t + 2000, *FAR)]})
    assert ack["rejected"] == [{"seq": 3, "reason": "superseded"}]
    again = await second.ask(
        "fix", {"session_id": session, "device_id": "b", "fixes": [fix(2, t + 2000, *FAR)]}
    )
    assert again["acked_seq"] == 2


async def test_a_superseded_phone_hands_its_buffer_in_after_the_leg(exchange: Exchange) -> None:
    """What a phone that lost its place still holds of the leg comes in as late once the leg has ended."""
    booking_id, session = await exchange.on_the_way()
    first = await exchange.connect("/gps", exchange.world.technicians[0])
    second = await exchange.connect("/gps", exchange.world.technicians[0])
    t = now_ms()
    await first.ask("fix", {"session_id": session, "device_id": "a", "fixes": [fix(1, t, *FAR)]})
    await second.ask("fix", {"session_id": session, "device_id": "b", "fixes": [fix(1, t + 500, *FAR)]})
    await exchange.command(booking_id, "arrive", exchange.world.technician(0))
    await asyncio.sleep(1.5)  # the ending reaches the process by its own tail
    ack = await first.ask("fix", {"session_id": session, "device_id": "a", "fixes": [fix(2, t + 400, *FAR)]})
    assert (ack["counts"]["late"], ack["rejected"]) == (1, [])


async def test_arrival_ends_the_watch_and_late_fixes_are_stored(exchange: Exchange) -> None:
    """When the technician arrives, watchers hear `ended` and nothing after it; buffered fixes still count as late."""
    world = exchange.world
    booking_id, session = await exchange.on_the_way()
    watcher = await exchange.connect("/gps", world.customers[0])
    await watcher.ask("watch", {"booking_id": str(booking_id)})
    phone = await exchange.connect("/gps", world.technicians[0])
    t = now_ms()
    await phone.ask("fix", {"session_id": session, "fixes": [fix(1, t, *FAR)]})
    await watcher.hear("position")
    await exchange.command(booking_id, "arrive", world.technician(0))
    ended = await watcher.hear("ended", within_s=1.0)
    assert ended == {"booking_id": str(booking_id), "reason": "arrived"}
    await asyncio.sleep(0.6)
    ack = await phone.ask(
        "fix", {"session_id": session, "fixes": [fix(2, t + 10, *FAR), fix(3, now_ms() + 60_000, *FAR)]}
    )
    assert (ack["counts"]["late"], ack["rejected"]) == (1, [{"seq": 3, "reason": "after_session"}])
    await asyncio.sleep(0.5)
    assert watcher.said() == []
    answer = await watcher.ask("watch", {"booking_id": str(booking_id)})
    assert (answer["phase"], answer["position"]) == ("arrived", None)


async def test_detector_arrives_by_itself(exchange: Exchange) -> None:
    """A phone that stands at the door for a while arrives without a button; near is told once before."""
    world = exchange.world
    _, session = await exchange.on_the_way()
    line = await exchange.connect("/bookings", world.customers[0])
    await line.ask("sync", {"cursor": None})
    phone = await exchange.connect("/gps", world.technicians[0])
    began = now_ms() - 25_000
    readings = [fix(n, began + n * 1000, *HOME, spd_mps=0.0) for n in range(1, 26)]
    ack = await phone.ask("fix", {"session_id": session, "fixes": readings})
    assert ack["counts"]["live"] == 25, ack
    assert (await line.hear("event"))["type"] == "booking.near"
    if not any(name == "event" and e["type"] == "booking.arrived" for name, e in line.said()):
        await phone.ask("fix", {"session_id": session, "fixes": [fix(26, now_ms(), *HOME, spd_mps=0.0)]})
        assert (await line.hear("event"))["type"] == "booking.arrived"


async def test_reassignment_ends_the_leg_and_the_links(exchange: Exchange) -> None:
    """A reassignment ends the watch within a second, kills the share's socket, and the customer gets the next leg."""
    world = exchange.world
    booking_id, session = await exchange.on_the_way()
    made = await sharing.create(world.stores, booking_id, "neighbour", world.context(world.customer(0)))
    assert isinstance(made, Reply)
    watcher = await exchange.connect("/gps", world.customers[0])
    await watcher.ask("watch", {"booking_id": str(booking_id)})
    link = await exchange.connect("/gps", auth={"share": made.body["token"]})
    assert (await link.ask("watch", {}))["phase"] == "en_route"
    phone = await exchange.connect("/gps", world.technicians[0])
    await phone.ask("fix", {"session_id": session, "fixes": [fix(1, now_ms(), *FAR)]})
    assert (await watcher.hear("position"))["n"] == (await link.hear("position"))["n"]
    await exchange.command(booking_id, "reassign", world.dispatch(), world.technicians[1], "sick")
    assert (await watcher.hear("ended", 1.0))["reason"] == "reassigned"
    assert (await link.hear("ended", 1.0))["reason"] == "reassigned"
    async with asyncio.timeout(2):
        await link.down.wait()
    await exchange.command(booking_id, "accept", world.technician(1))
    body = await exchange.command(booking_id, "depart", world.technician(1))
    next_phone = await exchange.connect("/gps", world.technicians[1])
    await phone.ask("fix", {"session_id": session, "fixes": [fix(2, now_ms(), *FAR)]})
    await next_phone.ask("fix", {"session_id": body["gps_session_id"], "fixes": [fix(1, now_ms(), *FAR)]})
    assert (await watcher.hear("position"))["session_id"] == body["gps_session_id"]


async def test_dispatcher_frames(exchange: Exchange) -> None:
    """A dispatcher gets all legs in its viewport, then what moved, what left and what ended, numbered without a gap."""
    world = exchange.world
    booking_id, session = await exchange.on_the_way()
    phone = await exchange.connect("/gps", world.technicians[0])
    t = now_ms()
    await phone.ask("fix", {"session_id": session, "fixes": [fix(1, t, *FAR)]})
    desk = await exchange.connect("/gps", world.dispatcher)
    start = await desk.ask("watch_map", {"all": True})
    assert start["columns"][0] == "booking_id"
    assert [row[0] for row in start["rows"]] == [str(booking_id)]
    await phone.ask("fix", {"session_id": session, "fixes": [fix(2, t + 3000, FAR[0] + 0.0003, FAR[1])]})
    frame = await desk.hear("frame")
    assert (frame["n"], frame["moved"][0][0], frame["gone"]) == (start["n"] + 1, str(booking_id), [])
    elsewhere = await desk.ask("watch_map", {"bbox": [0, 0, 1, 1]})
    assert elsewhere["rows"] == []
    here = await desk.ask("watch_map", {"bbox": [-76.7, 39.2, -76.5, 39.4]})
    assert len(here["rows"]) == 1
    await exchange.command(booking_id, "arrive", world.technician(0))
    gone = await desk.hear("frame")
    assert (gone["n"], gone["gone"]) == (here["n"] + 1, [str(booking_id)])


async def test_dispatcher_of_elsewhere_sees_nothing(exchange: Exchange) -> None:
    """A dispatcher without areas has an empty map and hears of no booking."""
    world = exchange.world
    async with world.stores.db.transaction() as tx:
        await tx.execute("UPDATE app.people SET areas = '{}' WHERE person_id = $1", world.dispatcher)
    _, session = await exchange.on_the_way()
    phone = await exchange.connect("/gps", world.technicians[0])
    await phone.ask("fix", {"session_id": session, "fixes": [fix(1, now_ms(), *FAR)]})
    desk = await exchange.connect("/gps", world.dispatcher)
    assert (await desk.ask("watch_map", {"all": True}))["rows"] == []


async def test_presence_is_watched(exchange: Exchange) -> None:
    """A dispatcher sees who is available; the newest word of any device counts, and going away is noticed."""
    world = exchange.world
    desk = await exchange.connect("/presence", world.dispatcher)
    listed = (await desk.ask("watch", {}))["technicians"]
    assert {t["technician_id"] for t in listed} == {str(t) for t in world.technicians}
    assert {t["state"] for t in listed} == {"offline"}
    phone = await exchange.connect("/presence", world.technicians[0])
    tablet = await exchange.connect("/presence", world.technicians[0])
    answer = await phone.ask("set", {"state": "available", "lat": HOME[0], "lon": HOME[1]})
    assert answer["state"] == "available"
    changed = await desk.hear("changed")
    assert (changed["technician_id"], changed["state"]) == (str(world.technicians[0]), "available")
    assert set(changed) == {"technician_id", "state", "at"}
    await tablet.ask("set", {"state": "busy"})
    assert (await desk.hear("changed"))["state"] == "busy"
    assert (await phone.ask("set", {"state": "sleeping"}))["error"]["code"] == "validation"


async def test_revoked_family_ends_sockets(exchange: Exchange) -> None:
    """When a token's family is revoked, its sockets are told and ended."""
    family = new_id()
    token = await exchange.token(exchange.world.customers[0], family=family)
    line = await exchange.connect("/bookings", auth={"token": token})
    await exchange.world.stores.hot.revoke_family(family, 60)
    assert (await line.hear("closing"))["reason"] == "token_revoked"
    async with asyncio.timeout(5):
        await line.down.wait()


async def test_token_runs_out_unless_renewed(exchange: Exchange) -> None:
    """A socket ends with its token; a renewal by the same person keeps it, another's is refused."""
    customer, other = exchange.world.customers
    short = await exchange.connect("/bookings", auth={"token": await exchange.token(customer, ttl_s=2)})
    kept = await exchange.connect("/bookings", auth={"token": await exchange.token(customer, ttl_s=2)})
    assert (await kept.ask("renew", {"token": await exchange.token(other)}))["error"][
        "code"
    ] == "token_mismatch"
    assert (await kept.ask("renew", {"token": await exchange.token(customer)}))["ok"]
    assert (await short.hear("closing"))["reason"] == "token_expired"
    async with asyncio.timeout(5):
        await short.down.wait()
    await asyncio.sleep(1.2)
    assert kept.client.connected


async def test_malformed_message_ends_its_own_socket_only(exchange: Exchange) -> None:
    """A message that is not what it should be is refused with its reason, and that socket ended; others stay."""
    _, session = await exchange.on_the_way()
    bad = await exchange.connect("/gps", exchange.world.technicians[0])
    good = await exchange.connect("/gps", exchange.world.technicians[0])
    answer = await bad.ask("fix", {"session_id": "nobody", "fixes": "none"})
    assert answer["error"]["code"] == "validation"
    assert (await bad.hear("closing"))["reason"] == "malformed"
    async with asyncio.timeout(5):
        await bad.down.wait()
    assert (await good.ask("fix", {"session_id": session, "fixes": [fix(1, now_ms(), *FAR)]}))["ok"]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("42/gps,[not json", "malformed"),
        ("42/gps,{}", "malformed"),
        ('42/gps,["connect",null,{"token":"of somebody"}]', "malformed"),
        ('42/gps,["disconnect"]', "malformed"),
        ('451-/gps,["fix",{"_placeholder":true,"num":0}]', "malformed"),
        ('42/gps,["fix","' + "x" * 70_000 + '"]', "too_large"),
    ],
)
async def test_packets_that_no_client_sends(exchange: Exchange, frame: str, reason: str) -> None:
    """Garbage, binary and oversized packets are answered with `closing` and the end of that connection."""
    line = await exchange.connect("/gps", exchange.world.technicians[0])
    other = await exchange.connect("/gps", exchange.world.technicians[1])
    await line.client.eio.ws.send_str(frame)
    assert (await line.hear("closing"))["reason"] == reason
    async with asyncio.timeout(5):
        await line.down.wait()
    assert (await other.ask("fix", {"session_id": str(uuid4()), "fixes": [fix(1, now_ms(), *FAR)]}))["error"][
        "code"
    ] == "not_found"


async def test_too_many_messages(exchange: Exchange) -> None:
    """A socket that floods is refused with `rate_limited` and ended."""
    line = await exchange.connect("/bookings", exchange.world.customers[0])
    codes: list[str] = []

    def answered(answer: Any = None) -> None:
        if answer and not answer["ok"]:
            codes.append(answer["error"]["code"])

    for _ in range(120):
        await line.client.emit("sync", {"cursor": "x"}, namespace="/bookings", callback=answered)
    assert (await line.hear("closing"))["reason"] == "rate_limited"
    assert "rate_limited" in codes


async def test_joining_anew_does_not_fill_the_bucket(exchange: Exchange) -> None:
    """Who leaves and joins a namespace again and again has the limits of one connection, and is ended by them."""
    line = await exchange.connect("/gps", exchange.world.technicians[0])
    token = await exchange.token(exchange.world.technicians[0])
    with suppress(ConnectionError):
        for _ in range(80):
            await line.client.eio.ws.send_str("41/gps,")
            await line.client.eio.ws.send_str('40/gps,{"token":"' + token + '"}')
    async with asyncio.timeout(10):
        await line.down.wait()


async def test_a_broken_sensor_holds_nobody_up(exchange: Exchange) -> None:
    """Numbers that no column can hold are refused at the door, one by one, and never reach the writer."""
    _, session = await exchange.on_the_way()
    line = await exchange.connect("/gps", exchange.world.technicians[0])
    mad = fix(1, now_ms(), *FAR) | {"spd_mps": 1e300}
    answer = await line.ask("fix", {"session_id": session, "fixes": [mad, fix(2, now_ms(), *FAR)]})
    assert answer["rejected"] == [{"seq": 1, "reason": "invalid"}]
    assert answer["counts"]["live"] == 1


async def test_unknown_event_is_answered(exchange: Exchange) -> None:
    """An event that nobody knows gets a refusal, not silence."""
    line = await exchange.connect("/bookings", exchange.world.customers[0])
    assert (await line.ask("frobnicate", {}))["error"]["code"] == "validation"


async def test_long_polling_works(exchange: Exchange) -> None:
    """A client without WebSocket syncs and hears events as well."""
    line = await exchange.connect("/bookings", exchange.world.customers[0], transports=("polling",))
    assert (await line.ask("sync", {"cursor": None}))["ok"]
    await exchange.world.book()
    assert (await line.hear("event"))["type"] == "booking.requested"


async def test_shutdown_says_when_to_come_back(world: World) -> None:
    """At shutdown every socket hears `closing` with a time to wait."""
    async with open_exchange(world) as exchange:
        line = await exchange.connect("/bookings", world.customers[0])
        await exchange.realtime.goodbye()
        closing = await line.hear("closing")
        assert closing["reason"] == "restart"
        assert closing["retry_after_ms"] > 0
