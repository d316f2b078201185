"""A migration of the next release may add columns while this release still runs."""

from typing import Any

import asyncpg

from domain import commands
from services import booking
from services.reply import Reply
from tests.integration.world import World

TABLES = """
SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('app', 'audit')
"""


async def test_this_release_runs_beside_the_next_ones_columns(world: World) -> None:
    """With a new column that is NOT NULL and has a default on every table, a visit goes all its way."""
    owner = await asyncpg.connect(world.owner_url)
    for row in await owner.fetch(TABLES):
        await owner.execute(f"ALTER TABLE {row['name']} ADD COLUMN of_tomorrow integer NOT NULL DEFAULT 0")
    await owner.close()
    booking_id = await world.book(key="tomorrow")
    steps: list[tuple[Any, Any]] = [
        (booking.accept, commands.Accept()),
        (booking.depart, commands.Depart()),
        (booking.arrive, commands.Arrive()),
        (booking.start, commands.Start()),
        (booking.complete, commands.Complete()),
    ]
    for number, (step, command) in enumerate(steps):
        context = world.context(world.technician(), key=f"step {number}")
        answer = await step(world.stores, booking_id, command, context)
        assert isinstance(answer, Reply), answer
        assert not answer.replayed
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT state FROM app.bookings") == "completed"
