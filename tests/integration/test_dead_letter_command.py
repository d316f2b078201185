"""`doorstep dead-letter`: what a person at a terminal is told, and what no terminal may keep."""

import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import orjson

from tests.conftest import Database

KEY = "a-key-that-no-terminal-may-keep-0123456789"
POISON = """
INSERT INTO app.outbox (event_id, topic, booking_id, audience, correlation_id, at)
VALUES (uuidv7(), 'booking.accepted', uuidv7(), '{}', 'poison', now()) RETURNING event_id, outbox_id
"""
GIVEN_UP = """
INSERT INTO app.dead_letters (subscriber, event_id, outbox_id, topic, correlation_id, attempts, error, at)
VALUES ('notifications', $1, $2, 'booking.accepted', 'poison', 10, 'KeyError', now()) RETURNING dead_letter_id
"""
STILL_BROKEN = "ALTER TABLE app.bookings RENAME TO bookings_elsewhere"


async def test_a_letter_that_fails_again_tells_no_secret(database: Database, tmp_path: Path) -> None:
    """A line of the log and a sentence: no key, no password, no values of variables."""
    owner = await asyncpg.connect(database.owner_url)
    row = await owner.fetchrow(POISON)
    assert row is not None
    letter_id = await owner.fetchval(GIVEN_UP, row["event_id"], row["outbox_id"])
    await owner.execute(STILL_BROKEN)
    await owner.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "dead-letter", "replay", str(letter_id),
        env={**os.environ, "DOORSTEP_DATABASE_URL": database.app_url, "DOORSTEP_SECRET_KEY": KEY,
             "DOORSTEP_DATA_DIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = [told.decode() for told in await process.communicate()]
    *lines, sentence = err.splitlines()
    assert (process.returncode, out) == (1, "")
    assert sentence == "doorstep: It failed again: UndefinedTableError."
    assert [orjson.loads(line)["event"] for line in lines] == ["dead_letter_failed_again"]
    password = str(urlsplit(database.app_url).password)
    assert KEY[:12] not in err
    assert password[:12] not in err
