"""Retention of what grows beside the truth: bounded batches with pauses between, one process at a time.

Bookings, their events, the ledger, the audit and the matches (with every candidate: a card stays explainable for ever)
are never touched. What went is told in the operational log, and once a run in the audit, where something went.
"""

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog

from domain.context import SYSTEM, Context
from domain.facts import Decided
from services.policy import Policy
from services.stores import Stores
from services.subscribers import SUBSCRIBERS
from storage import journal, retention
from storage.ids import new_id

log = structlog.get_logger(__name__)

BATCH = 2000
PAUSE_S = 0.2  # between batches, so that bookings come first
EVERY_S = 6 * 3600.0
FIRST_AFTER_S = 120.0
ABANDONED_AFTER = timedelta(days=30)


def kept_for(policy: Policy) -> Mapping[str, timedelta]:
    """Return how long each kind is kept."""
    return {
        "outbox": timedelta(days=policy.outbox_kept_d),
        "relayed": timedelta(days=policy.outbox_kept_d),
        "job_log": timedelta(days=policy.job_log_kept_d),
        "deadlines": timedelta(days=policy.deadlines_kept_d),
        "dead_letters": timedelta(days=policy.dead_letters_kept_d),
        "webhook_deliveries": timedelta(days=policy.webhook_deliveries_kept_d),
        "notifications": timedelta(days=policy.stories_kept_d),
        "requests": timedelta(days=policy.stories_kept_d),
        "jobs": timedelta(days=policy.stories_kept_d),
        "payout_accounts": timedelta(0),  # of who was erased, as soon as nothing is owed any more
    }


async def tidy(
    stores: Stores, now: datetime, *, batch: int = BATCH, pause_s: float = PAUSE_S
) -> dict[str, int]:
    """Take away all that is past its time; returns what went, without what did not."""
    await _forget_abandoned(stores, now)
    gone: dict[str, int] = {}
    for what, kept in kept_for(stores.policy).items():
        while (went := await _forget(stores, what, now - kept, batch)) > 0:
            gone[what] = gone.get(what, 0) + went
            if went < batch:
                break
            await asyncio.sleep(pause_s)
    if gone:
        context = Context(SYSTEM, now, f"retention-{new_id().hex}")
        async with stores.db.transaction() as tx:
            fact = Decided("retention.ran", "policy", stores.policy.version, None, gone)
            await journal.record(tx, [fact], context)
        log.info("retention_ran", correlation_id=context.correlation_id, **gone)
    return gone


async def would_go(stores: Stores, now: datetime, *, batch: int = BATCH) -> dict[str, int]:
    """Tell what a first batch of each kind would take away; changes nothing."""
    gone: dict[str, int] = {}
    async with stores.db.reading() as tx:
        trial = tx.transaction()
        await trial.start()
        try:
            for what, kept in kept_for(stores.policy).items():
                gone[what] = await retention.forget(tx, what, now - kept, batch)
        finally:
            await trial.rollback()
    return {what: went for what, went in gone.items() if went}


async def _forget(stores: Stores, what: str, before: datetime, batch: int) -> int:
    async with stores.db.transaction() as tx:
        if not await retention.become_tidier(tx):
            return 0
        return await retention.forget(tx, what, before, batch)


async def _forget_abandoned(stores: Stores, now: datetime) -> None:
    known = [subscriber.name for subscriber in SUBSCRIBERS]
    async with stores.db.transaction() as tx:
        for name in await retention.forget_abandoned(tx, known, now - ABANDONED_AFTER):
            log.error("subscriber_abandoned", subscriber=name)


async def run(stores: Stores, stop: asyncio.Event) -> None:
    """Tidy a few times a day until `stop`. Any number of processes may run this."""
    wait_s = FIRST_AFTER_S
    while not stop.is_set():
        try:
            async with asyncio.timeout(wait_s * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter
                await stop.wait()
        except TimeoutError:
            await tidy(stores, datetime.now(UTC))
            wait_s = EVERY_S
