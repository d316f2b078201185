"""What is offered, where, and under which rules: services, experiences, areas, jurisdictions and requirement sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from domain.credentials import Jurisdiction, RuleSet, requirement
from storage.db import Tx

SERVICES = """
SELECT service, name, category, description, duration_s, base_amount, currency
FROM app.services ORDER BY position, service
"""
SERVICE = """
SELECT service, name, category, description, duration_s, base_amount, currency FROM app.services WHERE service = $1
"""
EXPERIENCES = "SELECT experience, name, description FROM app.experiences ORDER BY position, experience"
AREAS = """
SELECT area_id, name, jurisdiction, time_zone, geometry::text AS geometry FROM app.service_areas ORDER BY area_id
"""
JURISDICTION_OF = "SELECT jurisdiction FROM app.service_areas WHERE area_id = $1"
AREA_NAMES = "SELECT area_id, name FROM app.service_areas WHERE area_id = ANY ($1)"
CHAIN = """
WITH RECURSIVE up AS (
    SELECT j.*, 0 AS height FROM app.jurisdictions j WHERE j.code = $1
    UNION ALL
    SELECT j.*, up.height + 1 FROM app.jurisdictions j JOIN up ON j.code = up.parent WHERE up.height < 8
)
SELECT code, parent, name, level, currency, tax_bp, complaint_contact FROM up ORDER BY height DESC
"""
SETS = """
SELECT DISTINCT ON (jurisdiction) jurisdiction, service, version, requirements
FROM app.requirement_sets WHERE jurisdiction = ANY ($1) AND service = $2 ORDER BY jurisdiction, version DESC
"""
_JURISDICTION = fields(Jurisdiction)
LOCK_JURISDICTION = "SELECT code FROM app.jurisdictions WHERE code = $1 FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Service:
    """Something that may be booked; `base_amount` in minor units."""

    service: str
    name: str
    category: str
    description: str
    duration_s: int
    base_amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Experience:
    """A way in which a visit may be pleasant."""

    experience: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Area:
    """A service area; `geometry` is GeoJSON as text, so that a set of areas can be told from another cheaply."""

    area_id: UUID
    name: str
    jurisdiction: str
    time_zone: str
    geometry: str


async def services(tx: Tx) -> list[Service]:
    """List what may be booked, in the order of the shop window."""
    return [Service(**record) for record in await tx.fetch(SERVICES)]


async def service(tx: Tx, slug: str) -> Service | None:
    """Read one service."""
    record = await tx.fetchrow(SERVICE, slug)
    return Service(**record) if record else None


async def experiences(tx: Tx) -> list[Experience]:
    """List all experiences."""
    return [Experience(**record) for record in await tx.fetch(EXPERIENCES)]


async def areas(tx: Tx) -> list[Area]:
    """List all service areas."""
    return [Area(**record) for record in await tx.fetch(AREAS)]


async def chain(tx: Tx, code: str) -> tuple[Jurisdiction, ...]:
    """Return the jurisdiction with all above it, widest first; empty when it is unknown."""
    return tuple(Jurisdiction(**record) for record in await tx.fetch(CHAIN, code))


async def rule_sets(tx: Tx, codes: Sequence[str], service: str) -> dict[str, RuleSet]:
    """Return the newest rules of each of these jurisdictions for a service."""
    return {
        record["jurisdiction"]: _rule_set(record) for record in await tx.fetch(SETS, list(codes), service)
    }


def rules_from_document(
    chain: Iterable[Mapping[str, Any]], service: str
) -> tuple[tuple[Jurisdiction, ...], dict[str, RuleSet]]:
    """Read jurisdictions, widest first, each with its newest rules for a service, from their rows as JSON."""
    places, sets = [], {}
    for each in chain:
        places.append(Jurisdiction(**{f.name: each[f.name] for f in _JURISDICTION}))
        if each["requirements"] is not None:
            sets[each["code"]] = _rule_set({**each, "jurisdiction": each["code"], "service": service})
    return tuple(places), sets


async def lock_jurisdiction(tx: Tx, code: str) -> bool:
    """Lock a jurisdiction, so that its rules get one next version at a time; False when it is unknown."""
    return await tx.fetchval(LOCK_JURISDICTION, code) is not None


def _rule_set(record: Any) -> RuleSet:
    return RuleSet(
        record["jurisdiction"],
        record["service"],
        record["version"],
        tuple(requirement(each) for each in record["requirements"]),
    )


async def jurisdiction_of(tx: Tx, area_id: UUID) -> str | None:
    """Return the jurisdiction of a service area; None when there is no such area."""
    found: str | None = await tx.fetchval(JURISDICTION_OF, area_id)
    return found


async def area_names(tx: Tx, area_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the names of service areas."""
    return {r["area_id"]: r["name"] for r in await tx.fetch(AREA_NAMES, area_ids)}
