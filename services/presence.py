"""Who is available: what devices said, kept as leases in hot state, seen together with what bookings say.

The rules of precedence stand in `domain.presence`. A place that a technician sends with its word is reduced to a cell
of about a kilometre before it is kept; discovery alone uses it, and it is never sent on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from domain import presence
from domain.context import Actor
from services.booking_view import stamp
from services.catalogue import area_at
from services.policy import Policy
from services.reply import Reply
from services.stores import Stores
from services.watching import area_of
from storage import bookings, technicians
from storage.hot import Said


@dataclass(frozen=True, slots=True)
class Standing:
    """What a technician counts as now, since when, and when any of its devices was last heard of."""

    state: presence.State
    since: datetime | None
    last_seen: datetime | None


async def say(
    stores: Stores,
    actor: Actor,
    connection: str,
    state: str,
    place: tuple[float, float] | None,
    now: datetime,
) -> Reply:
    """Take a technician's word. Answers the effective state and until when it holds unless the device stays."""
    technician_id = _person(actor)
    at = now.timestamp()
    cell = area_of(*place) if place is not None else None
    await stores.hot.say(technician_id, Said(state, at, cell, at if cell is not None else None))
    await stores.hot.hold([(technician_id, connection)], stores.policy.presence_ttl_s)
    standing = (await standings(stores, [technician_id]))[technician_id]
    expires_at = now + timedelta(seconds=stores.policy.presence_ttl_s)
    return Reply(200, {"state": standing.state, "expires_at": stamp(expires_at)})


async def opened(stores: Stores, actor: Actor, connection: str) -> None:
    """A device connected."""
    await stores.hot.hold([(_person(actor), connection)], stores.policy.presence_ttl_s)


async def closed(stores: Stores, actor: Actor, connection: str) -> None:
    """A device went: a quick return within the grace time is no absence."""
    await stores.hot.release(_person(actor), connection, stores.policy.presence_grace_s)


async def keep(stores: Stores, devices: Sequence[tuple[UUID, str]]) -> None:
    """Refresh the leases of the devices that are connected here; every third of a time-to-live is often enough."""
    if devices:
        await stores.hot.hold(devices, stores.policy.presence_ttl_s)


def keep_every_s(policy: Policy) -> float:
    """Return how often leases are refreshed."""
    return max(0.1, policy.presence_ttl_s / 3)


async def standings(stores: Stores, technician_ids: Iterable[UUID]) -> dict[UUID, Standing]:
    """Return what these technicians count as now."""
    wanted = list(technician_ids)
    known = await stores.hot.presences(wanted)
    async with stores.db.reading() as tx:
        engaged = await bookings.engaged_since(tx, wanted)
    found = {}
    for technician_id in wanted:
        entry = known.get(technician_id)
        said = entry.said if entry is not None else None
        connected = entry is not None and entry.connected
        state = presence.effective(
            engaged=technician_id in engaged,
            connected=connected,
            said=said.state if said is not None else None,
        )
        last_seen = _at(entry.last_seen) if entry is not None else None
        if technician_id in engaged:
            since: datetime | None = engaged[technician_id]
        elif connected and said is not None:
            since = _at(said.at)
        else:
            since = last_seen
        found[technician_id] = Standing(state, since, last_seen)
    return found


async def areas_of(stores: Stores, technician_ids: list[UUID] | None = None) -> dict[UUID, UUID | None]:
    """Return the service area in which each approved technician (of these) has its home base."""
    async with stores.db.reading() as tx:
        found: dict[UUID, UUID | None] = {}
        for record in await technicians.homes(tx, technician_ids):
            area = await area_at(tx, record["home_lat"], record["home_lon"])
            found[record["technician_id"]] = area.area_id if area is not None else None
    return found


def covers(areas: Literal["all"] | frozenset[UUID], area_id: UUID | None) -> bool:
    """Tell whether a dispatcher of these areas watches a technician whose home lies in `area_id`."""
    return areas == "all" or (area_id is not None and area_id in areas)


def as_listed(technician_id: UUID, standing: Standing) -> dict[str, Any]:
    """Return a technician as a dispatcher's list shows it."""
    return {
        "technician_id": str(technician_id),
        "state": standing.state,
        "since": stamp(standing.since),
        "last_seen": stamp(standing.last_seen),
    }


def _person(actor: Actor) -> UUID:
    if actor.person_id is None:
        raise ValueError("presence is of people")
    return actor.person_id


def _at(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
