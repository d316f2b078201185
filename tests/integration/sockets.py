"""A real server with the HTTP and the realtime door over the small world, and people who connect to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from domain import commands
from domain.context import Actor, Context
from realtime.server import Realtime, attach
from services import booking as booking_service
from services import booking_offers
from services.auth import access_token
from services.measures import Measures
from services.reply import Reply
from storage import people
from storage.ids import new_id
from tests.integration.world import World

COMMANDS = {
    "accept": (booking_service.accept, commands.Accept),
    "depart": (booking_service.depart, commands.Depart),
    "arrive": (booking_service.arrive, commands.Arrive),
    "start": (booking_service.start, commands.Start),
    "complete": (booking_service.complete, commands.Complete),
    "cancel": (booking_offers.cancel, commands.Cancel),
    "reassign": (booking_offers.reassign, commands.Reassign),
}


@dataclass(slots=True)
class Line:
    """One person's connection to one namespace, and what it heard."""

    client: socketio.AsyncClient
    namespace: str
    heard: "asyncio.Queue[tuple[str, Any]]"
    down: asyncio.Event

    async def ask(self, event: str, data: Any = None) -> Any:
        """Send and wait for the answer."""
        return await self.client.call(
            event, data if data is not None else {}, namespace=self.namespace, timeout=10
        )

    async def hear(self, event: str, within_s: float = 5.0) -> Any:
        """Wait for an event of that name; others before it are passed over."""
        async with asyncio.timeout(within_s):
            while True:
                name, data = await self.heard.get()
                if name == event:
                    return data

    def said(self) -> list[tuple[str, Any]]:
        """Return what was heard and not yet looked at."""
        found = []
        while not self.heard.empty():
            found.append(self.heard.get_nowait())
        return found


class Exchange:
    """The server, and the people around it."""

    def __init__(self, world: World, url: str, realtime: Realtime) -> None:
        self.world = world
        self.url = url
        self.realtime = realtime
        self._lines: list[Line] = []

    async def token(self, person_id: UUID, *, family: UUID | None = None, ttl_s: int | None = None) -> str:
        """Sign an access token of that person."""
        async with self.world.stores.db.reading() as tx:
            person = await people.get(tx, person_id)
        assert person is not None
        now = datetime.now(UTC)
        if ttl_s is not None:
            age_s = self.world.stores.policy.access_token_ttl_s - ttl_s
            now = datetime.fromtimestamp(now.timestamp() - age_s, UTC)
        return access_token(self.world.stores, person, family or new_id(), now)

    async def connect(
        self,
        namespace: str,
        who: UUID | None = None,
        *,
        auth: dict[str, Any] | None = None,
        transports: tuple[str, ...] = ("websocket",),
    ) -> Line:
        """Connect somebody to a namespace."""
        client = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        line = Line(client, namespace, asyncio.Queue(), asyncio.Event())
        client.on("*", lambda event, data=None: line.heard.put_nowait((event, data)), namespace=namespace)
        client.on("disconnect", lambda *_: line.down.set(), namespace=namespace)
        self._lines.append(line)
        given = auth if auth is not None else {"token": await self.token(who)} if who is not None else {}
        await client.connect(
            self.url, auth=given, namespaces=[namespace], transports=list(transports), wait_timeout=10
        )
        return line

    async def command(self, booking_id: UUID, name: str, actor: Actor, *given: Any) -> Any:
        """Give a command as REST would; returns the booking."""
        run, command = COMMANDS[name]
        context = Context(actor, datetime.now(UTC), f"test-{new_id().hex}")
        answer = await run(self.world.stores, booking_id, command(*given), context)  # type: ignore[operator]  # commands of several shapes
        assert isinstance(answer, Reply), answer
        return answer.body

    async def on_the_way(self, *, customer: int = 0, technician: int = 0) -> tuple[UUID, str]:
        """Book, accept and depart; returns the booking and its GPS session."""
        booking_id = await self.world.book(customer=customer, asked=(technician,))
        actor = self.world.technician(technician)
        await self.command(booking_id, "accept", actor)
        body = await self.command(booking_id, "depart", actor)
        return booking_id, str(body["gps_session_id"])

    async def hang_up(self) -> None:
        """Everybody leaves."""
        for line in self._lines:
            await line.client.disconnect()


@asynccontextmanager
async def open_exchange(world: World, *, allowed_origins: tuple[str, ...] = ()) -> AsyncIterator[Exchange]:
    """Serve the realtime door while the block runs."""
    app = web.Application()
    measures = Measures(CollectorRegistry())
    realtime = attach(app, world.stores, allowed_origins=allowed_origins, measures=measures)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for loop in realtime.loops.values():
            tasks.create_task(loop(stop))
        async with asyncio.timeout(10):
            await realtime.ready.wait()
        server = TestServer(app)
        await server.start_server()
        exchange = Exchange(world, str(server.make_url("")), realtime)
        try:
            yield exchange
        finally:
            await realtime.goodbye()
            await exchange.hang_up()
            await server.close()
            stop.set()


def now_ms() -> int:
    """Return ms since the epoch."""
    return round(datetime.now(UTC).timestamp() * 1000)


def fix(seq: int, t_ms: int, lat: float, lon: float, **more: Any) -> dict[str, Any]:
    """One reading of a phone."""
    return {"seq": seq, "t": t_ms, "lat": lat, "lon": lon, "acc_m": 5.0, **more}
