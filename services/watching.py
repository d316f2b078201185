"""Who may watch a leg, and what they are shown of it: assignment × active leg, looked up for each watch and each end.

A position is shown only while its booking is en route in the session that the position belongs to. What ends is read
here from PostgreSQL, past the order of the outbox, so that a slow transaction elsewhere cannot keep a watcher looking.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain import disclosure
from domain.context import Actor, Role
from domain.refusals import Refusal
from geo.cells import cell_centre, cell_id
from services.booking_view import not_found
from services.live_position import LivePosition, next_n
from services.policy import Policy
from services.stores import Stores
from storage import bookings, gps_sessions, shares
from storage.telemetry import FixRow

AREA_M = 1000.0
AREA_ACC_M = 700.0  # the radius of such a cell


@dataclass(frozen=True, slots=True)
class LegNow:
    """A booking, as far as its watchers are concerned, as it is now."""

    booking_id: UUID
    state: str
    customer_id: UUID
    technician_id: UUID | None
    area_id: UUID
    session_id: UUID | None
    near: bool

    @property
    def phase(self) -> disclosure.Phase:
        """Return the phase that watchers see."""
        return disclosure.phase(self.state, near=self.near)


@dataclass(frozen=True, slots=True)
class ClosedLeg:
    """A session that ended, and why: `arrived`, `reassigned`, `cancelled`, ..."""

    booking_id: UUID
    session_id: UUID
    reason: str


async def leg(stores: Stores, booking_id: UUID, actor: Actor) -> LegNow | Refusal:
    """Return the leg that this customer may watch; anybody else's does not exist."""
    found = (await legs(stores, [booking_id])).get(booking_id)
    if found is None or actor.role != Role.CUSTOMER or found.customer_id != actor.person_id:
        return not_found()
    return found


async def legs(stores: Stores, booking_ids: Iterable[UUID]) -> dict[UUID, LegNow]:
    """Return these bookings as their watchers are concerned with them."""
    async with stores.db.reading() as tx:
        records = await bookings.legs(tx, list(booking_ids))
    return {
        r["booking_id"]: LegNow(
            booking_id=r["booking_id"],
            state=r["state"],
            customer_id=r["customer_id"],
            technician_id=r["technician_id"],
            area_id=r["area_id"],
            session_id=r["gps_session_id"],
            near=r["near_at"] is not None,
        )
        for r in records
    }


async def closed_since(stores: Stores, since: datetime) -> list[ClosedLeg]:
    """Return the sessions that closed after `since`."""
    async with stores.db.reading() as tx:
        records = await gps_sessions.closed_since(tx, since)
    return [ClosedLeg(r["booking_id"], r["session_id"], r["close_reason"] or "ended") for r in records]


async def ended_shares(stores: Stores, share_ids: Sequence[UUID], now: datetime) -> set[UUID]:
    """Return those of these links that are over."""
    async with stores.db.reading() as tx:
        return set(await shares.ended(tx, share_ids, now))


async def newest(stores: Stores, session_id: UUID | None) -> LivePosition | None:
    """Return the newest position of a session, if hot state has one."""
    if session_id is None:
        return None
    payload = (await stores.hot.positions([session_id])).get(session_id)
    return LivePosition.decode(payload) if payload is not None else None


async def fleet(stores: Stores) -> list[LivePosition]:
    """Return the newest position of every open session; after a restart, as it was last stored."""
    async with stores.db.reading() as tx:
        legs = {r["session_id"]: r for r in await gps_sessions.open_now(tx)}
    known = await stores.hot.positions(legs)
    missing = [session_id for session_id in legs if session_id not in known]
    days = list({legs[session_id]["opened_at"].astimezone(UTC).date() for session_id in missing})
    stored = await stores.telemetry.newest(days, missing) if missing else []
    for fix in stored:
        last = _stored(dict(legs[fix.session_id]), fix)
        stores.hot.put_if_newer(fix.session_id, last.n, last.encode())
        known[fix.session_id] = last.encode()
    return [position for payload in known.values() if (position := LivePosition.decode(payload)) is not None]


