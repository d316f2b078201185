"""Notifications against a real database: from the outbox to a record of each attempt, once, whatever runs twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain import commands
from domain.context import SYSTEM, Actor, Context, Role
from domain.notifying import EMAIL, SMS, WEB_PUSH, QuietHours
from services import booking, booking_offers, correlations, jobs, notification_sending, subscribers, tidying
from services.channels.channel import Channels, Letter, Sent, To
from services.channels.log import only_log
from services.job import Later
from services.notifications import SUBSCRIBER, notification_id, tell
from services.reply import Reply
from services.subscriber import Happened
from storage import notifications
from storage.ids import new_id
from storage.notifications import Settings
from tests.integration.world import World

WANTED = "SELECT person_id, template FROM app.notifications ORDER BY wanted_at, template"
ATTEMPTS = """
SELECT n.template, a.channel, a.outcome, a.code, a.final FROM app.notification_attempts a
JOIN app.notifications n USING (notification_id) ORDER BY a.attempt_id
"""


@dataclass
class Post:
    """A channel that stands where the world outside begins: it keeps what it is given, and answers as it is told."""

    answer: Callable[[], Sent] = lambda: Sent("250", ok=True)
    taken: list[tuple[Letter, To]] = field(default_factory=list)

    async def send(self, letter: Letter, to: To, now: datetime) -> Sent:  # noqa: ARG002 - a Channel
        """Take a letter."""
        self.taken.append((letter, to))
        return self.answer()


@dataclass
class House:
    """A world whose notifications go to three posts, and the owner's eyes."""

    world: World
    owner: Any
    email: Post = field(default_factory=Post)
    sms: Post = field(default_factory=Post)
    web_push: Post = field(default_factory=Post)

    async def hear(self) -> None:
        """Let the subscriber hear of all that happened."""
        for _ in range(200):
            passed = await subscribers.one_pass(self.world.stores, SUBSCRIBER)
            if not passed.rows and not await self.behind():
                return
            await asyncio.sleep(0.01)
        pytest.fail("the subscriber never came to the end")

    async def behind(self) -> bool:
        """Tell whether the outbox holds rows that the subscriber has not passed."""
        return bool(
            await self.owner.fetchval(
                "SELECT EXISTS (SELECT FROM app.outbox o, app.subscriptions s WHERE s.subscriber = 'notifications' "
                "AND (o.xid, o.outbox_id) > (s.xid, s.outbox_id))"
            )
        )

    async def send(self, template: str = "%", now: datetime | None = None, runs: int = 1) -> None:
        """Run the job of each notification of that template, `runs` times at once."""
        rows = await self.owner.fetch(
            "SELECT notification_id, correlation_id FROM app.notifications WHERE template LIKE $1 ORDER BY due_at",
            template,
        )
        for row in rows:
            context = Context(SYSTEM, now or datetime.now(UTC), row["correlation_id"], causation_id=new_id())
            payload = {"notification_id": str(row["notification_id"])}
            ran = await asyncio.gather(
                *(notification_sending.notify(self.world.stores, payload, context) for _ in range(runs)),
                return_exceptions=True,
            )
            for each in ran:
                if isinstance(each, BaseException) and (runs == 1 or not isinstance(each, Later)):
                    raise each

    async def wanted(self) -> list[tuple[UUID, str]]:
        """Return who is to be told what."""
        return [(r["person_id"], r["template"]) for r in await self.owner.fetch(WANTED)]

    async def attempts(self) -> list[tuple[Any, ...]]:
        """Return what was tried, as (template, channel, outcome, code, final)."""
        return [tuple(r) for r in await self.owner.fetch(ATTEMPTS)]

    async def wish(self, person_id: UUID, wish: Settings) -> None:
        """Keep how a person wants to be told."""
        async with self.world.stores.db.transaction() as tx:
            await notifications.keep_settings(tx, person_id, wish)


