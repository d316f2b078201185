"""Keeps the gauges that PostgreSQL has to be asked for, every few seconds: lag, dead letters, the depth of the queue.

Lag is counted up to a bound, the queue and open letters whole. Asked by each process, so that whichever is scraped
tells the whole.
"""

import asyncio
import time
from collections import deque

import asyncpg
import structlog

from services.measures import Measures
from services.stores import Stores
from storage import jobs, system

log = structlog.get_logger(__name__)

EVERY_S = 5.0
OVER = 12  # readings that the rate of fixes is taken over: a minute
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


async def run(stores: Stores, measures: Measures, stop: asyncio.Event) -> None:
    """Read and set until `stop`; while the database is away the gauges stay as they were."""
    fixes: deque[tuple[float, float]] = deque(maxlen=OVER)
    while not stop.is_set():
        fixes.append((time.monotonic(), measures.fixes_so_far()))
        (began, first), (now, last) = fixes[0], fixes[-1]
        stores.vitals.fixes_per_s = (last - first) / (now - began) if now > began else 0.0
        try:
            await gauge(stores, measures)
        except AWAY as error:
            log.warning("gauges_wait", error=type(error).__name__)
        try:
            async with asyncio.timeout(EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue


async def gauge(stores: Stores, measures: Measures) -> None:
    """Read once and set all gauges."""
    async with stores.db.reading() as tx:
        followers = await system.subscribers(tx)
        letters = await system.dead_letters(tx)
        depth = await jobs.depth(tx)
    for labelled in (
        measures.lag_rows,
        measures.lag_s,
        measures.dead_letters,
        measures.jobs,
        measures.job_oldest_s,
    ):
        labelled.clear()
    for r in followers:
        measures.lag_rows.labels(r["subscriber"]).set(r["rows"])
        measures.lag_s.labels(r["subscriber"]).set(r["lag_s"] or 0.0)
        measures.dead_letters.labels(r["subscriber"]).set(0)
    for name, count in letters.items():
        measures.dead_letters.labels(name).set(count)
    for r in depth:
        measures.jobs.labels(r["name"], r["status"]).set(r["jobs"])
        if r["status"] == "queued":
            measures.job_oldest_s.labels(r["name"]).set(max(0.0, r["oldest_s"]))
    measures.listen_made.set(stores.listener.made)
    measures.listen_up.set(stores.listener.up)
