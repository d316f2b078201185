"""Jobs against a real database: committed with their cause, run once by many workers, tried again, held at last."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from app.dead_letters import again, listed
from app.doctor import findings
from app.settings import Settings, SettingsError
from domain.context import Context
from domain.facts import JobWanted
from domain.payments import collect
from services import jobs as worker
from services.job import Job, Later
from services.stores import Stores
from storage import jobs
from storage.ids import new_id
from tests.conftest import Database
from tests.integration.money.conftest import World

DOOMED = """
import asyncio, os
from services import jobs, payments
from services.policy import Policy
from services.sandbox_gateway import SandboxGateway
from services.stores import Stores
from storage.db import open_database

async def main():
    payments.ASKING_LEASE_S = 0.5
    async with open_database(os.environ["URL"]) as db:
        gateway = SandboxGateway(db, b"k" * 32, slow_s=60)
        stores = Stores(db, None, None, None, gateway, Policy(), b"k" * 32)
        await jobs.work(stores, asyncio.Event())

asyncio.run(main())
"""
KILL = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'doorstep jobs'"
)


async def until(
    world: World, sql: str, expected: object, *, stop: asyncio.Event, timeout_s: float = 20.0
) -> None:
    """Wait until a query gives what is expected, then stop the workers."""
    try:
        async with asyncio.timeout(timeout_s):
            while await world.one(sql) != expected:
                await asyncio.sleep(0.02)
    finally:
        stop.set()


async def test_the_tables_survive_a_crash(world: World) -> None:
    """Every table of the job library is LOGGED."""
    kinds = await world.owner.fetch(
        "SELECT relname, relpersistence::text AS kept FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'jobs' AND relkind = 'r'"
    )
    assert len(kinds) == 4
    assert {r["kept"] for r in kinds} == {"p"}


async def test_a_job_of_a_rolled_back_transaction_never_was(world: World) -> None:
    """The promise and the work it promises are committed together, or neither is."""
    _, held = await world.held()
    capture = collect(held, new_id(), 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.record(JobWanted("anything", {}), *capture, *capture)
    assert await world.one("SELECT count(*) FROM jobs.pgqueuer") == 0
    assert await world.one("SELECT count(*) FROM app.jobs") == 0


async def test_three_workers_run_each_job_once(world: World) -> None:
    """Sixty jobs, three workers: each job runs once, in its own story."""
    seen: Counter[tuple[int, str]] = Counter()

    async def count(_: Stores, payload: Mapping[str, Any], context: Context) -> None:
        seen[payload["n"], context.correlation_id] += 1

    for n in range(60):
        await world.record(JobWanted("count", {"n": n}), story=f"story-{n:04}")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(worker.work(world.stores, stop, {"count": Job(count)}))
        await until(world, "SELECT count(*) FROM app.job_runs WHERE outcome = 'done'", 60, stop=stop)
    assert seen == Counter({(n, f"story-{n:04}"): 1 for n in range(60)})


async def test_a_failing_job_is_tried_again_and_held_at_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later and errors are tried again; after the last try it is given up, visible, and can be let run again."""
    monkeypatch.setattr(worker, "MAX_ATTEMPTS", 3)
    monkeypatch.setattr(worker, "delay", lambda _: timedelta(seconds=0.01))
    tries: list[str] = []
    gave_up: list[str] = []

    async def fail(_: Stores, payload: Mapping[str, Any], context: Context) -> None:
        tries.append(context.correlation_id)
        if len(tries) == 1:
            raise Later("the world was not ready")
        if len(tries) < 4:
            raise ValueError("customer@example.org")

    async def give_up(_: Stores, payload: Mapping[str, Any], context: Context) -> None:
        gave_up.append(payload["what"])

    await world.record(JobWanted("fail", {"what": "this"}))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.work(world.stores, stop, {"fail": Job(fail, give_up)}))
        await until(world, "SELECT count(*) FROM jobs.pgqueuer WHERE status = 'failed'", 1, stop=stop)
    assert gave_up == ["this"]
    async with world.stores.db.transaction() as tx:
        (failed,) = await jobs.failures(tx, 10)
        assert (failed["name"], failed["attempt"], failed["error"]) == ("fail", 3, "ValueError")
        assert [(r["name"], r["status"]) for r in await jobs.depth(tx)] == [("fail", "failed")]
        assert await jobs.requeue(tx, failed["job_id"])
    again = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.work(world.stores, again, {"fail": Job(fail, give_up)}))
        await until(world, "SELECT count(*) FROM app.job_runs WHERE outcome = 'done'", 1, stop=again)
    outcomes = await world.one("SELECT array_agg(outcome ORDER BY run_id) FROM app.job_runs")
    assert outcomes == ["retried", "retried", "failed", "done"]
    async with world.stores.db.transaction() as tx:
        assert await jobs.failures(tx, 10) == []


