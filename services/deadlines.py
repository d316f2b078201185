"""Deadlines are rows, fired once by any process: each due one is claimed in the transaction of what it causes.

`unanswered` expires a request (or asks the next card); `overrun` is only marked, for the alert that reads the mark.
The loop looks every second and never at more than a batch; now and then it also sweeps away what nobody can use again.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog

from domain.context import SYSTEM, Context
from services import booking_offers
from services.stores import Stores
from storage import deadlines as rows
from storage import idempotency, tokens

log = structlog.get_logger(__name__)

BATCH = 100
EVERY_S = 1.0
SWEEP_EVERY = 600
TOKENS_KEPT_FOR = timedelta(
    days=1
)  # past their end, so that a revoked family is known longer than its access tokens


async def fire_due(stores: Stores, now: datetime) -> int:
    """Fire what is due now; returns how many. A deadline whose booking moved on is marked and forgotten."""
    async with stores.db.reading() as tx:
        due = await rows.due(tx, now, BATCH)
    for booking_id, kind in due:
        context = Context(SYSTEM, now, f"deadline-{uuid4().hex[:24]}")
        try:
            await _fire(stores, booking_id, kind, context)
        except (
            Exception
        ):  # one booking's fault must not hold up everybody else's deadlines; it is tried again
            log.exception(
                "deadline_failed",
                kind=kind,
                booking_id=str(booking_id),
                correlation_id=context.correlation_id,
            )
    return len(due)


async def _fire(stores: Stores, booking_id: UUID, kind: str, context: Context) -> None:
    if kind == "unanswered":
        await booking_offers.expire(stores, booking_id, context)
    async with stores.db.transaction() as tx:
        await rows.fire(tx, booking_id, kind, context.now)


async def run(stores: Stores, stop: asyncio.Event, clock: Callable[[], datetime]) -> None:
    """Fire deadlines until `stop` is set; its supervisor restarts it when a store is away."""
    rounds = 0
    while not stop.is_set():
        fired = await fire_due(stores, clock())
        if fired:
            log.info("deadlines_fired", count=fired)
        if rounds % SWEEP_EVERY == 0:
            async with stores.db.transaction() as tx:
                await idempotency.sweep(tx, clock() - idempotency.KEPT_FOR)
                await tokens.sweep(tx, clock() - TOKENS_KEPT_FOR)
        rounds += 1
        if fired < BATCH:
            try:
                await asyncio.wait_for(stop.wait(), EVERY_S)
            except TimeoutError:
                continue
