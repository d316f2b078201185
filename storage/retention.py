"""What goes by policy, a bounded batch at a time, oldest first. Truth, ledger, audit and matches are not in here.

Where the serving role may not delete, a function of the database does it, which spares what is young or still needed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from storage.db import Tx

LOCK = "SELECT pg_try_advisory_xact_lock(726618323)"
FORGET: Mapping[str, str] = {
    "outbox": "SELECT app.forget_outbox($1, $2::integer)",
    "relayed": "SELECT app.forget_relayed($1, $2::integer)",
    "requests": "SELECT app.forget_requests($1, $2::integer)",
    "jobs": "SELECT app.forget_jobs($1, $2::integer)",
    "notifications": "SELECT app.forget_notifications($1, $2::integer)",
    "webhook_deliveries": "SELECT app.forget_webhook_deliveries($1, $2::integer)",
    "payout_accounts": "SELECT app.forget_payout_accounts($1, $2::integer)",
    "deadlines": """
WITH gone AS (
    DELETE FROM app.deadlines WHERE (booking_id, kind) IN (
        SELECT booking_id, kind FROM app.deadlines WHERE fired_at < $1 ORDER BY fired_at LIMIT $2::integer)
    RETURNING 1)
SELECT count(*) FROM gone
""",
    "job_log": """
WITH gone AS (
    DELETE FROM jobs.pgqueuer_log WHERE id IN (
        SELECT id FROM jobs.pgqueuer_log WHERE created < $1 ORDER BY created LIMIT $2::integer)
    RETURNING 1)
SELECT count(*) FROM gone
""",
    "dead_letters": """
WITH gone AS (
    DELETE FROM app.dead_letters WHERE dead_letter_id IN (
        SELECT dead_letter_id FROM app.dead_letters WHERE outcome = 'done' AND replayed_at < $1 LIMIT $2::integer)
    RETURNING 1)
SELECT count(*) FROM gone
""",
}
ABANDONED = """
DELETE FROM app.subscriptions WHERE subscriber <> ALL ($1::text[]) AND updated_at < $2 RETURNING subscriber
"""
NO_BACKLOG = "DELETE FROM app.subscription_backlog WHERE subscriber = ANY ($1::text[])"


async def become_tidier(tx: Tx) -> bool:
    """Keep other processes from tidying until the transaction ends; False when one is at it."""
    free: bool = await tx.fetchval(LOCK)
    return free


async def forget(tx: Tx, what: str, before: datetime, batch: int) -> int:
    """Take away up to `batch` rows that are older; returns how many went."""
    gone: int = await tx.fetchval(FORGET[what], before, batch)
    return gone


async def forget_abandoned(tx: Tx, known: Sequence[str], before: datetime) -> list[str]:
    """Forget subscribers that no release has had since `before`, so that they hold the outbox no longer."""
    gone = [record["subscriber"] for record in await tx.fetch(ABANDONED, list(known), before)]
    if gone:
        await tx.execute(NO_BACKLOG, gone)
    return gone
