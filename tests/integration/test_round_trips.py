"""How often each command waits for PostgreSQL, exactly: nobody adds a round trip to a hot path unseen.

A count that changes is changed here too, with its reason. Each command is measured on its second run, with its
statements prepared; background tasks do not run.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.conftest import Database
from tests.integration.door import Door, open_door
from tests.integration.round_trips import Tap, tapped
from tests.integration.world import HOME, World, open_world

READ_AND_WRITE = 2  # app.open_command, app.record_command
HOLD = 5  # BEGIN, app.open_request, the areas, app.record, COMMIT
CONFIRM = 5  # BEGIN, app.open_confirmation, the number and the policy, app.record, COMMIT
READ = 1


@pytest.fixture
async def tap(database: Database) -> AsyncIterator[Tap]:
    """A tap on this test's database."""
    async with tapped(database.app_url) as opened:
        yield opened


@pytest.fixture
async def tapped_world(tap: Tap, database: Database) -> AsyncIterator[World]:
    """A world whose every statement goes through the tap."""
    async with open_world(tap.url, database.owner_url) as furnished:
        yield furnished


@pytest.fixture
async def tapped_door(tapped_world: World) -> AsyncIterator[Door]:
    """The HTTP door of that world."""
    async with open_door(tapped_world) as opened:
        yield opened


async def command(door: Door, tap: Tap, booking_id: UUID, name: str, body: object, who: UUID) -> int:
    """Give one command and return its round trips."""
    token = await door.token(who)
    tap.start_over()
    said = await door.ask("POST", f"/v1/bookings/{booking_id}/{name}", body, who=token, key=True)
    assert said.status == 200, said.body
    return tap.answers


async def test_each_command_on_a_booking_reads_once_and_writes_once(
    tapped_world: World, tapped_door: Door, tap: Tap
) -> None:
    """From accept to complete: two round trips each, the look at the token included."""
    starts = [datetime.now(UTC) + timedelta(minutes=20 + 90 * n) for n in range(2)]
    bookings = [await tapped_world.book(at, asked=(n,)) for n, at in enumerate(starts)]
    for name, body in (
        ("accept", None),
        ("depart", None),
        ("arrive", None),
        ("start", {}),
        ("note", {"text": "The blue door", "kind": "progress"}),
        ("extend", {"minutes": 10}),
        ("complete", None),
    ):
        for n, booking_id in enumerate(bookings):
            trips = await command(tapped_door, tap, booking_id, name, body, tapped_world.technicians[n])
        assert trips == READ_AND_WRITE, (name, tap.said)


async def test_a_request_asks_and_confirms(tapped_world: World, tapped_door: Door, tap: Tap) -> None:
    """Two transactions of ours with the gateway's books between them, which a company outside would keep."""
    for n in range(2):
        match_id, cards = await tapped_world.match(
            datetime.now(UTC) + timedelta(minutes=20 + 90 * n), asked=(0,)
        )
        body = {
            "match_id": str(match_id),
            "card_id": str(cards[0]),
            "address": {"line1": "12 Harbor Street", "city": "Baltimore", "postcode": "21231",
                        "lat": HOME[0], "lon": HOME[1]},
            "payment_method": "sandbox_ok",
        }  # fmt: skip
        token = await tapped_door.token(tapped_world.customers[0])
        tap.start_over()
        said = await tapped_door.ask("POST", "/v1/bookings", body, who=token, key=True)
        assert said.status == 201, said.body
    gateway = [sql for sql in tap.said if "sandbox" in sql or "advisory" in sql]
    of_the_gateway = len(gateway) + len(("BEGIN", "COMMIT"))
    assert tap.answers - of_the_gateway == HOLD + CONFIRM, tap.said


async def test_a_booking_is_read_at_once(tapped_world: World, tapped_door: Door, tap: Tap) -> None:
    """A booking is read with all that it is shown with, at once."""
    booking_id = await tapped_world.book(asked=(0,))
    token = await tapped_door.token(tapped_world.customers[0])
    for _ in range(2):
        tap.start_over()
        said = await tapped_door.ask("GET", f"/v1/bookings/{booking_id}", who=token)
        assert said.status == 200
    assert tap.answers == READ, tap.said


async def test_the_journal_plans_every_writer_once(tapped_world: World) -> None:
    """After migrations, each table's writer stands in `app.record` itself: none is planned anew at each call."""
    async with tapped_world.stores.db.reading() as tx:
        journal = await tx.fetchval(
            "SELECT prosrc FROM pg_proc WHERE oid = 'app.record(jsonb)'::regprocedure"
        )
        writers = await tx.fetch(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'app'::regnamespace AND proname LIKE 'write\\_%'"
        )
    missing = [row["proname"] for row in writers if f"app.{row['proname']}(" not in journal]
    assert len(writers) > 15
    assert not missing
