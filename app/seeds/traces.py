"""Where real traces were driven: an area around them, a jurisdiction that asks nothing, and the people who drive there.

What is needed is told by the traces themselves (`loadtest.traces.describe`), so that the phones know the same people.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from shapely.geometry import box

from app.seeds import base
from app.seeds.ids import seeded_id
from app.seeds.offer import SERVICES
from app.seeds.people import Person, Standing, Worker
from domain.availability import ALWAYS
from domain.context import Role
from domain.credentials import Jurisdiction
from domain.trust import TechnicianStatus
from geo.areas import Area
from loadtest.traces import describe
from storage.db import Tx

TRADE = ("furniture_assembly", "haircut")


class Country(NamedTuple):
    """One cluster of traces."""

    area: Area
    jurisdiction: Jurisdiction
    customers: tuple[Person, ...]
    workers: tuple[Worker, ...]


async def read(folder: Path, now: datetime) -> list[Country]:
    """Read the traces, off the event loop, and say what they need. Raises what reading them raises."""
    document = await asyncio.to_thread(describe, folder)
    return [_country(area, now) for area in document["areas"]]


async def lay_out(tx: Tx, countries: list[Country]) -> None:
    """Add the jurisdictions and areas that are missing."""
    for country in countries:
        await base.jurisdiction(tx, country.jurisdiction)
        await base.add_area(tx, country.area)


def rules_of(countries: list[Country]) -> dict[tuple[str, str], tuple[()]]:
    """Say explicitly that nothing is required there."""
    return {(c.jurisdiction.code, service.service): () for c in countries for service in SERVICES}


def _country(area: dict[str, Any], now: datetime) -> Country:
    code = area["jurisdiction"]
    jurisdiction = Jurisdiction(code, None, f"Where {area['name']} was driven", "state", "USD", 0, None)
    drawn = Area(seeded_id("area", code), area["name"], code, area["time_zone"], box(*area["bbox"]))
    customers = tuple(_person(each, Role.CUSTOMER) for each in area["customers"])
    workers = tuple(_worker(each, area, now) for each in area["technicians"])
    return Country(drawn, jurisdiction, customers, workers)


def _worker(each: dict[str, Any], area: dict[str, Any], now: datetime) -> Worker:
    return Worker(
        person=_person(each, Role.TECHNICIAN),
        bio="Drives a trace that was really driven.",
        services=TRADE,
        experiences=(),
        home=(each["lat"], each["lon"]),
        radius_m=min(100_000, max(500, int(each["radius_m"]))),
        time_zone=area["time_zone"],
        availability=ALWAYS,
        member_since=(now.astimezone(UTC) - timedelta(days=90)).date(),
        standing=Standing("valid", TechnicianStatus.APPROVED),
        licensed_in=area["jurisdiction"],
    )


def _person(each: dict[str, Any], role: Role) -> Person:
    return Person(
        seeded_id("person", each["email"]), each["email"], each["display_name"], role, simulated=True
    )
