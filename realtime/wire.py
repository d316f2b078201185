# mypy: disable-error-code="no-untyped-call,override"
"""python-socketio underneath, with what it leaves open closed: the one file that knows the library's inside.

What always holds: messages of one client are handled in order, one at a time; nothing waits in an unbounded queue; a
packet that is malformed, binary or too large ends its own connection and no other; who does not join a namespace within
ten seconds is let go; compression is off.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import engineio
import orjson
import socketio
import structlog
from aiohttp import web
from engineio import packet as eio_packet
from engineio.async_drivers.aiohttp import WebSocket as LibraryWebSocket
from socketio import packet as sio_packet

from domain.refusals import Refusal
from realtime import acks
from realtime.clients import Bucket, Client
from services.measures import Measures
from storage.ids import new_id

log = structlog.get_logger("realtime")

MAX_MESSAGE_BYTES = 64 * 1024
HARD_LIMIT_BYTES = 4 * MAX_MESSAGE_BYTES  # beyond it the WebSocket layer itself closes (1009)
MAX_QUEUED = (
    512  # packets a client may have waiting; when full it is ended as `slow` and comes back with a cursor
)
MAX_DOOMED = 50_000  # connections waiting to be closed; when full the next is closed by its ping timeout
JOIN_WITHIN_S = 10.0
CLOSE_WITHIN_S = 1.0
PING_INTERVAL_S, PING_TIMEOUT_S = 25, 10
RESERVED = frozenset({"connect", "disconnect"})  # the library's own: from a client they would admit anew


class Json:
    """orjson for the library's own packets."""

    @staticmethod
    def dumps(value: Any, **_options: Any) -> str:
        """Encode compactly."""
        return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()

    @staticmethod
    def loads(text: str | bytes, **_options: Any) -> Any:
        """Decode; ValueError when it is not JSON."""
        return orjson.loads(text)


class Server(socketio.AsyncServer):
    """The library's server, refusing what it would trip over."""

    def __init__(self, wire: "Wire", **options: Any) -> None:
        super().__init__(**options)
        self.wire = wire

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self.wire.joining[eio_sid] = time.monotonic() + JOIN_WITHIN_S
        self.wire.buckets[eio_sid] = Bucket()

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        if not isinstance(data, str):
            self.wire.refuse(eio_sid, "malformed", Refusal("validation", "Binary packets are not taken."))
            return
        if len(data) > MAX_MESSAGE_BYTES or (
            len(data) * 4 > MAX_MESSAGE_BYTES and len(data.encode()) > MAX_MESSAGE_BYTES
        ):
            self.wire.refuse(eio_sid, "too_large", Refusal("too_large", "A message has at most 64 KiB."))
            return
        try:
            packet = self.packet_class(encoded_packet=data)
            sound = _sound(packet)
        except (ValueError, TypeError, RecursionError):
            sound = False
        if not sound:
            self.wire.refuse(eio_sid, "malformed", Refusal("validation", "That is no Socket.IO packet."))
            return
        match packet.packet_type:
            case sio_packet.CONNECT:
                bucket = self.wire.buckets.get(eio_sid)
                if bucket is None or not bucket.take():
                    self.wire.refuse(eio_sid, "rate_limited", Refusal("rate_limited", "Too many messages."))
                    return
                await self._handle_connect(eio_sid, packet.namespace, packet.data)
            case sio_packet.DISCONNECT:
                await self._handle_disconnect(eio_sid, packet.namespace, self.reason.CLIENT_DISCONNECT)
            case sio_packet.EVENT:
                await self._handle_event(eio_sid, packet.namespace, packet.id, packet.data)
            # the server asks for no acknowledgement, so an ACK has nobody to wait for it

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self.wire.buckets.pop(eio_sid, None)
        await super()._handle_eio_disconnect(eio_sid, reason)
        self.wire.joining.pop(eio_sid, None)
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None and not socket.upgraded and reason == self.reason.CLIENT_DISCONNECT:
            socket.queue.put_nowait(None)  # its poll would wait for a ping that never comes