@pytest.fixture
async def house(world: World) -> AsyncIterator[House]:
    """A house in which the subscriber has begun."""
    owner = await asyncpg.connect(world.owner_url)
    opened = House(world, owner)
    posts = {EMAIL: opened.email, SMS: opened.sms, WEB_PUSH: opened.web_push}
    opened.world = replace(world, stores=replace(world.stores, channels=Channels(posts)))
    await opened.hear()
    yield opened
    await owner.close()


async def accepted(house: House, starts_at: datetime | None = None) -> UUID:
    """Book a visit, and accept it."""
    booking_id = await house.world.book(starts_at)
    context = house.world.context(house.world.technician())
    assert isinstance(await booking.accept(house.world.stores, booking_id, commands.Accept(), context), Reply)
    return booking_id


async def test_a_request_and_its_acceptance_are_told_at_once(house: House) -> None:
    """The technician by mail within the pass, whatever the hour; the customer when it is accepted."""
    await house.world.book()
    await house.hear()
    assert await house.wanted() == [(house.world.technicians[0], "technician_requested")]
    await house.send()
    ((letter, to),) = house.email.taken
    assert to.email == "technician0@test.example"
    assert letter.title == "New request: Haircut"
    assert letter.body.startswith("Haircut in Harbor, ")
    assert await house.attempts() == [("technician_requested", "email", "sent", "250", True)]


async def test_the_way_of_a_visit_is_told_step_by_step(house: House) -> None:
    """Accepted, departed, arrived: each to the customer, in their language, by the technician's first name."""
    await house.wish(house.world.customers[0], Settings(language="de"))
    booking_id = await accepted(house)
    await house.hear()
    await house.send("customer_accepted")
    technician = house.world.context(house.world.technician())
    assert isinstance(
        await booking.depart(house.world.stores, booking_id, commands.Depart(), technician), Reply
    )
    await house.hear()
    await house.send("customer_departed")
    assert isinstance(
        await booking.arrive(house.world.stores, booking_id, commands.Arrive(), technician), Reply
    )
    await house.hear()
    await house.send("customer_arrived")
    assert [letter.title for letter, _ in house.email.taken] == [
        "Technician hat zugesagt", "Technician ist unterwegs", "Technician ist da",
    ]  # fmt: skip


async def test_a_replay_and_a_second_run_send_nothing_twice(house: House) -> None:
    """The same events again want nothing new; the same job again finds nothing to do, even two at a time."""
    await house.world.book()
    await house.hear()
    rows = await house.owner.fetch(
        "SELECT o.*, e.seq, e.data, e.actor_id, e.actor_role "
        "FROM app.outbox o JOIN app.booking_events e USING (event_id)"
    )
    again = [
        Happened(1, r["outbox_id"], r["event_id"], r["topic"], r["booking_id"], r["area_id"], r["audience"],
                 r["removed_id"], r["correlation_id"], r["at"], r["seq"], _json(r["data"]), r["actor_id"],
                 r["actor_role"])
        for r in rows
    ]  # fmt: skip
    async with house.world.stores.db.transaction() as tx:
        await tell(house.world.stores, tx, again)
    assert len(await house.wanted()) == 1
    assert await house.owner.fetchval("SELECT count(*) FROM app.jobs WHERE name = 'notify'") == 1
    await house.send(runs=5)  # four of them are told "later", or find it done
    await house.send()
    assert len(house.email.taken) == 1
    assert len(await house.attempts()) == 1


async def test_a_real_worker_sends_it(house: House) -> None:
    """From the commit of the request to the mail, with nothing in the job but an id."""
    await house.world.book()
    await house.hear()
    payload = json.loads(await house.owner.fetchval("SELECT payload FROM app.jobs WHERE name = 'notify'"))
    assert payload.keys() == {"notification_id"}
    stop = asyncio.Event()
    working = asyncio.create_task(jobs.work(house.world.stores, stop))
    async with asyncio.timeout(20):
        while not house.email.taken:
            await asyncio.sleep(0.02)
    stop.set()
    await working
    story = await house.owner.fetchrow(
        "SELECT n.correlation_id, e.correlation_id AS cause, j.correlation_id AS job FROM app.notifications n "
        "JOIN app.booking_events e USING (event_id) JOIN app.jobs j ON j.causation_id = e.event_id"
    )
    assert story["correlation_id"] == story["cause"] == story["job"]


