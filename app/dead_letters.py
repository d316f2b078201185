"""`doorstep dead-letter`: what nobody could do, of both queues, and the one that may try again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

from app.reach import reached
from app.settings import Settings, SettingsError
from app.signing import secret_key
from app.wiring import open_stores
from domain.context import SYSTEM, Context
from domain.refusals import Refusal
from services import dead_letters
from services.reply import Answer
from storage import dead_letters as rows
from storage.db import Tx, open_database
from storage.ids import new_id

SHOWN = 100


def listed(settings: Settings, *, jobs_only: bool = False) -> list[str]:
    """Return a line for each open letter, newest first, `SHOWN` at most."""

    async def look(tx: Tx) -> list[str]:
        return [
            f"{row['dead_letter_id']} {row['name']} since {row['at']:%Y-%m-%d %H:%M} UTC, "
            f"{row['topic'] or 'a job'}, {row['attempts']} tries: {row['error']}"
            for row in await rows.list_(tx, done=False, before=None, limit=SHOWN)
            if row["source"] == "job" or not jobs_only
        ]

    return _done(settings, look)


def again(settings: Settings, job_id: str) -> None:
    """Let a job run again. Raises SettingsError with a sentence for what cannot be."""
    wanted = _id(job_id)

    async def requeue(tx: Tx) -> Answer:
        return await dead_letters.again(tx, wanted, _context())

    if isinstance(_done(settings, requeue), Refusal):
        raise SettingsError("No job of that id gave up.")


def replay(settings: Settings, dead_letter_id: str) -> str:
    """Let a letter try again and say how it went. Raises SettingsError with a sentence for what cannot be."""
    wanted = _id(dead_letter_id)

    async def run(url: str) -> Answer:
        async with open_stores(settings, url, secret_key(settings)) as stores:
            return await dead_letters.replay(stores, wanted, _context())

    with reached(settings, beside=True) as database:
        answer = asyncio.run(run(database.app_url))
    if isinstance(answer, Refusal):
        raise SettingsError(answer.detail)
    if answer.body["state"] == "open":
        raise SettingsError(f"It failed again: {answer.body['error']}.")
    return "It will run again." if answer.body["source"] == "job" else "It was done."


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise SettingsError(f"{text!r} is no id.") from None


def _context() -> Context:
    return Context(SYSTEM, datetime.now(UTC), f"by-hand-{new_id().hex}")


def _done[T](settings: Settings, work: Callable[[Tx], Awaitable[T]]) -> T:
    async def run(url: str) -> T:
        async with open_database(url, min_size=1, max_size=1) as db, db.transaction() as tx:
            return await work(tx)

    with reached(settings, beside=True) as database:
        return asyncio.run(run(database.app_url))
