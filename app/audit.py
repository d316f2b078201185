"""The chain of decisions on the command line: take its head away, and hold it against one that was kept elsewhere."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import orjson

from app.reach import reached
from app.settings import Settings, SettingsError
from app.signing import secret_key
from services.audit import Head, Verdict, head, is_ours, verify
from storage.db import Database, open_database

HASH = re.compile(r"[0-9a-f]{64}")


def newest(settings: Settings) -> str:
    """Return the newest head as one line of JSON, signed where this machine has the key."""
    found = _with_database(settings, lambda db: head(db, _key(settings)))
    if found is None:
        raise SettingsError("Nothing is sealed yet.")
    return orjson.dumps(found.body(), option=orjson.OPT_UTC_Z).decode()


def verified(settings: Settings, against: str | None) -> Verdict:
    """Walk the chain; `against` is the hash of a kept head, or a file of one. Raises SettingsError for neither."""
    kept = None if against is None else _kept(settings, against)
    return _with_database(settings, lambda db: verify(db, kept))


def _kept(settings: Settings, against: str) -> Head:
    if HASH.fullmatch(against):
        return Head(None, against)
    try:
        told = orjson.loads(Path(against).read_bytes())
        kept = Head(
            int(told["seal"]), str(told["hash"]), datetime.fromisoformat(told["at"]), told.get("signature")
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingsError(f"{against} is neither a hash nor a file that `audit head` wrote.") from None
    key = _key(settings)
    if key is not None and kept.signature is not None and not is_ours(kept, key):
        raise SettingsError(
            f"The head in {against} was changed, or signed with another key than this house's."
        )
    return kept


def _key(settings: Settings) -> bytes | None:
    try:
        return secret_key(settings)
    except SettingsError:
        return None


def _with_database[T](settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run(url: str) -> T:
        async with open_database(url, min_size=1, max_size=2) as db:
            return await work(db)

    with reached(settings, beside=True) as database:
        return asyncio.run(run(database.app_url))
