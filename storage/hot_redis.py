"""Hot state of several processes and machines, on Redis or Valkey.

Everything is kept in this process first (a `MemoryHot`) and then shared, so that with Redis gone this node goes on
alone: no call raises, each waits at most a second, and after a failure Redis is left alone for `PAUSE_S`. When it is
back this node says again what it holds. What nodes tell one another is framed, versioned bytes, never pickle.
"""

import asyncio
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import orjson
import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from storage import hot_scripts as lua
from storage.hot import PRESENCE_MEMORY_S, Handler, Health, MemoryHot, Presence, Said, Topic, TrackClaim
from storage.loops import kept_running

log = structlog.get_logger(__name__)

PREFIX = "doorstep:"
VERSION = b"1"
ANSWER_WITHIN_S = 0.5
PAUSE_S = 1.0
FLUSH_EVERY_S = 0.1
REVOKED_EVERY_S = 2.0
MAX_UNTOLD = 20_000  # messages waiting for Redis; when full the oldest goes: hot state may be lost
POSITION_HEAD = struct.Struct(">16sQ")
LENGTH = struct.Struct(">I")
AWAY = (RedisError, OSError, TimeoutError)


class RedisHot:
    """Hot state shared through Redis. Open with `open_redis_hot`, which runs `run` beside it."""

    def __init__(self, url: str, *, node: str | None = None) -> None:
        self.node = node or uuid4().hex
        self.local = MemoryHot(node=self.node)
        self._client: Any = redis.Redis.from_url(
            url, socket_timeout=ANSWER_WITHIN_S, socket_connect_timeout=ANSWER_WITHIN_S, max_connections=20
        )
        self._listener: Any = redis.Redis.from_url(url, socket_timeout=None, socket_connect_timeout=2.0)
        self._scripts = {name: self._client.register_script(text) for name, text in lua.SCRIPTS.items()}
        self._ok = True
        self._since = time.time()
        self._detail = ""
        self._leave_alone_until = 0.0
        self._own_leases: dict[tuple[UUID, str], float] = {}
        self._positions: dict[UUID, tuple[int, bytes]] = {}  # newest wins; one for each session of this node
        self._snapshots: dict[UUID, tuple[int, bytes]] = {}  # likewise
        self._untold: deque[tuple[Topic, bytes]] = deque(maxlen=MAX_UNTOLD)

    async def run(self) -> None:
        """Flush, listen and look for revocations until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_for_ever(), name="hot flush")
            tasks.create_task(self._listen_for_ever(), name="hot listen")
            tasks.create_task(self._watch_revoked(), name="hot revoked")

    async def close(self) -> None:
        """Give the connections back."""
        for client in (self._client, self._listener):
            try:
                await client.aclose()
            except AWAY:
                continue

    # Presence

    async def say(self, person_id: UUID, said: Said) -> None:
        await self.local.say(person_id, said)
        document = orjson.dumps(
            {"state": said.state, "at": said.at, "cell": said.cell, "cell_at": said.cell_at}
        )
        keys = [_key("{presence}:said"), _key("{presence}:seen")]
        await self._run("say", keys, [person_id.hex, document], None)
        self._tell_others(Topic.PRESENCE, person_id.bytes)

    async def hold(self, leases: Iterable[tuple[UUID, str]], ttl_s: float) -> None:
        held = list(leases)
        ends = time.time() + ttl_s
        self._own_leases.update(dict.fromkeys(held, ends))
        arrived = set(self.local.keep_leases(held, ttl_s))

        async def share() -> list[int]:
            async with self._client.pipeline(transaction=False) as pipe:
                for person_id, connection in held:
                    args: list[Any] = [person_id.hex, f"{self.node}:{connection}", int(ttl_s * 1000)]
                    await self._scripts["hold"](keys=_presence_keys(person_id), args=args, client=pipe)
                return list(await pipe.execute())

        first: list[int] = await self._ask(share, [])
        arrived.update(person_id for (person_id, _), new in zip(held, first, strict=False) if new)
        for person_id in arrived:
            self.tell(Topic.PRESENCE, person_id.bytes)

    async def release(self, person_id: UUID, connection: str, grace_s: float) -> None:
        self._own_leases.pop((person_id, connection), None)
        await self.local.release(person_id, connection, grace_s)
        args = [person_id.hex, f"{self.node}:{connection}", int(grace_s * 1000)]
        await self._run("release", _presence_keys(person_id), args, 0)

    async def presences(self, person_ids: Iterable[UUID] | None = None) -> dict[UUID, Presence]:
        wanted = None if person_ids is None else list(person_ids)
        known = await self.local.presences(wanted)
        args = [] if wanted is None else [p.hex for p in wanted]
        keys = [_key("{presence}:said"), _key("{presence}:seen"), _key("{presence}:until")]
        if wanted == [] or (rows := await self._run("presences", keys, args, None)) is None:
            return known
        return dict(map(_presence, rows))

    async def lapse(self) -> list[UUID]:
        now = time.time()
        for lease in [lease for lease, ends in self._own_leases.items() if ends < now]:
            del self._own_leases[lease]
        keys = [_key("{presence}:until"), _key("{presence}:said"), _key("{presence}:seen")]
        here = await self.local.lapse()
        rows = await self._run("lapse", keys, [int(PRESENCE_MEMORY_S * 1000)], None)
        if rows is None:
            return here
        gone = [UUID(row.decode()) for row in rows]
        for person_id in gone:
            self.tell(Topic.PRESENCE, person_id.bytes)
        return gone

    # Positions and tracks

    def put_if_newer(self, session_id: UUID, n: int, payload: bytes) -> bool:
        if not self.local.put_if_newer(session_id, n, payload):
            return False
        self._positions[session_id] = (n, payload)
        return True

    async def positions(self, session_ids: Iterable[UUID]) -> dict[UUID, bytes]:
        wanted = list(session_ids)

        async def fetch() -> list[list[bytes | None]]:
            async with self._client.pipeline(transaction=False) as pipe:
                for session_id in wanted:
                    pipe.hmget(_key(f"position:{session_id.hex}"), "n", "p")
                return list(await pipe.execute())

        found: list[list[bytes | None]] = await self._ask(fetch, [])
        for session_id, (n, payload) in zip(wanted, found, strict=False):
            if n is not None and payload is not None:
                self.local.keep_position(session_id, int(n), payload)
        return await self.local.positions(wanted)

    async def forget_position(self, session_id: UUID) -> None:
        self._positions.pop(session_id, None)
        await self.local.forget_position(session_id)
        await self._ask(lambda: self._client.delete(_key(f"position:{session_id.hex}")), 0)

    async def claim_track(self, session_id: UUID) -> TrackClaim:
        here = await self.local.claim_track(session_id)
        answer = await self._run("claim", [_key(f"track:{session_id.hex}")], [here.token], None)
        if answer is None:
            return here
        token, snapshot = int(answer[0]), answer[1]
        self.local.save_track(session_id, token, snapshot or b"")
        self._tell_others(Topic.TRACKS, session_id.bytes + token.to_bytes(8))
        return TrackClaim(token, snapshot or here.snapshot)

    def save_track(self, session_id: UUID, token: int, snapshot: bytes) -> bool:
        if not self.local.save_track(session_id, token, snapshot):
            return False
        self._snapshots[session_id] = (token, snapshot)
        return True

    # Revocations and limits

    async def revoke_family(self, family_id: UUID, ttl_s: float) -> None:
        await self.local.revoke_family(family_id, ttl_s)
        await self._share_revoked({family_id: time.time() + ttl_s})
        self._tell_others(Topic.REVOKED, family_id.bytes)

    def is_revoked(self, family_id: UUID) -> bool:
        return self.local.is_revoked(family_id)

    async def take(self, bucket: str, *, burst: float, per_s: float, cost: float = 1.0) -> float:
        wait = await self._run("take", [_key(f"bucket:{bucket}")], [burst, per_s, cost], None)
        if wait is None:
            return await self.local.take(bucket, burst=burst, per_s=per_s, cost=cost)
        return float(wait)

    # Between nodes

    def tell(self, topic: Topic, message: bytes) -> None:
        self.local.tell(topic, message)
        self._tell_others(topic, message)

    def _tell_others(self, topic: Topic, message: bytes) -> None:
        self._untold.append((topic, message))

    def subscribe(self, topic: Topic, handler: Handler) -> Callable[[], None]:
        return self.local.subscribe(topic, handler)

    async def health(self) -> Health:
        self._leave_alone_until = 0.0
        await self._ask(self._client.ping, False)
        return Health("redis", self._ok, self._since, self._detail)

    # The loops

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            if self._positions or self._snapshots or self._untold:
                await self._ask(self._flush, None)

    async def _flush(self) -> None:
        positions, self._positions = self._positions, {}
        snapshots, self._snapshots = self._snapshots, {}
        messages = [self._untold.popleft() for _ in range(len(self._untold))]
        try:
            answers = await self._send(positions, snapshots, messages)
        except AWAY:
            self._positions = positions | self._positions
            self._snapshots = snapshots | self._snapshots
            raise
        for session_id, newest in zip(snapshots, answers[len(positions) :], strict=False):
            if newest:  # somebody else claimed it since: the owner here lets go
                self.local.tell(Topic.TRACKS, session_id.bytes + int(newest).to_bytes(8))

    async def _send(
        self,
        positions: dict[UUID, tuple[int, bytes]],
        snapshots: dict[UUID, tuple[int, bytes]],
        messages: list[tuple[Topic, bytes]],
    ) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for session_id, (n, payload) in positions.items():
                key = _key(f"position:{session_id.hex}")
                await self._scripts["put"](keys=[key], args=[n, payload, lua.POSITION_TTL_MS], client=pipe)
                messages.append((Topic.POSITIONS, POSITION_HEAD.pack(session_id.bytes, n) + payload))
            for session_id, (token, snapshot) in snapshots.items():
                key = _key(f"track:{session_id.hex}")
                await self._scripts["save"](keys=[key], args=[token, snapshot, lua.TRACK_TTL_MS], client=pipe)
            for topic, frame in _frames(self.node, messages):
                pipe.publish(_key(topic), frame)
            return list(await pipe.execute())

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                async with self._listener.pubsub() as channel:
                    await channel.subscribe(*(_key(topic) for topic in Topic))
                    await self._say_again()
                    async for message in channel.listen():
                        if message["type"] == "message":
                            self._heard(Topic(message["channel"].decode()[len(PREFIX) :]), message["data"])
            except AWAY as error:
                self._mark(False, type(error).__name__)
            await asyncio.sleep(PAUSE_S / 2)

    def _heard(self, topic: Topic, frame: bytes) -> None:
        sender, messages = _unframe(frame)
        if sender == self.node:
            return
        for message in messages:
            if topic is Topic.POSITIONS:
                session, n = POSITION_HEAD.unpack_from(message)
                payload = message[POSITION_HEAD.size :]
                if self.local.keep_position(UUID(bytes=session), n, payload):
                    self.local.tell(topic, payload)
            elif topic is Topic.REVOKED:
                self.local.keep_revoked(UUID(bytes=message), time.time() + lua.REVOKED_AT_LEAST_S)
                self.local.tell(topic, message)
            else:
                self.local.tell(topic, message)

    async def _say_again(self) -> None:
        """Share what this node holds, after a start or an absence of Redis."""
        self._leave_alone_until = 0.0
        now = time.time()
        held = [lease for lease, ends in self._own_leases.items() if ends > now]
        if held:
            await self.hold(held, min(self._own_leases[lease] for lease in held) - now)
            for person_id, presence in (await self.local.presences({p for p, _ in held})).items():
                if presence.said is not None:
                    await self.say(person_id, presence.said)
        await self._share_revoked(self.local.revoked())
        self._mark(True, "")

    async def _share_revoked(self, families: dict[UUID, float]) -> None:
        if families:
            scores = {family_id.hex: until for family_id, until in families.items()}
            await self._ask(lambda: self._client.zadd(_key("revoked"), scores, gt=True), 0)

    async def _watch_revoked(self) -> None:
        while True:
            await self._ask(lambda: self._client.zremrangebyscore(_key("revoked"), "-inf", time.time()), 0)
            found: dict[UUID, float] = await self._ask(self._revoked, {})
            for family_id, until in found.items():
                if not self.local.is_revoked(family_id):
                    self.local.keep_revoked(family_id, until)
                    self.local.tell(Topic.REVOKED, family_id.bytes)
            await asyncio.sleep(REVOKED_EVERY_S)

    async def _revoked(self) -> dict[UUID, float]:
        found = await self._client.zrange(_key("revoked"), 0, -1, withscores=True)
        return {UUID(name.decode()): float(until) for name, until in found}

    # Redis, carefully

    async def _run(self, script: str, keys: list[str], args: list[Any], fallback: Any) -> Any:
        return await self._ask(lambda: self._scripts[script](keys=keys, args=args), fallback)

    async def _ask[T](self, call: Callable[[], Awaitable[T]], fallback: T) -> T:
        if time.monotonic() < self._leave_alone_until:
            return fallback
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S * 2):
                answer = await call()
        except AWAY as error:
            self._leave_alone_until = time.monotonic() + PAUSE_S
            self._mark(False, type(error).__name__)
            return fallback
        self._mark(True, "")
        return answer

    def _mark(self, ok: bool, detail: str) -> None:  # noqa: FBT001 - up or down, said by two callers
        if ok != self._ok:
            self._ok, self._since = ok, time.time()
            log.warning("redis_back" if ok else "redis_away", detail=detail)
        self._detail = detail


@asynccontextmanager
async def open_redis_hot(url: str, *, node: str | None = None) -> AsyncIterator[RedisHot]:
    """Open hot state on Redis; its loops run until the block ends. An absent Redis is no error."""
    hot = RedisHot(url, node=node)
    task = asyncio.create_task(kept_running("hot redis", hot.run))
    try:
        yield hot
    finally:
        task.cancel()
        await asyncio.wait([task])
        await hot.close()


def _key(name: str) -> str:
    return PREFIX + name


def _presence_keys(person_id: UUID) -> list[str]:
    return [_key("{presence}:until"), _key("{presence}:seen"), _key(f"{{presence}}:of:{person_id.hex}")]


def _presence(row: list[Any]) -> tuple[UUID, Presence]:
    name, said_json, seen_ms, connected = row
    said = None
    if said_json:
        raw = orjson.loads(said_json)
        cell = tuple(raw["cell"]) if raw.get("cell") else None
        said = Said(raw["state"], raw["at"], cell, raw.get("cell_at"))
    last_seen = float(seen_ms) / 1000 if seen_ms else None
    return UUID(name.decode()), Presence(said, bool(connected), last_seen)


def _frames(node: str, messages: list[tuple[Topic, bytes]]) -> Iterator[tuple[Topic, bytes]]:
    """One frame for each topic: version, node, then each message with its length."""
    head = VERSION + LENGTH.pack(len(node)) + node.encode()
    for topic in Topic:
        parts = [LENGTH.pack(len(m)) + m for t, m in messages if t is topic]
        if parts:
            yield topic, head + b"".join(parts)


def _unframe(frame: bytes) -> tuple[str, list[bytes]]:
    """Take a frame apart; a frame of another version is nothing to us."""
    if frame[:1] != VERSION:
        return "", []
    (size,) = LENGTH.unpack_from(frame, 1)
    at = 1 + LENGTH.size
    node = frame[at : at + size].decode()
    at += size
    messages = []
    while at < len(frame):
        (size,) = LENGTH.unpack_from(frame, at)
        at += LENGTH.size
        messages.append(frame[at : at + size])
        at += size
    return node, messages
