"""A person's own side of notifications over HTTP: how to be told, in which browsers, and the list of what was told."""

from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.posting import open_poster
from domain import commands
from domain.context import SYSTEM, Context
from domain.notifying import WEB_PUSH
from services import booking, notification_sending, subscribers
from services.channels.channel import Channels
from services.channels.web_push import VapidKey, WebPushChannel
from services.job import Later
from services.notifications import SUBSCRIBER
from storage import push_subscriptions
from storage.push_subscriptions import AT_MOST
from tests.integration.door import Door, open_door
from tests.integration.world import World


def browser(n: int = 0) -> dict[str, Any]:
    """Return what a browser hands out when it subscribes."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {name: urlsafe_b64encode(value).rstrip(b"=").decode() for name, value in
            (("p256dh", raw), ("auth", bytes(16)))}  # fmt: skip
    return {"endpoint": f"https://93.184.216.34/push/{n}", "keys": keys}


async def test_how_to_be_told_is_ones_own_choice(door: Door) -> None:
    """Language, quiet hours, their time zone and channels: the usual ones at first, changed one by one."""
    me = door.world.customers[0]
    usual = {
        "language": "en", "quiet_hours": {"from": "21:00", "until": "08:00"}, "time_zone": None, "channels": None,
    }  # fmt: skip
    said = await door.ask("GET", "/v1/me", who=me)
    assert said.body.items() >= usual.items()
    for change in (
        {"language": "es"},
        {"quiet_hours": {"from": "22:30", "until": "06:00"}},
        {"time_zone": "Europe/Madrid"},
        {"channels": ["sms", "email"]},
        {"quiet_hours": None},
        {"display_name": "Ada"},
    ):
        said = await door.ask("PATCH", "/v1/me", change, who=me)
        assert (said.status, {name: said.body[name] for name in change}) == (200, change)
    after = (await door.ask("GET", "/v1/me", who=me)).body
    assert {name: after[name] for name in usual} == {
        "language": "es", "quiet_hours": None, "time_zone": "Europe/Madrid", "channels": ["sms", "email"],
    }  # fmt: skip
    technician = door.world.technicians[
        0
    ]  # whose own time zone counts, and is not made a wish by another wish
    said = await door.ask("PATCH", "/v1/me", {"language": "de"}, who=technician)
    assert said.body["time_zone"] is None


async def test_a_wish_that_cannot_be_kept_is_refused(door: Door) -> None:
    """With a pointer to what is wrong."""
    for change, pointer in (
        ({"language": "tlh"}, "/language"),
        ({"quiet_hours": {"from": "22:00", "until": "22:00"}}, "/quiet_hours"),
        ({"quiet_hours": {"from": "24:00", "until": "08:00"}}, "/quiet_hours/from"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"channels": ["pigeon"]}, "/channels/0"),
    ):
        said = await door.ask("PATCH", "/v1/me", change, who=door.world.customers[0])
        assert (said.status, said.code) == (422, "validation"), change
        assert said.body["errors"][0]["pointer"] == pointer


async def test_the_list_is_ones_own_newest_first_and_in_ones_language(world: World) -> None:
    """Rendered anew at each reading, page by page; a reminder stands in it when it is due, not before."""
    await subscribers.one_pass(world.stores, SUBSCRIBER)
    async with open_door(world) as door:
        for n in range(3):
            starts_at = datetime.now(UTC) + timedelta(days=3, hours=3 * n)
            booking_id = await world.book(starts_at, asked=(n,))
            context = world.context(world.technician(n))
            await booking.accept(world.stores, booking_id, commands.Accept(), context)
        await everything(world)
        me = world.customers[0]
        await door.ask("PATCH", "/v1/me", {"language": "de"}, who=me)
        first = (await door.ask("GET", "/v1/me/notifications?limit=2", who=me)).body
        assert [item["template"] for item in first["items"]] == ["customer_accepted"] * 2
        assert first["items"][0]["title"] == "Technician hat zugesagt"
        second = (
            await door.ask("GET", f"/v1/me/notifications?limit=2&cursor={first['next_cursor']}", who=me)
        ).body
        assert len(second["items"]) == 1
        assert second["next_cursor"] is None
        times = [item["at"] for item in first["items"] + second["items"]]
        assert times == sorted(times, reverse=True)
        others = (await door.ask("GET", "/v1/me/notifications", who=world.customers[1])).body
        assert others == {"items": [], "next_cursor": None}
        theirs = (await door.ask("GET", "/v1/me/notifications", who=world.technicians[1])).body["items"]
        assert [item["template"] for item in theirs] == ["technician_requested"]
        foreign = await door.ask("GET", "/v1/me/notifications?cursor=bm9uZQ==", who=me)
        assert (foreign.status, foreign.code) == (422, "validation")


async def everything(world: World) -> None:
    """Let the subscriber hear of all that happened."""
    owner = await asyncpg.connect(world.owner_url)
    behind = (
        "SELECT EXISTS (SELECT FROM app.outbox o, app.subscriptions s WHERE s.subscriber = 'notifications' "
        "AND (o.xid, o.outbox_id) > (s.xid, s.outbox_id))"
    )
    try:
        for _ in range(1000):
            await subscribers.one_pass(world.stores, SUBSCRIBER)
            if not await owner.fetchval(behind):
                return
    finally:
        await owner.close()
    pytest.fail("the subscriber never came to the end")


async def test_a_browser_subscribes_moves_and_leaves(world: World) -> None:
    """It keeps its id, belongs to who signed in last, gives way to newer ones, and ends with the session."""
    key = VapidKey(VapidKey.new())
    async with open_poster() as poster:
        channels = Channels({WEB_PUSH: WebPushChannel(poster, key, "house@example.org")}, key.public)
        world = replace(world, stores=replace(world.stores, channels=channels, poster=poster))
        async with open_door(world) as door:
            ada, bob = world.customers
            assert (await door.ask("GET", "/v1/push-key", who=ada)).body == {"key": key.public}
            for wrong, pointer in (
                ({"endpoint": "https://127.0.0.1/push"}, "/endpoint"),
                ({"endpoint": "http://push.example/plain"}, "/endpoint"),
                ({"keys": {**browser()["keys"], "p256dh": "AAAA"}}, "/keys/p256dh"),
                ({"keys": {**browser()["keys"], "auth": "not base64!"}}, "/keys/auth"),
            ):
                said = await door.ask("POST", "/v1/me/push-subscriptions", {**browser(), **wrong}, who=ada)
                assert (said.status, said.body["errors"][0]["pointer"]) == (422, pointer)
            mine = browser()
            ids = {
                (await door.ask("POST", "/v1/me/push-subscriptions", mine, who=who)).body["subscription_id"]
                for who in (ada, ada, bob)
            }
            assert len(ids) == 1
            gone = await door.ask("DELETE", f"/v1/me/push-subscriptions/{ids.copy().pop()}", who=ada)
            assert gone.status == 404
            assert (await door.ask("DELETE", f"/v1/me/push-subscriptions/{ids.pop()}", who=bob)).status == 204
            for n in range(AT_MOST + 2):
                await door.ask("POST", "/v1/me/push-subscriptions", browser(n), who=ada)
            kept = await browsers(world, ada)
            assert len(kept) == AT_MOST
            assert kept[0].endswith(f"/{AT_MOST + 1}")


async def test_a_house_without_web_push_says_so(door: Door) -> None:
    """No key, and nothing to subscribe to."""
    ada = door.world.customers[0]
    assert (await door.ask("GET", "/v1/push-key", who=ada)).body == {"key": None}
    said = await door.ask("POST", "/v1/me/push-subscriptions", browser(), who=ada)
    assert (said.status, said.code) == (404, "not_found")


async def browsers(world: World, person_id: UUID) -> list[str]:
    """Return the addresses that a person is pushed to, newest first."""
    async with world.stores.db.reading() as tx:
        found = await push_subscriptions.of_person(tx, person_id, datetime.now(UTC))
    return [each.endpoint for each in found.values()]


async def test_a_browser_ends_with_its_session_and_lies_sealed(world: World) -> None:
    """Signed out, it gets nothing; and the table shows no address to who has not the person's key."""
    owner = await asyncpg.connect(world.owner_url)
    ada, family_id = world.customers[0], UUID(int=77)
    await owner.execute(
        "INSERT INTO app.token_families (family_id, person_id, created_at, expires_at) "
        "VALUES ($1, $2, now(), now() + interval '1 day')",
        family_id,
        ada,
    )
    subscription = push_subscriptions.Subscription("https://push.example/secret", "p", "a")
    async with world.stores.db.transaction() as tx:
        await push_subscriptions.keep(
            tx, UUID(int=1), ada, subscription, family_id=family_id, now=datetime.now(UTC)
        )
    assert await browsers(world, ada) == ["https://push.example/secret"]
    sealed = await owner.fetchval("SELECT sealed FROM app.push_subscriptions")
    assert b"push.example" not in sealed
    await owner.execute("UPDATE app.token_families SET revoked_at = now()")
    assert await browsers(world, ada) == []
    await owner.execute("UPDATE app.token_families SET revoked_at = NULL")
    await owner.execute("DELETE FROM app.person_keys WHERE person_id = $1", ada)
    assert await browsers(world, ada) == []
    await owner.close()


