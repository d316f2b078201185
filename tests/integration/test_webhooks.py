"""Outgoing webhooks over the HTTP door, the outbox, the jobs and a real receiver on loopback, who checks signatures."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.posting import open_poster
from domain import webhooks as rules
from domain.context import SYSTEM, Context
from domain.erasure import PersonErased
from rest.webhook_messages import MessageView, PingView
from services import subscribers, tidying, webhook_deliveries, webhook_queue
from services.feed import encode_cursor
from services.job import Hopeless, Later
from services.webhook_secrets import seal, unseal
from storage import outbox, webhooks
from storage.ids import new_id
from storage.journal import record
from tests.integration.door import Door, Said, open_door

PAST_CLOSE = timedelta(seconds=rules.OVERLAP_S + 1)
HOOKS = "/v1/webhooks"


@dataclass
class Receiver:
    """Somebody else's server: answers what the test says, and keeps what came."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    held: asyncio.Event | None = None

    async def hear(self, request: web.Request) -> web.Response:
        """Take one message."""
        self.came.append((dict(request.headers), await request.read()))
        if self.held is not None:
            await self.held.wait()
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        return web.Response(status=status, headers=headers, text="Jane Doe says thank you")

    def ids(self) -> list[str]:
        """The ids of the messages, in the order that they came."""
        return [headers["webhook-id"] for headers, _ in self.came]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that says 200."""
    async with open_receiver() as opened:
        yield opened


class open_receiver:  # noqa: N801 - used as a function
    """Serve a receiver while the block runs."""

    async def __aenter__(self) -> Receiver:
        """Start."""
        self._receiver = Receiver()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._receiver.hear)
        self._server = TestServer(app, host="127.0.0.1")
        await self._server.start_server()
        self._receiver.url = f"http://127.0.0.1:{self._server.port}/hook"
        return self._receiver

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        if self._receiver.held is not None:
            self._receiver.held.set()
        await self._server.close()


@dataclass
class House:
    """The founder at the door, and the machinery run by hand."""

    door: Door

    async def ask(self, method: str, path: str, body: object = None, who: UUID | None = None) -> Said:
        """Ask as the founder."""
        return await self.door.ask(method, path, body, who=who or self.door.world.founder)

    async def register(self, url: str, *topics: str) -> Any:
        """Make a webhook; from now on the subscriber hears."""
        said = await self.ask("POST", HOOKS, {"url": url, "topics": list(topics or ("*",))})
        assert said.status == 201, said.body
        await self.queue()
        return said.body

    async def queue(self) -> None:
        """Let the subscriber catch up."""
        async with asyncio.timeout(20):
            while (
                await subscribers.one_pass(self.door.world.stores, webhook_queue.SUBSCRIBER)
            ).wait_s is not None:
                await asyncio.sleep(0.01)

    async def waiting(self) -> list[UUID]:
        """The deliveries that wait, oldest first."""
        rows = await self.rows(
            "SELECT delivery_id FROM app.webhook_deliveries WHERE state = 'pending' ORDER BY 1"
        )
        return [row["delivery_id"] for row in rows]

    async def try_(self, delivery_id: UUID, now: datetime | None = None) -> None:
        """Run a delivery's job once, as the worker would."""
        context = Context(SYSTEM, now or datetime.now(UTC), "test-delivery-job")
        await webhook_deliveries.deliver(self.door.world.stores, {"delivery_id": str(delivery_id)}, context)

    async def deliver(self) -> None:
        """Queue what happened and try each delivery once."""
        await self.queue()
        for delivery_id in await self.waiting():
            await self.try_(delivery_id)

    async def deliveries(self, hook: Any, query: str = "") -> list[Any]:
        """List a webhook's deliveries over HTTP, oldest first."""
        said = await self.ask("GET", f"{HOOKS}/{hook['webhook_id']}/deliveries{query}")
        assert said.status == 200, said.body
        return list(reversed(said.body["items"]))

    async def rows(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Ask the database."""
        async with self.door.world.stores.db.reading() as tx:
            return await tx.fetch(sql, *args)

    async def decisions(self) -> list[str]:
        """The audited actions about webhooks, in order."""
        rows = await self.rows(
            "SELECT action FROM audit.events WHERE subject_kind = 'webhook' ORDER BY audit_id"
        )
        return [row["action"] for row in rows]


@pytest.fixture
async def house(door: Door) -> House:
    """A house with a founder."""
    return House(door)


def opened(secret: str, came: tuple[dict[str, str], bytes]) -> Any:
    """Verify a message as the specification's own library does, and read it."""
    headers, body = came
    return Webhook(secret).verify(body, headers)


async def test_a_booking_is_told_signed_and_without_people(house: House, receiver: Receiver) -> None:
    """The library verifies it; ids, state, times and price are there, names, address and place are not."""
    hook = await house.register(receiver.url, "booking.requested")
    booking_id = await house.door.world.book()
    await house.deliver()
    [came] = receiver.came
    told = opened(hook["secret"], came)
    assert (told["type"], told["data"]["booking_id"]) == ("booking.requested", str(booking_id))
    assert came[0]["webhook-id"] == told["data"]["event_id"]
    assert told["data"]["booking"]["state"] == "requested"
    assert told["data"]["booking"]["price"]["total"] == {"amount": 4770, "currency": "USD"}
    assert told["data"]["seq"] >= 1
    MessageView.model_validate_json(came[1])
    words = came[1].decode()
    assert not any(
        word in words for word in ("Customer 0", "Technician 0", "Harbor", "39.29", "-76.57", "evidence")
    )
    events = await house.ask("GET", f"/v1/bookings/{booking_id}/events")
    assert told["data"]["event_id"] in {event["event_id"] for event in events.body["items"]}
    [delivery] = await house.deliveries(hook)
    assert (delivery["state"], [a["status"] for a in delivery["attempts"]]) == ("delivered", [200])


async def test_a_tampered_message_does_not_verify(house: House, receiver: Receiver) -> None:
    """Another body, another id, an old time or another secret: the library says no."""
    hook = await house.register(receiver.url)
    await house.door.world.book()
    await house.deliver()
    headers, body = receiver.came[0]
    for wrong_headers, wrong_body in (
        (headers, body.replace(b"requested", b"completed")),
        ({**headers, "webhook-id": str(new_id())}, body),
        ({**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 60)}, body),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(hook["secret"]).verify(wrong_body, wrong_headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "QUJD" * 8).verify(body, headers)


async def test_a_webhook_hears_only_of_its_topics(house: House, receiver: Receiver) -> None:
    """Families and types are told apart; what is not promised on the wire is never told."""
    async with open_receiver() as money, open_receiver() as everything:
        await house.register(receiver.url, "booking.*")
        await house.register(money.url, "payment.authorized")
        await house.register(everything.url, "*")
        await house.door.world.book()
        await house.deliver()
        kinds = [[json.loads(body)["type"] for _, body in r.came] for r in (receiver, money, everything)]
    assert kinds[0] == ["booking.requested"]
    assert kinds[1] == ["payment.authorized"]
    assert sorted(kinds[2]) == ["booking.requested", "payment.authorized"]
    said = await house.ask("POST", HOOKS, {"url": receiver.url, "topics": ["booking.*", "payment.voided"]})
    assert (said.status, said.body["errors"][0]["pointer"]) == (422, "/topics/1")


async def test_both_secrets_sign_while_one_takes_over(house: House, receiver: Receiver) -> None:
    """For a day the old secret and the new one verify; afterwards, or when it leaked, only the new one does."""
    hook = await house.register(receiver.url, "booking.requested")
    turned = (await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/rotate")).body
    assert turned["secret"] != hook["secret"]
    await house.door.world.book()
    await house.queue()
    [delivery_id] = await house.waiting()
    await house.try_(delivery_id)
    assert receiver.came[0][0]["webhook-signature"].count("v1,") == 2
    for secret in (hook["secret"], turned["secret"]):
        opened(secret, receiver.came[0])
    webhook_id, now = UUID(hook["webhook_id"]), datetime.now(UTC)
    async with house.door.world.stores.db.reading() as tx:
        assert len(await webhooks.secrets(tx, webhook_id, now)) == 2
        assert len(await webhooks.secrets(tx, webhook_id, now + PAST_CLOSE)) == 1
    leaked = (await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/rotate", {"overlap_s": 0})).body
    await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/ping")
    await house.deliver()
    assert opened(leaked["secret"], receiver.came[-1])["type"] == "webhook.ping"
    PingView.model_validate_json(receiver.came[-1][1])
    for secret in (hook["secret"], turned["secret"]):
        with pytest.raises(WebhookVerificationError):
            opened(secret, receiver.came[-1])
    for _ in range(6):
        await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/rotate")
    rows = await house.rows("SELECT count(*) AS n FROM app.webhook_secrets")
    assert rows[0]["n"] == rules.SECRETS_AT_MOST


async def test_a_try_after_a_500_is_the_same_message(house: House, receiver: Receiver) -> None:
    """First 500, then 200: one delivery, two attempts, one id, and a fresh timestamp and signature."""
    hook = await house.register(receiver.url, "booking.requested")
    await house.door.world.book()
    await house.queue()
    [delivery_id] = await house.waiting()
    receiver.answers = [(500, {})]
    with pytest.raises(Later, match="http_500") as later:
        await house.try_(delivery_id)
    assert later.value.after_s is not None
    [waits] = await house.deliveries(hook, "?state=pending")
    assert waits["next_try_at"] is not None
    await house.try_(delivery_id, datetime.now(UTC) + timedelta(seconds=2))
    [delivery] = await house.deliveries(hook)
    assert (delivery["state"], [a["status"] for a in delivery["attempts"]]) == ("delivered", [500, 200])
    first, second = receiver.came
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[0]["webhook-timestamp"] < second[0]["webhook-timestamp"]
    assert opened(hook["secret"], first) == opened(hook["secret"], second)
    await house.try_(delivery_id)
    assert len(receiver.came) == 2, "what was delivered is not posted again"


async def test_a_receiver_that_asks_for_time_gets_it(house: House, receiver: Receiver) -> None:
    """Retry-After makes the wait longer than the schedule's."""
    await house.register(receiver.url, "booking.requested")
    await house.door.world.book()
    await house.queue()
    [delivery_id] = await house.waiting()
    receiver.answers = [(429, {"Retry-After": "1234"})]
    with pytest.raises(Later) as later:
        await house.try_(delivery_id)
    assert later.value.after_s == 1234


async def test_410_ends_the_webhook(house: House, receiver: Receiver) -> None:
    """It is disabled, audited as the system's, what waited is dropped; the founder may let it go on."""
    hook = await house.register(receiver.url)
    await house.door.world.book()
    await house.queue()
    first, second = await house.waiting()
    receiver.answers = [(410, {})]
    await house.try_(first)
    await house.try_(second)
    assert len(receiver.came) == 1
    shown = (await house.ask("GET", f"{HOOKS}/{hook['webhook_id']}")).body
    assert (shown["state"], shown["reason"]) == ("disabled", "gone")
    assert {d["state"] for d in await house.deliveries(hook)} == {"dead", "dropped"}
    assert await house.decisions() == ["webhook.created", "webhook.disabled"]
    await house.door.world.book(customer=1, asked=(1,))
    await house.queue()
    assert await house.waiting() == []
    again = await house.ask("PATCH", f"{HOOKS}/{hook['webhook_id']}", {"state": "active"})
    assert (again.body["state"], again.body["reason"]) == ("active", None)


async def test_after_the_last_try_a_delivery_is_dead(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule ends, the job is held as failed, and a replay of that delivery brings it."""
    monkeypatch.setattr(rules, "DELAYS_S", (5.0,))
    hook = await house.register(receiver.url, "booking.requested")
    await house.door.world.book()
    await house.queue()
    [delivery_id] = await house.waiting()
    receiver.answers = [(503, {}), (302, {"Location": receiver.url})]
    with pytest.raises(Later):
        await house.try_(delivery_id)
    with pytest.raises(Hopeless, match="http_302"):
        await house.try_(delivery_id)
    [delivery] = await house.deliveries(hook)
    assert (delivery["state"], delivery["next_try_at"]) == ("dead", None)
    assert len(receiver.came) == 2, "the redirect was not followed"
    said = await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/replay", {"delivery_id": str(delivery_id)})
    assert (said.status, said.body) == (202, {"queued": 1, "next_cursor": None})
    await house.deliver()
    assert receiver.ids() == [delivery["event_id"]] * 3
    assert [d["state"] for d in await house.deliveries(hook)] == ["dead", "delivered"]


async def test_a_webhook_that_fails_for_days_is_paused(house: House, receiver: Receiver) -> None:
    """Five days without a good answer: paused by the system; a good answer forgets the bad days."""
    hook = await house.register(receiver.url, "booking.requested")
    await house.door.world.book()
    await house.queue()
    [delivery_id] = await house.waiting()
    receiver.answers = [(500, {}), (200, {})]
    with pytest.raises(Later):
        await house.try_(delivery_id)
    assert (await house.ask("GET", f"{HOOKS}/{hook['webhook_id']}")).body["failing_since"] is not None
    await house.try_(delivery_id)
    assert (await house.ask("GET", f"{HOOKS}/{hook['webhook_id']}")).body["failing_since"] is None
    async with house.door.world.stores.db.transaction() as tx:
        await webhooks.fails(
            tx, UUID(hook["webhook_id"]), datetime.now(UTC) - rules.FAILING_FOR - timedelta(hours=1)
        )
    await house.door.world.book(customer=1, asked=(1,))
    await house.queue()
    [delivery_id] = await house.waiting()
    receiver.answers = [(500, {})]
    with pytest.raises(Later):
        await house.try_(delivery_id)
    shown = (await house.ask("GET", f"{HOOKS}/{hook['webhook_id']}")).body
    assert (shown["state"], shown["reason"]) == ("paused", "failing")
    assert await house.decisions() == ["webhook.created", "webhook.paused"]
    assert await house.waiting() == []


async def test_too_much_waiting_pauses_a_webhook(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue of a webhook has a bound; behind it nothing piles up, and a replay brings what was missed."""
    monkeypatch.setattr(webhook_queue, "WAITING_AT_MOST", 0)
    hook = await house.register(receiver.url, "booking.requested")
    await house.door.world.book()
    await house.queue()
    await house.door.world.book(customer=1, asked=(1,))
    await house.queue()
    shown = (await house.ask("GET", f"{HOOKS}/{hook['webhook_id']}")).body
    assert (shown["state"], shown["reason"]) == ("paused", "behind")
    refused = await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/replay", {"since": hook["created_at"]})
    assert (refused.status, refused.code) == (409, "webhook_state")
    await house.ask("PATCH", f"{HOOKS}/{hook['webhook_id']}", {"state": "active"})
    full = await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/replay", {"since": hook["created_at"]})
    assert (full.status, full.code) == (409, "webhook_state")
    monkeypatch.undo()
    said = await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/replay", {"since": hook["created_at"]})
    assert said.body["queued"] == 2


async def test_a_replay_from_any_cursor_brings_the_same_ids(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the cursor of a message come all later ones, a page at a time, with the ids that they had."""
    hook = await house.register(receiver.url, "booking.requested")
    for n in range(2):
        await house.door.world.book(customer=n, asked=(n,))
    await house.door.world.book(datetime.now(UTC) + timedelta(hours=3), asked=(2,))
    await house.deliver()
    before = receiver.ids()
    told = [body for _, body in receiver.came]
    cursors = [json.loads(body)["data"]["cursor"] for body in told]
    receiver.came.clear()
    monkeypatch.setattr(webhook_queue, "REPLAY_AT_MOST", 1)
    path = f"{HOOKS}/{hook['webhook_id']}/replay"
    said = await house.ask("POST", path, {"cursor": cursors[0]})
    assert (said.status, said.body["queued"]) == (202, 1)
    said = await house.ask("POST", path, {"cursor": said.body["next_cursor"]})
    assert said.body == {"queued": 1, "next_cursor": None}
    await house.deliver()
    assert receiver.ids() == before[1:]
    assert (await house.decisions())[1:] == ["webhook.replayed"] * 2
    async with house.door.world.stores.db.reading() as tx:
        place = await outbox.head(tx)
    for wrong in ("nonsense", encode_cursor("another-life", place)):
        refused = await house.ask("POST", path, {"cursor": wrong})
        assert (refused.status, refused.code) == (409, "cursor_expired")
    owner = await asyncpg.connect(house.door.world.owner_url)
    second = json.loads(told[1])["data"]["event_id"]
    await owner.execute("DELETE FROM app.outbox WHERE event_id = $1", UUID(second))
    await owner.close()
    for gone in ({"cursor": cursors[0]}, {"since": hook["created_at"]}):
        refused = await house.ask("POST", path, gone)
        assert (refused.status, refused.code) == (409, "cursor_expired"), (
            "an older row is kept, this one is not"
        )
    assert (await house.ask("POST", path, {"cursor": cursors[1]})).body["queued"] == 1
    for body in ({}, {"cursor": cursors[0], "since": hook["created_at"]}):
        assert (await house.ask("POST", path, body)).status == 422
    assert (await house.ask("POST", path, {"delivery_id": str(new_id())})).status == 404


async def test_only_public_addresses_are_taken(house: House) -> None:
    """Without the setting a private address is refused when it is registered; and nobody but the founder registers."""
    people = house.door.world
    for person in (people.customers[0], people.technicians[0], people.dispatcher):
        said = await house.ask("POST", HOOKS, {"url": "https://example.com/", "topics": ["*"]}, who=person)
        assert (said.status, said.code) == (403, "forbidden")
    async with open_poster() as poster:
        world = replace(house.door.world, stores=replace(house.door.world.stores, poster=poster))
        async with open_door(world) as strict:
            for url in ("https://127.0.0.1/x", "https://10.0.0.1/", "https://localhost/", "http://example.com/",
                        "https://user:pass@example.com/", "ftp://example.com/"):  # fmt: skip
                said = await strict.ask("POST", HOOKS, {"url": url, "topics": ["*"]}, who=world.founder)
                assert (said.status, said.body["errors"][0]["pointer"]) == (422, "/url"), url
                assert "127.0.0.1" not in said.body["detail"]


async def test_an_address_that_became_private_is_hopeless(house: House, receiver: Receiver) -> None:
    """What the poster refuses is not tried again: the delivery is dead at once."""
    hook = await house.register(receiver.url, "booking.requested")
    await house.door.world.book()
    await house.queue()
    [delivery_id] = await house.waiting()
    async with open_poster(http=True) as strict:
        stores = replace(house.door.world.stores, poster=strict)
        with pytest.raises(Hopeless, match="private_address"):
            await webhook_deliveries.deliver(
                stores,
                {"delivery_id": str(delivery_id)},
                Context(SYSTEM, datetime.now(UTC), "test-strict-job"),
            )
    [delivery] = await house.deliveries(hook)
    assert (delivery["state"], delivery["attempts"][0]["error"]) == ("dead", "private_address")
    assert receiver.came == []


async def test_a_secret_is_shown_once_and_kept_sealed(
    house: House, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """No later answer, no row, no log line and no job holds it; its box opens for its webhook and key alone."""
    hook = await house.register(receiver.url, "booking.requested")
    secret = hook["secret"]
    path = f"{HOOKS}/{hook['webhook_id']}"
    await house.door.world.book()
    await house.deliver()
    answers = [
        await house.ask("GET", HOOKS),
        await house.ask("GET", path),
        await house.ask("PATCH", path, {"description": "mine"}),
        await house.ask("GET", f"{path}/deliveries"),
        await house.ask("GET", "/v1/audit"),
    ]
    assert not any("secret" in json.dumps(said.body) for said in answers)
    raw = secret.removeprefix("whsec_")
    for table in (
        "webhooks",
        "webhook_secrets",
        "webhook_deliveries",
        "webhook_attempts",
        "jobs",
        "requests",
    ):
        rows = await house.rows(f"SELECT t::text AS said FROM app.{table} t")
        assert not any(raw in row["said"] for row in rows), table
    assert raw not in "".join(capsys.readouterr())
    webhook_id, key = UUID(hook["webhook_id"]), house.door.world.stores.secret_key
    box = seal(key, webhook_id, secret)
    assert unseal(key, webhook_id, box) == secret
    assert unseal(key, new_id(), box) is None
    assert unseal(b"another key", webhook_id, box) is None


async def test_the_record_holds_nothing_personal(house: House, receiver: Receiver) -> None:
    """A receiver's words are not kept; after a customer is erased, a late try and a replay tell nothing of them."""
    hook = await house.register(receiver.url, "booking.cancelled")
    world = house.door.world
    booking_id = await world.book()
    path, customer = f"/v1/bookings/{booking_id}/cancel", world.customers[0]
    assert (await house.door.ask("POST", path, {"reason": "no reason"}, who=customer, key=True)).status == 200
    await house.deliver()
    for table in ("webhook_deliveries", "webhook_attempts"):
        rows = await house.rows(f"SELECT t::text AS said FROM app.{table} t")
        assert rows
        assert not any(
            word in row["said"] for row in rows for word in ("Jane", "Customer", "Harbor", "test.example")
        )
    async with world.stores.db.transaction() as tx:
        await record(tx, [PersonErased(customer, "Former customer")], world.context(world.customer()))
    await house.ask("POST", f"{HOOKS}/{hook['webhook_id']}/replay", {"since": hook["created_at"]})
    await house.deliver()
    assert len(receiver.came) == 2
    assert not any(
        word in body.decode() for _, body in receiver.came for word in ("Customer 0", "Harbor", "no reason")
    )


async def test_deleting_ends_everything(house: House, receiver: Receiver) -> None:
    """Address and secrets go, what waited is not sent, the id is not found any more, its lane is free again."""
    hook = await house.register(receiver.url)
    await house.door.world.book()
    await house.queue()
    waiting = await house.waiting()
    path = f"{HOOKS}/{hook['webhook_id']}"
    assert (await house.ask("DELETE", path)).status == 204
    for delivery_id in waiting:
        await house.try_(delivery_id)
    assert receiver.came == []
    for method, place in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/ping"),
        ("POST", "/rotate"),
        ("GET", "/deliveries"),
    ):
        assert (await house.ask(method, path + place)).status == 404
    assert (await house.rows("SELECT count(*) AS n FROM app.webhook_secrets"))[0]["n"] == 0
    for _ in range(rules.AT_MOST):
        said = await house.ask("POST", HOOKS, {"url": receiver.url, "topics": ["*"]})
        assert said.status == 201
    full = await house.ask("POST", HOOKS, {"url": receiver.url, "topics": ["*"]})
    assert (full.status, full.code) == (409, "webhook_state")


async def test_workers_deliver_and_a_slow_receiver_holds_up_nobody(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one receiver is stuck, the other gets everything, few posts are held by the stuck one, and a 500 is tried
    again by the worker itself.
    """
    monkeypatch.setattr(rules, "DELAYS_S", (0.01, 0.01))
    async with open_receiver() as stuck:
        stuck.held = asyncio.Event()
        slow = await house.register(stuck.url, "*")
        quick = await house.register(receiver.url, "*")
        receiver.answers = [(500, {})]
        for n in range(3):
            await house.door.world.book(customer=n % 2, asked=(n,))
        await house.queue()
        stop = asyncio.Event()
        worker = asyncio.create_task(webhook_deliveries.work(house.door.world.stores, stop))
        try:
            await until(lambda: _all(house, quick, "delivered"))
            assert len(stuck.came) == webhook_deliveries.AT_ONCE
            assert len(receiver.came) == 7
            stuck.held.set()
            await until(lambda: _all(house, slow, "delivered"))
            assert len(set(stuck.ids())) == len(stuck.ids()) == 6
        finally:
            stuck.held.set()
            stop.set()
            await worker


async def test_a_worker_that_ends_in_the_middle_posts_again_under_the_same_id(
    house: House, receiver: Receiver
) -> None:
    """The receiver heard it and the note was never written: the next worker sends it once more, to be dropped there."""
    receiver.held = asyncio.Event()
    hook = await house.register(receiver.url, "booking.requested")
    await house.door.world.book()
    await house.queue()
    stores, stop = house.door.world.stores, asyncio.Event()
    worker = asyncio.create_task(webhook_deliveries.work(stores, stop))
    await until(lambda: _came(receiver, 1))
    worker.cancel()  # as at shutdown: first it waits for what it began,
    await asyncio.sleep(0.1)
    worker.cancel()  # then everything ends
    await asyncio.wait([worker])
    receiver.held.set()
    worker = asyncio.create_task(webhook_deliveries.work(stores, stop))
    try:
        await until(lambda: _all(house, hook, "delivered"))
    finally:
        stop.set()
        await worker
    [delivery] = await house.deliveries(hook)
    assert receiver.ids() == [delivery["event_id"]] * 2
    assert [attempt["status"] for attempt in delivery["attempts"]] == [200]


async def test_old_deliveries_are_forgotten(house: House, receiver: Receiver) -> None:
    """What ended goes with its attempts, what waits stays, and the last day stays whatever is asked."""
    await house.register(receiver.url)
    await house.door.world.book()
    await house.queue()
    first, second = await house.waiting()
    await house.try_(first)
    stores = house.door.world.stores
    assert "webhook_deliveries" not in await tidying.would_go(stores, datetime.now(UTC) + timedelta(days=99))
    owner = await asyncpg.connect(house.door.world.owner_url)
    await owner.execute("UPDATE app.webhook_deliveries SET created_at = now() - interval '31 days'")
    await owner.close()
    assert (await tidying.tidy(stores, datetime.now(UTC)))["webhook_deliveries"] == 1
    assert await house.waiting() == [second]
    assert await house.rows("SELECT 1 FROM app.webhook_attempts") == []


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that comes."""
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.02)


async def _came(receiver: Receiver, count: int) -> bool:
    return len(receiver.came) >= count


async def _all(house: House, hook: Any, state: str) -> bool:
    found = await house.deliveries(hook)
    return bool(found) and {one["state"] for one in found} == {state}
