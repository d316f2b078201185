"""Loops that a store keeps for itself: an error that nobody foresaw is logged, and the loop goes on after a moment."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

PAUSE_S = 1.0


async def kept_running(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop that is meant to run for ever, again after each failure, until cancelled."""
    while True:
        try:
            await loop()
        except Exception:  # whatever it was, positions and presence must not stop in silence
            log.exception("loop_failed", loop=name)
        await asyncio.sleep(PAUSE_S)
