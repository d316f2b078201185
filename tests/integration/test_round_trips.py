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
from tests.integration.world import World, open_world

READ_AND_WRITE = 2  # app.open_command, app.record_command


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
