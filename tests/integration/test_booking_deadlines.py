"""Deadlines against a real database: fired once by any process, together with what they cause."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain import commands
from services import booking, booking_offers, booking_view, deadlines, verification
from storage.db import open_database
from tests.integration.test_booking_commands import code, events_of, good, visit
from tests.integration.world import World

type Step = Callable[[World, UUID], Awaitable[Any]]

DUE = "SELECT due_at FROM app.deadlines WHERE booking_id = $1 AND kind = $2 AND fired_at IS NULL"
PENDING = "SELECT array_agg(kind ORDER BY kind) FROM app.deadlines WHERE booking_id = $1 AND fired_at IS NULL"


async def due(world: World, booking_id: UUID, kind: str) -> datetime:
    """Return when a deadline is due that was not fired."""
    async with world.stores.db.reading() as tx:
        at = await tx.fetchval(DUE, booking_id, kind)
    assert isinstance(at, datetime)
    return at


async def pending(world: World, booking_id: UUID) -> list[str]:
    """Return the kinds of deadlines that wait."""
    async with world.stores.db.reading() as tx:
        return list(await tx.fetchval(PENDING, booking_id) or [])


async def alerts_of(world: World, booking_id: UUID) -> list[tuple[str, str]]:
    """Return kind and state of each alert about a booking, in the order of their raising."""
    async with world.stores.db.reading() as tx:
        found = await tx.fetch(
            "SELECT kind, state FROM app.alerts WHERE booking_id = $1 ORDER BY alert_id", booking_id
        )
    return [(row["kind"], row["state"]) for row in found]


async def told(world: World, booking_id: UUID) -> list[str]:
    """Return the topics of alerts that went into the outbox."""
    async with world.stores.db.reading() as tx:
        found = await tx.fetch(
            "SELECT topic FROM app.outbox WHERE booking_id = $1 AND topic LIKE 'alert.%' ORDER BY outbox_id",
            booking_id,
        )
    return [row["topic"] for row in found]


async def test_processes_that_fire_at_once_cause_each_thing_once(world: World) -> None:
    """Six loops on pools of their own, over visits that overrun, wait at a door and were never answered."""
    now = datetime.now(UTC)
    overrunning = await world.book(now + timedelta(minutes=30), asked=(0,))
    waiting = await world.book(now + timedelta(minutes=30), asked=(1,))
    unanswered = await world.book(now + timedelta(minutes=30), asked=(2,))
    await visit(world, overrunning, until="start")
    other = world.context(world.technician(1))
    good(await booking.accept(world.stores, waiting, commands.Accept(), other))
    good(await booking.depart(world.stores, waiting, commands.Depart(), other))
    good(await booking.arrive(world.stores, waiting, commands.Arrive(), other))
    later = max(
        await due(world, overrunning, "overrun"), await due(world, waiting, "no_show"),
        await due(world, unanswered, "unanswered"),
    ) + timedelta(seconds=1)  # fmt: skip
    async with AsyncExitStack() as stack:
        pools = [
            await stack.enter_async_context(open_database(world.stores.db.url, max_size=3)) for _ in range(6)
        ]
        await asyncio.gather(*(deadlines.fire_due(replace(world.stores, db=db), later) for db in pools))
    assert (await events_of(world, overrunning)).count("booking.overran") == 1
    assert (await events_of(world, waiting)).count("booking.waited") == 1
    assert (await events_of(world, unanswered)).count("booking.expired") == 1
    assert await alerts_of(world, overrunning) == [("overrun", "raised")]
    assert await told(world, overrunning) == ["alert.raised"]
    assert await deadlines.fire_due(world.stores, later) == 0


async def test_what_a_deadline_causes_and_its_mark_are_one_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the consequence fails, the deadline is not marked and lets others go first; then it fires, only once."""
    booking_id = await world.book()
    await visit(world, booking_id, until="start")
    later = await due(world, booking_id, "overrun") + timedelta(seconds=1)

    async def broken(*_: object) -> object:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as patched:
        patched.setattr(deadlines, "CONSEQUENCES", {"overrun": broken})
        assert await deadlines.fire_due(world.stores, later) == 1
    assert "booking.overran" not in await events_of(world, booking_id)
    assert await deadlines.fire_due(world.stores, later) == 0
    for _ in range(2):
        await deadlines.fire_due(world.stores, later + deadlines.AGAIN_AFTER)
    assert (await events_of(world, booking_id)).count("booking.overran") == 1


