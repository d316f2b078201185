"""What every test may ask for: a migrated PostgreSQL database of its own, a Valkey, a real Chromium.

One embedded PostgreSQL runs for the whole session (for each xdist worker). It is migrated once; each test that asks
gets a clone of that database, which takes 30 ms and is dropped afterwards. fsync stays on: what is tested is what runs.
"""

import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from storage.embedded import EmbeddedPostgres, embedded_postgres, remove_cluster
from storage.embedded_cluster import DATABASE
from storage.embedded_valkey import EmbeddedValkey, embedded_valkey
from storage.migrate import migrate

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@dataclass(frozen=True, slots=True)
class Database:
    """A clone of the migrated database: `app_url` is the serving login, `owner_url` may do everything."""

    app_url: str
    owner_url: str


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The session's embedded PostgreSQL, removed with its files at the end."""
    data_dir = tmp_path_factory.mktemp("postgres")
    with embedded_postgres(data_dir) as cluster:
        yield cluster
    remove_cluster(data_dir)


@pytest.fixture(scope="session")
def migrated() -> set[str]:
    """The databases of this session that hold the migrated schema and may be cloned."""
    return set()


@asynccontextmanager
async def _clone(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[Database]:
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres.url("postgres", owner=True))
    try:
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield Database(postgres.url(name), postgres.url(name, owner=True))
        finally:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@pytest.fixture
async def empty_database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A database that was never migrated."""
    async with _clone(postgres, "template1") as database:
        yield database


@pytest.fixture
async def database(postgres: EmbeddedPostgres, migrated: set[str]) -> AsyncIterator[Database]:
    """A migrated database that belongs to this test alone."""
    if DATABASE not in migrated:
        await migrate(postgres.owner_url)
        migrated.add(DATABASE)
    async with _clone(postgres, DATABASE) as clone:
        yield clone


@pytest.fixture
def database_url(database: Database) -> str:
    """The URL that a serving process uses: a login that owns nothing."""
    return database.app_url


@pytest.fixture
def owner_url(database: Database) -> str:
    """The URL of the owner of the same database, to look or to set up."""
    return database.owner_url


@pytest.fixture
def valkey() -> Iterator[EmbeddedValkey]:
    """An empty Valkey that this test may stop and start."""
    with embedded_valkey() as server:
        yield server


@pytest.fixture
def valkey_url(valkey: EmbeddedValkey) -> str:
    """The redis:// URL of this test's Valkey."""
    return valkey.url


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """A real Chromium: the system's, else Playwright's own; without one the test fails and says what to do."""
    for name in CHROMIUM_NAMES:
        if found := shutil.which(name):
            return found
    cache = Path.home() / ".cache" / "ms-playwright"
    own = sorted(cache.glob("chromium-*/chrome-*/chrome")) + sorted(
        cache.glob("chromium-*/*/*.app/Contents/MacOS/*")
    )
    if own:
        return str(own[-1])
    pytest.fail(
        "No Chromium on this machine: `make test` installs one, or run `.venv/bin/playwright install chromium`."
    )


@pytest.fixture(scope="session")
def chromium_args() -> list[str]:
    """Switches for a headless Chromium that talks to nobody but the page under test."""
    return [
        "--no-sandbox",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
