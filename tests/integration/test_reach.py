"""A server does not begin on a database that lacks what its code needs."""

import asyncpg
import pytest

from app.reach import check_migrated
from app.settings import SettingsError
from tests.conftest import Database

FORGET_LAST = """
DELETE FROM app.schema_migrations WHERE version = (SELECT max(version) FROM app.schema_migrations)
"""
BEGIN_NEXT = "INSERT INTO app.schema_migrations (version, name, checksum) VALUES (9999, 'tomorrow', '-')"


async def test_a_database_that_was_never_migrated_is_refused(empty_database: Database) -> None:
    """The sentence says what to run."""
    with pytest.raises(SettingsError, match=r"first 0001_.*: run `doorstep migrate`\.$"):
        await check_migrated(empty_database.app_url)


async def test_a_database_behind_this_code_is_refused(database: Database) -> None:
    """One forgotten migration is enough."""
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute(FORGET_LAST)
    await owner.close()
    with pytest.raises(SettingsError, match="The database lacks 1 of this release's migrations"):
        await check_migrated(database.app_url)


async def test_a_database_ahead_of_this_code_is_served(database: Database) -> None:
    """The next release has begun, and this one still runs."""
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute(BEGIN_NEXT)
    await owner.close()
    await check_migrated(database.app_url)