async def test_a_deadline_of_a_booking_that_moved_on_is_forgotten(world: World) -> None:
    """A row that outlived its reason is marked and causes nothing."""
    booking_id = await world.book()
    await visit(world, booking_id)
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute(
        "INSERT INTO app.deadlines (booking_id, kind, due_at) VALUES ($1, 'overrun', now())", booking_id
    )
    await owner.close()
    before = await events_of(world, booking_id)
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert await deadlines.fire_due(world.stores, later) == 1
    assert await deadlines.fire_due(world.stores, later) == 0
    assert await events_of(world, booking_id) == before


async def test_a_deadline_of_a_newer_release_is_left_alone(world: World) -> None:
    """A kind that this release does not know stays for one that does."""
    booking_id = await world.book()
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute(
        "INSERT INTO app.deadlines (booking_id, kind, due_at) VALUES ($1, 'from_the_future', now())",
        booking_id,
    )
    await owner.close()
    assert await deadlines.fire_due(world.stores, datetime.now(UTC) + timedelta(seconds=5)) == 0
    assert "from_the_future" in await pending(world, booking_id)


async def test_an_overrun_is_told_once_for_each_expected_end(world: World) -> None:
    """The customer hears it, dispatch is alerted; more time counts from now, ends the alert and arms the next one."""
    booking_id = await world.book()
    await visit(world, booking_id, until="start")
    first_end = await due(world, booking_id, "overrun")
    late = first_end + timedelta(minutes=20)
    await deadlines.fire_due(world.stores, first_end - timedelta(seconds=1))
    assert "booking.overran" not in await events_of(world, booking_id)
    for _ in range(3):
        await deadlines.fire_due(world.stores, late)
    listed = good(await booking_view.events(world.stores, booking_id, world.context(world.customer())))
    overran = [e for e in listed["items"] if e["type"] == "booking.overran"]
    assert [e["data"]["expected_end_at"] for e in overran] == [first_end.isoformat().replace("+00:00", "Z")]
    assert overran[0]["booking"]["state"] == "in_service"
    context = world.context(world.technician(), now=late)
    extended = good(await booking.extend(world.stores, booking_id, commands.Extend(15), context))
    second_end = late + timedelta(minutes=15)
    assert extended["expected_end_at"] == booking_view.stamp(second_end)
    await deadlines.fire_due(world.stores, second_end + timedelta(seconds=1))
    assert (await events_of(world, booking_id)).count("booking.overran") == 2
    good(
        await booking.complete(
            world.stores, booking_id, commands.Complete(), world.context(world.technician())
        )
    )
    assert await alerts_of(world, booking_id) == [("overrun", "cleared"), ("overrun", "cleared")]
    assert await told(world, booking_id) == ["alert.raised", "alert.cleared"] * 2
    assert await pending(world, booking_id) == []


async def test_the_waiting_time_at_the_door_is_told_at_arrival_and_at_its_end(world: World) -> None:
    """Before it a no-show is refused with the moment; both sides hear when it is over; then it may be said."""
    booking_id = await world.book()
    await visit(world, booking_id, until="arrive")
    shown = good(await booking_view.read(world.stores, booking_id, world.context(world.technician())))
    until = await due(world, booking_id, "no_show")
    assert shown["deadline_at"] == booking_view.stamp(until)
    early = world.context(world.technician(), now=until - timedelta(seconds=1))
    refused = await booking.no_show(world.stores, booking_id, commands.NoShow("nobody"), early)
    assert code(refused) == "booking_state"
    assert until.isoformat() in refused.detail  # type: ignore[union-attr]  # a refusal, as just asserted
    await deadlines.fire_due(world.stores, until)
    assert (await events_of(world, booking_id))[-1] == "booking.waited"
    over = world.context(world.technician(), now=until)
    done = good(await booking.no_show(world.stores, booking_id, commands.NoShow("nobody"), over))
    assert (done["state"], done["deadline_at"]) == ("no_show", None)


async def test_an_opened_door_ends_the_waiting(world: World) -> None:
    """Once the visit has begun nobody is told that nobody opened."""
    booking_id = await world.book()
    await visit(world, booking_id, until="start")
    assert await pending(world, booking_id) == ["overrun"]


