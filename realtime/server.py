"""The realtime door as a whole: `/socket.io/` and `/asyncapi.json` on the web application, and the loops behind them.

A browser's foreign Origin is refused at the handshake (403); no Origin (apps) and the page's own are let in. A token
that ran out or was revoked ends its sockets within seconds, and a shutdown tells everybody when to come back.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web

from domain.refusals import Refusal
from realtime.asyncapi import document
from realtime.bookings import BookingsDoor
from realtime.fanout import Fanout
from realtime.gps import GpsDoor
from realtime.presence import PresenceDoor
from realtime.relay import Relay
from realtime.wire import Wire
from services.measures import Measures
from services.stores import Stores
from storage.hot import Topic

PATH = "/socket.io/"
SWEEP_EVERY_S = 1.0
MEASURE_EVERY_S = 5.0
RETRY_WITHIN_MS = 5_000

type Loop = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


class Realtime:
    """The attached door. `loops` run beside the server until their event is set; `goodbye` is called at shutdown."""

    def __init__(self, wire: Wire, loops: Mapping[str, Loop], ready: asyncio.Event) -> None:
        self.loops = loops
        self.ready = ready
        self._wire = wire
        self._said_goodbye = False

    async def goodbye(self, _app: web.Application | None = None) -> None:
        """Tell everybody when to come back, each at another moment, and end all connections."""
        if self._said_goodbye:
            return
        self._said_goodbye = True
        for client in tuple(self._wire.clients.values()):
            wait_ms = random.randint(200, RETRY_WITHIN_MS)  # noqa: S311 - spreads the return
            self._wire.drop(client, "restart", whole=True, retry_after_ms=wait_ms)
        await self._wire.close_waiting()
        await self._wire.sio.shutdown()


def attach(
    app: web.Application, stores: Stores, *, allowed_origins: Sequence[str], measures: Measures
) -> Realtime:
    """Add the routes to the application (before it is frozen) and return what has to run beside it."""
    wire = Wire(measures)
    fanout = Fanout(stores, wire, measures)
    presence = PresenceDoor(stores, wire)
    bookings = BookingsDoor(stores, wire)
    gps = GpsDoor(stores, wire, fanout)
    for door in (presence, bookings, gps):
        wire.sio.register_namespace(door)

    stores.vitals.sockets = lambda: Counter(namespace for namespace, _ in wire.clients)
    relay = Relay(stores, bookings, measures, [fanout.on_row, presence.on_row])
    sweeper = Sweeper(stores, wire, measures)
    _add_routes(app, wire, frozenset(origin.rstrip("/").lower() for origin in allowed_origins))
    works = {
        "listen": lambda: stores.listener.run(stores.db.url),
        "relay": relay.run,
        "fanout": fanout.run,
        "presence": presence.run,
        "sockets": wire.run,
        "sweeper": sweeper.run,
    }
    return Realtime(wire, {name: _until_told(work) for name, work in works.items()}, relay.ready)


def _add_routes(app: web.Application, wire: Wire, origins: frozenset[str]) -> None:
    async def handshake(request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and not _may_come_from(origin, request.host, origins):
            return web.json_response({"code": "forbidden", "title": "This origin is not allowed"}, status=403)
        answered: web.StreamResponse = await wire.sio.handle_request(request)
        if origin is not None and not answered.prepared:
            answered.headers["Access-Control-Allow-Origin"] = origin
            answered.headers["Vary"] = "Origin"
        return answered

    async def describe(_request: web.Request) -> web.Response:
        return web.json_response(document())

    for method in ("GET", "POST", "OPTIONS"):
        app.router.add_route(method, PATH, handshake)
    app.router.add_get("/asyncapi.json", describe)


def _until_told(work: Callable[[], Awaitable[None]]) -> Loop:
    """Run endless work until its event is set; its failure is the caller's to see."""

    async def run(stop: asyncio.Event) -> None:
        async def watch(working: "asyncio.Future[None]") -> None:
            await stop.wait()
            working.cancel()

        working = asyncio.ensure_future(work())
        watcher = asyncio.ensure_future(watch(working))
        try:
            await working
        except asyncio.CancelledError:
            if not stop.is_set():
                raise
        finally:
            watcher.cancel()
            working.cancel()
            await asyncio.wait([watcher, working])

    return run


def _may_come_from(origin: str, host: str, allowed: frozenset[str]) -> bool:
    """The page's own origin (whatever the scheme in front of a proxy), or one that the settings name."""
    if origin.lower().rstrip("/") in allowed:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False


class Sweeper:
    """Ends sockets whose token ran out or was revoked, and keeps the gauges."""

    def __init__(self, stores: Stores, wire: Wire, measures: Measures) -> None:
        self._stores = stores
        self._wire = wire
        self._measures = measures
        stores.hot.subscribe(Topic.REVOKED, lambda message: self._revoked(UUID(bytes=message)))

    def _revoked(self, family_id: UUID) -> None:
        for client in tuple(self._wire.clients.values()):
            if client.actor.family_id == family_id:
                self._wire.drop(client, "token_revoked", Refusal("token_revoked", "This session was ended."))

    async def run(self) -> None:
        """Sweep until cancelled."""
        measured_at = 0.0
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self._sweep(time.time())
            if time.monotonic() - measured_at > MEASURE_EVERY_S:
                measured_at = time.monotonic()
                await self._measure()

    def _sweep(self, now: float) -> None:
        for client in tuple(self._wire.clients.values()):
            family_id = client.actor.family_id
            if client.expires_at is not None and client.expires_at <= now:
                self._wire.drop(client, "token_expired")
            elif family_id is not None and self._stores.hot.is_revoked(family_id):
                self._revoked(family_id)

    async def _measure(self) -> None:
        self._measures.telemetry_waiting.set(self._stores.telemetry.waiting_rows)
        self._measures.telemetry_refused.set(self._stores.telemetry.refused_rows)
        self._measures.hot_ok.set((await self._stores.hot.health()).ok)
