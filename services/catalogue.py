"""What is offered and where: services, experiences, areas, places by name, and the rules that hold somewhere."""

from functools import lru_cache
from typing import Any

import orjson
from shapely.geometry import mapping

from domain.context import Context
from domain.credentials import Requirement, RuleSet
from domain.facts import Decided
from domain.refusals import FieldError, Refusal
from domain.trust import RulesWritten
from geo.areas import Area, AreaIndex, parse_feature_collection
from services.paging import paged
from services.reply import Answer, Reply
from services.stores import Stores
from storage import addresses, catalogue
from storage.db import Tx
from storage.journal import record


async def services(stores: Stores, limit: int, cursor: str | None) -> Answer:
    """List what may be booked."""
    async with stores.db.reading() as tx:
        found = await catalogue.services(tx)
    items = [
        {
            "service": each.service,
            "name": each.name,
            "category": each.category,
            "description": each.description,
            "duration_s": each.duration_s,
            "base_price": {"amount": each.base_amount, "currency": each.currency},
        }
        for each in found
    ]
    return paged(items, "service", limit, cursor)


async def experiences(stores: Stores, limit: int, cursor: str | None) -> Answer:
    """List the wishes that a customer may name."""
    async with stores.db.reading() as tx:
        found = await catalogue.experiences(tx)
    items = [{"experience": e.experience, "name": e.name, "description": e.description} for e in found]
    return paged(items, "experience", limit, cursor)


async def service_areas(stores: Stores) -> Answer:
    """Return all areas as a GeoJSON FeatureCollection."""
    async with stores.db.reading() as tx:
        index = await _areas(tx)
    return Reply(200, {"type": "FeatureCollection", "features": [_feature(area) for area in index.areas]})


async def geocode(stores: Stores, query: str, limit: int) -> Answer:
    """Find addresses by a street and perhaps a number, best first. Only the streets that were loaded are known."""
    async with stores.db.reading() as tx:
        found = await addresses.find(tx, query, limit)
    items = [
        {
            "label": f"{a.line1}, {a.city}",
            "line1": a.line1,
            "city": a.city,
            "postcode": a.postcode,
            "lat": a.lat,
            "lon": a.lon,
        }
        for a in found
    ]
    return Reply(200, {"items": items, "next_cursor": None})


async def area_at(tx: Tx, lat: float, lon: float) -> Area | None:
    """Return the service area in which a place lies."""
    return (await _areas(tx)).find(lat, lon)


async def requirements(stores: Stores, jurisdiction: str, service: str) -> Answer:
    """Show the rules of a jurisdiction for a service: its own newest version, and all that it inherits."""
    async with stores.db.reading() as tx:
        chain = await catalogue.chain(tx, jurisdiction)
        if not chain or await catalogue.service(tx, service) is None:
            return _no_rules()
        sets = await catalogue.rule_sets(tx, [each.code for each in chain], service)
    own = sets.get(jurisdiction)
    inherited = [sets[each.code] for each in chain[:-1] if each.code in sets]
    return Reply(
        200, _rules_body(jurisdiction, service, own, inherited), version=own.version if own else None
    )


async def set_requirements(
    stores: Stores,
    jurisdiction: str,
    service: str,
    wanted: tuple[Requirement, ...],
    reason: str,
    context: Context,
) -> Answer:
    """Write the next version of a jurisdiction's rules; those before it stay to explain older visits."""
    async with stores.db.transaction() as tx:
        if (
            not await catalogue.lock_jurisdiction(tx, jurisdiction)
            or await catalogue.service(tx, service) is None
        ):
            return _no_rules()
        chain = await catalogue.chain(tx, jurisdiction)
        wrong = [
            FieldError(
                f"/requirements/{index}/level", "level_mismatch", f"{jurisdiction} is a {chain[-1].level}."
            )
            for index, each in enumerate(wanted)
            if each.level != chain[-1].level
        ]
        if wrong:
            return Refusal("validation", "A jurisdiction makes rules of its own level.", tuple(wrong))
        sets = await catalogue.rule_sets(tx, [each.code for each in chain], service)
        before = sets.get(jurisdiction)
        version = 1 if before is None else before.version + 1
        if context.if_match is not None and context.if_match != version - 1:
            return Refusal("version_conflict", "These rules have a newer version.")
        rules = RuleSet(jurisdiction, service, version, wanted)
        decided = Decided(
            "rules.set", "requirements", f"{jurisdiction}/{service}", reason, {"version": version}
        )
        await record(tx, [RulesWritten(rules, context.actor.person_id), decided], context)
    inherited = [sets[each.code] for each in chain[:-1] if each.code in sets]
    return Reply(200, _rules_body(jurisdiction, service, rules, inherited), version=version)


def _rules_body(
    jurisdiction: str, service: str, own: RuleSet | None, inherited: list[RuleSet]
) -> dict[str, Any]:
    return {
        "jurisdiction": jurisdiction,
        "service": service,
        "version": own.version if own else None,
        "requirements": [each.document() for each in own.requirements] if own else [],
        "inherited": [
            {"jurisdiction": each.jurisdiction, "version": each.version,
             "requirements": [one.document() for one in each.requirements]}
            for each in inherited
        ],
    }  # fmt: skip


def unknown_service(pointer: str) -> Refusal:
    """Refuse a service that does not exist."""
    detail = "No service has that name."
    return Refusal("unknown_service", detail, (FieldError(pointer, "unknown_service", detail),))


def unknown_experience(pointer: str) -> Refusal:
    """Refuse a wish that does not exist."""
    detail = "One of these experiences does not exist."
    return Refusal("unknown_experience", detail, (FieldError(pointer, "unknown_experience", detail),))


def _no_rules() -> Refusal:
    return Refusal("not_found", "There is no such jurisdiction or service.")


async def _areas(tx: Tx) -> AreaIndex:
    return _index(tuple(await catalogue.areas(tx)))


@lru_cache(maxsize=2)  # a second set only while an area is being changed
def _index(areas: tuple[catalogue.Area, ...]) -> AreaIndex:
    features = [
        {
            "type": "Feature",
            "properties": {
                "area_id": str(each.area_id),
                "name": each.name,
                "jurisdiction": each.jurisdiction,
                "time_zone": each.time_zone,
            },
            "geometry": orjson.loads(each.geometry),
        }
        for each in areas
    ]
    return AreaIndex(parse_feature_collection({"type": "FeatureCollection", "features": features}))


def _feature(area: Area) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": str(area.area_id),
        "properties": {
            "area_id": str(area.area_id),
            "name": area.name,
            "jurisdiction": area.jurisdiction,
            "time_zone": area.time_zone,
        },
        "geometry": mapping(area.geometry),
    }
