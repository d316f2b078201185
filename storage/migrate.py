"""The runner of numbered plain SQL files: `storage/migrations/NNNN_name.sql`, in order, each in one transaction.

A session advisory lock makes it safe for any number of processes to migrate at once: one works, the rest wait and then
find nothing to do. A file that was applied never changes; its checksum says so. A database that is ahead of this
code (the next release has begun) is left alone, because each migration is safe while the last release still runs.
While a file waits for a table that somebody reads (a backup), everybody else waits behind it; so it waits a moment
only, lets go, and tries again.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

MIGRATIONS_DIR = Path(__file__).parent / "migrations"
LOCK_KEY = 0x646F6F7273746570  # "doorstep" in ASCII: one lock for each database
FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")

CREATE_HISTORY = """
CREATE SCHEMA IF NOT EXISTS app;
CREATE TABLE IF NOT EXISTS app.schema_migrations (
    version int PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
SELECT_HISTORY = "SELECT version, checksum FROM app.schema_migrations"
HAS_JOURNAL = "SELECT to_regprocedure('app.renew_record()') IS NOT NULL"
RENEW_JOURNAL = "SELECT app.renew_record()"  # a plan of its own for each writer that the files brought
OLDEST_OPEN = """
SELECT pid, application_name FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
ORDER BY xact_start LIMIT 1
"""
INSERT_HISTORY = "INSERT INTO app.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"


class MigrationError(Exception):
    """A migration that cannot go on; the message is one sentence that names the file."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `checksum` is the SHA-256 of its bytes, line ends made alike."""

    version: int
    name: str
    sql: str
    checksum: str

    @property
    def label(self) -> str:
        return f"{self.version:04d}_{self.name}"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a file waits for a lock (less than the second after which PostgreSQL looks for deadlocks, so that it is
    never the other who loses), how long it then lets everybody pass, and how often: two minutes in all.
    """

    wait_s: float = 0.5
    pause_s: float = 2.0
    tries: int = 50


PATIENCE = Patience()


def read_migrations(folder: Path = MIGRATIONS_DIR) -> list[Migration]:
    """All migrations of `folder` by version. Raises MigrationError for a bad name or a number used twice."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"The migration {path.name} is not named NNNN_lower_case.sql.")
        sql = path.read_bytes().replace(b"\r\n", b"\n")
        migration = Migration(
            version=int(match["version"]),
            name=match["name"],
            sql=sql.decode(),
            checksum=hashlib.sha256(sql).hexdigest(),
        )
        if twin := found.get(migration.version):
            raise MigrationError(
                f"Two migrations have the number {migration.version}: {twin.label}, {migration.label}."
            )
        found[migration.version] = migration
    return [found[version] for version in sorted(found)]


async def migrate(url: str, *, folder: Path = MIGRATIONS_DIR, patience: Patience = PATIENCE) -> list[str]:
    """Bring the database at `url` (its owner's login) up to date; answers the names that this call applied.

    Raises MigrationError where a file is wrong, changed after it was applied, or never got its locks, and asyncpg's
    errors where the database is out of reach.
    """
    migrations = read_migrations(folder)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        await connection.execute(CREATE_HISTORY)
        applied = {row["version"]: row["checksum"] for row in await connection.fetch(SELECT_HISTORY)}
        _check_unchanged(migrations, applied)
        pending = [migration for migration in migrations if migration.version not in applied]
        for migration in pending:
            await _apply(connection, migration, patience)
        if pending and await connection.fetchval(HAS_JOURNAL):
            await connection.execute(RENEW_JOURNAL)
        return [migration.label for migration in pending]
    finally:
        await connection.close()  # and with it the session's lock


async def pending_migrations(connection: asyncpg.Connection, *, folder: Path = MIGRATIONS_DIR) -> list[str]:
    """The names that `migrate` would apply now; for `doorstep doctor` and readiness."""
    known = await connection.fetchval("SELECT to_regclass('app.schema_migrations') IS NOT NULL")
    applied = {row["version"] for row in await connection.fetch(SELECT_HISTORY)} if known else set()
    return [migration.label for migration in read_migrations(folder) if migration.version not in applied]


def _check_unchanged(migrations: list[Migration], applied: dict[int, str]) -> None:
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"The migration {migration.label} was changed after it was applied here: restore it, "
                "and put the change into a new file."
            )


async def _apply(connection: asyncpg.Connection, migration: Migration, patience: Patience) -> None:
    for _ in range(patience.tries):
        try:
            await _try(connection, migration, patience.wait_s)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(patience.pause_s)
        else:
            return
    oldest = await connection.fetchrow(OLDEST_OPEN)
    of = "" if oldest is None else f" of process {oldest['pid']} ({oldest['application_name'] or 'no name'})"
    raise MigrationError(
        f"The migration {migration.label} waits for a transaction that stays open{of} and left nothing behind: "
        "end that one, or migrate when it is done."
    )


async def _try(connection: asyncpg.Connection, migration: Migration, wait_s: float) -> None:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {round(wait_s * 1000)}")
            await connection.execute(migration.sql)
            await connection.execute(INSERT_HISTORY, migration.version, migration.name, migration.checksum)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        raise
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"The migration {migration.label} failed and left nothing behind: {error}"
        ) from error
