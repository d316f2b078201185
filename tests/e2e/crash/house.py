"""A serving house that can be killed: `doorstep serve` over its embedded PostgreSQL, and who works and lives in it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import asyncpg

from domain.availability import ALWAYS
from domain.context import SYSTEM, Context, Role
from domain.trust import Technician, TechnicianStatus, TechnicianWritten
from services.auth import access_token
from services.policy import Policy
from storage import people
from storage.db import Database, open_database
from storage.embedded import embedded_postgres, remove_cluster, running_postgres
from storage.ids import new_id
from storage.journal import record
from storage.migrate import migrate
from tests.e2e.processes import children_of
from tests.e2e.test_workers import ready
from tests.integration.world import HOME, SECRET, World, open_world

COMES_WITHIN_S = 60.0
ENDS_WITHIN_S = 12.0
DAY_S = 86_400
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")
# Whoever held these is dead, so nobody misses them: what was claimed before the crash is outwaited, only sooner.
CLAIMS_RUN_OUT = """
UPDATE app.idempotency_keys SET locked_until = now() - interval '1 s' WHERE status IS NULL AND created_at < $1
"""
JOBS_RUN_OUT = (
    "UPDATE jobs.pgqueuer SET heartbeat = now() - interval '1 h' WHERE status = 'picked' AND heartbeat < $1"
)
ASKING_RUNS_OUT = "UPDATE app.payment_intents SET asked_until = NULL WHERE created_at < $1"


@dataclass(frozen=True, slots=True)
class Pair:
    """A customer and the technician whom they ask, each with an access token for a day."""

    customer: str
    technician: str
    technician_id: UUID


@dataclass(frozen=True, slots=True)
class Crew:
    """Everybody."""

    pairs: tuple[Pair, ...]
    dispatcher: str


class House:
    """Start it, kill it, look at its database."""

    def __init__(self, folder: Path, port: int) -> None:
        self.data_dir = folder / "data"
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def furnish(self, pairs: int) -> Crew:
        """Migrate an empty database and let people move in."""
        with embedded_postgres(self.data_dir) as cluster:
            asyncio.run(migrate(cluster.owner_url))
            return asyncio.run(_move_in(cluster.app_url, cluster.owner_url, pairs))

    async def start(self) -> None:
        """Start serving, and wait until it is ready."""
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DOORSTEP_")},
            "DOORSTEP_DATA_DIR": str(self.data_dir),
            "DOORSTEP_SECRET_KEY": SECRET.decode(),
            "DOORSTEP_REQUESTS_PER_S": "100000",
            "DOORSTEP_REQUESTS_BURST": "100000",
            "DOORSTEP_CHECK_ANSWERS": "1",
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it starts in a moment
                [sys.executable, "-m", "app.cli", "serve", "--port", str(self._port)],
                env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        await self.is_ready()

    async def is_ready(self) -> None:
        """Wait until requests are served."""
        until = time.monotonic() + COMES_WITHIN_S
        while (await asyncio.to_thread(ready, self.url)).get("status") != "ready":
            assert self._process is not None
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            await asyncio.sleep(0.02)

    async def is_back(self) -> None:
        """Wait until PostgreSQL, which died, runs again and requests are served from it."""
        until = time.monotonic() + COMES_WITHIN_S
        while running_postgres(self.data_dir) is None:
            assert time.monotonic() < until, self.said()
            await asyncio.sleep(0.02)
        await self.is_ready()

    def kill_server(self) -> None:
        """Kill -9 the serving process; its PostgreSQL is left an orphan."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(ENDS_WITHIN_S)

    def kill_postgresql(self) -> None:
        """Kill -9 every process of PostgreSQL, as when the machine's memory runs out; the server stays."""
        running = running_postgres(self.data_dir)
        assert running is not None
        postmaster = running.cluster.running_pid()
        assert postmaster is not None
        for pid in (postmaster, *children_of(postmaster)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Open the database that runs now, as the serving role."""
        running = running_postgres(self.data_dir)
        assert running is not None
        async with open_database(running.app_url, min_size=1, max_size=2) as db:
            yield db

    async def let_leases_run_out(self, before: datetime, *, jobs: bool) -> None:
        """Outwait the claims that were taken before a crash, and, with `jobs`, the heartbeats of its workers too."""
        running = running_postgres(self.data_dir)
        assert running is not None
        owner = await asyncpg.connect(running.owner_url)
        await owner.execute(CLAIMS_RUN_OUT, before)
        if jobs:
            await owner.execute(JOBS_RUN_OUT, before)
            await owner.execute(ASKING_RUNS_OUT, before)
        await owner.close()

    async def keeps_its_word(self) -> bool:
        """Tell whether a commit is on the disk before it is answered: kill -9 alone would not show that."""
        async with self.database() as db, db.reading() as tx:
            return all([await tx.fetchval(f"SHOW {name}") == "on" for name in SETTINGS])

    def said(self) -> str:
        """The end of the server's log."""
        return self._log.read_text()[-4000:]

    def end(self) -> None:
        """Stop it well, and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(ENDS_WITHIN_S)
        remove_cluster(self.data_dir)


async def _move_in(app_url: str, owner_url: str, pairs: int) -> Crew:
    async with open_world(app_url, owner_url, Policy(access_token_ttl_s=DAY_S)) as world:
        found = [await _pair(world, n) for n in range(pairs)]
        await world.book()  # a house with a past: its first cursor is a place, not the beginning of time
        return Crew(tuple(found), await _token(world, world.dispatcher))


async def _pair(world: World, n: int) -> Pair:
    customer_id, technician_id = new_id(), new_id()
    one = Technician(
        technician_id=technician_id, display_name="", bio="", status=TechnicianStatus.APPROVED,
        services=("haircut",), experiences=(), home_lat=HOME[0], home_lon=HOME[1], radius_m=20_000,
        time_zone="America/New_York", photo_url=None, availability=ALWAYS, member_since=date(2025, 1, 1),
    )  # fmt: skip
    async with world.stores.db.transaction() as tx:
        for person_id, role in ((customer_id, Role.CUSTOMER), (technician_id, Role.TECHNICIAN)):
            await people.add(tx, person_id, email=f"pair{n}-{role}@test.example", password_hash="x",
                             display_name=f"{role.title()} {n}", role=role)  # fmt: skip
        await record(
            tx, [TechnicianWritten(replace(one))], Context(SYSTEM, datetime.now(UTC), "test-moved-in")
        )
    return Pair(await _token(world, customer_id), await _token(world, technician_id), technician_id)


async def _token(world: World, person_id: UUID) -> str:
    async with world.stores.db.reading() as tx:
        person = await people.get(tx, person_id)
    assert person is not None
    return access_token(world.stores, person, new_id(), datetime.now(UTC))
