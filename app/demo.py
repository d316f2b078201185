"""`doorstep demo`: PostgreSQL, a seeded city, the server and phones that drive through it, in one command.

The server runs in this process, the phones in a child that talks to it over the wire like any phone. What this starts
it also ends, within seconds, however it is told to: Ctrl-C, SIGTERM, or SIGHUP when its terminal is closed. Killed with
SIGKILL it takes its phones along; PostgreSQL is left behind, and the next start in the folder ends that one first.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog
from rich.console import Console

from app import logging, seed
from app.background import Background
from app.city import STREETS, prepare_roads
from app.demo_screen import PASSWORD, Screen, open_screen
from app.postgresql import keep_postgresql
from app.serving import check_port, listening, run_until_told
from app.settings import Settings
from app.signing import FILE as KEY_FILE
from app.signing import secret_key
from app.wiring import create_app
from storage.db import open_database
from storage.embedded import EmbeddedPostgres, embedded_postgres, remove_cluster
from storage.migrate import migrate

log = structlog.get_logger(__name__)

PHONES_END_WITHIN_S = 3.0
LONGEST_LINE = 1 << 16
LOG_FILE = "doorstep.log"
PHONES_LOG = "phones.log"
ROOMY = {
    "requests_per_s": 500.0,
    "requests_burst": 2000,
    "sign_ins_per_minute": 3000.0,
    "sign_ins_burst": 500,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How the demo is wanted."""

    technicians: int = 40
    speed: float = 5.0
    traces: Path | None = None
    simulator: bool = True
    fresh: bool = False


def demo(settings: Settings, plan: Plan, console: Console) -> None:
    """Run the demo until it is told to stop. Raises the errors that `app.cli` turns into sentences."""
    check_port(settings.host, settings.port)
    folder = settings.data_dir
    with open_screen(console) as screen:
        if plan.fresh:
            screen.step("Starting over")
            remove_cluster(folder)
            for name in (KEY_FILE, LOG_FILE, PHONES_LOG):
                (folder / name).unlink(missing_ok=True)
        screen.step("Starting PostgreSQL")
        with embedded_postgres(folder) as cluster:
            logging.configure(settings.log_level, folder / LOG_FILE)
            settings = settings.model_copy(
                update={
                    "database_url": None,
                    "redis_url": None,
                    "smtp_url": None,  # its people have no mailboxes and no telephones
                    "sms_url": None,
                    "routing_dir": prepare_roads(folder),
                    "post_http": True,
                    **ROOMY,
                }
            )
            key = secret_key(settings, make=True)
            run_until_told(lambda stop: _live(settings, plan, cluster, key, screen, stop))


async def _live(
    settings: Settings, plan: Plan, cluster: EmbeddedPostgres, key: bytes, screen: Screen, stop: asyncio.Event
) -> None:
    screen.step("Preparing the database")
    await migrate(cluster.owner_url)
    screen.step("Filling the city")
    async with open_database(cluster.app_url, max_size=4) as db:
        await seed.seed(
            db,
            technicians=plan.technicians,
            sim_password=PASSWORD,
            traces=plan.traces,
        )
    screen.step("Opening the doors")
    app = create_app(settings, cluster.app_url, key, demo=True)
    async with listening(app, settings.host, settings.port) as url:
        log.info("serving", url=url, pid=os.getpid())
        screen.up(url, f"Data and log lie in {settings.data_dir.absolute()}.")
        background = Background()
        background.start("postgresql", lambda end: keep_postgresql(cluster, end, screen.database))
        if plan.simulator:
            background.start("phones", lambda end: _phones(url, settings, plan, screen, end))
        await stop.wait()
        await background.end(within_s=PHONES_END_WITHIN_S + 1)


async def _phones(url: str, settings: Settings, plan: Plan, screen: Screen, stop: asyncio.Event) -> None:
    """Run the child with the phones until `stop`; when it dies, say so, and its supervisor starts another."""
    arguments = ["--url", url, "--technicians", str(plan.technicians), "--speed", str(plan.speed)]
    arguments += ["--roads", str(settings.routing_dir), "--streets", str(STREETS)]
    if plan.traces is not None:
        arguments += ["--traces", str(plan.traces)]
    with (settings.data_dir / PHONES_LOG).open("wb") as complaints:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.city", *arguments,
            stdout=PIPE, stderr=complaints, limit=LONGEST_LINE, start_new_session=True,
            env={**os.environ, "DOORSTEP_SIM_PASSWORD": PASSWORD},
        )  # fmt: skip
    listener = asyncio.create_task(_listen(child, screen))
    told = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({listener, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
        await _end(child)
        await listener
    if not stop.is_set():
        log.warning("phones_died", code=child.returncode)
        screen.trouble(f"The phones went away (see {settings.data_dir / PHONES_LOG}); starting them again.")


async def _listen(child: Process, screen: Screen) -> None:
    if child.stdout is None:
        return
    while True:
        try:
            line = await child.stdout.readline()
        except ValueError:
            continue  # longer than LONGEST_LINE: dropped
        if not line:
            return
        with suppress(orjson.JSONDecodeError):
            status = orjson.loads(line)
            if isinstance(status, dict) and "failed" not in status:
                screen.status(status)
            elif isinstance(status, dict):
                log.warning("phones_failed", reason=str(status["failed"]))


async def _end(child: Process) -> None:
    if child.returncode is not None:
        return
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.wait(), PHONES_END_WITHIN_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
