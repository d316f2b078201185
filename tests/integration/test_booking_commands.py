"""Commands on a booking against a real database: one journal, one winner, one answer for a key."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain import booking_rules, commands
from domain.commands import RequestBooking
from domain.context import SYSTEM, Actor, Context, Role
from domain.refusals import Refusal
from services import booking, booking_offers, booking_view, credentials, deadlines, sharing, technicians
from services.booking_request import request
from services.booking_steps import judged
from services.reply import Answer, Reply
from storage import booking_commands, bookings, journal
from storage.ids import new_id
from tests.integration.world import World, address


def good(answer: Answer) -> dict[str, Any]:
    """Return the body of a good answer."""
    assert isinstance(answer, Reply), answer
    return dict(answer.body)


def code(answer: Answer) -> str:
    """Return the code of a refusal."""
    assert isinstance(answer, Refusal), answer
    return answer.code


async def events_of(world: World, booking_id: UUID) -> list[str]:
    """Return the types of a booking's events, proving on the way that `seq` has no gap."""
    async with world.stores.db.reading() as tx:
        rows = await bookings.events(tx, booking_id, 0, 200)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    return [row["type"] for row in rows]


async def visit(world: World, booking_id: UUID, until: str = "complete") -> None:
    """Drive a booking along the straight way, up to and with a command."""
    steps: list[tuple[str, Any]] = [
        ("accept", commands.Accept()), ("depart", commands.Depart()), ("arrive", commands.Arrive()),
        ("start", commands.Start()), ("complete", commands.Complete()),
    ]  # fmt: skip
    for name, command in steps:
        good(
            await getattr(booking, name)(world.stores, booking_id, command, world.context(world.technician()))
        )
        if name == until:
            return


async def test_a_visit_from_request_to_completion(world: World) -> None:
    """The straight way writes every event once, and the row equals the last of them."""
    booking_id = await world.book()
    await visit(world, booking_id)
    assert await events_of(world, booking_id) == [
        "booking.requested", "payment.authorized", "booking.accepted", "booking.departed", "booking.arrived",
        "booking.started", "booking.completed",
    ]  # fmt: skip
    shown = good(await booking_view.read(world.stores, booking_id, world.context(world.customer())))
    assert shown["state"] == "completed"
    assert shown["version"] == 7
    assert shown["address"]["line1"] == "12 Harbor Street"
    assert shown["price"]["total"] == {"amount": 4770, "currency": "USD"}
    async with world.stores.db.reading() as tx:
        active = await tx.fetchval("SELECT count(*) FROM app.reservations WHERE active")
        open_sessions = await tx.fetchval("SELECT count(*) FROM app.gps_sessions WHERE closed_at IS NULL")
    assert (active, open_sessions) == (0, 0)


async def test_twenty_requests_for_one_hour_have_one_winner(world: World) -> None:
    """Overlapping requests in parallel: one 201, nineteen `slot_taken`, no error, one active reservation."""
    when = datetime.now(UTC) + timedelta(hours=2)
    matches = [await world.match(when + timedelta(minutes=n), customer=n % 2, asked=(0,)) for n in range(20)]

    async def ask(n: int) -> Answer:
        match_id, cards = matches[n]
        command = RequestBooking(match_id, cards[0], address(), "sandbox_ok")
        return await request(world.stores, command, world.context(world.customer(n % 2)))

    answers = await asyncio.gather(*(ask(n) for n in range(20)))
    won = [a for a in answers if isinstance(a, Reply)]
    assert len(won) == 1
    assert {code(a) for a in answers if not isinstance(a, Reply)} == {"slot_taken"}
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM app.reservations WHERE active") == 1


async def test_twenty_accepts_have_one_winner(world: World) -> None:
    """The same acceptance twenty times in parallel happens once; the rest are told the state."""
    booking_id = await world.book()

    async def accept() -> Answer:
        return await booking.accept(
            world.stores, booking_id, commands.Accept(), world.context(world.technician())
        )

    answers = await asyncio.gather(*(accept() for _ in range(20)))
    assert sum(isinstance(a, Reply) for a in answers) == 1
    assert {code(a) for a in answers if not isinstance(a, Reply)} == {"booking_state"}
    assert (await events_of(world, booking_id)).count("booking.accepted") == 1


