"""A wire tap before PostgreSQL: it counts how often somebody waited for an answer, and tells for what.

What counts is the server's ReadyForQuery, one for each Sync or simple query, so BEGIN, COMMIT, what a pool sends on
its own and the preparing of a statement are all seen, whatever the driver calls them.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HEAD = struct.Struct("!I")


@dataclass
class Tap:
    """Counts answers since `start_over`; `said` lists the SQL, `url` leads through the tap."""

    url: str
    answers: int = 0
    said: list[str] = field(default_factory=list)

    def start_over(self) -> None:
        """Forget what was counted."""
        self.answers = 0
        self.said.clear()


@asynccontextmanager
async def tapped(url: str) -> AsyncIterator[Tap]:
    """Tap a database's URL while the block runs."""
    at = urlsplit(url)
    tap = Tap("")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(at.hostname, at.port)
        asked = asyncio.create_task(_pump(reader, back, _Asked(tap)))
        try:
            await _pump(there, writer, _Answered(tap))
        finally:
            asked.cancel()
            back.close()
            writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    who = at.netloc.rpartition("@")[0]
    tap.url = at._replace(netloc=f"{who}@127.0.0.1:{port}", query="sslmode=disable").geturl()
    try:
        yield tap
    finally:
        server.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], None]
) -> None:
    while data := await reader.read(65536):
        look(data)
        writer.write(data)
        await writer.drain()


class _Messages:
    """Cuts one direction of a connection into messages: a letter, a length, a body."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= 5:
            (length,) = HEAD.unpack_from(self._rest, 1)
            if len(self._rest) < 1 + length:
                return
            self.message(self._rest[:1], self._rest[5 : 1 + length])
            self._rest = self._rest[1 + length :]

    def message(self, kind: bytes, body: bytes) -> None:
        raise NotImplementedError


class _Answered(_Messages):
    def message(self, kind: bytes, body: bytes) -> None:  # noqa: ARG002 - one shape for both directions
        self.tap.answers += kind == b"Z"


class _Asked(_Messages):
    """Reads SQL out of what the client says; its first message, the start-up, has no letter."""

    def __init__(self, tap: Tap) -> None:
        super().__init__(tap)
        self._started = False
        self._statements: dict[bytes, str] = {}

    def __call__(self, data: bytes) -> None:
        if not self._started:
            self._started = True
            (length,) = HEAD.unpack_from(data)
            data = data[length:]
        super().__call__(data)

    def message(self, kind: bytes, body: bytes) -> None:
        match kind:
            case b"Q":
                self.tap.said.append(body.rstrip(b"\0").decode())
            case b"P":
                name, _, rest = body.partition(b"\0")
                self._statements[name] = rest.partition(b"\0")[0].decode()
                self.tap.said.append(f"(prepare) {self._statements[name]}")
            case b"B":
                name = body.split(b"\0", 2)[1]
                self.tap.said.append(self._statements.get(name, "?"))
