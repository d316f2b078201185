"""`doorstep verify`: does everything that should agree do so? Each rule on a line, and what breaks it below."""

import asyncio
import textwrap
from collections.abc import Iterator, Sequence

from app.reach import reached
from app.settings import Settings
from services.verification import Finding, verify
from storage.db import open_database

NARROWEST = 24


def findings(settings: Settings) -> list[Finding]:
    """Look at the whole database, also while a server runs on it."""

    async def look(url: str) -> list[Finding]:
        async with open_database(url, min_size=1, max_size=2) as db:
            return await verify(db)

    with reached(settings, beside=True) as database:
        return asyncio.run(look(database.app_url))


def lines(found: Sequence[Finding], columns: int | None = None) -> Iterator[str]:
    """Say it: a line for each rule, and the first of what breaks it. `columns`: of the terminal, to wrap at."""
    width = max(len(finding.name) for finding in found)
    for finding in found:
        mark = "✗" if finding.broken else "✓"
        head = f" {mark} {finding.name:<{width}}  {finding.counted:>9,}  "
        wide = len(finding.holds) if columns is None else max(NARROWEST, columns - len(head))
        for i, part in enumerate(textwrap.wrap(finding.holds, wide)):
            yield f"{head if i == 0 else ' ' * len(head)}{part}"
        for sentence in finding.first:
            yield f"     {sentence}"
        if finding.broken > len(finding.first):
            yield f"     and {finding.broken - len(finding.first):,} more"
