"""Hot state: what may be lost. Presence, newest positions, track snapshots, rate limits, revoked token families.

Two implementations pass the same tests: `MemoryHot` here for one process, `RedisHot` for several. What always holds:
a newer position is never replaced by an older one, only the newest claim on a track may save it, and when the store
behind is away nothing raises: answers come from what this process knows, and `health` says so.
"""

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import structlog

log = structlog.get_logger(__name__)

POSITION_TTL_S = 6 * 3600.0
TRACK_TTL_S = 30 * 3600.0
PRESENCE_MEMORY_S = 900.0
FORGET_EVERY_S = 30.0
MAX_BUCKETS = (
    50_000  # when full the least recently used bucket is forgotten: it would be nearly full again anyway
)

type Handler = Callable[[bytes], None]
type Cell = tuple[float, float]


class Topic(StrEnum):
    """What nodes tell one another. Handlers are plain functions that never block; they run in the event loop."""

    POSITIONS = "positions"
    PRESENCE = "presence"
    REVOKED = "revoked"
    TRACKS = "tracks"


@dataclass(frozen=True, slots=True)
class Said:
    """The newest thing that a technician said of itself, on any device. Times: seconds since the epoch."""

    state: str
    at: float
    cell: Cell | None = None
    cell_at: float | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of one technician: the newest word, whether any device holds a lease, when one was last seen."""

    said: Said | None
    connected: bool
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store behind answers; `degraded` means that this process goes on alone."""

    kind: str
    ok: bool
    since: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TrackClaim:
    """The right to save a track: tokens grow with each claim, and only the newest may save."""

    token: int
    snapshot: bytes | None