async def test_a_state_set_by_hand_has_its_deadlines(world: World) -> None:
    """Set to arrived the waiting time runs; set to in_service it is to end some time; cancelled, nothing waits."""
    booking_id = await world.book()
    await visit(world, booking_id, until="accept")
    assert await pending(world, booking_id) == ["not_there"]

    async def set_to(state: str) -> dict[str, Any]:
        command = commands.Override(state, "their phone is broken")
        return good(
            await booking.override(world.stores, booking_id, command, world.context(world.dispatch()))
        )

    arrived = await set_to("arrived")
    assert arrived["deadline_at"] is not None
    assert await pending(world, booking_id) == ["no_show"]
    serving = await set_to("in_service")
    assert (serving["deadline_at"], serving["expected_end_at"]) == (
        None,
        booking_view.stamp(await due(world, booking_id, "overrun")),
    )
    await deadlines.fire_due(world.stores, await due(world, booking_id, "overrun"))
    await set_to("cancelled")
    assert await pending(world, booking_id) == []
    assert await alerts_of(world, booking_id) == [("overrun", "cleared")]


async def test_a_request_that_nobody_answers_alerts_at_half_time_and_when_it_is_lost(world: World) -> None:
    """Half of the time to answer raises one; the end without anybody clears it and raises one that stays."""
    booking_id = await world.book()
    half = await due(world, booking_id, "unnoticed")
    end = await due(world, booking_id, "unanswered")
    assert half < end
    await deadlines.fire_due(world.stores, half)
    assert await alerts_of(world, booking_id) == [("unanswered", "raised")]
    await deadlines.fire_due(world.stores, end)
    assert await alerts_of(world, booking_id) == [("unanswered", "cleared"), ("unanswered", "raised")]
    async with world.stores.db.reading() as tx:
        data = await tx.fetchval("SELECT data FROM app.alerts WHERE state = 'raised'")
    assert data == {"cause": "expired"}
    assert [f.first for f in await verification.verify(world.stores.db) if f.name == "alerts"] == [()]


async def test_the_next_card_starts_the_waiting_anew(world: World) -> None:
    """With a fallback the alert of the first technician ends, and the second one's half time comes later."""
    booking_id = await world.book(fallback="next_card")
    half = await due(world, booking_id, "unnoticed")
    end = await due(world, booking_id, "unanswered")
    await deadlines.fire_due(world.stores, half)
    await deadlines.fire_due(world.stores, end)
    assert await alerts_of(world, booking_id) == [("unanswered", "cleared")]
    assert await due(world, booking_id, "unnoticed") > end
    context = world.context(world.technician(1), now=end)
    good(await booking.accept(world.stores, booking_id, commands.Accept(), context))
    assert await pending(world, booking_id) == ["not_there"]


async def test_a_visit_given_back_to_nobody_is_alerted_at_once(world: World) -> None:
    """Without a next card a dispatcher must act; asking another technician ends the alert."""
    booking_id = await world.book()
    await visit(world, booking_id, until="accept")
    context = world.context(world.technician())
    good(await booking_offers.cancel(world.stores, booking_id, commands.Cancel("flat tyre"), context))
    assert await alerts_of(world, booking_id) == [("unanswered", "raised")]
    assert await pending(world, booking_id) == ["unanswered"]
    command = commands.Reassign(world.technicians[2], "closest")
    good(await booking_offers.reassign(world.stores, booking_id, command, world.context(world.dispatch())))
    assert await alerts_of(world, booking_id) == [("unanswered", "cleared")]
    assert await pending(world, booking_id) == ["unanswered", "unnoticed"]


async def test_somebody_who_does_not_set_off_is_late_to_start(world: World) -> None:
    """Not departed by the start: alerted once, until the arrival; departed in time, there are minutes of grace."""
    soon = datetime.now(UTC) + timedelta(minutes=10)
    late, in_time = await world.book(soon, asked=(0,)), await world.book(soon, asked=(1,))
    await visit(world, late, until="accept")
    other = world.context(world.technician(1))
    good(await booking.accept(world.stores, in_time, commands.Accept(), other))
    good(await booking.depart(world.stores, in_time, commands.Depart(), other))
    assert await due(world, in_time, "not_there") > await due(world, late, "not_there")
    await deadlines.fire_due(world.stores, soon)
    assert await alerts_of(world, late) == [("late_to_start", "raised")]
    assert await alerts_of(world, in_time) == []
    context = world.context(world.technician())
    good(await booking.depart(world.stores, late, commands.Depart(), context))
    assert await alerts_of(world, late) == [("late_to_start", "raised")]
    good(await booking.arrive(world.stores, late, commands.Arrive(), context))
    assert await alerts_of(world, late) == [("late_to_start", "cleared")]
    await deadlines.fire_due(world.stores, soon + timedelta(seconds=world.stores.policy.alert_not_arrived_s))
    assert await alerts_of(world, in_time) == [("late_to_start", "raised")]
