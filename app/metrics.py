"""`doorstep metrics rebuild`: counts everything again, beside whatever serves."""

import asyncio

from app.reach import reached
from app.settings import Settings, SettingsError
from services import metrics
from storage.db import open_database


def rebuild(settings: Settings) -> metrics.Rebuilt:
    """Rebuild the projections. Raises SettingsError with a sentence when somebody else is at it."""

    async def work(url: str) -> metrics.Rebuilt:
        async with open_database(url, min_size=1, max_size=2) as db:
            return await metrics.rebuild(db)

    with reached(settings, beside=True) as database:
        try:
            return asyncio.run(work(database.app_url))
        except metrics.RebuildRunningError:
            raise SettingsError("Somebody rebuilds already: wait until that is done.") from None