async def test_one_key_is_one_booking(world: World) -> None:
    """Ten parallel requests with one Idempotency-Key make one booking and one authorisation."""
    match_id, cards = await world.match(datetime.now(UTC) + timedelta(hours=1))
    command = RequestBooking(match_id, cards[0], address(), "sandbox_ok")

    async def ask() -> Answer:
        return await request(world.stores, command, world.context(world.customer(), key="one"))

    answers = await asyncio.gather(*(ask() for _ in range(10)))
    replies = [a for a in answers if isinstance(a, Reply)]
    assert {code(a) for a in answers if not isinstance(a, Reply)} <= {"idempotency_in_progress"}
    assert len({str(a.body["booking_id"]) for a in replies}) == 1
    again = await ask()
    assert isinstance(again, Reply)
    assert again.replayed
    assert (again.status, again.body["booking_id"]) == (201, replies[0].body["booking_id"])
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM app.bookings") == 1
        assert await tx.fetchval("SELECT count(*) FROM app.payment_intents") == 1


async def test_a_key_keeps_its_refusal(world: World) -> None:
    """A declined payment is answered again for its key, and leaves no time taken and no booking."""
    match_id, cards = await world.match(datetime.now(UTC) + timedelta(hours=1))
    command = RequestBooking(match_id, cards[0], address(), "sandbox_declined")
    first = await request(world.stores, command, world.context(world.customer(), key="no"))
    assert code(first) == "payment_declined"
    second = await request(world.stores, command, world.context(world.customer(), key="no"))
    assert isinstance(second, Reply)
    assert (second.status, second.body["code"], second.replayed) == (402, "payment_declined", True)
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM app.bookings") == 0
        assert await tx.fetchval("SELECT count(*) FROM app.reservations WHERE active") == 0


async def test_a_stale_version_is_refused_before_the_state(world: World) -> None:
    """If-Match of an old version is 412 whatever the command would have been told."""
    booking_id = await world.book()
    context = world.context(world.technician())
    stale = type(context)(context.actor, context.now, context.correlation_id, None, 1)
    assert (
        code(await booking.complete(world.stores, booking_id, commands.Complete(), stale))
        == "version_conflict"
    )


async def test_strangers_see_nothing(world: World) -> None:
    """Another customer and an uninvolved technician are told that there is no such booking."""
    booking_id = await world.book()
    for actor in (world.customer(1), world.technician(3)):
        assert code(await booking_view.read(world.stores, booking_id, world.context(actor))) == "not_found"
        cancelled = await booking_offers.cancel(
            world.stores, booking_id, commands.Cancel("x"), world.context(actor)
        )
        assert code(cancelled) == "not_found"


async def test_a_dispatcher_books_on_behalf_in_its_own_areas_only(world: World) -> None:
    """Elsewhere there is no such match; at home the visit is the customer's."""
    match_id, cards = await world.match(datetime.now(UTC) + timedelta(minutes=30))
    command = RequestBooking(match_id, cards[0], address(), "sandbox_ok")
    abroad = Actor(world.dispatcher, Role.DISPATCHER, frozenset({new_id()}))
    assert code(await request(world.stores, command, world.context(abroad))) == "not_found"
    booked = good(await request(world.stores, command, world.context(world.dispatch())))
    assert booked["customer"]["customer_id"] == str(world.customers[0])


async def test_decline_offers_the_next_card(world: World) -> None:
    """With the fallback, a declined request goes to the next card's technician at the quoted price."""
    booking_id = await world.book(fallback="next_card")
    good(
        await booking_offers.decline(
            world.stores, booking_id, commands.Decline("busy"), world.context(world.technician(0))
        )
    )
    shown = good(await booking_view.read(world.stores, booking_id, world.context(world.customer())))
    assert shown["state"] == "requested"
    assert shown["technician"]["technician_id"] == str(world.technicians[1])
    assert shown["price"]["total"]["amount"] == 4770
    types = await events_of(world, booking_id)
    assert types[-2:] == ["booking.declined", "booking.reassigned"]
    gone = await booking_view.read(world.stores, booking_id, world.context(world.technician(0)))
    assert code(gone) == "not_found"


async def test_without_fallback_a_decline_ends_it_and_frees_the_time(world: World) -> None:
    """The booking is declined, the technician's time is free, the hold on the card is to be released."""
    booking_id = await world.book()
    good(
        await booking_offers.decline(
            world.stores, booking_id, commands.Decline("no"), world.context(world.technician())
        )
    )
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT state FROM app.bookings") == "declined"
        assert await tx.fetchval("SELECT count(*) FROM app.reservations WHERE active") == 0
        assert await tx.fetchval("SELECT count(*) FROM app.payment_intents WHERE kind = 'void'") == 1