async def test_a_try_that_cannot_be_noted_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the pool exhausted neither the work nor its note goes through: the job waits, and is done later."""
    monkeypatch.setattr(worker, "MAX_ATTEMPTS", 2)
    monkeypatch.setattr(worker, "delay", lambda _: timedelta(seconds=0.01))
    away, tries, really = True, 0, jobs.ran

    async def work(_: Stores, payload: Mapping[str, Any], context: Context) -> None:
        nonlocal tries
        tries += 1
        if away:
            raise TimeoutError

    async def give_up(_: Stores, payload: Mapping[str, Any], context: Context) -> None:
        nonlocal away
        away = tries < 4
        raise TimeoutError

    async def ran(*args: Any, **kwargs: Any) -> None:
        if away or tries < 5:
            raise TimeoutError
        await really(*args, **kwargs)

    monkeypatch.setattr(jobs, "ran", ran)
    await world.record(JobWanted("work", {}))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.work(world.stores, stop, {"work": Job(work, give_up)}))
        await until(world, "SELECT count(*) FROM app.job_runs WHERE outcome = 'done'", 1, stop=stop)
    assert (tries, await world.one("SELECT count(*) FROM jobs.pgqueuer")) == (5, 0)


async def test_doctor_and_the_command_line_show_who_gave_up(world: World, database: Database) -> None:
    """A job that was held without a note is seen, named, and run again by its id."""
    await world.record(JobWanted("never", {}))
    await world.owner.execute("UPDATE jobs.pgqueuer SET status = 'failed'")
    settings = Settings(database_url=SecretStr(database.app_url))
    found = {finding.subject: finding for finding in await findings(settings)}
    assert (found["Jobs"].grade, found["Jobs"].seen) == ("bad", "1 gave up")
    job_id = str(await world.one("SELECT job_id FROM app.jobs"))
    (line,) = await asyncio.to_thread(listed, settings)
    assert line.startswith(f"{job_id} never since ")
    assert line.endswith(": not noted")
    await asyncio.to_thread(again, settings, job_id)
    assert await world.one("SELECT status::text FROM jobs.pgqueuer") == "queued"
    with pytest.raises(SettingsError, match="No job of that id gave up"):
        await asyncio.to_thread(again, settings, job_id)


async def test_a_capture_goes_through_the_queue(world: World) -> None:
    """From the committed intent to `payment.captured`, by the worker alone, though the first answer is lost."""
    booking, held = await world.held("sandbox_lost_answer")
    await world.record(*collect(held, new_id(), booking.price.total), story="story-of-a-visit")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.work(world.stores, stop))
        await until(world, "SELECT count(*) FROM app.ledger_transactions", 1, stop=stop)
    event = await world.owner.fetchrow(
        "SELECT correlation_id, causation_id, actor_role FROM app.booking_events WHERE type = 'payment.captured'"
    )
    assert event is not None
    assert event["correlation_id"] == "story-of-a-visit"
    assert event["causation_id"] == await world.one(
        "SELECT job_id FROM app.jobs WHERE name = 'capture_payment'"
    )


async def test_a_worker_ends_when_its_connection_dies(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is an error that the supervisor sees, not a worker that hears nothing for ever."""
    monkeypatch.setattr(worker, "POLL_S", 0.3)
    stop = asyncio.Event()
    task = asyncio.ensure_future(worker.work(world.stores, stop, {"never": Job(_never)}))
    try:
        async with asyncio.timeout(15):
            while not await world.one(KILL):
                await asyncio.sleep(0.05)
            with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresConnectionError)):
                await task
    finally:
        stop.set()
        task.cancel()


