"""Jobs: enqueued in the caller's transaction, so that a promise and the work it promises are committed together.

pgqueuer's table is the queue; `app.jobs` and `app.job_runs` are the record, since the library forgets what is done.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.facts import Fact, JobWanted
from storage.db import Tx
from storage.rows import Row

RAN = """
INSERT INTO app.job_runs (job_id, attempt, started_at, ended_at, outcome, error) VALUES ($1, $2, $3, $4, $5, $6)
"""
FAILED = """
SELECT j.job_id, j.name, j.payload, j.correlation_id, j.wanted_at, q.updated AS failed_at, r.attempt, r.error
FROM jobs.pgqueuer q
JOIN app.jobs j ON j.job_id = (convert_from(q.payload, 'UTF8')::jsonb ->> 'job_id')::uuid
LEFT JOIN LATERAL (
    SELECT attempt, error FROM app.job_runs WHERE job_id = j.job_id ORDER BY run_id DESC LIMIT 1) r ON true
WHERE q.status = 'failed' ORDER BY q.updated DESC LIMIT $1
"""
DEPTH = """
SELECT entrypoint AS name, status::text AS status, count(*) AS jobs,
       extract(epoch FROM now() - min(execute_after))::float8 AS oldest_s
FROM jobs.pgqueuer GROUP BY entrypoint, status ORDER BY entrypoint, status
"""
REQUEUE = """
WITH requeued AS (
    UPDATE jobs.pgqueuer
    SET status = 'queued', execute_after = now(), updated = now(), attempts = 0, queue_manager_id = NULL
    WHERE status = 'failed' AND convert_from(payload, 'UTF8')::jsonb ->> 'job_id' = $1
    RETURNING (convert_from(payload, 'UTF8')::jsonb ->> 'job_id')::uuid AS job_id, updated)
SELECT j.job_id AS dead_letter_id, 'job' AS source, j.name, NULL AS topic, NULL::uuid AS event_id, j.job_id,
       j.correlation_id, coalesce(r.attempt, 0) AS attempts, coalesce(r.error, 'not noted') AS error, q.updated AS at
FROM requeued q JOIN app.jobs j USING (job_id)
LEFT JOIN LATERAL (
    SELECT attempt, error FROM app.job_runs WHERE job_id = j.job_id ORDER BY run_id DESC LIMIT 1) r ON true
"""


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield a job; its id is the fact's, its story the request's."""
    if isinstance(fact, JobWanted):
        yield Row("jobs", {
            "job_id": event_id, "name": fact.name, "payload": dict(fact.payload), "wanted_at": context.now,
            "correlation_id": context.correlation_id, "causation_id": context.causation_id,
            "run_at": fact.run_at or context.now,
        })  # fmt: skip


async def ran(
    tx: Tx,
    job_id: UUID,
    *,
    attempt: int,
    started_at: datetime,
    ended_at: datetime,
    outcome: str,
    error: str | None,
) -> None:
    """Write down how one try of a job went: done, retried or failed."""
    await tx.execute(RAN, job_id, attempt, started_at, ended_at, outcome, error)


async def failures(tx: Tx, limit: int) -> list[asyncpg.Record]:
    """List jobs that nobody could do, newest first; `attempt` and `error` are of the last try that was noted."""
    return await tx.fetch(FAILED, limit)


async def depth(tx: Tx) -> list[asyncpg.Record]:
    """Count what waits, runs or has failed, by name; `oldest_s` is how long the oldest has been due."""
    return await tx.fetch(DEPTH)


async def requeue(tx: Tx, job_id: UUID) -> asyncpg.Record | None:
    """Let a failed job run again; returns it as a dead letter, None where it is not a failed one."""
    return await tx.fetchrow(REQUEUE, str(job_id))
