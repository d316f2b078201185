"""An outbox that tests write into by hand, and subscribers that note what they heard in a table."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from services.policy import Policy
from services.stores import Stores
from services.subscriber import Happened, Subscriber
from storage import outbox
from storage.db import Tx, open_database
from tests.conftest import Database

TABLE = """
CREATE TABLE app.heard (n bigint GENERATED ALWAYS AS IDENTITY, subscriber text, event_id uuid, backend int);
GRANT SELECT, INSERT ON app.heard TO doorstep_app;
"""
HEAR = "INSERT INTO app.heard (subscriber, event_id, backend) VALUES ($1, $2, pg_backend_pid())"
OUTBOX = """
INSERT INTO app.outbox (event_id, topic, audience, correlation_id, at, payload)
VALUES ($1, $2, '{}', 'test-following', now(), '{"n": 1}')
"""
IN_ORDER = "SELECT event_id FROM app.outbox WHERE event_id = ANY ($1) ORDER BY xid, outbox_id"


@dataclass(slots=True)
class Book:
    """A database with an outbox, stores over it, and the owner's connection."""

    stores: Stores
    owner: "asyncpg.Connection[asyncpg.Record]"
    urls: Database

    async def happen(self, topic: str = "test.happened", connection: Any = None) -> UUID:
        """Write a row into the outbox, in the caller's transaction."""
        event_id = uuid4()
        await (connection or self.owner).execute(OUTBOX, event_id, topic)
        return event_id

    async def heard(self, subscriber: str = "test") -> list[UUID]:
        """Return what a subscriber wrote down, in order."""
        rows = await self.owner.fetch(
            "SELECT event_id FROM app.heard WHERE subscriber = $1 ORDER BY n", subscriber
        )
        return [row["event_id"] for row in rows]

    async def in_order(self, event_ids: Sequence[UUID]) -> list[UUID]:
        """Return events in the order of the outbox."""
        return [row["event_id"] for row in await self.owner.fetch(IN_ORDER, list(event_ids))]

    async def one(self, sql: str, *given: Any) -> Any:
        """Return one value, as the owner."""
        return await self.owner.fetchval(sql, *given)


@asynccontextmanager
async def open_book(database: Database) -> AsyncIterator[Book]:
    """Open stores over a migrated database; what is not PostgreSQL is not there."""
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute(TABLE)
    try:
        async with open_database(database.app_url, max_size=6) as db:
            nothing: Any = None
            async with db.reading() as tx:
                await outbox.epoch(tx)  # as a process does when it starts
            yield Book(Stores(db, nothing, nothing, nothing, nothing, Policy(), b"k" * 32), owner, database)
    finally:
        await owner.close()


def noting(name: str = "test") -> Subscriber:
    """Return a subscriber that writes down all it hears; it chokes on what is a poison."""

    async def handle(_stores: Stores, tx: Tx, events: Sequence[Happened]) -> None:
        for event in events:
            await tx.execute(HEAR, name, event.event_id)
            if event.topic == "test.poison":
                raise ValueError("poison")

    return Subscriber(name, handle, begins="oldest")