async def test_what_is_away_is_tried_again_and_what_was_sent_is_not(house: House) -> None:
    """Mail is away, then back: the text message that went is not repeated, and both tries stand on record."""
    await house.owner.execute("UPDATE app.people SET phone = '+1 410 555 0100'")
    await house.wish(house.world.technicians[0], Settings(channels=("email", "sms")))
    await house.world.book()
    await house.hear()
    house.email.answer = lambda: Sent("421", again=True, after_s=1e9)
    with pytest.raises(Later, match="email: 421") as later:
        await house.send()
    assert later.value.after_s == notification_sending.LONGEST_WISH_S
    house.email.answer = lambda: Sent("250", ok=True)
    await house.send()
    await house.send()
    assert sorted(await house.attempts()) == [
        ("technician_requested", "email", "failed", "421", False),
        ("technician_requested", "email", "sent", "250", True),
        ("technician_requested", "sms", "sent", "250", True),
    ]


async def test_an_address_that_is_refused_for_good_is_not_tried_again(house: House) -> None:
    """A bounce ends it, and a channel that fails in its own code is only tried again."""
    await house.world.book()
    await house.hear()
    house.email.answer = lambda: Sent("550")
    await house.send()
    await house.send()
    assert await house.attempts() == [("technician_requested", "email", "failed", "550", True)]


async def test_a_channel_that_breaks_is_on_record(house: House) -> None:
    """Its exception is one failed attempt that may be repeated."""
    await house.world.book()
    await house.hear()

    def broken() -> Sent:
        raise RuntimeError("ada@example.org")

    house.email.answer = broken
    with pytest.raises(Later, match="RuntimeError"):
        await house.send()
    assert await house.attempts() == [("technician_requested", "email", "failed", "RuntimeError", False)]


async def test_after_the_last_try_it_is_given_up_on_record(house: House) -> None:
    """And goes when what was wrong is mended and its job runs again in time; what was sent is never given up."""
    await house.world.book()
    await house.hear()
    wanted = await house.owner.fetchval("SELECT notification_id FROM app.notifications")
    context = Context(SYSTEM, datetime.now(UTC), "test-given-up")
    await notification_sending.give_up(house.world.stores, {"notification_id": str(wanted)}, context)
    assert await house.attempts() == [("technician_requested", "none", "skipped", "gave_up", True)]
    await house.send()
    assert len(house.email.taken) == 1
    await notification_sending.give_up(house.world.stores, {"notification_id": str(wanted)}, context)
    assert len(await house.attempts()) == 2


async def test_what_is_too_late_is_not_sent(house: House) -> None:
    """Stale for the job after an outage of mail; stale for the subscriber after an outage of ours, without a job."""
    await accepted(house)
    await house.hear()
    await house.send("customer_accepted", now=datetime.now(UTC) + timedelta(days=1))
    assert ("customer_accepted", "none", "skipped", "stale", True) in await house.attempts()
    jobs_before = await house.owner.fetchval("SELECT count(*) FROM app.jobs WHERE name = 'notify'")
    row = await house.owner.fetchrow("SELECT o.* FROM app.outbox o WHERE topic = 'booking.accepted'")
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    old = Happened(1, 1, row["event_id"], "booking.arrived", row["booking_id"], row["area_id"], row["audience"], None,
                   row["correlation_id"], long_ago, 3, {}, None, "technician")  # fmt: skip
    async with house.world.stores.db.transaction() as tx:
        await tell(house.world.stores, tx, [old])
    assert ("customer_arrived", "none", "skipped", "stale", True) in await house.attempts()
    assert await house.owner.fetchval("SELECT count(*) FROM app.jobs WHERE name = 'notify'") == jobs_before
    assert house.email.taken == []


