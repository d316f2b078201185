"""Which database a command means: the one that the settings name, the one of a running demo, or one started for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from app.settings import Settings, SettingsError
from storage.embedded import EmbeddedPostgres, embedded_postgres, running_postgres
from storage.migrate import pending_migrations

WITHIN_S = 10.0
SERVING_ROLE = "doorstep_app"
SELECT_ROLE = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"


@dataclass(frozen=True, slots=True)
class Reached:
    """`app_url` is the serving login, `owner_url` may migrate. Both carry passwords: never log them."""

    app_url: str
    owner_url: str
    embedded: EmbeddedPostgres | None = None


@contextmanager
def reached(settings: Settings, *, beside: bool = False) -> Iterator[Reached]:
    """Yield the database; an embedded one runs while the block does. `beside`: one that already runs will do.

    Raises EmbeddedPostgresError with a sentence.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        owner = settings.migrate_url.get_secret_value() if settings.migrate_url else url
        yield Reached(url, owner)
        return
    running = running_postgres(settings.data_dir) if beside else None
    if running is not None:
        yield Reached(running.app_url, running.owner_url, running)
        return
    with embedded_postgres(settings.data_dir) as cluster:
        yield Reached(cluster.app_url, cluster.owner_url, cluster)


async def check_migrated(url: str) -> None:
    """Raise SettingsError with a sentence when the database is behind this code; one that is ahead is fine."""
    connection = await asyncpg.connect(url, timeout=WITHIN_S)
    try:
        if await connection.fetchval(SELECT_ROLE, SERVING_ROLE):  # the first migration makes it
            await connection.execute(f"SET ROLE {SERVING_ROLE}")
        pending = await pending_migrations(connection)
    finally:
        await connection.close(timeout=WITHIN_S)
    if pending:
        raise SettingsError(
            f"The database lacks {len(pending)} of this release's migrations, first {pending[0]}: "
            "run `doorstep migrate`."
        )
