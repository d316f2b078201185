"""A wire to PostgreSQL that fails at the n-th round trip: the question is lost, or its answer, or the asker gives up.

It stands between a pool and the server and reads the protocol just far enough to count: each Query, Sync or Flush of a
connection that has signed in is a place where a process waits, and so a place where it can die.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

READY = b"Z"
ENDS_A_QUESTION = {b"Q", b"S", b"H"}
SSL_REQUEST = 80877103
ANSWER_WITHIN_S = 10.0
_FIELDS = b"SFATAL\0VFATAL\0C57P02\0Mterminating connection because of crash of another server process\0\0"
LAST_WORD = b"E" + (len(_FIELDS) + 4).to_bytes(4) + _FIELDS


class Fate(Enum):
    """What happens at the chosen round trip."""

    QUESTION_LOST = "the question is lost"
    ANSWER_LOST = "the answer is lost"
    GIVEN_UP = "whoever asked gives up"


@dataclass(slots=True)
class Wire:
    """The round trips of all connections, counted while `counting`; at number `at`, `fate` comes, once."""

    counting: bool = False
    count: int = 0
    at: int | None = None
    fate: Fate = Fate.QUESTION_LOST
    give_up: Callable[[], object] = field(default=lambda: None)
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    def say_last_word(self) -> None:
        """Tell every client what a PostgreSQL says that dies, and let it wait for an end that is not there yet."""
        for client in self.clients:
            client.write(LAST_WORD)

    def arm(self, at: int | None, fate: Fate = Fate.QUESTION_LOST) -> None:
        """Begin to count from 1."""
        self.counting, self.count, self.at, self.fate = True, 0, at, fate

    def disarm(self) -> int:
        """Stop counting; returns how many there were."""
        self.counting, self.at = False, None
        return self.count

    def strikes(self) -> Fate | None:
        """Count a round trip; answers the fate that comes with it."""
        if not self.counting:
            return None
        self.count += 1
        return self.fate if self.count == self.at else None


class _Line:
    """One connection through the wire."""

    def __init__(self, wire: Wire, host: str, port: int) -> None:
        self._wire, self._host, self._port = wire, host, port
        self._signed_in = False
        self._muted = False
        self._answered = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until somebody hangs up, or fate does."""
        server_reader, server = await asyncio.open_connection(self._host, self._port)
        self._wire.clients.append(writer)
        back = asyncio.create_task(self._answers(server_reader, writer))
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._questions(reader, server)
        back.cancel()
        self._wire.clients.remove(writer)
        for end in (server, writer):
            end.transport.abort()
        with suppress(asyncio.CancelledError, OSError):
            await back

    async def _questions(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        started = False
        while True:
            head = await reader.readexactly(4 if not started else 5)
            length = int.from_bytes(head[-4:])
            rest = await reader.readexactly(length - 4)
            if not started:
                started = int.from_bytes(rest[:4]) != SSL_REQUEST
            elif head[:1] in ENDS_A_QUESTION and self._signed_in:
                fate = self._wire.strikes()
                if fate is Fate.QUESTION_LOST:
                    return
                if fate is Fate.GIVEN_UP:
                    self._wire.give_up()
                if fate is Fate.ANSWER_LOST:
                    self._muted = True
                    self._answered.clear()
                    server.write(head + rest)
                    if head[:1] != b"H":
                        async with asyncio.timeout(ANSWER_WITHIN_S):
                            await self._answered.wait()
                    return
            server.write(head + rest)
            await server.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await self._says_no_to_ssl(reader, writer):
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readexactly(5)
                    rest = await reader.readexactly(int.from_bytes(head[1:]) - 4)
                    if head[:1] == READY:
                        self._signed_in = True
                        self._answered.set()
                    if not self._muted:
                        writer.write(head + rest)
                        await writer.drain()
        writer.transport.abort()

    async def _says_no_to_ssl(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Carry the one answer that is no message: N, no SSL on loopback."""
        try:
            answer = await reader.readexactly(1)
        except asyncio.IncompleteReadError:
            return False
        writer.write(answer)
        return answer == b"N"


@asynccontextmanager
async def severable(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """Yield the wire, and the URL of the same database through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    wire, host, port = Wire(), parts.hostname, parts.port

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Line(wire, host, port).serve(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        here = server.sockets[0].getsockname()[1]
        netloc = parts.netloc.replace(f":{port}", f":{here}")
        yield wire, urlunsplit(parts._replace(netloc=netloc))