async def test_a_request_that_went_to_somebody_else_is_not_sent(house: House) -> None:
    """Declined before the mail could go: superseded, and nobody is called to a door that is not theirs."""
    booking_id = await house.world.book()
    await house.hear()
    context = house.world.context(house.world.technician())
    declined = await booking_offers.decline(house.world.stores, booking_id, commands.Decline("away"), context)
    assert isinstance(declined, Reply)
    await house.send("technician_requested")
    await house.hear()
    await house.send("customer_declined")
    assert await house.attempts() == [
        ("technician_requested", "none", "skipped", "superseded", True),
        ("customer_declined", "email", "sent", "250", True),
    ]


async def test_what_can_wait_keeps_the_quiet_hours(house: House) -> None:
    """A reminder that is due in the night is held until the morning, once; what concerns somebody now is not."""
    await house.wish(house.world.technicians[0], Settings(quiet=QuietHours(0, 1439), time_zone="UTC"))
    starts_at = (datetime.now(UTC) + timedelta(days=3)).replace(hour=15, minute=0, second=0, microsecond=0)
    booking_id = await house.world.book(starts_at)
    await house.hear()
    await house.send("technician_requested")
    context = house.world.context(house.world.technician())
    assert isinstance(await booking.accept(house.world.stores, booking_id, commands.Accept(), context), Reply)
    await house.hear()
    reminder = "SELECT * FROM app.notifications WHERE template = 'technician_reminder'"
    due_at = (await house.owner.fetchrow(reminder))["due_at"]
    for _ in range(3):
        await house.send("technician_reminder", now=due_at)
    row = await house.owner.fetchrow(reminder)
    assert row["not_before"] == due_at.replace(hour=23, minute=59)
    runs = await house.owner.fetch(
        "SELECT run_at FROM app.jobs WHERE payload ->> 'notification_id' = $1 ORDER BY run_at",
        str(row["notification_id"]),
    )
    assert [r["run_at"] for r in runs] == [due_at, row["not_before"]]
    with pytest.raises(Later, match="not due yet"):  # its own job, on a machine whose clock is behind
        await house.send("technician_reminder", now=row["not_before"] - timedelta(milliseconds=20))
    await house.send("technician_reminder", now=row["not_before"])
    assert [letter.template for letter, _ in house.email.taken] == [
        "technician_requested",
        "technician_reminder",
    ]


async def test_who_is_erased_is_told_nothing_more(house: House) -> None:
    """What was kept to tell them goes with them, and what was still to be sent is skipped."""
    person_id = house.world.customers[0]
    await house.wish(person_id, Settings(language="es"))
    await accepted(house)
    await house.hear()
    await house.owner.execute(
        "UPDATE app.people SET erased_at = now(), email = NULL, display_name = '' WHERE person_id = $1",
        person_id,
    )
    await house.send("customer_accepted")
    assert ("customer_accepted", "none", "skipped", "erased", True) in await house.attempts()
    assert await house.owner.fetchval("SELECT count(*) FROM app.notification_settings") == 0


async def test_who_chose_no_channel_is_left_alone(house: House) -> None:
    """That too is on record."""
    await house.wish(house.world.technicians[0], Settings(channels=()))
    await house.world.book()
    await house.hear()
    await house.send()
    assert await house.attempts() == [("technician_requested", "none", "skipped", "no_channel", True)]


async def test_a_customers_note_is_opened_at_the_last_moment(house: House) -> None:
    """Its words are in the letter, and in no table in clear."""
    booking_id = await accepted(house)
    words = "The bell says Zanzibar"
    note = commands.Note(words, "late")
    written = await booking.note(
        house.world.stores, booking_id, note, house.world.context(house.world.technician())
    )
    assert isinstance(written, Reply)
    await house.hear()
    await house.send("customer_note")
    assert words in house.email.taken[-1][0].body
    for table in ("notifications", "notification_attempts", "jobs", "job_runs", "outbox", "booking_events"):
        found = f"SELECT count(*) FROM app.{table} t WHERE t::text ILIKE ANY ($1)"
        assert await house.owner.fetchval(found, ["%zanzibar%", "%test.example%", "%Technician 0%"]) == 0, (
            table
        )


