"""Deadlines are rows, fired once by any process: each due one is claimed in the transaction of what it causes.

What each kind causes stands in `CONSEQUENCES`, as a rule like that of any command; a booking that moved on refuses, and
the deadline is forgotten. The loop looks every second and never at more than a batch; it also wakes snoozed alerts, and
now and then looks at credentials and sweeps away what nobody can use again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from domain.booking import Booking
from domain.booking_rules import Facts
from domain.context import Context
from domain.refusals import Refusal
from services import alerts, booking, booking_offers, booking_timers, causes
from services.booking_command import run as command
from services.stores import Stores
from storage import deadlines as rows
from storage import idempotency, tokens
from storage.db import Tx

log = structlog.get_logger(__name__)

type Consequence = Callable[[Stores, Tx, Booking, Context], Awaitable[Facts | Refusal]]

CONSEQUENCES: Mapping[str, Consequence] = {
    "unanswered": booking_offers.expired,
    "unnoticed": booking_timers.unnoticed,
    "not_there": booking_timers.not_there,
    "no_show": booking.waited,
    "overrun": booking.overran,
}

BATCH = 100
AGAIN_AFTER = timedelta(seconds=10)
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
EVERY_S = 1.0
SWEEP_EVERY = 600
TOKENS_KEPT_FOR = timedelta(
    days=1
)  # past their end, so that a revoked family is known longer than its access tokens


async def fire_due(stores: Stores, now: datetime) -> int:
    """Fire what is due now; returns how many. A deadline whose booking moved on is marked and forgotten."""
    async with stores.db.reading() as tx:
        due = await rows.due(tx, now, BATCH, CONSEQUENCES)
    for booking_id, kind in due:
        correlation_id = None
        try:
            context = await causes.of_deadline(stores, booking_id, kind, now)
            correlation_id = context.correlation_id
            await _fire(stores, booking_id, kind, context)
        except (
            Exception
        ):  # one booking's fault must not hold up everybody else's deadlines; it is tried again
            log.exception(
                "deadline_failed",
                kind=kind,
                booking_id=str(booking_id),
                correlation_id=correlation_id,
            )
            await _put_off(stores, booking_id, kind, now)
    return len(due)


async def _fire(stores: Stores, booking_id: UUID, kind: str, context: Context) -> None:
    """Claim one deadline and record what it causes, in one transaction; nothing when another process was first."""

    async def rule(tx: Tx, locked: Booking) -> Facts | Refusal:
        if not await rows.claim(tx, booking_id, kind, context.now):
            return ()
        return await CONSEQUENCES[kind](stores, tx, locked, context)

    answer = await command(stores, booking_id, context, rule)
    if isinstance(answer, Refusal) and answer.code == "slot_taken":
        raise RuntimeError(
            "the next technician's time was taken in between"
        )  # rolled back, and so tried again


async def _put_off(stores: Stores, booking_id: UUID, kind: str, now: datetime) -> None:
    """Let others go first: a hundred deadlines that fail again and again must not be all that is ever looked at."""
    try:
        async with stores.db.transaction() as tx:
            await rows.put_off(tx, booking_id, kind, now, now + AGAIN_AFTER)
    except AWAY as error:
        log.warning("deadline_not_put_off", kind=kind, booking_id=str(booking_id), error=type(error).__name__)


async def run(stores: Stores, stop: asyncio.Event, clock: Callable[[], datetime]) -> None:
    """Fire deadlines until `stop` is set; its supervisor restarts it when a store is away."""
    rounds = 0
    while not stop.is_set():
        fired = await fire_due(stores, clock())
        await alerts.wake_due(stores, clock())
        if fired:
            log.info("deadlines_fired", count=fired)
        if rounds % SWEEP_EVERY == 0:
            await _sweep(stores, clock())
        rounds += 1
        if fired < BATCH:
            try:
                await asyncio.wait_for(stop.wait(), EVERY_S)
            except TimeoutError:
                continue


async def _sweep(stores: Stores, now: datetime) -> None:
    """Look at credentials, and forget what nobody can use again. A fault in this must hold up no deadline."""
    try:
        await alerts.look_at_credentials(stores, now)
        async with stores.db.transaction() as tx:
            await idempotency.sweep(tx, now - idempotency.KEPT_FOR)
            await tokens.sweep(tx, now - TOKENS_KEPT_FOR)
    except Exception:  # whatever it was, it is tried again with the next sweep
        log.exception("sweep_failed")