def _sound(packet: sio_packet.Packet) -> bool:
    match packet.packet_type:
        case sio_packet.CONNECT:
            return packet.data is None or isinstance(packet.data, dict)
        case sio_packet.DISCONNECT:
            return True
        case sio_packet.EVENT:
            return (
                isinstance(packet.data, list)
                and bool(packet.data)
                and isinstance(packet.data[0], str)
                and packet.data[0] not in RESERVED
            )
        case sio_packet.ACK:
            return isinstance(packet.data, list)
        case _:
            return False


class PlainWebSocket(LibraryWebSocket):
    """The library's WebSocket without compression (133 KB a connection with it), its size limit ours."""

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        self._sock = web.WebSocketResponse(max_msg_size=HARD_LIMIT_BYTES, compress=False, autoping=True)
        await self._sock.prepare(environ["aiohttp.request"])
        self.environ = environ
        await self.handler(self)
        return self._sock


class Wire:
    """Sends to clients and ends them. `run` closes what `drop` doomed; nothing else may touch the library."""

    def __init__(self, measures: Measures) -> None:
        self.measures = measures
        self.joining: dict[str, float] = {}
        self.buckets: dict[str, Bucket] = {}  # one a connection, gone with it
        self.clients: dict[tuple[str, str], Client] = {}
        self._by_connection: dict[str, set[Client]] = {}
        self._doomed: asyncio.Queue[tuple[str, Client | None]] = asyncio.Queue(MAX_DOOMED)
        self.sio: Any = Server(
            self,
            async_mode="aiohttp",
            json=Json,
            async_handlers=False,
            cors_allowed_origins=[],
            max_http_buffer_size=HARD_LIMIT_BYTES,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            http_compression=False,
            logger=False,
            engineio_logger=False,
        )
        self._eio: engineio.AsyncServer = self.sio.eio
        self._eio._async = {**self._eio._async, "websocket": PlainWebSocket}  # noqa: SLF001 - no option for it

    def add(self, client: Client) -> None:
        """A client passed authentication. Nobody takes the place of a living one, who would be out of reach then."""
        if (client.namespace, client.sid) in self.clients:
            raise ValueError("this client is here already")
        self.clients[client.namespace, client.sid] = client
        self._by_connection.setdefault(client.eio_sid, set()).add(client)
        self.joining.pop(client.eio_sid, None)
        self.measures.connections.labels(client.namespace, client.actor.role).inc()

    def remove(self, namespace: str, sid: str) -> Client | None:
        """A client is gone."""
        client = self.clients.pop((namespace, sid), None)
        if client is not None:
            client.ending = True
            self._by_connection.get(client.eio_sid, set()).discard(client)
            if not self._by_connection.get(client.eio_sid):
                self._by_connection.pop(client.eio_sid, None)
                self.joining[client.eio_sid] = time.monotonic() + JOIN_WITHIN_S  # it may join again, or goes
            self.measures.connections.labels(client.namespace, client.actor.role).dec()
        return client

    def eio_sid(self, namespace: str, sid: str) -> str:
        """Return the connection under a client."""
        found: str = self.sio.manager.eio_sid_from_sid(sid, namespace)
        return found

    def packet(self, namespace: str, event: str, payload: Any) -> eio_packet.Packet:
        """Encode an event once, for any number of readers."""
        body = orjson.dumps([event, payload], option=orjson.OPT_UTC_Z).decode()
        return eio_packet.Packet(eio_packet.MESSAGE, f"2{namespace},{body}")

    def send(self, clients: Iterable[Client], event: str, payload: Any) -> None:
        """Send one event to clients of one namespace."""
        packet: eio_packet.Packet | None = None
        for client in clients:
            if packet is None:
                packet = self.packet(client.namespace, event, payload)
            self.put(client, packet, event)

    def put(self, client: Client, packet: eio_packet.Packet, event: str) -> None:
        """Queue a packet for one client; a client that lets too many wait is ended as `slow`."""
        if client.ending:
            return
        socket = self._eio.sockets.get(client.eio_sid)
        if socket is None or socket.closed or socket.closing:
            return
        if socket.queue.qsize() >= MAX_QUEUED:
            self.drop(client, "slow", Refusal("slow", "Too much was waiting to be read."), whole=True)
            return
        socket.queue.put_nowait(packet)
        self.measures.sent.labels(client.namespace, event).inc()

    def busy(self, client: Client) -> bool:
        """Tell whether something sent earlier is still waiting: newest-only messages are then held back."""
        socket = self._eio.sockets.get(client.eio_sid)
        return socket is not None and not socket.queue.empty()

    def drop(
        self,
        client: Client,
        reason: str,
        refusal: Refusal | None = None,
        *,
        whole: bool = False,
        **more: Any,
    ) -> None:
        """Say `closing` and end this client, or (`whole`) its connection, so that it comes back by itself."""
        if client.ending:
            return
        payload: dict[str, Any] = {"reason": reason, **more}
        if refusal is not None:
            payload["error"] = acks.error(refusal, new_id().hex)
        socket = self._eio.sockets.get(client.eio_sid)
        if socket is not None and not socket.closed:
            if reason == "slow":
                _empty(socket.queue)
            socket.queue.put_nowait(self.packet(client.namespace, "closing", payload))
        client.ending = True
        self.measures.ended.labels(reason).inc()
        self._doom(client.eio_sid, None if whole else client)

    def refuse(self, eio_sid: str, reason: str, refusal: Refusal) -> None:
        """End a connection that sent what no client sends; each of its namespaces hears why."""
        for client in tuple(self._by_connection.get(eio_sid, ())):
            self.drop(client, reason, refusal, whole=True)
        self._doom(eio_sid, None)

    def drop_all(self, reason: str, **more: Any) -> None:
        """End every connection."""
        for client in tuple(self.clients.values()):
            self.drop(client, reason, whole=True, **more)

    def _doom(self, eio_sid: str, client: Client | None) -> None:
        with suppress(asyncio.QueueFull):
            self._doomed.put_nowait((eio_sid, client))

    async def run(self) -> None:
        """Close what was doomed, and who never joined, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._let_go_who_never_joined())
            for _ in range(8):
                tasks.create_task(self._close_doomed())

    async def _close_doomed(self) -> None:
        while True:
            eio_sid, client = await self._doomed.get()
            await self._close(eio_sid, client)

    async def close_waiting(self) -> None:
        """Close what is doomed and all the rest; for the end of the process."""
        for eio_sid in tuple(self._eio.sockets):
            self._doom(eio_sid, None)  # those that never joined or left every namespace, too
        while not self._doomed.empty():
            await asyncio.gather(
                *(self._close(*self._doomed.get_nowait()) for _ in range(min(100, self._doomed.qsize())))
            )

    async def _close(self, eio_sid: str, client: Client | None) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                if client is not None:
                    await self.sio.disconnect(client.sid, namespace=client.namespace)
                else:
                    await self._end_connection(eio_sid)
        except TimeoutError:
            self._abort(eio_sid)
        except Exception as error:  # noqa: BLE001 - the library raises many kinds for a socket that is gone
            log.debug("close_failed", error=type(error).__name__)
            self._abort(eio_sid)

    async def _end_connection(self, eio_sid: str) -> None:
        """Let what is queued go out, then close the transport itself: browsers pay no heed to Engine.IO's CLOSE."""
        socket = self._eio.sockets.get(eio_sid)
        await self._eio.disconnect(eio_sid)
        if socket is not None:
            socket.queue.put_nowait(None)

    def _abort(self, eio_sid: str) -> None:
        """Cut a connection whose client does not read."""
        environ = self.sio.environ.get(eio_sid)
        request: web.Request | None = environ.get("aiohttp.request") if environ else None
        if request is not None and request.transport is not None:
            request.transport.abort()

    async def _let_go_who_never_joined(self) -> None:
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for eio_sid in [sid for sid, ends in self.joining.items() if ends < now]:
                self.joining.pop(eio_sid, None)
                self._doom(eio_sid, None)


def _empty(queue: "asyncio.Queue[Any]") -> None:
    while not queue.empty():
        queue.get_nowait()
        queue.task_done()