def _stored(leg: Mapping[str, Any], fix: FixRow) -> LivePosition:
    """A stored fix as a position: it knows no ETA, and shows its age."""
    opened_ms, received_ms = leg["opened_at"].timestamp() * 1000, fix.received_at.timestamp() * 1000
    return LivePosition(
        booking_id=leg["booking_id"],
        session_id=fix.session_id,
        technician_id=leg["technician_id"],
        area_id=leg["area_id"],
        n=next_n(0, round(opened_ms), round(received_ms)),
        t_ms=round(fix.t.timestamp() * 1000),
        lat=fix.lat,
        lon=fix.lon,
        acc_m=fix.acc_m if fix.acc_m is not None else AREA_ACC_M,
        spd_mps=fix.spd_mps or 0.0,
        hdg_deg=fix.hdg_deg,
        near=leg["near_at"] is not None,
        remaining_m=None,
        eta=None,
    )


async def arrival(stores: Stores, booking_id: UUID, now: datetime) -> dict[str, Any]:
    """Return `{phase, freshness, eta}` of a visit: what the holder of a share link is told without a socket."""
    found = (await legs(stores, [booking_id])).get(booking_id)
    position = await newest(stores, found.session_id) if found is not None else None
    if found is None or position is None:
        return {"phase": found.phase if found else "waiting", "freshness": None, "eta": None}
    shown = as_watched(position, stores.policy, now)
    return {"phase": shown["phase"], "freshness": shown["freshness"], "eta": shown["eta"]}


def freshness_of(position: LivePosition, policy: Policy, now_ms: float) -> disclosure.Freshness:
    """Return what a position is worth now."""
    return disclosure.freshness(
        max(0.0, (now_ms - position.t_ms) / 1000.0),
        fresh_within_s=policy.fresh_within_s,
        lost_after_s=policy.lost_after_s,
    )


def as_watched(position: LivePosition, policy: Policy, now: datetime) -> dict[str, Any]:
    """Return the contract's `position` message: cut down to what a customer or a link's holder may know now."""
    now_ms = now.timestamp() * 1000.0
    eta = position.eta
    worth = freshness_of(position, policy, now_ms)
    shown = disclosure.precision(
        eta_s=(eta.at_ms - now_ms) / 1000.0 if eta is not None else None,
        near=position.near,
        exact_within_s=policy.exact_within_s,
        hidden=policy.hide_positions,
    )
    return {
        "booking_id": str(position.booking_id),
        "session_id": str(position.session_id),
        "n": position.n + disclosure.STAGES.index(worth),
        "t": position.t_ms,
        "age_s": round(max(0.0, (now_ms - position.t_ms) / 1000.0), 1),
        **_place(position, shown),
        "precision": shown,
        "freshness": worth,
        "phase": "near" if position.near else "en_route",
        "eta": None
        if eta is None
        else {
            "at": instant(eta.at_ms),
            "low": instant(eta.low_ms),
            "high": instant(eta.high_ms),
            "method": eta.method,
        },
    }


def _place(position: LivePosition, shown: disclosure.Precision) -> dict[str, float | None]:
    lat: float | None = None
    lon: float | None = None
    if shown == "exact":
        lat, lon = round(position.lat, 6), round(position.lon, 6)
    elif shown == "area":
        lat, lon = area_of(position.lat, position.lon)
    exact = shown == "exact"
    return {
        "lat": lat,
        "lon": lon,
        "acc_m": round(position.acc_m, 1) if exact else AREA_ACC_M if shown == "area" else None,
        "hdg_deg": round(position.hdg_deg, 1) if exact and position.hdg_deg is not None else None,
        "spd_mps": round(position.spd_mps, 1) if exact else None,
        "remaining_m": round(position.remaining_m) if exact and position.remaining_m is not None else None,
    }


def area_of(lat: float, lon: float) -> tuple[float, float]:
    """Return the centre of the cell of about a kilometre in which a place lies."""
    centre_lat, centre_lon = cell_centre(cell_id(lat, lon, AREA_M), AREA_M)
    return round(centre_lat, 5), round(centre_lon, 5)


def instant(at_ms: float) -> str:
    """Return ms since the epoch as RFC 3339 in UTC with `Z`."""
    at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
