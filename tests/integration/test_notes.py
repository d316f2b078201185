"""Notes go between the people of a visit, over HTTP and over sockets, and no further."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from domain import commands
from domain.context import Actor, Role
from services import booking
from storage.ids import new_id
from tests.integration.door import Door
from tests.integration.sockets import Exchange, open_exchange
from tests.integration.test_booking_commands import good, visit
from tests.integration.world import World


@pytest.fixture
async def exchange(world: World) -> AsyncIterator[Exchange]:
    """The realtime door of the world."""
    async with open_exchange(world) as opened:
        yield opened


async def test_each_side_writes_and_the_others_read(door: Door) -> None:
    """Customer, technician and dispatcher each write once, a retry included; each of them reads all three."""
    world = door.world
    booking_id = await world.book()
    await visit(world, booking_id, until="accept")
    path = f"/v1/bookings/{booking_id}/note"
    wrote = {
        world.customers[0]: {"text": "Ring twice", "kind": "access"},
        world.technicians[0]: {"text": "Ten minutes late", "kind": "late"},
        world.dispatcher: {"text": "Use the north gate", "kind": "access"},
    }
    for who, note in wrote.items():
        for _ in range(2):
            assert (await door.ask("POST", path, note, who=who, key=f"note-{who}")).status == 200
    for who in wrote:
        events = (await door.ask("GET", f"/v1/bookings/{booking_id}/events", who=who)).body["items"]
        notes = [
            (e["data"]["author_role"], e["data"]["text"]) for e in events if e["type"] == "booking.noted"
        ]
        assert notes == [
            ("customer", "Ring twice"), ("technician", "Ten minutes late"), ("dispatcher", "Use the north gate")
        ]  # fmt: skip


async def test_strangers_write_no_notes(door: Door) -> None:
    """Another customer, another technician and another area's dispatcher: 404; a message before its time: 409."""
    world = door.world
    booking_id = await world.book()
    await visit(world, booking_id, until="accept")
    path, note = f"/v1/bookings/{booking_id}/note", {"text": "Hello", "kind": "access"}
    for stranger in (world.customers[1], world.technicians[3]):
        assert (await door.ask("POST", path, note, who=stranger, key=True)).status == 404
    abroad = world.context(Actor(world.dispatcher, Role.DISPATCHER, frozenset({new_id()})))
    said = await booking.note(world.stores, booking_id, commands.Note("Hello", "access"), abroad)
    assert getattr(said, "code", None) == "not_found"
    early = await door.ask("POST", path, note | {"kind": "message"}, who=world.customers[0], key=True)
    assert (early.status, early.code) == (409, "booking_state")


async def heard(exchange: Exchange, who: UUID, booking_id: UUID, author: Actor, text: str) -> object:
    """Return what somebody hears of a note that another writes."""
    line = await exchange.connect("/bookings", who)
    await line.ask("sync", {"cursor": None})
    context = exchange.world.context(author)
    good(await booking.note(exchange.world.stores, booking_id, commands.Note(text, "access"), context))
    event = await line.hear("event")
    return event["type"], event["data"].get("text")


async def test_a_note_is_heard_live_by_the_other_side(exchange: Exchange) -> None:
    """The technician hears the customer's words, the customer the dispatcher's."""
    world = exchange.world
    booking_id = await world.book()
    await visit(world, booking_id, until="accept")
    customer, dispatcher = world.customer(), world.dispatch()
    said = await heard(exchange, world.technicians[0], booking_id, customer, "Ring twice")
    assert said == ("booking.noted", "Ring twice")
    said = await heard(exchange, world.customers[0], booking_id, dispatcher, "She is near")
    assert said == ("booking.noted", "She is near")
