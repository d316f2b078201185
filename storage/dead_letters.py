"""Dead letters: what a subscriber could not do after all its tries, kept until somebody lets it try again."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from storage.db import Tx

PUT = """
INSERT INTO app.dead_letters (subscriber, event_id, outbox_id, topic, correlation_id, attempts, error, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (subscriber, event_id) DO UPDATE
    SET attempts = app.dead_letters.attempts + EXCLUDED.attempts, error = EXCLUDED.error, at = EXCLUDED.at,
        outcome = NULL
"""
SHOWN = """
dead_letter_id, 'outbox' AS source, subscriber AS name, topic, event_id, NULL::uuid AS job_id, correlation_id,
attempts, error, at, CASE outcome WHEN 'done' THEN 'done' ELSE 'open' END AS state
"""
LIST = f"""
SELECT * FROM (
    SELECT {SHOWN} FROM app.dead_letters WHERE (outcome IS NOT DISTINCT FROM 'done') = $1
    UNION ALL
    SELECT j.job_id, 'job', j.name, NULL, NULL, j.job_id, j.correlation_id,
           coalesce(r.attempt, 0), coalesce(r.error, 'not noted'), q.updated, 'open'
    FROM jobs.pgqueuer q
    JOIN app.jobs j ON j.job_id = (convert_from(q.payload, 'UTF8')::jsonb ->> 'job_id')::uuid
    LEFT JOIN LATERAL (
        SELECT attempt, error FROM app.job_runs WHERE job_id = j.job_id ORDER BY run_id DESC LIMIT 1) r ON true
    WHERE q.status = 'failed' AND NOT $1
) letters
WHERE $3::timestamptz IS NULL OR (at, dead_letter_id) < ($3, $4::uuid)
ORDER BY at DESC, dead_letter_id DESC LIMIT $2
"""
COUNT = "SELECT count(*) FROM app.dead_letters WHERE outcome IS DISTINCT FROM 'done'"
LOCK = f"SELECT {SHOWN} FROM app.dead_letters WHERE dead_letter_id = $1 FOR UPDATE"
REPLAYED = f"""
UPDATE app.dead_letters
SET replayed_at = $2, replayed_by = $3, error = coalesce($4, error),
    attempts = attempts + ($4::text IS NOT NULL)::integer,
    outcome = CASE WHEN $4::text IS NULL THEN 'done' ELSE 'failed' END
WHERE dead_letter_id = $1 RETURNING {SHOWN}
"""


class DeadLetter(NamedTuple):
    """An event that a subscriber could not do; `error` is its kind only."""

    subscriber: str
    event_id: UUID
    outbox_id: int
    topic: str
    correlation_id: str
    attempts: int
    error: str


async def put(tx: Tx, letter: DeadLetter, at: datetime) -> None:
    """Lay an event down for a person to look at."""
    await tx.execute(PUT, *letter, at)


async def list_(
    tx: Tx, *, done: bool, before: tuple[datetime, UUID] | None, limit: int
) -> list[asyncpg.Record]:
    """List letters and jobs that gave up, newest first; `done`: those that were replayed well instead."""
    at, dead_letter_id = before or (None, None)
    return await tx.fetch(LIST, done, limit, at, dead_letter_id)


async def count(tx: Tx) -> int:
    """Count the open letters of the outbox."""
    number: int = await tx.fetchval(COUNT)
    return number


async def lock(tx: Tx, dead_letter_id: UUID) -> asyncpg.Record | None:
    """Read a letter of the outbox and keep others from it until the transaction ends."""
    return await tx.fetchrow(LOCK, dead_letter_id)


async def replayed(
    tx: Tx, dead_letter_id: UUID, *, at: datetime, by: UUID | None, error: str | None
) -> asyncpg.Record | None:
    """Write down how a replay went: `error` None is well, and the letter is closed."""
    return await tx.fetchrow(REPLAYED, dead_letter_id, at, by, error)
