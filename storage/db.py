"""The pool and `transaction()`: the only place that begins and commits.

Every connection of the serving pool wears the role `doorstep_app`, which owns nothing and cannot edit history.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import orjson

from storage import tracing

type Tx = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]


POSTGRESQL = {"db.system.name": "postgresql"}


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections that wear one role."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    url: str = field(repr=False)  # it carries a password
    role: str

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """Begin; commit when the block ends, roll back when it raises. Waits at most the pool's acquire timeout."""
        try:
            with tracing.step("transaction", POSTGRESQL, outside=True):
                async with self.pool.acquire(timeout=10) as tx, tx.transaction():
                    yield tx
        except asyncpg.InternalClientError as error:
            raise lost(error) from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        """Borrow a connection for plain reads, each statement its own snapshot."""
        try:
            with tracing.step("statements", POSTGRESQL, outside=True):
                async with self.pool.acquire(timeout=10) as tx:
                    yield tx
        except asyncpg.InternalClientError as error:
            raise lost(error) from error


@asynccontextmanager
async def open_database(
    url: str, *, role: str = "doorstep_app", min_size: int = 2, max_size: int = 10
) -> AsyncIterator[Database]:
    """Open a pool whose connections wear `role`; `jsonb` columns decode with orjson. Closes when the block ends."""
    async with asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        init=_prepare,
        reset=_leave,
        command_timeout=15,
        server_settings={
            "role": role,
            "application_name": "doorstep",
            "timezone": "UTC",
            "statement_timeout": "15s",
            "lock_timeout": "5s",
            "idle_in_transaction_session_timeout": "10s",
        },
    ) as pool:
        yield Database(pool, url, role)


def lost(error: asyncpg.InternalClientError) -> asyncpg.ConnectionDoesNotExistError:
    """Say what it is when PostgreSQL dies between question and answer: the library speaks of its own states then."""
    return asyncpg.ConnectionDoesNotExistError(f"connection was lost: {error}")


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode, decoder=orjson.loads, format="text"
    )


async def _leave(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Spare each borrower the round trip of `RESET ALL`: asyncpg has rolled back and dropped listeners before this.

    What is set is set `LOCAL`, and who locks by session (a rebuild of the metrics) unlocks before it gives back.
    """


def _encode(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
