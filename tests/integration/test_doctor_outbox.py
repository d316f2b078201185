"""`doctor` names what holds back every reader of the outbox, and a subscriber that is stuck."""

import re
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from app.doctor import Finding, findings
from app.settings import Settings
from tests.conftest import Database

A_MINUTE_AGO = """
INSERT INTO app.outbox (event_id, topic, audience, correlation_id, at, payload)
VALUES (uuidv7(), 'test.happened', '{}', 'test-doctor', now() - interval '90 seconds', '{}')
"""
FOLLOWS = """
INSERT INTO app.subscriptions (subscriber, xid, outbox_id, attempts, last_error)
VALUES ('metrics', '3', 0, $1, 'KeyError')
"""


async def found(database: Database, folder: Path, subject: str) -> Finding:
    """Return what doctor, with the login of the serving processes, finds about `subject`."""
    settings = Settings(database_url=SecretStr(database.app_url), data_dir=folder, port=0)
    return next(finding for finding in await findings(settings) if finding.subject == subject)


async def test_a_transaction_that_was_left_open_is_named(database: Database, tmp_path: Path) -> None:
    """What was committed after it began is shown to nobody, and doctor says by whose fault."""
    forgetful = await asyncpg.connect(
        database.owner_url, server_settings={"application_name": "a forgotten psql"}
    )
    house = await asyncpg.connect(database.owner_url)
    try:
        left_open = forgetful.transaction()
        await left_open.start()
        await forgetful.execute("SELECT pg_current_xact_id()")
        await house.execute(A_MINUTE_AGO)
        held = await found(database, tmp_path, "Outbox")
        assert held.grade == "bad"
        by = rf"1 events held back for \d+ s by process {forgetful.get_server_pid()} \(.*a forgotten psql.*\)"
        assert re.fullmatch(by, held.seen)
        await left_open.rollback()
        assert (await found(database, tmp_path, "Outbox")).grade == "good"
    finally:
        await forgetful.close()
        await house.close()


@pytest.mark.parametrize(
    ("attempts", "grade", "seen"),
    [
        (7, "note", r"metrics fails at an event \(KeyError, try 7\)"),
        (0, "bad", r"metrics is \d+ s behind"),
    ],
)
async def test_a_subscriber_that_is_stuck_is_named(
    database: Database, tmp_path: Path, attempts: int, grade: str, seen: str
) -> None:
    """One that tries again will go on by itself; one that nobody runs will not."""
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute(A_MINUTE_AGO)
    await owner.execute(FOLLOWS, attempts)
    await owner.close()
    finding = await found(database, tmp_path, "Subscribers")
    assert finding.grade == grade
    assert re.fullmatch(seen, finding.seen)