async def test_a_browser_that_never_answers_is_given_up(world: World) -> None:
    """After a few tries that is final, and no failed job is left for anybody to look at."""
    async with open_poster(allow=("127.0.0.0/8",), http=True) as poster:
        channel = WebPushChannel(poster, VapidKey(VapidKey.new()), "house@example.org")
        world = replace(world, stores=replace(world.stores, channels=Channels({WEB_PUSH: channel})))
        subscription = push_subscriptions.Subscription("http://127.0.0.1:9999/none", **browser()["keys"])
        async with world.stores.db.transaction() as tx:
            await push_subscriptions.keep(
                tx, UUID(int=1), world.technicians[0], subscription, family_id=None, now=datetime.now(UTC)
            )
        await subscribers.one_pass(world.stores, SUBSCRIBER)
        await world.book()
        await everything(world)
        owner = await asyncpg.connect(world.owner_url)
        wanted = await owner.fetchval("SELECT notification_id FROM app.notifications")
        context = Context(SYSTEM, datetime.now(UTC), "test-deaf-browser")
        payload = {"notification_id": str(wanted)}
        for _ in range(notification_sending.PUSH_TRIES - 1):
            with pytest.raises(Later, match="web_push: unreachable"):
                await notification_sending.notify(world.stores, payload, context)
        await notification_sending.notify(world.stores, payload, context)
        assert await owner.fetchval("SELECT finished_at IS NOT NULL FROM app.notifications")
        await owner.close()


