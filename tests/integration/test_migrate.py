"""Migrations: once each, in order, whole or not at all, and safe when several processes start together."""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from storage.migrate import MigrationError, Patience, migrate, pending_migrations, read_migrations
from tests.conftest import Database

ONE_PROCESS = (
    "import asyncio, sys; from storage.migrate import migrate; print(len(asyncio.run(migrate(sys.argv[1]))))"
)
WAITS_FOR_LOCK = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'first'::regclass)
"""


async def test_two_processes_at_once_apply_each_migration_once(empty_database: Database) -> None:
    """Of processes that migrate at the same moment, one does all the work and the others find nothing to do."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", ONE_PROCESS, empty_database.owner_url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    counts = sorted([int((await process.communicate())[0]) for process in processes])
    assert counts == [0, len(read_migrations())]


async def test_a_changed_file_is_refused(empty_database: Database, tmp_path: Path) -> None:
    """A migration that was edited after it was applied stops the start, by name."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int)")
    assert await migrate(empty_database.owner_url, folder=tmp_path) == ["0001_first"]
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id bigint)")
    with pytest.raises(MigrationError, match="0001_first was changed"):
        await migrate(empty_database.owner_url, folder=tmp_path)


async def test_a_failing_file_leaves_nothing_behind(empty_database: Database, tmp_path: Path) -> None:
    """The file that fails is rolled back whole; the ones before it stay, and a mended one goes on from there."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int)")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (id int); SELECT 1/0;")
    with pytest.raises(MigrationError, match="0002_second failed"):
        await migrate(empty_database.owner_url, folder=tmp_path)
    connection = await asyncpg.connect(empty_database.owner_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('second') IS NULL")
        assert await pending_migrations(connection, folder=tmp_path) == ["0002_second"]
    finally:
        await connection.close()
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (id int)")
    assert await migrate(empty_database.owner_url, folder=tmp_path) == ["0002_second"]
    assert await migrate(empty_database.owner_url, folder=tmp_path) == []


async def test_a_reader_in_the_way_holds_up_nobody_else(empty_database: Database, tmp_path: Path) -> None:
    """While a backup reads a table, a file that changes it tries again and again, and the last release goes on."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int)")
    await migrate(empty_database.owner_url, folder=tmp_path)
    (tmp_path / "0002_wider.sql").write_text("ALTER TABLE first ADD COLUMN more int")
    backup, house = [await asyncpg.connect(empty_database.owner_url) for _ in range(2)]
    try:
        reading = backup.transaction()
        await reading.start()
        await backup.fetch("SELECT * FROM first")
        migrating = asyncio.create_task(
            migrate(empty_database.owner_url, folder=tmp_path, patience=Patience(0.1, 0.1))
        )
        while not await house.fetchval(WAITS_FOR_LOCK):
            await asyncio.sleep(0.01)
        await house.execute("INSERT INTO first (id) VALUES (1)", timeout=20)
        assert not migrating.done()
        await reading.rollback()
        assert await migrating == ["0002_wider"]
    finally:
        await backup.close()
        await house.close()


async def test_a_reader_that_stays_is_named(empty_database: Database, tmp_path: Path) -> None:
    """In the end the sentence says which process is in the way, and nothing is left behind."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int)")
    await migrate(empty_database.owner_url, folder=tmp_path)
    (tmp_path / "0002_wider.sql").write_text("ALTER TABLE first ADD COLUMN more int")
    backup = await asyncpg.connect(empty_database.owner_url)
    try:
        reading = backup.transaction()
        await reading.start()
        await backup.fetch("SELECT * FROM first")
        with pytest.raises(MigrationError, match=f"0002_wider .*process {backup.get_server_pid()}"):
            await migrate(empty_database.owner_url, folder=tmp_path, patience=Patience(0.1, 0.01, tries=2))
        await reading.rollback()
        assert await pending_migrations(backup, folder=tmp_path) == ["0002_wider"]
    finally:
        await backup.close()


def test_numbers_are_unique(tmp_path: Path) -> None:
    """Two files with one number are a mistake, not an order."""
    (tmp_path / "0001_first.sql").write_text("SELECT 1")
    (tmp_path / "0001_other.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="Two migrations have the number 1"):
        read_migrations(tmp_path)


async def test_a_clone_holds_the_whole_schema(database: Database) -> None:
    """A test's database is migrated, and its serving login can reach it but owns nothing in it."""
    connection = await asyncpg.connect(database.app_url)
    try:
        assert await _pending(database) == []
        owned = await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole"
        )
        assert owned == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE app.mine (id int)")
    finally:
        await connection.close()


async def _pending(database: Database) -> list[str]:
    """What is left to apply, seen by the owner."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        return await pending_migrations(connection)
    finally:
        await connection.close()