async def test_no_log_line_tells_who_was_told_what(
    house: House, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a channel that fails, nor the log channel, which is all that a house has at first."""
    log_alone = replace(
        house, world=replace(house.world, stores=replace(house.world.stores, channels=only_log()))
    )
    await house.world.book()
    await house.hear()
    house.email.answer = lambda: Sent("550")
    await house.send()
    await house.world.book(datetime.now(UTC) + timedelta(hours=5), customer=1)
    await house.hear()
    await log_alone.send()
    assert [a[1:4] for a in await house.attempts()] == [("email", "failed", "550"), ("log", "sent", "logged")]
    out = capsys.readouterr()
    written = out.out + out.err + caplog.text
    assert "notification_failed" in written
    assert "technician_requested" in written
    for secret in ("test.example", "Technician 0", "Haircut", "Harbor"):
        assert secret not in written


async def test_its_story_tells_who_was_told_how(house: House) -> None:
    """From the request to each attempt, under one correlation id: to support by ids, to finance not at all."""
    await house.world.book()
    await house.hear()
    await house.send()
    correlation_id = await house.owner.fetchval("SELECT correlation_id FROM app.notifications")
    told = {}
    for role in (Role.SUPPORT, Role.FINANCE):
        context = house.world.context(Actor(new_id(), role))
        answer = await correlations.story(house.world.stores, correlation_id, context)
        assert isinstance(answer, Reply)
        told[role] = [item for item in answer.body["items"] if item["kind"] == "notification"]
    (only,) = told[Role.SUPPORT]
    assert told[Role.FINANCE] == []
    assert (only["template"], only["person_id"]) == ("technician_requested", str(house.world.technicians[0]))
    (attempt,) = only["attempts"]
    assert (attempt["channel"], attempt["outcome"], attempt["code"]) == ("email", "sent", "250")
    assert attempt["tried_at"].endswith("Z")


async def test_old_notifications_go_with_old_stories(house: House) -> None:
    """Finished ones with their attempts, after the policy's time; nobody may take a young one."""
    await house.world.book()
    await house.hear()
    await house.send()
    await house.world.book(datetime.now(UTC) + timedelta(hours=5), customer=1)
    await house.hear()
    stores = house.world.stores
    assert "notifications" not in await tidying.would_go(stores, datetime.now(UTC) + timedelta(days=500))
    await house.owner.execute("ALTER TABLE app.notification_attempts DISABLE TRIGGER refuse_row_change")
    await house.owner.execute("UPDATE app.notification_attempts SET at = now() - interval '401 days'")
    await house.owner.execute("ALTER TABLE app.notification_attempts ENABLE TRIGGER refuse_row_change")
    await house.owner.execute(
        "UPDATE app.notifications SET wanted_at = now() - interval '401 days', "
        "finished_at = finished_at - interval '401 days'"
    )
    assert (await tidying.tidy(stores, datetime.now(UTC)))["notifications"] == 1
    assert await house.attempts() == []
    assert len(await house.wanted()) == 1


def test_an_id_follows_from_its_parts() -> None:
    """A UUIDv7 of the event's own time, another for each person and template."""
    event_id, person_id = new_id(), new_id()
    one = notification_id(event_id, person_id, "customer_near")
    assert one == notification_id(event_id, person_id, "customer_near")
    assert (one.version, one.variant, one.bytes[:6]) == (7, event_id.variant, event_id.bytes[:6])
    others = {
        notification_id(event_id, person_id, "customer_arrived"),
        notification_id(event_id, new_id(), "customer_near"),
        notification_id(new_id(), person_id, "customer_near"),
    }
    assert len(others | {one}) == 4


def _json(value: Any) -> Any:
    return json.loads(value)  # the owner's connection has no codec