async def test_a_deadline_fires_once_among_processes(world: World) -> None:
    """Five loops look at one due deadline: the request expires once."""
    booking_id = await world.book()
    later = datetime.now(UTC) + timedelta(seconds=world.stores.policy.answer_within_s + 5)
    await asyncio.gather(*(deadlines.fire_due(world.stores, later) for _ in range(5)))
    assert (await events_of(world, booking_id)).count("booking.expired") == 1
    assert await deadlines.fire_due(world.stores, later) == 0


async def test_release_and_reassign(world: World) -> None:
    """A technician gives a visit back mid-way; the dispatcher asks another, and the first leg's session is closed."""
    booking_id = await world.book()
    await visit(world, booking_id, until="depart")
    good(
        await booking_offers.cancel(
            world.stores, booking_id, commands.Cancel("flat tyre"), world.context(world.technician())
        )
    )
    shown = good(await booking_view.read(world.stores, booking_id, world.context(world.customer())))
    assert (shown["state"], shown["technician"], shown["gps_session_id"]) == ("requested", None, None)
    command = commands.Reassign(world.technicians[2], "closest")
    good(await booking_offers.reassign(world.stores, booking_id, command, world.context(world.dispatch())))
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT close_reason FROM app.gps_sessions") == "reassigned"
        held = await tx.fetch("SELECT technician_id FROM app.reservations WHERE active")
        audited = await tx.fetchval("SELECT count(*) FROM audit.events WHERE action = 'booking.reassigned'")
    assert [row["technician_id"] for row in held] == [world.technicians[2]]
    assert audited == 1


async def test_button_and_detector_race(world: World) -> None:
    """Both arrive at once: both are answered, one event is written."""
    booking_id = await world.book()
    await visit(world, booking_id, until="depart")
    button = booking.arrive(world.stores, booking_id, commands.Arrive(), world.context(world.technician()))
    detector = booking.arrive(world.stores, booking_id, commands.Arrive("detector"), world.context(SYSTEM))
    answers = await asyncio.gather(button, detector)
    assert all(isinstance(a, Reply) for a in answers)
    assert (await events_of(world, booking_id)).count("booking.arrived") == 1


async def test_extension_into_the_next_visit_is_refused(world: World) -> None:
    """A visit cannot be stretched over the technician's next one: the constraint says so, cleanly."""
    first = await world.book(datetime.now(UTC) + timedelta(minutes=5), asked=(0,))
    await world.book(datetime.now(UTC) + timedelta(hours=2), asked=(0,), customer=1)
    await visit(world, first, until="start")
    context = world.context(world.technician())
    assert code(await booking.extend(world.stores, first, commands.Extend(90), context)) == "slot_taken"
    assert "booking.extended" not in await events_of(world, first)


async def test_a_share_dies_with_the_reassignment(world: World) -> None:
    """A link shows the visit until another technician is asked; then it is over, and unknown tokens do not exist."""
    booking_id = await world.book()
    await visit(world, booking_id, until="depart")
    made = good(await sharing.create(world.stores, booking_id, "Mum", world.context(world.customer())))
    now = datetime.now(UTC)
    assert isinstance(await sharing.resolve(world.stores, made["token"], now), sharing.Visit)
    command = commands.Reassign(world.technicians[2], "closest")
    good(await booking_offers.reassign(world.stores, booking_id, command, world.context(world.dispatch())))
    assert getattr(await sharing.resolve(world.stores, made["token"], now), "code", None) == "ended"
    assert getattr(await sharing.resolve(world.stores, "nonsense", now), "code", None) == "not_found"


async def test_notes_are_sealed_and_rated_once(world: World) -> None:
    """A note's text is nowhere in clear; its people read it; a visit is rated once, with a tip to be charged."""
    booking_id = await world.book()
    await visit(world, booking_id, until="start")
    note = commands.Note("The blue door", "access")
    good(await booking.note(world.stores, booking_id, note, world.context(world.customer())))
    listed = good(await booking_view.events(world.stores, booking_id, world.context(world.technician())))
    assert [e["data"].get("text") for e in listed["items"] if e["type"] == "booking.noted"] == [
        "The blue door"
    ]
    async with world.stores.db.reading() as tx:
        raw = await tx.fetchval("SELECT text FROM app.booking_notes")
    assert b"blue" not in raw
    good(
        await booking.complete(
            world.stores, booking_id, commands.Complete(), world.context(world.technician())
        )
    )
    stars = commands.Rate(5, "Lovely", 500, "USD")
    good(await booking.rate(world.stores, booking_id, stars, world.context(world.customer())))
    assert (
        code(await booking.rate(world.stores, booking_id, stars, world.context(world.customer())))
        == "already_rated"
    )


