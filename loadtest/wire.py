"""One person's Socket.IO connection: kept alive, renewed and re-made for as long as the person wants it.

The library's own reconnection is off: it cannot tell its owner when all namespaces are back, nor honour
`closing {retry_after_ms}`. Here a lost namespace ends the whole connection, and the loop makes a new one
after a jittered wait. Events reach the owner in order, through a plain function that must not block.
"""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import socketio
from socketio import exceptions

from loadtest.api import Api, ApiError, Server, Unreachable
from loadtest.shapes import Json

CALL_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 15.0
MIN_RENEW_S = 5.0

TROUBLE = (exceptions.SocketIOError, aiohttp.ClientError, OSError, TimeoutError)

type OnEvent = Callable[[str, str, Json], None]


class WireDown(Exception):
    """There is no connection now, or the answer did not come in time."""


class Refused(Exception):
    """The server answered an event with a refusal; `code` is the same as over REST."""

    def __init__(self, event: str, code: str) -> None:
        super().__init__(f"{event}: {code}")
        self.code = code


class Wire:
    """A connection to several namespaces as one person."""

    def __init__(
        self,
        at: Server,
        namespaces: tuple[str, ...],
        *,
        api: Api | None,
        on_event: OnEvent,
        on_connect: Callable[[], Awaitable[None]],
        rng: random.Random,
        share: str | None = None,
    ) -> None:
        self.connects = 0
        self.last_trouble = ""
        self._at = at
        self._namespaces = namespaces
        self._api = api
        self._share = share
        self._on_event = on_event
        self._on_connect = on_connect
        self._rng = rng
        self._client: socketio.AsyncClient | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._retry_after_s: float | None = None
        self._out_of_reach = False
        self._token_refused = False

    @property
    def up(self) -> bool:
        """Whether a message could be sent now."""
        return self._up.is_set()

    async def wait_up(self) -> None:
        """Until connected and the owner's `on_connect` has run."""
        await self._up.wait()

    async def run(self) -> None:
        """Connect, stay, connect again; ends only when cancelled."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                if not self._out_of_reach:
                    await self._stay_connected()
                    backoff_s = FIRST_BACKOFF_S
            except (*TROUBLE, ApiError, Unreachable, WireDown, Refused) as error:
                self.last_trouble = f"{type(error).__name__}: {error}"[:200]
                backoff_s = min(MAX_BACKOFF_S, backoff_s * 2)
            wait_s, self._retry_after_s = self._retry_after_s, None
            await asyncio.sleep((wait_s or backoff_s) * self._rng.uniform(0.7, 1.3))

    async def call(self, namespace: str, event: str, data: Json, timeout_s: float = CALL_TIMEOUT_S) -> Json:
        """Send and wait for the ack. Raises `WireDown`, or `Refused` with the server's code."""
        client = self._client
        if client is None or not self._up.is_set():
            raise WireDown(event)
        return await _ask(client, namespace, event, data, timeout_s)

    def lose_signal(self) -> None:
        """Cut the connection without a goodbye and stay away until `regain_signal`."""
        self._out_of_reach = True
        self._up.clear()
        if self._client is not None:
            _cut(self._client)
        self._lost.set()

    def regain_signal(self) -> None:
        """Let the loop connect again."""
        self._out_of_reach = False

    async def _stay_connected(self) -> None:
        self._lost.clear()
        client = socketio.AsyncClient(reconnection=False, handle_sigint=False, http_session=self._at.http)
        for namespace in self._namespaces:
            self._listen(client, namespace)
        auth = {"share": self._share} if self._api is None else {"token": await self._fresh_token(self._api)}
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S + 2):
                await client.connect(
                    self._at.url,
                    auth=auth,
                    transports=["websocket"],
                    namespaces=list(self._namespaces),
                    wait_timeout=CONNECT_TIMEOUT_S,
                )
            self._client = client
            self._up.set()
            self.connects += 1
            await self._on_connect()
            await self._renew_until_lost(client)
        finally:
            self._up.clear()
            self._client = None
            await self._close(client)

    async def _fresh_token(self, api: Api) -> str:
        refused, self._token_refused = self._token_refused, False
        return await api.token(fresh=refused)

    async def _renew_until_lost(self, client: socketio.AsyncClient) -> None:
        while True:
            wait_s = None
            if self._api is not None:
                wait_s = max(MIN_RENEW_S, self._api.seconds_left() * 0.6)
            try:
                await asyncio.wait_for(self._lost.wait(), wait_s)
            except TimeoutError:
                if self._api is not None:
                    token = await self._api.token(fresh=True)
                    for namespace in self._namespaces:
                        await _ask(client, namespace, "renew", {"token": token}, CALL_TIMEOUT_S)
                continue
            return

    def _listen(self, client: socketio.AsyncClient, namespace: str) -> None:
        def heard(event: str, *data: Any) -> None:
            payload = data[0] if data and isinstance(data[0], dict) else {}
            if event == "closing" and payload.get("retry_after_ms") is not None:
                self._retry_after_s = float(payload["retry_after_ms"]) / 1000
            self._on_event(namespace, event, payload)

        def lost(*_reason: Any) -> None:
            if self._client is client:
                self._lost.set()

        def refused(*data: Any) -> None:
            self._token_refused = (
                self._token_refused or "token" in str(data) or "unauthenticated" in str(data)
            )

        client.on("*", heard, namespace=namespace)
        client.on("connect_error", refused, namespace=namespace)
        client.on("disconnect", lost, namespace=namespace)

    async def _close(self, client: socketio.AsyncClient) -> None:
        if client.eio.state == "connected":
            try:
                async with asyncio.timeout(2):
                    await client.eio.disconnect(abort=True)
            except TROUBLE:
                _cut(client)
        client.eio.http = None  # it is everybody's: the library's destructor would close it


def _cut(client: socketio.AsyncClient) -> None:
    """End the TCP connection without a goodbye, as a tunnel does: the server has to find out by itself."""
    ws = getattr(client.eio, "ws", None)
    raw = ws.get_extra_info("socket") if ws is not None else None
    if raw is None:
        return
    with contextlib.suppress(OSError, ValueError), socket.socket(fileno=os.dup(raw.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


async def _ask(
    client: socketio.AsyncClient, namespace: str, event: str, data: Json, timeout_s: float
) -> Json:
    try:
        answer = await client.call(event, data, namespace=namespace, timeout=timeout_s)
    except TROUBLE as error:
        raise WireDown(f"{event}: {type(error).__name__}") from None
    if not isinstance(answer, dict):
        raise WireDown(f"{event}: no ack")
    if not answer.get("ok", False):
        raise Refused(event, str((answer.get("error") or {}).get("code") or "unknown"))
    return answer
