"""The worker: takes jobs from PostgreSQL through pgqueuer, one process beside another, and writes down each try.

A job that fails is tried again with exponential backoff and jitter, `MAX_ATTEMPTS` times (about three hours), then held
as failed, where `doorstep doctor` sees it and `doorstep dead-letter replay` lets it run again. A worker that dies
leaves its jobs to the others once its heartbeat is late, so handlers may run twice.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import (
    DBSettings,
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context as QueueContext
from pgqueuer.domain.models import Job as QueuedJob

from domain.context import SYSTEM, Context
from services import erasure, notification_sending, payments, payouts
from services.job import Hopeless, Job, Later
from services.stores import Stores
from storage import jobs, tracing
from storage.db import Database, lost

log = structlog.get_logger(__name__)

JOBS: Mapping[str, Job] = {
    "capture_payment": Job(payments.ask_gateway, payments.give_up),
    "void_payment": Job(payments.ask_gateway, payments.give_up),
    "refund_payment": Job(payments.ask_gateway, payments.give_up),
    "authorize_payment": Job(payments.ask_gateway, payments.give_up),
    "hold_payment": Job(payments.hold_payment),
    "pay_out": Job(payouts.pay_out),
    "abandon_authorization": Job(payments.abandon_authorization),
    "notify": notification_sending.JOB,
    "forget_fixes": Job(erasure.forget_fixes),
}

MAX_ATTEMPTS = 24
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 900.0
BATCH = 4
AT_ONCE = 8  # jobs of one process, so that requests find connections too; more wait in the table
POLL_S = 1.0  # NOTIFY wakes the worker, seldom (migration 0057); this is the guarantee
HEARTBEAT_S = 30.0
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)

SETTINGS = DBSettings(db_schema="jobs")


@dataclass(frozen=True, slots=True)
class _Wanted:
    job_id: UUID
    payload: Mapping[str, Any]
    context: Context


class _Executor(AbstractEntrypointExecutor):
    """Runs one kind of job in our terms: a context of the system, a record of each try, delays that grow."""

    def __init__(self, name: str, job: Job, stores: Stores) -> None:
        super().__init__(
            EntrypointExecutorParameters(concurrency_limit=job.at_once, func=_nothing, on_failure="hold")
        )
        self._name, self._job, self._stores = name, job, stores

    async def execute(self, job: QueuedJob, context: QueueContext) -> None:  # noqa: ARG002 - the library's signature
        try:
            await self._try(_read(job), job.attempts + 1)
        except (
            asyncio.CancelledError
        ) as error:  # the process ends; the library would take it for "no longer wanted"
            raise RetryRequested(reason="the worker ended") from error

    async def _try(self, wanted: _Wanted, attempt: int) -> None:
        started_at = datetime.now(UTC)
        try:
            with tracing.story(
                f"job {self._name}",
                wanted.context.correlation_id,
                {"doorstep.job_id": str(wanted.job_id), "doorstep.attempt": attempt},
            ):
                await self._job.run(self._stores, wanted.payload, wanted.context)
        except Exception as error:
            last = (attempt >= MAX_ATTEMPTS or isinstance(error, Hopeless)) and await self._gave_up(wanted)
            said = str(error) if isinstance(error, Later | Hopeless) else type(error).__name__
            await self._note(wanted, attempt, started_at, "failed" if last else "retried", said)
            told = log.error if last else log.warning
            told("job_failed" if last else "job_retried", job=self._name, job_id=str(wanted.job_id), attempt=attempt,
                 correlation_id=wanted.context.correlation_id, reason=said,
                 exc_info=None if isinstance(error, Later | Hopeless) else error)  # fmt: skip
            if last:
                raise
            own_s = error.after_s if isinstance(error, Later) else None
            wait = delay(attempt) if own_s is None else timedelta(seconds=own_s)
            raise RetryRequested(delay=wait, reason=said) from error
        await self._note(wanted, attempt, started_at, "done", None)

    async def _gave_up(self, wanted: _Wanted) -> bool:
        """Record that nobody could; False when not even that could be done, and the last try is not the last."""
        if self._job.gave_up is None:
            return True
        try:
            await self._job.gave_up(self._stores, wanted.payload, wanted.context)
        except AWAY as error:
            log.warning("job_not_given_up", job_id=str(wanted.job_id), error=type(error).__name__)
            return False
        return True

    async def _note(
        self, wanted: _Wanted, attempt: int, started_at: datetime, outcome: str, error: str | None
    ) -> None:
        """Write a try down. Without the note the record has a hole; raising here would end the job itself."""
        try:
            async with self._stores.db.transaction() as tx:
                await jobs.ran(tx, wanted.job_id, attempt=attempt, started_at=started_at, ended_at=datetime.now(UTC),
                               outcome=outcome, error=error)  # fmt: skip
        except AWAY as away:
            log.warning(
                "job_not_noted", job_id=str(wanted.job_id), outcome=outcome, error=type(away).__name__
            )


def delay(attempt: int) -> timedelta:
    """Return how long to wait after a failed try: somewhere in the upper half of a doubling bound."""
    bound = min(FIRST_DELAY_S * 2 ** (attempt - 1), LONGEST_DELAY_S)
    return timedelta(seconds=random.uniform(bound / 2, bound))  # noqa: S311 - jitter, no secret


async def work(
    stores: Stores, stop: asyncio.Event, wanted: Mapping[str, Job] = JOBS, at_once: int = AT_ONCE
) -> None:
    """Run jobs until `stop`, then finish what was begun. Raises when the database goes away: start it again."""
    async with _queue(stores.db) as manager:
        for name, job in wanted.items():
            manager.register_executor(name, _Executor(name, job, stores))
        ending = asyncio.create_task(_end_with(stop, manager))
        try:
            await manager.run(
                dequeue_timeout=timedelta(seconds=POLL_S),
                batch_size=BATCH,
                max_concurrent_tasks=at_once,
                shutdown_on_listener_failure=True,
                heartbeat_timeout=timedelta(seconds=HEARTBEAT_S),
                log_aggregation_interval=timedelta(0),
            )
        finally:
            ending.cancel()
            await asyncio.wait([ending])


@asynccontextmanager
async def _queue(db: Database) -> AsyncIterator[QueueManager]:
    """A connection of the worker's own: a pooled one is unsuited to LISTEN, and the library binds JSON as text."""
    connection = await asyncpg.connect(
        db.url,
        command_timeout=15,
        server_settings={"role": db.role, "application_name": "doorstep jobs", "timezone": "UTC"},
    )
    try:
        try:
            yield QueueManager(
                Queries(
                    AsyncpgDriver(connection),
                    qbe=QueryBuilderEnvironment(SETTINGS),
                    qbq=QueryQueueBuilder(SETTINGS),
                    qbs=QuerySchedulerBuilder(SETTINGS),
                ),
                channel=SETTINGS.channel,
            )
        finally:
            await connection.close(timeout=5)
    except asyncpg.InternalClientError as error:
        raise lost(error) from error


async def _end_with(stop: asyncio.Event, manager: QueueManager) -> None:
    await stop.wait()
    manager.shutdown.set()


async def _nothing(job: QueuedJob) -> None:
    """Stand where the library wants a function; `_Executor.execute` is what runs."""


def _read(job: QueuedJob) -> _Wanted:
    row = orjson.loads(job.payload or b"{}")
    context = Context(SYSTEM, datetime.now(UTC), row["correlation_id"], causation_id=UUID(row["job_id"]))
    return _Wanted(UUID(row["job_id"]), row["payload"], context)