class HotState(Protocol):
    """The small interface of hot state."""

    node: str

    async def say(self, person_id: UUID, said: Said) -> None:
        """Keep the newest word of a technician (an older one changes nothing) and tell all nodes."""

    async def hold(self, leases: Iterable[tuple[UUID, str]], ttl_s: float) -> None:
        """Open or refresh leases, each of one connection of a person."""

    async def release(self, person_id: UUID, connection: str, grace_s: float) -> None:
        """A connection ended: its lease lasts `grace_s` more, so that a quick return is no absence."""

    async def presences(self, person_ids: Iterable[UUID] | None = None) -> dict[UUID, Presence]:
        """Return what is known of these people, or of everybody."""

    async def lapse(self) -> list[UUID]:
        """Drop leases that ran out; return the people who are gone by it, each to one caller only."""

    def put_if_newer(self, session_id: UUID, n: int, payload: bytes) -> bool:
        """Keep the newest position of a session and tell all nodes; False when it is not newer."""

    async def positions(self, session_ids: Iterable[UUID]) -> dict[UUID, bytes]:
        """Return the newest position of each session that has one."""

    async def forget_position(self, session_id: UUID) -> None:
        """The leg ended: nobody may read its last position any more."""

    async def claim_track(self, session_id: UUID) -> TrackClaim:
        """Become the owner of a track; the one before may not save it from now on and hears of it by `TRACKS`."""

    def save_track(self, session_id: UUID, token: int, snapshot: bytes) -> bool:
        """Keep a snapshot for the next owner; False when somebody claimed the track since."""

    async def revoke_family(self, family_id: UUID, ttl_s: float) -> None:
        """Refuse this token family everywhere; kept until its last access token has run out."""

    def is_revoked(self, family_id: UUID) -> bool:
        """Tell at once, from what this process knows."""

    async def take(self, bucket: str, *, burst: float, per_s: float, cost: float = 1.0) -> float:
        """Take from a token bucket: 0 when there was enough, else the seconds to wait."""

    def tell(self, topic: Topic, message: bytes) -> None:
        """Say something to every node, this one included. At most once, as all hot state."""

    def subscribe(self, topic: Topic, handler: Handler) -> Callable[[], None]:
        """Hear a topic; the returned function ends it."""

    async def health(self) -> Health:
        """Ask the store behind, within a second."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class MemoryHot:
    """Hot state of one process. A restart forgets it; phones and pages bring it back within seconds."""

    def __init__(self, *, node: str = "local", clock: Callable[[], float] = time.time) -> None:
        self.node = node
        self._clock = clock
        self._started = clock()
        self._said: dict[UUID, Said] = {}
        self._leases: dict[UUID, dict[str, float]] = {}
        self._seen: dict[UUID, float] = {}
        self._positions: dict[UUID, tuple[int, bytes, float]] = {}
        self._tracks: dict[UUID, tuple[int, bytes | None, float]] = {}
        self._revoked: dict[UUID, float] = {}
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._handlers: dict[Topic, list[Handler]] = {topic: [] for topic in Topic}
        self._forget_at = 0.0
        self._endings: list[
            tuple[float, UUID, str]
        ] = []  # one entry for each refresh of a lease, oldest first

    async def say(self, person_id: UUID, said: Said) -> None:
        if self.keep_said(person_id, said):
            self.tell(Topic.PRESENCE, person_id.bytes)

    def keep_said(self, person_id: UUID, said: Said) -> bool:
        """Keep a word if it is newer; a word without a place keeps the place that was known."""
        before = self._said.get(person_id)
        if before is not None and before.at > said.at:
            return False
        if said.cell is None and before is not None:
            said = replace(said, cell=before.cell, cell_at=before.cell_at)
        self._said[person_id] = said
        self._seen[person_id] = max(said.at, self._seen.get(person_id, 0.0))
        return True

    async def hold(self, leases: Iterable[tuple[UUID, str]], ttl_s: float) -> None:
        for person_id in self.keep_leases(leases, ttl_s):
            self.tell(Topic.PRESENCE, person_id.bytes)

    def keep_leases(self, leases: Iterable[tuple[UUID, str]], ttl_s: float) -> list[UUID]:
        """Keep leases, tell nobody; return the people who had none before."""
        now = self._clock()
        arrived = []
        for person_id, connection in leases:
            if person_id not in self._leases:
                arrived.append(person_id)
            self._lease(person_id, connection, now + ttl_s)
            self._seen[person_id] = now
        return arrived

    async def release(self, person_id: UUID, connection: str, grace_s: float) -> None:
        if connection in self._leases.get(person_id, ()):
            self._seen[person_id] = self._clock()
            self._lease(person_id, connection, self._clock() + grace_s)

    def _lease(self, person_id: UUID, connection: str, ends: float) -> None:
        self._leases.setdefault(person_id, {})[connection] = ends
        heapq.heappush(self._endings, (ends, person_id, connection))

    async def presences(self, person_ids: Iterable[UUID] | None = None) -> dict[UUID, Presence]:
        now = self._clock()
        wanted = self._said.keys() | self._leases.keys() if person_ids is None else person_ids
        return {
            person_id: Presence(
                self._said.get(person_id),
                any(ends > now for ends in self._leases.get(person_id, {}).values()),
                self._seen.get(person_id),
            )
            for person_id in wanted
        }

    async def lapse(self) -> list[UUID]:
        now = self._clock()
        gone: list[UUID] = []
        while self._endings and self._endings[0][0] <= now:
            ends, person_id, connection = heapq.heappop(self._endings)
            leases = self._leases.get(person_id)
            if leases is None or leases.get(connection) != ends:
                continue  # refreshed or ended since
            del leases[connection]
            if not leases:
                del self._leases[person_id]
                gone.append(person_id)
        self._forget(now)
        for person_id in gone:
            self.tell(Topic.PRESENCE, person_id.bytes)
        return gone

    def _forget(self, now: float) -> None:
        if now < self._forget_at:
            return
        self._forget_at = now + FORGET_EVERY_S
        for person_id in [p for p, seen in self._seen.items() if seen + PRESENCE_MEMORY_S < now]:
            if person_id not in self._leases:
                del self._seen[person_id]
                self._said.pop(person_id, None)
        for family_id in [f for f, until in self._revoked.items() if until <= now]:
            del self._revoked[family_id]
        for session_id in [s for s, (_, _, at) in self._positions.items() if at + POSITION_TTL_S < now]:
            del self._positions[session_id]
        for session_id in [s for s, (_, _, at) in self._tracks.items() if at + TRACK_TTL_S < now]:
            del self._tracks[session_id]

    def put_if_newer(self, session_id: UUID, n: int, payload: bytes) -> bool:
        if not self.keep_position(session_id, n, payload):
            return False
        self.tell(Topic.POSITIONS, payload)
        return True

    def keep_position(self, session_id: UUID, n: int, payload: bytes) -> bool:
        """Keep a position if it is newer, and tell nobody."""
        kept = self._positions.get(session_id)
        if kept is not None and kept[0] >= n:
            return False
        self._positions[session_id] = (n, payload, self._clock())
        return True

    async def positions(self, session_ids: Iterable[UUID]) -> dict[UUID, bytes]:
        return {s: self._positions[s][1] for s in session_ids if s in self._positions}

    async def forget_position(self, session_id: UUID) -> None:
        self._positions.pop(session_id, None)

    async def claim_track(self, session_id: UUID) -> TrackClaim:
        token, snapshot, _ = self._tracks.get(session_id, (0, None, 0.0))
        self._tracks[session_id] = (token + 1, snapshot, self._clock())
        return TrackClaim(token + 1, snapshot)

    def save_track(self, session_id: UUID, token: int, snapshot: bytes) -> bool:
        newest = self._tracks.get(session_id, (0, None, 0.0))[0]
        if token < newest:
            return False
        self._tracks[session_id] = (token, snapshot, self._clock())
        return True

    async def revoke_family(self, family_id: UUID, ttl_s: float) -> None:
        self.keep_revoked(family_id, self._clock() + ttl_s)
        self.tell(Topic.REVOKED, family_id.bytes)

    def keep_revoked(self, family_id: UUID, until: float) -> None:
        """Remember a revoked family, and tell nobody."""
        self._revoked[family_id] = max(until, self._revoked.get(family_id, 0.0))

    def revoked(self) -> dict[UUID, float]:
        """Return every revoked family with the time until which it must be refused."""
        return dict(self._revoked)

    def is_revoked(self, family_id: UUID) -> bool:
        return self._revoked.get(family_id, 0.0) > self._clock()

    async def take(self, bucket: str, *, burst: float, per_s: float, cost: float = 1.0) -> float:
        now = self._clock()
        entry = self._buckets.get(bucket)
        if entry is None:
            entry = self._buckets[bucket] = _Bucket(burst, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(bucket)
        entry.tokens = min(burst, entry.tokens + max(0.0, now - entry.at) * per_s)
        entry.at = now
        if entry.tokens >= cost:
            entry.tokens -= cost
            return 0.0
        return (cost - entry.tokens) / per_s

    def tell(self, topic: Topic, message: bytes) -> None:
        for handler in tuple(self._handlers[topic]):
            try:
                handler(message)
            except Exception:
                log.exception("hot_handler_failed", topic=topic)

    def subscribe(self, topic: Topic, handler: Handler) -> Callable[[], None]:
        self._handlers[topic].append(handler)

        def end() -> None:
            with suppress(ValueError):
                self._handlers[topic].remove(handler)

        return end

    async def health(self) -> Health:
        return Health("memory", ok=True, since=self._started)
