"""The tracks that this process owns: one journey for each GPS session whose phone is connected here.

What always holds: one message of a session is handled at a time; of two processes only the newest owner may save its
snapshot; and a journey can be built again from the snapshot in hot state or, with that lost, from the stored fixes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import orjson
import structlog

from geo.arrival import Arrival
from geo.eta import Eta
from geo.handled import Handled
from geo.route import Route
from geo.track import Fix, Track, judge
from services.stores import Stores
from storage import bookings, gps_sessions, personal
from storage.gps_sessions import Leg
from storage.hot import Topic
from storage.telemetry import FixRow

log = structlog.get_logger(__name__)

MAX_JOURNEYS = 20_000  # beyond, the one longest untouched goes; it is built again when its phone speaks
MAX_SUPERSEDED = 10_000  # likewise: a device that was forgotten here takes the session over once more
REPLAYED_FIXES = 300
SAVE_EVERY_MS = 5_000

type Superseded = Callable[[str, UUID], None]


@dataclass(slots=True, kw_only=True)
class Journey:
    """One leg on its way. `connection` is the socket that holds it, `offered` what telemetry took from this process.

    `over`: the leg was told to have ended, and is read again before the next fix is judged.
    """

    leg: Leg
    area_id: UUID
    destination: tuple[float, float] | None
    token: int
    track: Track
    arrival: Arrival
    device_id: str | None = None
    connection: str | None = None
    eta: Eta | None = None
    route: Route | None = None
    route_asked_ms: int = 0
    n: int = 0
    saved_ms: int = 0
    battery: float | None = None
    over: bool = False
    offered: Handled = field(default_factory=Handled)

    @property
    def session_day(self) -> date:
        """Return the UTC day on which the session opened: its partition."""
        return self.leg.opened_at.astimezone(UTC).date()

    @property
    def opened_ms(self) -> int:
        """Return when the session opened, in ms since the epoch."""
        return ms(self.leg.opened_at)

    def snapshot(self) -> bytes:
        """Return what the next owner needs."""
        return orjson.dumps(
            {
                "v": 1,
                "track": self.track.to_snapshot(),
                "arrival": self.arrival.to_snapshot(),
                "eta": self.eta.to_snapshot() if self.eta is not None else None,
                "n": self.n,
                "device": self.device_id,
            }
        )


class Journeys:
    """All journeys of this process. `superseded` is told the connection and session that lost their place."""

    def __init__(self, stores: Stores, *, watched: Callable[[UUID], bool], superseded: Superseded) -> None:
        self.watched = watched
        self._stores = stores
        self._superseded = superseded
        self._journeys: OrderedDict[UUID, Journey] = OrderedDict()
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._given_up: OrderedDict[tuple[UUID, str], None] = OrderedDict()
        stores.hot.subscribe(Topic.TRACKS, self._claimed_elsewhere)

    def turn(self, session_id: UUID) -> asyncio.Lock:
        """Return the lock under which one message of a session is handled."""
        lock = self._turns.get(session_id)
        if lock is None:
            lock = self._turns[session_id] = asyncio.Lock()
        return lock

    async def get(self, session_id: UUID, technician_id: UUID | None) -> Journey | None:
        """Return a journey, built if it is not here yet; None when this technician has no such session."""
        journey = self._journeys.get(session_id)
        if journey is not None and journey.leg.technician_id != technician_id:
            return None
        if journey is None:
            journey = await self._build(session_id, technician_id)
            if journey is None:
                return None
            self._journeys[session_id] = journey
            if len(self._journeys) > MAX_JOURNEYS:
                self._journeys.popitem(last=False)
        elif journey.over and journey.leg.closed_at is None:
            async with self._stores.db.reading() as tx:
                journey.leg = await gps_sessions.get(tx, session_id) or journey.leg
            journey.over = journey.leg.closed_at is not None
        self._journeys.move_to_end(session_id)
        return journey

    def take_over(self, journey: Journey, connection: str, device_id: str | None) -> bool:
        """Let this connection speak for the session; False when it was superseded by a newer one.

        Once the leg ended there is no place to fight for: every phone may hand in what it still holds.
        """
        session_id = journey.leg.session_id
        under_way = journey.leg.closed_at is None
        if under_way and (session_id, connection) in self._given_up:
            return False
        if journey.connection == connection and journey.device_id == device_id:
            return True
        if under_way and journey.connection is not None and journey.connection != connection:
            self._give_up(session_id, journey.connection)
        if journey.device_id is not None and journey.device_id != (device_id or ""):
            durable = self._stores.telemetry.durable_seq(session_id, device_id or "")
            handled = Handled().reaching(durable) if durable else Handled()  # it may have been here before
            journey.track = replace(journey.track.taken_over(), handled=handled)
            journey.offered = Handled()
        journey.connection, journey.device_id = connection, device_id or ""
        return True

    def close(self, session_id: UUID) -> None:
        """The leg ended: from now on its fixes are late ones."""
        journey = self._journeys.get(session_id)
        if journey is not None:
            journey.over = True

    def save(self, journey: Journey, now_ms: int) -> None:
        """Keep a snapshot for the next owner, now and then; an owner that lost its claim forgets the journey."""
        if now_ms - journey.saved_ms < SAVE_EVERY_MS:
            return
        journey.saved_ms = now_ms
        if not self._stores.hot.save_track(journey.leg.session_id, journey.token, journey.snapshot()):
            self._journeys.pop(journey.leg.session_id, None)

    def _claimed_elsewhere(self, message: bytes) -> None:
        session_id, token = UUID(bytes=message[:16]), int.from_bytes(message[16:])
        journey = self._journeys.get(session_id)
        if journey is not None and journey.token < token:
            del self._journeys[session_id]
            if journey.connection is not None:
                self._give_up(session_id, journey.connection)

    def _give_up(self, session_id: UUID, connection: str) -> None:
        self._given_up[session_id, connection] = None
        if len(self._given_up) > MAX_SUPERSEDED:
            self._given_up.popitem(last=False)
        self._superseded(connection, session_id)

    async def _build(self, session_id: UUID, technician_id: UUID | None) -> Journey | None:
        async with self._stores.db.reading() as tx:
            leg = await gps_sessions.get(tx, session_id)
            if leg is None or leg.technician_id != technician_id:
                return None  # before the claim: a stranger must not take the track from its owner
            booking = await bookings.get(tx, leg.booking_id)
            if booking is None:
                return None
            key = await personal.key_of(tx, booking.customer_id)
        address = personal.unseal(key, booking.address)
        claim = await self._stores.hot.claim_track(session_id)
        journey = Journey(
            leg=leg,
            area_id=booking.area_id,
            destination=(address["lat"], address["lon"]) if address else None,
            token=claim.token,
            track=Track.opened(ms(leg.opened_at)),
            arrival=Arrival(near=booking.near_at is not None),
        )
        if not claim.snapshot or not _restore(journey, orjson.loads(claim.snapshot)):
            await self._replay(journey)
        await self._recall(journey)
        return journey

    async def _recall(self, journey: Journey) -> None:
        """Learn which numbers are stored: the snapshot is seconds old, and a phone sends none of them again."""
        stored = await self._stores.telemetry.stored(journey.session_day, journey.leg.session_id)
        handled = journey.track.handled
        for run in stored.get(journey.device_id or "", ()):
            for seq in run:
                handled = handled.adding(seq)
        journey.track = replace(journey.track, handled=handled)

    async def _replay(self, journey: Journey) -> None:
        """Build a track from its stored fixes: the motion of the last of them."""
        rows = await self._stores.telemetry.fixes(journey.session_day, journey.leg.session_id)
        if not rows:
            return
        journey.device_id = rows[-1].device_id
        own = [row for row in rows if row.device_id == journey.device_id]
        for row in own[-REPLAYED_FIXES:]:
            _, journey.track = judge(journey.track, _fix(row), ms(row.received_at))
        journey.track = replace(journey.track, handled=Handled())  # `_recall` knows them all


def ms(at: datetime) -> int:
    """Return a time as ms since the epoch."""
    return round(at.timestamp() * 1000)


def _fix(row: FixRow) -> Fix:
    return Fix(row.seq, ms(row.t), row.lat, row.lon, row.acc_m, row.spd_mps, row.hdg_deg)


def _restore(journey: Journey, snapshot: dict[str, Any]) -> bool:
    """Fill a journey from a snapshot; False when it is not one of ours."""
    try:
        journey.track = Track.from_snapshot(snapshot["track"])
        journey.arrival = Arrival.from_snapshot(snapshot["arrival"])
        journey.eta = Eta.from_snapshot(snapshot["eta"]) if snapshot["eta"] is not None else None
        journey.n, journey.device_id = int(snapshot["n"]), snapshot["device"]
    except (KeyError, TypeError, ValueError):
        return False
    return True
