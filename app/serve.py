"""`doorstep serve`: one process, or several that share a port and a Redis."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress

import structlog

from app.background import Background
from app.postgresql import keep_postgresql
from app.reach import Reached, check_migrated, reached
from app.serving import check_port, listening, run_until_told
from app.settings import Settings, SettingsError
from app.signing import is_of_the_demo, secret_key
from app.wiring import create_app
from storage.migrate import migrate

log = structlog.get_logger(__name__)

WORKERS_END_WITHIN_S = 10.0
PARENT_EVERY_S = 1.0
SHORTEST_LIFE_S = 5.0  # a worker that dies sooner is started again only after a pause


def serve(settings: Settings, *, workers: int = 1, migrate_first: bool = False, shared: bool = False) -> None:
    """Serve until told to stop. Raises the errors that `app.cli` turns into sentences."""
    key = secret_key(settings)
    if is_of_the_demo(settings):
        log.warning(
            "serving_the_demos_data", advice="its accounts have a published password: keep it to yourself"
        )
    if workers > 1:
        if settings.redis_url is None:
            raise SettingsError(
                f"--workers {workers} needs DOORSTEP_REDIS_URL: several processes share hot state there."
            )
        if settings.port == 0:
            raise SettingsError(f"--workers {workers} needs a port of its own: give one with --port.")
    if not shared:
        check_port(settings.host, settings.port)
    with reached(settings) as database:

        async def one(stop: asyncio.Event) -> None:
            app = create_app(settings, database.app_url, key)
            async with listening(app, settings.host, settings.port, shared=shared) as url:
                log.info("serving", url=url, pid=os.getpid(), embedded=database.embedded is not None)
                background = _keeping(database)
                await (_stop_or_orphaned(stop) if shared else stop.wait())
                log.info("stopping")
                await background.end()

        async def several(stop: asyncio.Event) -> None:
            background = _keeping(database)
            for number in range(1, workers + 1):
                background.start(
                    f"worker {number}", lambda end: _worker(settings, database.app_url, key, end)
                )
            await stop.wait()
            background.stop.set()
            await background.end(within_s=WORKERS_END_WITHIN_S)

        if migrate_first or database.embedded is not None:
            for name in asyncio.run(migrate(database.owner_url)):
                log.info("migrated", migration=name)
        asyncio.run(check_migrated(database.app_url))
        run_until_told(several if workers > 1 else one)


def _keeping(database: Reached) -> Background:
    """Begin to look after the database if it is ours: it is started again when it dies."""
    background, cluster = Background(), database.embedded
    if cluster is not None:
        background.start("postgresql", lambda end: keep_postgresql(cluster, end))
    return background


async def _stop_or_orphaned(stop: asyncio.Event) -> None:
    """Wait for `stop`, or for the end of the process that started this worker: nobody would end it then."""
    parent = os.getppid()
    while os.getppid() == parent and not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(PARENT_EVERY_S):
                await stop.wait()


async def _worker(settings: Settings, database_url: str, key: bytes, stop: asyncio.Event) -> None:
    """Run one worker process until `stop`; ends when it dies, and its supervisor starts another."""
    began = time.monotonic()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "serve", "--shared",
        env={
            **os.environ,
            "DOORSTEP_HOST": settings.host,
            "DOORSTEP_PORT": str(settings.port),
            "DOORSTEP_DATABASE_URL": database_url,
            "DOORSTEP_SECRET_KEY": key.decode(),
        },
        start_new_session=True,
    )  # fmt: skip
    ended = asyncio.create_task(child.wait())
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not ended.done():
        child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(ended, WORKERS_END_WITHIN_S - 2)
        except TimeoutError:
            child.kill()
            await child.wait()
        return
    log.error("worker_died", code=child.returncode, lived_s=round(time.monotonic() - began, 1))
    if time.monotonic() - began < SHORTEST_LIFE_S:
        await asyncio.sleep(1)
