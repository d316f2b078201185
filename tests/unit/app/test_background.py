"""Supervised tasks come back when they fail, and none is left at the end."""

import asyncio

import pytest

from app import background
from app.background import Background


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for real pauses."""
    monkeypatch.setattr(background, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(background, "LONGEST_PAUSE_S", 0.002)
    monkeypatch.setattr(background, "END_WITHIN_S", 0.05)


async def test_a_task_that_fails_is_started_again() -> None:
    """Whatever it raised, also when it merely ended."""
    runs = 0
    healthy = asyncio.Event()

    async def work(stop: asyncio.Event) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("a fault of ours")
        if runs == 2:
            raise ConnectionResetError
        if runs == 3:
            return
        healthy.set()
        await stop.wait()

    tasks = Background()
    tasks.start("work", work)
    async with asyncio.timeout(5):
        await healthy.wait()
    assert tasks.restarts["work"] == 3
    await tasks.end()


async def test_the_end_lets_tasks_finish_what_they_do() -> None:
    """A task that watches `stop` is not cancelled."""
    finished = asyncio.Event()

    async def work(stop: asyncio.Event) -> None:
        await stop.wait()
        await asyncio.sleep(0.01)
        finished.set()

    tasks = Background()
    tasks.start("work", work)
    await asyncio.sleep(0)
    await tasks.end(within_s=2)
    assert finished.is_set()


async def test_the_end_cancels_a_task_that_does_not_listen() -> None:
    """Nothing outlives the process's goodbye."""
    cancelled = asyncio.Event()

    async def work(_stop: asyncio.Event) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    tasks = Background()
    tasks.start("deaf", work)
    await asyncio.sleep(0)
    await tasks.end(within_s=0.02)
    assert cancelled.is_set()
    assert all(task.done() for task in tasks._tasks.values())


async def test_one_tasks_failure_leaves_the_others_alone() -> None:
    """They have nothing to do with one another."""
    rounds = 0

    async def failing(_stop: asyncio.Event) -> None:
        raise ValueError

    async def working(stop: asyncio.Event) -> None:
        nonlocal rounds
        while not stop.is_set():
            rounds += 1
            await asyncio.sleep(0)

    tasks = Background()
    tasks.start("failing", failing)
    tasks.start("working", working)
    async with asyncio.timeout(5):
        while tasks.restarts["failing"] < 3:
            await asyncio.sleep(0)
    assert tasks.restarts["working"] == 0
    assert rounds > 0
    await tasks.end()


async def test_how_a_task_last_failed_is_told() -> None:
    """By the kind of its error; one that never failed says nothing."""
    failed = asyncio.Event()

    async def work(stop: asyncio.Event) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("with a name in it")
        await stop.wait()

    async def wait(stop: asyncio.Event) -> None:
        await stop.wait()

    tasks = Background()
    tasks.start("failing", work)
    tasks.start("healthy", wait)
    while tasks.restarts["failing"] == 0:
        await asyncio.sleep(0)
    failing, healthy = tasks.health()
    assert (failing["name"], failing["restarts"], failing["last_error"]) == ("failing", 1, "RuntimeError")
    assert (healthy["running"], healthy["last_error"], healthy["failed_at"]) == (True, None, None)
    await tasks.end()
