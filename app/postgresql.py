"""Looks after the embedded PostgreSQL while a server runs on it: when it died it is started again at its address.

What a person should know is said when it begins and when it is over, beside the log: the disk that PostgreSQL fills is
often the log's as well.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from storage.embedded import EmbeddedPostgres, EmbeddedPostgresError

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
TIGHT_BELOW_BYTES = 16_000_000  # one segment of write-ahead log: the next one may not fit

REVIVED = "PostgreSQL died and was started again; nothing committed is lost."
DISK_FULL = "The disk is full: nothing can be stored until some space is free."

type Say = Callable[[str], None]


def _nobody(_words: str) -> None:
    """Let the log be all that is said."""


async def keep_postgresql(cluster: EmbeddedPostgres, stop: asyncio.Event, say: Say = _nobody) -> None:
    """Look every second until `stop`; `say` gets a sentence when something changed, an empty one when all is well."""
    before = ""
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
        if stop.is_set():
            return
        event, words = await asyncio.to_thread(_look_after, cluster)
        if words == REVIVED or words != before:
            if words:
                log.error(event)
            else:
                log.info(event)
            say(words)
        before = words


def _look_after(cluster: EmbeddedPostgres) -> tuple[str, str]:
    """Start it if it died, look at its disk; returns what happened for the log, and in words, none when all is well."""
    try:
        if cluster.revive():
            return "postgresql_revived", REVIVED
    except EmbeddedPostgresError as error:
        return f"postgresql_away_{error.code}", f"PostgreSQL does not answer. {error.sentence}"
    if cluster.free_bytes() < TIGHT_BELOW_BYTES:
        return "disk_full", DISK_FULL
    return "postgresql_well", ""
