"""The gate with its evidence fetched: asked by bookings inside their own transaction at accept, depart and start."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.credentials import Rules, inherit
from domain.gate import Passed, Stopped, Visit, check
from geo.cells import cell_centre, cell_id
from geo.distance import haversine_m
from storage import catalogue, credentials, technicians
from storage.db import Tx

__all__ = ["Passed", "Stopped", "coarse", "distance_m", "judge", "qualify", "rules_at"]


async def rules_at(tx: Tx, jurisdiction: str, service: str) -> Rules | None:
    """Return what holds for a service in a jurisdiction; None when nobody made rules, so that nobody may work."""
    chain = await catalogue.chain(tx, jurisdiction)
    sets = await catalogue.rule_sets(tx, [place.code for place in chain], service)
    return inherit(service, chain, sets)


async def qualify(
    tx: Tx,
    technician_id: UUID,
    *,
    service: str,
    jurisdiction: str,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    place: tuple[float, float] | None = None,
) -> Passed | Stopped:
    """Ask the gate about one technician and one visit. With no `place` (lat, lon) the radius is not asked again."""
    grounds = await credentials.grounds(tx, technician_id, jurisdiction, service)
    return judge(grounds, service=service, starts_at=starts_at, ends_at=ends_at, now=now, place=place)


def judge(
    grounds: Mapping[str, Any],
    *,
    service: str,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    place: tuple[float, float] | None = None,
) -> Passed | Stopped:
    """Ask the gate by what was read for it: `storage.credentials.grounds`, or what came with a booking."""
    if grounds["technician"] is None:
        return Stopped("not_approved", ("approval",))
    technician = technicians.from_document(grounds["technician"])
    way_m = None if place is None else distance_m((technician.home_lat, technician.home_lon), place)
    chain, sets = catalogue.rules_from_document(grounds["chain"] or (), service)
    held = [credentials.from_document(each) for each in grounds["credentials"] or ()]
    return check(
        technician, inherit(service, chain, sets), held, Visit(service, starts_at, ends_at, way_m), now
    )


def coarse(place: tuple[float, float]) -> tuple[float, float]:
    """Return the centre of a place's cell of about 1 km: all that anybody may measure a technician's way from.

    Exact distances, however they are rounded, give a home away to somebody who asks from many places; a cell gives
    only the cell.
    """
    return cell_centre(cell_id(*place))


def distance_m(home: tuple[float, float], place: tuple[float, float]) -> float:
    """Return metres from a technician's cell to a place."""
    return haversine_m(*coarse(home), *place)
