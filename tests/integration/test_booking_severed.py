"""A process that dies, or gives up, at any of the moments at which a command waits for PostgreSQL, and asks again.

How many moments there are is found out by counting them. At each one the question is lost, or the answer of a question
that was done, or the command is cancelled where it waits; the same request with the same key then has one effect.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from domain import commands
from domain.commands import RequestBooking
from domain.context import Actor, Context
from domain.refusals import Refusal
from services import booking, booking_offers, verification
from services.booking_request import request
from services.reply import Answer, Reply
from services.stores import Stores
from storage.db import open_database
from storage.ids import new_id
from tests.integration.severed import Fate, Wire, severable
from tests.integration.world import World, address

APART = timedelta(hours=2)
DEAD_FOR = timedelta(seconds=35)  # longer than a claim that got no answer is held for whoever died
STORY = """
SELECT type, count(*) AS times FROM app.booking_events WHERE booking_id = $1 GROUP BY type
"""
ALL_OF = """
SELECT (SELECT count(*) FROM app.bookings) AS bookings,
       (SELECT count(*) FROM app.payment_intents WHERE kind = 'authorize') AS holds,
       (SELECT count(*) FROM sandbox.operations WHERE kind = 'authorize') AS asked,
       (SELECT count(*) FROM app.payment_intents WHERE kind IN ('capture', 'void')) AS resolved,
       (SELECT count(*) FROM app.payment_intents WHERE purpose = 'tip') AS tips,
       (SELECT count(*) FROM app.reservations WHERE active) - (SELECT count(*) FROM app.bookings
           WHERE state IN ('requested', 'accepted', 'en_route', 'arrived', 'in_service')) AS stray
"""
GONE = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncio.CancelledError)

type Ask = Callable[[Stores, Context], Awaitable[Answer]]


@dataclass(slots=True)
class Severed:
    """A world, and stores of the same world over a wire that fails."""

    world: World
    stores: Stores
    wire: Wire
    slot: int = 0

    def free(self) -> tuple[int, datetime]:
        """Return a technician and a time that nobody has, soon enough for a hold."""
        self.slot += 1
        hours, technician = divmod(self.slot, len(self.world.technicians))
        return technician, datetime.now(UTC) + timedelta(minutes=30) + APART * hours


@pytest.fixture
async def severed(world: World) -> AsyncIterator[Severed]:
    """A world behind such a wire, its connections made and its statements not yet known."""
    async with (
        severable(world.stores.db.url) as (wire, url),
        open_database(url, min_size=2, max_size=2) as db,
    ):
        yield Severed(world, replace(world.stores, db=db), wire)


@dataclass(frozen=True, slots=True)
class Case:
    """A command that is about to be given: by whom, when, how, and the event that it leaves."""

    actor: Actor
    now: datetime
    ask: Ask
    event: str
    before: dict[str, int]


async def requesting(at: Severed) -> Case:
    """A customer asks for a visit."""
    world, (technician, when) = at.world, at.free()
    match_id, cards = await world.match(when, asked=(technician,))
    command = RequestBooking(match_id, cards[0], address(), "sandbox_ok")
    return Case(
        world.customer(), datetime.now(UTC), lambda s, c: request(s, command, c), "booking.requested", {}
    )


async def accepting(at: Severed) -> Case:
    """A technician is about to accept."""
    technician, when = at.free()
    booking_id = await at.world.book(when, asked=(technician,))
    return Case(
        at.world.technician(technician), datetime.now(UTC),
        lambda s, c: booking.accept(s, booking_id, commands.Accept(), c), "booking.accepted",
        await story(at.world, booking_id),
    )  # fmt: skip


async def cancelling(at: Severed) -> Case:
    """A customer is about to cancel an accepted visit late, for a fee."""
    world, (technician, when) = at.world, at.free()
    booking_id = await world.book(when, asked=(technician,))
    accept = commands.Accept()
    await booking.accept(world.stores, booking_id, accept, world.context(world.technician(technician)))
    why = commands.Cancel("Rain")
    return Case(
        world.customer(), when, lambda s, c: booking_offers.cancel(s, booking_id, why, c), "booking.cancelled",
        await story(world, booking_id),
    )  # fmt: skip


async def completing(at: Severed) -> Case:
    """A technician is about to complete; the capture is intended with it."""
    world, (technician, when) = at.world, at.free()
    booking_id = await world.book(when, asked=(technician,))
    await booking.accept(
        world.stores, booking_id, commands.Accept(), world.context(world.technician(technician))
    )
    there = world.context(world.technician(technician), now=when)
    await booking.depart(world.stores, booking_id, commands.Depart(), there)
    await booking.arrive(world.stores, booking_id, commands.Arrive(), there)
    started = await booking.start(world.stores, booking_id, commands.Start(), there)
    assert isinstance(started, Reply), started
    return Case(
        world.technician(technician), when, lambda s, c: booking.complete(s, booking_id, commands.Complete(), c),
        "booking.completed", await story(world, booking_id),
    )  # fmt: skip


async def giving_back(at: Severed) -> Case:
    """A technician is about to give an accepted visit back, and the next card is asked in the same moment."""
    world, (technician, when) = at.world, at.free()
    if technician == len(world.technicians) - 1:
        technician, when = at.free()
    other, _ = at.free()  # whose time is free then, too
    booking_id = await world.book(when, asked=(technician, other), fallback="next_card")
    accept = commands.Accept()
    await booking.accept(world.stores, booking_id, accept, world.context(world.technician(technician)))
    why = commands.Cancel("Van broke")
    return Case(
        world.technician(technician), datetime.now(UTC),
        lambda s, c: booking_offers.cancel(s, booking_id, why, c), "booking.released", await story(world, booking_id),
    )  # fmt: skip


async def rating(at: Severed) -> Case:
    """A customer is about to rate a visit and to give a tip."""
    world, done = at.world, await completing(at)
    context = world.context(done.actor, now=done.now)
    answer = await done.ask(world.stores, context)
    assert isinstance(answer, Reply), answer
    booking_id = UUID(str(answer.body["booking_id"]))
    stars = commands.Rate(5, "Thanks", 300, "USD")
    return Case(
        world.customer(), done.now, lambda s, c: booking.rate(s, booking_id, stars, c), "booking.rated",
        await story(world, booking_id),
    )  # fmt: skip


async def story(world: World, booking_id: UUID) -> dict[str, int]:
    """Count a booking's events by type."""
    async with world.stores.db.reading() as tx:
        return {r["type"]: r["times"] for r in await tx.fetch(STORY, booking_id)}


