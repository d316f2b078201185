"""`doorstep match replay`: reads one match and ranks it again."""

import asyncio
from uuid import UUID

from app.reach import reached
from app.settings import Settings, SettingsError
from services.match_replay import Replayed, replayed
from storage.db import open_database


def replay(settings: Settings, match_id: str) -> Replayed:
    """Rank a stored match again. Raises SettingsError with a sentence for what cannot be."""
    try:
        wanted = UUID(match_id)
    except ValueError:
        raise SettingsError(f"{match_id!r} is no id.") from None

    async def work(url: str) -> Replayed | None:
        async with open_database(url, min_size=1, max_size=1) as db, db.reading() as tx:
            return await replayed(tx, wanted)

    with reached(settings, beside=True) as database:
        try:
            found = asyncio.run(work(database.app_url))
        except ValueError as unknown:
            raise SettingsError(f"It cannot be replayed: {unknown}.") from unknown
    if found is None:
        raise SettingsError("There is no such match.")
    return found
