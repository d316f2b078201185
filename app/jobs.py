"""`doorstep job`: which jobs nobody could do, and the one that may run again."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from app.reach import reached
from app.settings import Settings, SettingsError
from storage import jobs
from storage.db import Tx, open_database

SHOWN = 100


def given_up(settings: Settings) -> list[str]:
    """Return a line for each job that gave up, newest first, `SHOWN` at most."""

    async def look(tx: Tx) -> list[str]:
        return [
            f"{row['job_id']} {row['name']} since {row['failed_at']:%Y-%m-%d %H:%M} UTC: {row['error'] or 'not noted'}"
            for row in await jobs.failures(tx, SHOWN)
        ]

    return _done(settings, look)


def again(settings: Settings, job_id: str) -> None:
    """Let a job run again. Raises SettingsError with a sentence for what cannot be."""
    try:
        wanted = UUID(job_id)
    except ValueError:
        raise SettingsError(f"{job_id!r} is no id.") from None

    async def requeue(tx: Tx) -> bool:
        return await jobs.requeue(tx, wanted)

    if not _done(settings, requeue):
        raise SettingsError("No job of that id gave up.")


def _done[T](settings: Settings, work: Callable[[Tx], Awaitable[T]]) -> T:
    async def run(url: str) -> T:
        async with open_database(url, min_size=1, max_size=1) as db, db.transaction() as tx:
            return await work(tx)

    with reached(settings, beside=True) as database:
        return asyncio.run(run(database.app_url))
