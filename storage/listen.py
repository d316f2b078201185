"""One LISTEN connection for each process: it wakes whoever follows the outbox, and promises nothing.

Polling is the guarantee. The connection is its own (a pooled one is unsuited to LISTEN), is asked for a sign of life
every few seconds, and is made again when it is lost; whoever follows is woken then, since NOTIFYs may have been missed.
PostgreSQL is spared a NOTIFY in every commit (migration 0057): who is woken by one is woken again soon after, for what
was committed in its shadow.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import structlog

log = structlog.get_logger(__name__)

CHANNEL = "doorstep_outbox"
PING_EVERY_S = 10.0
PING_WITHIN_S = 5.0
AGAIN_AFTER_S = 0.5
LOOK_AGAIN_AFTER_S = (0.04, 0.25)  # the first for a busy moment, the second for a commit that took its time
LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Listener:
    """Wakes its followers. `made` counts the connections so far; a follower that sees it grow looks at the epoch."""

    def __init__(self) -> None:
        self.made = 0
        self.up = False
        self._wakes: set[asyncio.Event] = set()
        self._again: list[asyncio.TimerHandle] = []

    @contextmanager
    def waking(self) -> Iterator[asyncio.Event]:
        """Lend an event that is set whenever there may be something new; the follower clears it."""
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            yield wake
        finally:
            self._wakes.discard(wake)

    def wake(self) -> None:
        """Wake all."""
        for wake in self._wakes:
            wake.set()

    def _heard(self) -> None:
        """Wake all, and again soon: a commit in the shadow of this NOTIFY sent none of its own."""
        self.wake()
        for timer in self._again:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._again = [loop.call_later(after_s, self.wake) for after_s in LOOK_AGAIN_AFTER_S]

    async def run(self, url: str) -> None:
        """Listen until cancelled; a lost connection is made again."""
        while True:
            try:
                await self._listen(url)
            except LOST as error:
                log.warning("listen_lost", error=type(error).__name__)
            finally:
                self.up = False
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _listen(self, url: str) -> None:
        connection = await asyncpg.connect(
            url, timeout=5, server_settings={"application_name": "doorstep-listen"}
        )
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _connection: gone.set())
            await connection.add_listener(CHANNEL, lambda *_: self._heard())
            self.made += 1
            self.up = True
            self.wake()
            while not gone.is_set():
                try:
                    async with asyncio.timeout(PING_EVERY_S):
                        await gone.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1", timeout=PING_WITHIN_S)
            log.warning("listen_lost", error="connection_ended")
        finally:
            connection.terminate()
