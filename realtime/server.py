"""The realtime door as a whole: `/socket.io/` and `/asyncapi.json` on the web application, and the loops behind them.

A browser's foreign Origin is refused at the handshake (403); no Origin (apps) and the page's own are let in. A token
that ran out or was revoked ends its sockets within seconds, and a shutdown tells everybody when to come back.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
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

type Loop = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Realtime:
    """The attached door. `loops` are to be run beside the server, each supervised; `goodbye` is called at shutdown."""

    loops: Mapping[str, Loop]
    goodbye: Callable[[], Awaitable[None]]
    ready: asyncio.Event


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

    def changed_presence(row: Mapping[str, object]) -> None:
        audience = row["audience"]
        if isinstance(audience, list):
            for person_id in audience:
                presence.look_at(person_id)

    relay = Relay(stores, bookings, measures, [fanout.on_row, changed_presence])
    sweeper = Sweeper(stores, wire, measures)
    origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

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

    async def goodbye(_app: web.Application | None = None) -> None:
        for client in tuple(wire.clients.values()):
            wait_ms = random.randint(200, RETRY_WITHIN_MS)  # noqa: S311 - spreads the return
            wire.drop(client, "restart", whole=True, retry_after_ms=wait_ms)
        await wire.close_waiting()
        await wire.sio.shutdown()

    loops: dict[str, Loop] = {
        "relay": relay.run,
        "fanout": fanout.run,
        "presence": presence.run,
        "sockets": wire.run,
        "sweeper": sweeper.run,
    }
    return Realtime(loops, goodbye, relay.ready)


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