async def test_a_worker_that_is_ended_loses_no_job(world: World) -> None:
    """A worker cancelled in the middle of a job gives it back: another one does it."""
    begun, tries = asyncio.Event(), 0

    async def slow(_: Stores, payload: Mapping[str, Any], context: Context) -> None:
        nonlocal tries
        tries += 1
        begun.set()
        if tries == 1:
            await asyncio.sleep(60)

    await world.record(JobWanted("slow", {}))
    first = asyncio.ensure_future(worker.work(world.stores, asyncio.Event(), {"slow": Job(slow)}))
    async with asyncio.timeout(10):
        await begun.wait()
    first.cancel()  # as at shutdown: first it waits for what it began,
    await asyncio.sleep(0.1)
    first.cancel()  # then everything ends
    with pytest.raises(asyncio.CancelledError):
        await first
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.work(world.stores, stop, {"slow": Job(slow)}))
        await until(world, "SELECT count(*) FROM app.job_runs WHERE outcome = 'done'", 1, stop=stop)
    assert tries == 2


async def test_a_killed_worker_leaves_its_job_to_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill -9 in the middle of a capture: the next worker finds the hold as it is, and takes the money once."""
    monkeypatch.setattr(worker, "HEARTBEAT_S", 1.0)
    monkeypatch.setattr(worker, "POLL_S", 0.2)
    monkeypatch.setattr("services.payments.ASKING_LEASE_S", 0.5)
    booking, held = await world.held("sandbox_slow")
    await world.record(*collect(held, new_id(), booking.price.total))
    env = {**os.environ, "URL": world.stores.db.url, "PYTHONPATH": os.getcwd()}  # noqa: PTH109 - an environment holds text
    doomed = await asyncio.create_subprocess_exec(sys.executable, "-c", DOOMED, env=env)
    async with asyncio.timeout(20):
        while not await world.one("SELECT count(*) FROM sandbox.operations WHERE kind = 'capture'"):
            await asyncio.sleep(0.02)
    doomed.kill()
    await doomed.wait()
    assert await world.one("SELECT count(*) FROM app.ledger_transactions") == 0
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.work(world.stores, stop))
        await until(world, "SELECT count(*) FROM app.ledger_transactions", 1, stop=stop)
    assert await world.one("SELECT count(*) FROM app.booking_events WHERE type = 'payment.captured'") == 1
    assert await world.one("SELECT sum(amount) FROM sandbox.operations WHERE kind = 'capture'") == 4770


async def test_only_a_job_that_is_due_wakes_the_workers(world: World) -> None:
    """NOTIFY tells of jobs to be done now, once for each commit; neither of later ones nor of done ones."""
    heard: list[object] = []
    await world.owner.add_listener("ch_pgqueuer", lambda *told: heard.append(told[-1]))
    later = world.context().now + timedelta(hours=1)
    await world.record(JobWanted("later", {}, later))
    await world.record(JobWanted("now", {}), JobWanted("now", {}))
    await world.owner.execute("DELETE FROM jobs.pgqueuer")
    await world.owner.execute("SELECT 1")
    await asyncio.sleep(0.1)
    assert len(heard) == 1


async def _never(_: Stores, payload: Mapping[str, Any], context: Context) -> None:
    raise AssertionError
