"""Who caused what: each consequence names its cause and stays in its story, however much later it comes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from domain import commands
from services import booking, booking_offers, causes, deadlines
from services.reply import Reply
from storage.causes import of_intent
from tests.integration.door import Door
from tests.integration.test_finance_http import paid_visit
from tests.integration.world import World

EVENTS = """
SELECT event_id, seq, type, correlation_id, causation_id FROM app.booking_events WHERE booking_id = $1 ORDER BY seq
"""
JOBS = "SELECT job_id, name, correlation_id, causation_id FROM app.jobs WHERE correlation_id = $1 ORDER BY job_id"


async def rows(world: World, sql: str, *args: object) -> list[asyncpg.Record]:
    """Read as the serving role."""
    async with world.stores.db.reading() as tx:
        return await tx.fetch(sql, *args)


async def by_type(world: World, booking_id: UUID) -> dict[str, Any]:
    """Return the newest event of each type."""
    return {e["type"]: e for e in await rows(world, EVENTS, booking_id)}


async def test_what_is_recorded_together_follows_in_order(world: World) -> None:
    """The authorisation follows from the request, in the same commit; the request itself from nothing."""
    told = await by_type(world, await world.book())
    assert told["booking.requested"]["causation_id"] is None
    assert told["payment.authorized"]["causation_id"] == told["booking.requested"]["event_id"]


async def test_a_capture_names_its_job_and_the_job_its_event(door: Door) -> None:
    """Completed → the job that asks the gateway → captured: one story, three links, no gap."""
    booking_id = await paid_visit(door)
    told = await by_type(door.world, booking_id)
    completed, captured = told["booking.completed"], told["payment.captured"]
    (job,) = await rows(door.world, JOBS, completed["correlation_id"])
    assert (job["name"], job["causation_id"]) == ("capture_payment", completed["event_id"])
    assert (captured["correlation_id"], captured["causation_id"]) == (
        completed["correlation_id"],
        job["job_id"],
    )


async def test_a_gateways_call_has_the_cause_of_the_jobs_own_answer(door: Door) -> None:
    """A webhook may come before the job's answer: both lead to the same story and the same job."""
    booking_id = await door.world.book()
    steps: list[tuple[Any, object]] = [
        (booking.accept, commands.Accept()), (booking.depart, commands.Depart()),
        (booking.arrive, commands.Arrive()), (booking.start, commands.Start()),
        (booking.complete, commands.Complete()),
    ]  # fmt: skip
    for step, command in steps:
        context = door.world.context(door.world.technician())
        answer = await step(door.world.stores, booking_id, command, context)
        assert isinstance(answer, Reply), answer
    completed = (await by_type(door.world, booking_id))["booking.completed"]
    (job,) = await rows(door.world, JOBS, completed["correlation_id"])
    (intent,) = await rows(door.world, "SELECT intent_id FROM app.payment_intents WHERE kind = 'capture'")
    async with door.world.stores.db.reading() as tx:
        cause = await of_intent(tx, intent["intent_id"])
    assert cause == (completed["correlation_id"], job["job_id"])


async def test_a_deadline_belongs_to_the_event_that_set_it(world: World) -> None:
    """Nobody answers: the next card is asked in the story of the request, then the end in the story of that asking."""
    booking_id = await world.book(fallback="next_card", asked=(0, 1))
    requested = (await by_type(world, booking_id))["booking.requested"]
    late = datetime.now(UTC) + timedelta(seconds=world.stores.policy.answer_within_s + 1)
    await deadlines.fire_due(world.stores, late)
    told = await by_type(world, booking_id)
    first, asked = told["booking.expired"], told["booking.reassigned"]
    assert (first["correlation_id"], first["causation_id"]) == (
        requested["correlation_id"],
        requested["event_id"],
    )
    assert (asked["correlation_id"], asked["causation_id"]) == (
        requested["correlation_id"],
        first["event_id"],
    )
    later = late + timedelta(seconds=world.stores.policy.answer_within_s + 1)
    await deadlines.fire_due(world.stores, later)
    last = (await by_type(world, booking_id))["booking.expired"]
    assert (last["correlation_id"], last["causation_id"]) == (requested["correlation_id"], asked["event_id"])


async def test_the_detector_tells_on_in_the_story_of_the_departure(world: World) -> None:
    """Near and arrived belong to the leg, so to who set off; a technician taken off leaves no cause behind."""
    booking_id = await world.book()
    await booking.accept(world.stores, booking_id, commands.Accept(), world.context(world.technician()))
    await booking.depart(world.stores, booking_id, commands.Depart(), world.context(world.technician()))
    departed = (await by_type(world, booking_id))["booking.departed"]
    context = await causes.of_leg(world.stores, booking_id, datetime.now(UTC))
    assert (context.correlation_id, context.causation_id) == (
        departed["correlation_id"],
        departed["event_id"],
    )
    (session,) = await rows(world, "SELECT session_id FROM app.gps_sessions")
    await booking.came_near(world.stores, booking_id, session["session_id"], "distance", context)
    near = (await by_type(world, booking_id))["booking.near"]
    assert (near["correlation_id"], near["causation_id"]) == (
        departed["correlation_id"],
        departed["event_id"],
    )


async def test_a_release_leads_to_the_next_card(world: World) -> None:
    """A technician gives a visit back and the next card is asked: the asking follows from the release."""
    booking_id = await world.book(fallback="next_card", asked=(0, 1))
    await booking.accept(world.stores, booking_id, commands.Accept(), world.context(world.technician()))
    gone = world.context(world.technician())
    await booking_offers.cancel(world.stores, booking_id, commands.Cancel("flat tyre"), gone)
    told = await by_type(world, booking_id)
    released, asked = told["booking.released"], told["booking.reassigned"]
    assert (released["correlation_id"], released["causation_id"]) == (gone.correlation_id, None)
    assert (asked["correlation_id"], asked["causation_id"]) == (gone.correlation_id, released["event_id"])