async def counts(world: World) -> dict[str, int]:
    """Count bookings, holds and what was asked of the gateway."""
    async with world.stores.db.reading() as tx:
        return dict((await tx.fetch(ALL_OF))[0])


async def strike(at: Severed, case: Case, n: int | None, fate: Fate) -> tuple[Context, Answer | None, int]:
    """Give the command over the wire; returns its request, its answer if it got one, and the round trips."""
    context = at.world.context(case.actor, key=new_id().hex, now=case.now)
    asking: asyncio.Task[Answer] = asyncio.ensure_future(case.ask(at.stores, context))
    at.wire.give_up = asking.cancel
    at.wire.arm(n, fate)
    answer: Answer | None = None
    with suppress(*GONE):
        answer = await asking
    return context, answer, at.wire.disarm()


async def one_effect(at: Severed, case: Case, context: Context, answer: Answer | None, moment: str) -> UUID:
    """Ask again, as often as a phone would: one effect, and one answer."""
    world = at.world
    later = replace(context, now=case.now + DEAD_FOR, correlation_id=f"again-{new_id().hex}")
    again = await case.ask(world.stores, later)
    assert isinstance(again, Reply), (moment, again)
    assert again.status < 300, (moment, again)
    third = await case.ask(world.stores, replace(later, correlation_id=f"again-{new_id().hex}"))
    assert isinstance(third, Reply), (moment, third)
    assert third.replayed, moment
    booking_id = UUID(str(again.body["booking_id"]))
    assert str(third.body["booking_id"]) == str(booking_id), moment
    assert third.body["version"] == again.body["version"], moment
    if isinstance(answer, Reply):
        assert again.replayed, moment
        assert answer.body["version"] == again.body["version"], moment
    grown = {k: v - case.before.get(k, 0) for k, v in (await story(world, booking_id)).items()}
    assert grown[case.event] == 1, (moment, grown)
    assert all(times <= 1 for times in grown.values()), (moment, grown)
    return booking_id


@pytest.mark.parametrize("prepare", [requesting, accepting, cancelling, completing, giving_back, rating])
async def test_one_effect_wherever_it_dies(
    severed: Severed, prepare: Callable[[Severed], Awaitable[Case]]
) -> None:
    """At every round trip, in each of three ways: asked again with the same key, it has happened exactly once."""
    at, world = severed, severed.world
    await strike(at, await prepare(at), None, Fate.QUESTION_LOST)  # the connections learn the statements
    _, whole, moments = await strike(at, await prepare(at), None, Fate.QUESTION_LOST)
    assert isinstance(whole, Reply), whole
    assert moments >= 2
    struck = 0
    for n in range(1, moments + 1):
        for fate in Fate:
            case = await prepare(at)
            before = await counts(world)
            context, answer, _ = await strike(at, case, n, fate)
            struck += answer is None
            moment = f"{fate.value} at round trip {n} of {moments}"
            assert not isinstance(answer, Refusal), (moment, answer)
            await one_effect(at, case, context, answer, moment)
            after = await counts(world)
            made = int(case.event == "booking.requested")
            resolved = int(case.event in {"booking.completed", "booking.cancelled"})
            tips = int(case.event == "booking.rated")
            grown = {what: after[what] - before[what] for what in after}
            expected = {
                "bookings": made,
                "holds": made,
                "asked": made,
                "resolved": resolved,
                "tips": tips,
                "stray": 0,
            }
            assert grown == expected, moment
    assert struck >= 2 * moments
    found = await verification.verify(world.stores.db)
    assert {f.name: f.first for f in found if f.broken} == {}


async def test_a_dying_postgresql_is_a_store_that_is_away(severed: Severed) -> None:
    """Its last word, without an end, is a lost connection to everybody: no cursor expires for it, no job fails."""
    at = severed
    _, whole, _ = await strike(at, await requesting(at), None, Fate.QUESTION_LOST)
    assert isinstance(whole, Reply)
    at.wire.say_last_word()

    async def look_until_it_fails() -> None:
        while True:
            async with at.stores.db.transaction() as tx:
                await tx.fetchval("SELECT 1")

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await look_until_it_fails()
    async with at.stores.db.reading() as healed:  # held, so that the one that lay idle is lent next
        assert await healed.fetchval("SELECT 1") == 1
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await look_until_it_fails()