async def test_history_cannot_be_edited(world: World) -> None:
    """The serving role may not edit events, and even the owner is stopped by the trigger."""
    await world.book()
    async with world.stores.db.reading() as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute("UPDATE app.booking_events SET type = 'x'")
    owner = await asyncpg.connect(world.owner_url)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("DELETE FROM app.booking_events")
    await owner.close()


async def test_notes_have_their_time(world: World) -> None:
    """Running late may be said on the way; a message is for the time of the service; afterwards nothing."""
    booking_id = await world.book()
    context = world.context(world.technician())
    late, message = commands.Note("Ten minutes", "late"), commands.Note("Hello", "message")
    assert code(await booking.note(world.stores, booking_id, late, context)) == "booking_state"
    await visit(world, booking_id, until="depart")
    good(await booking.note(world.stores, booking_id, late, context))
    assert code(await booking.note(world.stores, booking_id, message, context)) == "booking_state"


async def test_a_tip_has_a_bound(world: World) -> None:
    """A tip far beyond what the visit cost is refused, and the visit can still be rated."""
    booking_id = await world.book()
    await visit(world, booking_id)
    context = world.context(world.customer())
    fortune = commands.Rate(5, None, 100_000_000, "USD")
    assert code(await booking.rate(world.stores, booking_id, fortune, context)) == "validation"
    good(await booking.rate(world.stores, booking_id, commands.Rate(5, None, 500, "USD"), context))


async def test_a_visit_that_began_early_may_be_extended(world: World) -> None:
    """Its end may lie before the hour it was booked for: it is extended, and what was booked stays taken."""
    booking_id = await world.book(datetime.now(UTC) + timedelta(hours=3), asked=(0,))
    await visit(world, booking_id, until="start")
    good(
        await booking.extend(world.stores, booking_id, commands.Extend(5), world.context(world.technician()))
    )
    async with world.stores.db.reading() as tx:
        hours = await tx.fetchval("SELECT upper(during) - lower(during) FROM app.reservations WHERE active")
    assert hours == timedelta(minutes=45 + 30)


async def licence(world: World, founder: Context) -> UUID:
    """Return a licence of the first technician, verified; no rule of this world asks for it."""
    today = founder.now.date()
    wanted = credentials.Submission(
        "cosmetologist_license", "US-MD", "MD-1", "Board", today, today + timedelta(days=400), None
    )
    submitted = good(await credentials.submit(world.stores, wanted, world.context(world.technician())))
    credential_id = UUID(submitted["credential_id"])
    good(await credentials.decide(world.stores, credential_id, "verify", "Seen", "By hand", founder))
    return credential_id


@pytest.mark.parametrize("meanwhile", ["suspended", "revoked", "accepted"])
async def test_what_was_decided_about_another_moment_is_not_written(world: World, meanwhile: str) -> None:
    """Between read and write the technician or a licence is stopped, or the booking moves on: nothing is written."""
    founder = world.context(Actor(world.founder, Role.FOUNDER))
    licence_id = await licence(world, founder)
    booking_id, context = await world.book(asked=(0,)), world.context(world.technician())
    async with world.stores.db.reading() as tx:
        seen = await booking_commands.read(tx, booking_id, context, grounds=True)
        assert seen is not None
        assert seen.grounds is not None
        passed = judged(seen.booking, seen.grounds, context)
        assert not isinstance(passed, Refusal)
        facts = booking_rules.accept(seen.booking, context.actor, context.now, passed)
        assert not isinstance(facts, Refusal)
        if meanwhile == "suspended":
            good(await technicians.decide(world.stores, world.technicians[0], "suspend", "Asked to", founder))
        elif meanwhile == "revoked":
            good(await credentials.decide(world.stores, licence_id, "revoke", "Asked to", None, founder))
        else:
            good(
                await booking.accept(
                    world.stores, booking_id, commands.Accept(), world.context(world.technician())
                )
            )
        before = await events_of(world, booking_id)
        rows, version = journal.document(facts, context), seen.grounds["technician"]["version"]
        assert rows is not None
        assert not await booking_commands.write(tx, seen.booking, version, rows)
    assert await events_of(world, booking_id) == before
    answer = await booking.accept(world.stores, booking_id, commands.Accept(), context)
    expected = {"suspended": "not_qualified", "accepted": "booking_state", "revoked": None}[meanwhile]
    assert (answer.code if isinstance(answer, Refusal) else None) == expected
