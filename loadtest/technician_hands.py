"""A technician's hands: one connection, one command after the other, as fast as answers come.

It speaks HTTP/1.1 by itself, since a client library would cost as much as the server that is being measured.
"""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import cast

from loadtest.shapes import Json

HOST = "127.0.0.1"
PAGE = 200


class Refused(Exception):
    """The server did not do it; the message says what it said."""


class Hands:
    """One signed-in technician."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._token = ""
        self._bookings: list[str] = []

    async def sign_in(self, email: str, password: str) -> None:
        """Get a token."""
        tokens = await self._ask("POST", "/v1/auth/token", {"email": email, "password": password})
        self._token = f"Authorization: Bearer {tokens['access_token']}\r\n"

    async def look(self) -> None:
        """Find the visits that wait for an answer."""
        path: str | None = f"/v1/bookings?state=requested&limit={PAGE}"
        while path is not None:
            page = await self._ask("GET", path)
            self._bookings += [str(item["booking_id"]) for item in cast("list[Json]", page["items"])]
            cursor = page["next_cursor"]
            path = f"/v1/bookings?state=requested&limit={PAGE}&cursor={cursor}" if cursor else None

    async def work(self, steps: Sequence[str], note: str) -> None:
        """Take every visit from request to completion."""
        bodies: dict[str, Json] = {"note": {"text": note, "kind": "progress"}}
        for booking_id in self._bookings:
            for step in steps:
                await self._ask("POST", f"/v1/bookings/{booking_id}/{step}", bodies.get(step, {}))

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        raw = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{self._token}Idempotency-Key: {uuid.uuid4()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        self._writer.write(head.encode() + raw)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        length = int(answer.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        said = await self._reader.readexactly(length)
        if status != 200:
            raise Refused(f"{method} {path}: {status} {said.decode()}")
        return cast("Json", json.loads(said)) if method == "GET" or not self._token else {}

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def connected(port: int) -> Hands | None:
    """Connect, if somebody listens by now."""
    try:
        return Hands(*await asyncio.open_connection(HOST, port, limit=1 << 22))
    except ConnectionRefusedError:
        return None
