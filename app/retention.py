"""`doorstep retention run`: takes away now what the server would take away a few times a day."""

import asyncio
from datetime import UTC, datetime

from app.reach import reached
from app.settings import Settings
from app.signing import secret_key
from app.wiring import open_stores
from services import tidying


def run(settings: Settings, *, dry: bool) -> dict[str, int]:
    """Return what went by kind, without what did not; `dry`: what a first batch would take, and nothing changes."""

    async def work(url: str) -> dict[str, int]:
        async with open_stores(settings, url, secret_key(settings)) as stores:
            now = datetime.now(UTC)
            if dry:
                return await tidying.would_go(stores, now)
            gone = await tidying.tidy(stores, now, pause_s=0.0)
            fixes = await stores.telemetry.drop_old(now)
            return gone | ({"fixes": fixes} if fixes else {})

    with reached(settings, beside=True) as database:
        return asyncio.run(work(database.app_url))
