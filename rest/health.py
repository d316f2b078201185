"""Alive is one thing, able to serve another: /healthz asks nobody, /readyz asks the stores, within two seconds.

Without PostgreSQL the answer is 503. Without hot state bookings and money work on, so the answer is 200 `degraded`.
"""

import asyncio
from typing import Literal

import asyncpg

from domain.refusals import Refusal
from rest.models import View
from rest.registry import ANYBODY, Ask, Routes
from services.reply import Answer, Reply
from services.stores import Stores

ROUTES = Routes("Health")

WITHIN_S = 2.0


class HealthView(View):
    """The process answers."""

    status: Literal["ok"]


class ReadyView(View):
    """What this process can reach."""

    status: Literal["ready", "degraded"]
    postgresql: Literal["ok"]
    hot_state: Literal["ok", "away"]
    hot_state_kind: str


@ROUTES.get("/healthz", roles=ANYBODY, answer=HealthView, limit="health")
async def healthz(_ask: Ask) -> Answer:
    """Tell that the process is alive."""
    return Reply(200, {"status": "ok"})


@ROUTES.get("/readyz", roles=ANYBODY, answer=ReadyView, refusals=("not_ready",), limit="health")
async def readyz(ask: Ask) -> Answer:
    """Tell whether this process can serve."""
    if not await _postgresql(ask.stores):
        return Refusal("not_ready", "PostgreSQL does not answer.", extra={"postgresql": "away"})
    hot = await ask.stores.hot.health()
    return Reply(
        200,
        {
            "status": "ready" if hot.ok else "degraded",
            "postgresql": "ok",
            "hot_state": "ok" if hot.ok else "away",
            "hot_state_kind": hot.kind,
        },
    )


async def _postgresql(stores: Stores) -> bool:
    try:
        async with asyncio.timeout(WITHIN_S), stores.db.reading() as tx:
            await tx.execute("SELECT 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return False
    return True
