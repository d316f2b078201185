"""A real HTTP server over the small world: the whole door, with every good answer checked against its model."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from rest.keys import STORES
from rest.server import DoorSettings, attach
from services.auth import access_token
from storage import people
from storage.ids import new_id
from tests.integration.world import World

ROOMY = DoorSettings(
    requests_per_s=1000,
    requests_burst=10_000,
    sign_ins_per_minute=60_000,
    sign_ins_burst=1000,
    check_answers=True,
)


@dataclass(frozen=True, slots=True)
class Said:
    """What the server answered."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.body["code"])


class Door:
    """A client of the server, who may be anybody."""

    def __init__(self, client: TestClient[web.Request, web.Application], world: World) -> None:
        self.world = world
        self._client = client

    async def token(self, person_id: UUID) -> str:
        """Sign an access token of that person, without the cost of a password."""
        async with self.world.stores.db.reading() as tx:
            person = await people.get(tx, person_id)
        assert person is not None
        return access_token(self.world.stores, person, new_id(), datetime.now(UTC))

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        who: UUID | str | None = None,
        key: str | bool = False,
        raw: bytes | None = None,
        **headers: str,
    ) -> Said:
        """Send one request; `who` is a person's id or a token, `key` True draws a fresh Idempotency-Key."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent["Authorization"] = f"Bearer {await self.token(who) if isinstance(who, UUID) else who}"
        if key:
            sent["Idempotency-Key"] = uuid4().hex if key is True else key
        given: dict[str, Any] = (
            {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        )
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self._client.request(method, path, headers=sent, **given) as answer:
            text = await answer.read()
            parsed = await answer.json(content_type=None) if text and "json" in answer.content_type else text
            return Said(answer.status, parsed, answer.headers)


def application(world: World, settings: DoorSettings = ROOMY) -> web.Application:
    """Make the application of the HTTP door alone."""
    app = web.Application(client_max_size=256 * 1024)
    app[STORES] = world.stores
    attach(app, settings, CollectorRegistry())
    return app


@asynccontextmanager
async def open_door(world: World, settings: DoorSettings = ROOMY) -> AsyncIterator[Door]:
    """Serve while the block runs."""
    async with TestClient(TestServer(application(world, settings))) as client:
        yield Door(client, world)
