"""Supervised tasks: what must run as long as the process does is started again when it fails, and awaited at the end.

A failure waits longer each time (to half a minute) and is forgotten after a minute of health. One task's failure
never ends another, and none is left behind: at shutdown each gets a moment to finish and is then cancelled.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

log = structlog.get_logger(__name__)

type Work = Callable[[asyncio.Event], Awaitable[None]]

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
HEALTHY_AFTER_S = 60.0
END_WITHIN_S = 4.0
EXPECTED = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # PostgreSQL starts, stops or recovers
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)


class Background:
    """The tasks of one process. `stop` is what each of them watches."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.restarts: dict[str, int] = {}
        self._failures: dict[str, tuple[datetime, str]] = {}

    def start(self, name: str, work: Work) -> None:
        """Run `work` until the end, whatever happens to it."""
        self.restarts[name] = 0
        self._tasks[name] = asyncio.create_task(self._supervise(name, work), name=f"background {name}")

    def health(self) -> list[dict[str, Any]]:
        """Tell of each task whether it runs, how often it was started again, and how it last failed (its kind)."""
        found = []
        for name, task in self._tasks.items():
            failed_at, error = self._failures.get(name, (None, None))
            found.append({
                "name": name, "running": not task.done(), "restarts": self.restarts[name], "last_error": error,
                "failed_at": None if failed_at is None else failed_at.isoformat(timespec="seconds"),
            })  # fmt: skip
        return found

    async def end(self, within_s: float = END_WITHIN_S) -> None:
        """Ask all to stop, wait a moment, cancel the rest, wait for them."""
        self.stop.set()
        tasks = list(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within_s)
        for task in late:
            log.warning("task_cancelled_at_shutdown", task=task.get_name())
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=END_WITHIN_S)

    async def _supervise(self, name: str, work: Work) -> None:
        pause_s = FIRST_PAUSE_S
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                await work(self.stop)
                if not self.stop.is_set():
                    self._failures[name] = (datetime.now(UTC), "ended early")
                    log.error("task_ended_early", task=name)
            except EXPECTED as error:
                self._failures[name] = (datetime.now(UTC), type(error).__name__)
                log.warning("task_failed", task=name, error=type(error).__name__)
            except Exception as error:
                self._failures[name] = (datetime.now(UTC), type(error).__name__)
                log.exception("task_failed", task=name)
            if self.stop.is_set():
                return
            self.restarts[name] += 1
            if time.monotonic() - began > HEALTHY_AFTER_S:
                pause_s = FIRST_PAUSE_S
            await self._pause(pause_s * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return