async def test_a_browser_that_is_gone_is_taken_off(world: World) -> None:
    """The push service says 410: that attempt is final, the other browser still gets it, and only it is kept."""
    asked: list[str] = []

    async def take(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=410 if request.path == "/old" else 201)

    app = web.Application()
    app.router.add_post("/{name}", take)
    async with (
        TestServer(app, host="127.0.0.1") as server,
        open_poster(allow=("127.0.0.0/8",), http=True) as poster,
    ):
        channel = WebPushChannel(poster, VapidKey(VapidKey.new()), "house@example.org")
        pushing = replace(world, stores=replace(world.stores, channels=Channels({WEB_PUSH: channel})))
        await _push_to_two(pushing, str(server.make_url("")).rstrip("/"))
    assert sorted(asked) == ["/new", "/old"]


async def _push_to_two(world: World, url: str) -> None:
    technician = world.technicians[0]
    async with world.stores.db.transaction() as tx:
        for n, name in enumerate(("old", "new"), start=1):
            keys = browser()["keys"]
            subscription = push_subscriptions.Subscription(f"{url}/{name}", **keys)
            await push_subscriptions.keep(
                tx, UUID(int=n), technician, subscription, family_id=None, now=datetime.now(UTC)
            )
    await subscribers.one_pass(world.stores, SUBSCRIBER)
    await world.book()
    await everything(world)
    owner = await asyncpg.connect(world.owner_url)
    wanted = await owner.fetchval("SELECT notification_id FROM app.notifications")
    context = Context(SYSTEM, datetime.now(UTC), "test-gone-browser")
    for _ in range(2):
        try:
            await notification_sending.notify(world.stores, {"notification_id": str(wanted)}, context)
        except Later:
            pytest.fail("nothing is left to be tried")
    assert await browsers(world, technician) == [f"{url}/new"]
    attempts = await owner.fetch(
        "SELECT target_id, outcome, code FROM app.notification_attempts ORDER BY code"
    )
    assert [tuple(each) for each in attempts] == [
        (UUID(int=2), "sent", "201"), (UUID(int=1), "failed", "410"),
    ]  # fmt: skip
    await owner.close()
