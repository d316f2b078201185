"""Visits days ahead, and hands that change: windows, holds, releases, reassignments and states set by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain import commands
from domain.context import Actor, Role
from services import booking, booking_offers, booking_view
from storage.ids import new_id
from tests.integration.test_booking_commands import code, events_of, good, visit
from tests.integration.world import World


async def one(world: World, sql: str, *args: object) -> Any:
    """Return one value."""
    async with world.stores.db.reading() as tx:
        return await tx.fetchval(sql, *args)


async def test_departure_opens_four_hours_before(world: World) -> None:
    """A moment earlier is refused and says from when; then it opens."""
    starts_at = datetime.now(UTC) + timedelta(hours=30)
    booking_id = await world.book(starts_at)
    await visit(world, booking_id, until="accept")
    opens_at = starts_at - timedelta(hours=4)
    early = world.context(world.technician(), now=opens_at - timedelta(seconds=1))
    refused = await booking.depart(world.stores, booking_id, commands.Depart(), early)
    assert code(refused) == "booking_state"
    assert opens_at.isoformat() in refused.detail  # type: ignore[union-attr]  # a refusal, as just asserted
    in_time = world.context(world.technician(), now=opens_at)
    assert (
        good(await booking.depart(world.stores, booking_id, commands.Depart(), in_time))["state"]
        == "en_route"
    )


async def test_a_method_is_only_verified_for_visits_over_six_days_ahead(world: World) -> None:
    """Days ahead the method is checked, and the hold asked for when the visit is near; nearer it is held at once."""
    now = datetime.now(UTC)
    far = await world.book(now + timedelta(days=10), asked=(0,))
    near = await world.book(now + timedelta(days=5), asked=(1,))
    status = "SELECT payment_status FROM app.bookings WHERE booking_id = $1"
    assert await one(world, status, far) == "verified"
    assert await one(world, status, near) == "authorized"
    wanted = "SELECT run_at FROM app.jobs WHERE name = 'hold_payment' AND payload ->> 'booking_id' = $1"
    due = await one(world, wanted, str(far))
    assert abs(due - (now + timedelta(days=4))) < timedelta(minutes=1)
    assert await one(world, wanted, str(near)) is None


async def test_what_is_given_back_days_ahead_goes_to_the_next_card_at_the_same_hour(world: World) -> None:
    """The second technician's time is held and the first one's free; nobody is asked twice; at the end it is lost."""
    starts_at = datetime.now(UTC) + timedelta(days=3)
    booking_id = await world.book(starts_at, fallback="next_card", asked=(0, 1))
    await visit(world, booking_id, until="accept")
    for n, left in ((0, 1), (1, None)):
        context = world.context(world.technician(n))
        if n:
            good(await booking.accept(world.stores, booking_id, commands.Accept(), context))
        good(await booking_offers.cancel(world.stores, booking_id, commands.Cancel("ill"), context))
        held = await one(world, "SELECT array_agg(technician_id) FROM app.reservations WHERE active")
        assert held == (None if left is None else [world.technicians[left]])
    shown = good(await booking_view.read(world.stores, booking_id, world.context(world.customer())))
    assert (shown["state"], shown["technician"], shown["price"]["total"]["amount"]) == (
        "requested",
        None,
        4770,
    )
    assert shown["starts_at"] == booking_view.stamp(starts_at)
    types = await events_of(world, booking_id)
    assert types[-5:] == [
        "booking.accepted", "booking.released", "booking.reassigned", "booking.accepted", "booking.released"
    ]  # fmt: skip


async def reassigned(world: World, booking_id: UUID, technician_id: UUID) -> Any:
    """Answer to a dispatcher's reassignment."""
    command = commands.Reassign(technician_id, "closer")
    return await booking_offers.reassign(world.stores, booking_id, command, world.context(world.dispatch()))


async def test_a_reassignment_asks_only_who_is_free_and_may(world: World) -> None:
    """Busy: slot_taken. The same, or nobody known: refused. Then a new deadline, and the quoted total stays."""
    starts_at = datetime.now(UTC) + timedelta(hours=2)
    booking_id = await world.book(starts_at, asked=(0,))
    await world.book(starts_at, asked=(1,), customer=1)
    assert code(await reassigned(world, booking_id, world.technicians[1])) == "slot_taken"
    assert code(await reassigned(world, booking_id, world.technicians[0])) == "booking_state"
    assert code(await reassigned(world, booking_id, new_id())) == "not_qualified"
    shown = good(await reassigned(world, booking_id, world.technicians[2]))
    assert (shown["state"], shown["price"]["total"]["amount"]) == ("requested", 4770)
    assert shown["technician"]["technician_id"] == str(world.technicians[2])
    assert shown["deadline_at"] is not None


async def test_a_state_is_set_by_hand_with_a_reason_and_its_money(world: World) -> None:
    """By founder and dispatcher, audited; completed captures, cancelled lets go; what is over stays over."""
    for actor, state, kind in (
        (world.dispatch(), "completed", "capture"),
        (Actor(world.founder, Role.FOUNDER), "cancelled", "void"),
    ):
        booking_id = await world.book()
        await visit(world, booking_id, until="depart")
        command = commands.Override(state, "their phone is broken")
        shown = good(await booking.override(world.stores, booking_id, command, world.context(actor)))
        assert (shown["state"], shown["gps_session_id"]) == (state, None)
        kinds = "SELECT array_agg(kind ORDER BY kind) FROM app.payment_intents WHERE booking_id = $1"
        assert await one(world, kinds, booking_id) == ["authorize", kind]
        reason = "SELECT reason FROM audit.events WHERE action = 'booking.overridden' AND subject_id = $1"
        assert await one(world, reason, str(booking_id)) == "their phone is broken"
        assert await one(world, "SELECT count(*) FROM app.reservations WHERE active") == 0
        again = await booking.override(
            world.stores, booking_id, commands.Override("arrived", "oops"), world.context(actor)
        )
        assert code(again) == "booking_state"
    abroad = world.context(Actor(world.dispatcher, Role.DISPATCHER, frozenset({new_id()})))
    booking_id = await world.book()
    refused = await booking.override(world.stores, booking_id, commands.Override("cancelled", "x"), abroad)
    assert code(refused) == "not_found"
