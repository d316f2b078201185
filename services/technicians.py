"""Technicians: applying, one's own profile and week, the card that others may see, and who may work at all."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.availability import Window
from domain.context import Context
from domain.credentials import VALID, stand
from domain.gate import required
from domain.refusals import FieldError, Refusal
from domain.trust import Technician, TechnicianStatus, TechnicianWritten, decide_technician
from services import cards
from services.catalogue import area_at, unknown_experience, unknown_service
from services.credential_view import may_see
from services.qualification import rules_at
from services.reply import Answer, Reply
from services.stores import Stores
from storage import catalogue, credentials, people, technicians
from storage.db import Tx
from storage.journal import record


@dataclass(frozen=True, slots=True)
class Profile:
    """What technicians say of themselves; None: as it was."""

    bio: str | None = None
    services: tuple[str, ...] | None = None
    experiences: tuple[str, ...] | None = None
    home: tuple[float, float] | None = None
    radius_m: int | None = None
    time_zone: str | None = None


async def apply(stores: Stores, profile: Profile, context: Context) -> Answer:
    """Apply as a technician. Asking again changes nothing and shows how it stands."""
    async with stores.db.transaction() as tx:
        person = None if context.actor.person_id is None else await people.get(tx, context.actor.person_id)
        if person is None:
            return _none()
        known = await technicians.get(tx, person.person_id)
        if known is not None:
            return Reply(200, own_view(known))
        if profile.home is None or not profile.services:
            return Refusal("validation", "Say where you are based and what you do.")
        area = await area_at(tx, *profile.home)
        technician = Technician(
            technician_id=person.person_id,
            display_name=person.display_name,
            bio=profile.bio or "",
            status=TechnicianStatus.APPLIED,
            services=profile.services,
            experiences=profile.experiences or (),
            home_lat=profile.home[0],
            home_lon=profile.home[1],
            radius_m=profile.radius_m or 10_000,
            time_zone=profile.time_zone or (area.time_zone if area else "UTC"),
            photo_url=None,
            availability=(),
            member_since=context.now.date(),
        )
        wrong = await _unknown(tx, technician)
        if wrong is not None:
            return wrong
        await record(tx, [TechnicianWritten(technician)], context)
    return Reply(201, own_view(technician))


async def me(stores: Stores, context: Context) -> Answer:
    """Show one's own profile."""
    async with stores.db.reading() as tx:
        technician = await _get(tx, context)
    return _none() if technician is None else Reply(200, own_view(technician), version=technician.version)


async def change(stores: Stores, profile: Profile, context: Context) -> Answer:
    """Change one's own profile; licences are asked again at the next gate, so a new service opens no door by itself."""
    async with stores.db.transaction() as tx:
        technician = await _lock(tx, context)
        if isinstance(technician, Refusal):
            return technician
        home_lat, home_lon = profile.home or (technician.home_lat, technician.home_lon)
        after = replace(
            technician,
            bio=technician.bio if profile.bio is None else profile.bio,
            services=profile.services or technician.services,
            experiences=technician.experiences if profile.experiences is None else profile.experiences,
            home_lat=home_lat,
            home_lon=home_lon,
            radius_m=profile.radius_m or technician.radius_m,
            time_zone=profile.time_zone or technician.time_zone,
            version=technician.version + 1,
        )
        wrong = await _unknown(tx, after)
        if wrong is not None:
            return wrong
        await record(tx, [TechnicianWritten(after)], context)
    return Reply(200, own_view(after), version=after.version)


async def set_availability(stores: Stores, windows: tuple[Window, ...], context: Context) -> Answer:
    """Set the working week; visits that were accepted stay."""
    async with stores.db.transaction() as tx:
        technician = await _lock(tx, context)
        if isinstance(technician, Refusal):
            return technician
        after = replace(technician, availability=windows, version=technician.version + 1)
        await record(tx, [TechnicianWritten(after)], context)
    return Reply(200, own_view(after), version=after.version)


async def decide(stores: Stores, technician_id: UUID, decision: str, reason: str, context: Context) -> Answer:
    """Approve, suspend or reinstate a technician. A suspended one is stopped by the gate from that moment on."""
    async with stores.db.transaction() as tx:
        technician = await technicians.lock(tx, technician_id)
        if technician is None:
            return _none()
        facts = decide_technician(technician, decision, reason)
        if isinstance(facts, Refusal):
            return facts
        await record(tx, facts, context)
        after = next(fact.technician for fact in facts if isinstance(fact, TechnicianWritten))
        if after.status == TechnicianStatus.APPROVED:
            await technicians.become(tx, technician_id)
    return Reply(200, own_view(after), version=after.version)


async def card(stores: Stores, technician_id: UUID, context: Context) -> Answer:
    """Show a technician as customers see one, without any question asked: no price, no distance, no place."""
    async with stores.db.reading() as tx:
        technician = await technicians.get(tx, technician_id)
        if technician is None or not may_see(technician, context):
            return _none()
        area = await area_at(tx, technician.home_lat, technician.home_lon)
        held = await credentials.of_technician(tx, technician_id)
        today = context.now.astimezone(ZoneInfo(technician.time_zone)).date()
        standings = []
        for service in technician.services:
            rules = await rules_at(tx, area.jurisdiction, service) if area else None
            needed = required(stand(rules, held, today, today, today)) if rules else ()
            qualified = rules is not None and all(each.status in VALID for each in needed)
            standings.append({"service": service, "qualified": qualified})
    reputation = cards.reputation(technician)
    return Reply(
        200,
        {
            "technician": reputation
            | {"display_name": technician.display_name, "photo_url": technician.photo_url},
            "bio": technician.bio,
            "services": standings,
            "experiences": list(technician.experiences),
            "jurisdiction": area.jurisdiction if area else None,
            "available_to_book": technician.status == TechnicianStatus.APPROVED,
        },
    )


async def visible(stores: Stores, technician_id: UUID, context: Context) -> Refusal | None:
    """Refuse with 404 a technician whom the caller may not see."""
    async with stores.db.reading() as tx:
        technician = await technicians.get(tx, technician_id)
    return None if technician is not None and may_see(technician, context) else _none()


def own_view(technician: Technician) -> dict[str, Any]:
    """Return the contract's Technician."""
    return {
        "technician_id": str(technician.technician_id),
        "display_name": technician.display_name,
        "photo_url": technician.photo_url,
        "bio": technician.bio,
        "status": str(technician.status),
        "services": list(technician.services),
        "experiences": list(technician.experiences),
        "home_base": {"lat": technician.home_lat, "lon": technician.home_lon},
        "radius_m": technician.radius_m,
        "time_zone": technician.time_zone,
        "availability": [each.document() for each in technician.availability],
    }


async def _unknown(tx: Tx, technician: Technician) -> Refusal | None:
    services = {each.service for each in await catalogue.services(tx)}
    if not services.issuperset(technician.services):
        return unknown_service("/services")
    experiences = {each.experience for each in await catalogue.experiences(tx)}
    if not experiences.issuperset(technician.experiences):
        return unknown_experience("/experiences")
    try:
        ZoneInfo(technician.time_zone)
    except (KeyError, ValueError, OSError):
        error = FieldError("/time_zone", "unknown", "There is no such time zone.")
        return Refusal("validation", "There is no such time zone.", (error,))
    return None


async def _get(tx: Tx, context: Context) -> Technician | None:
    person_id = context.actor.person_id
    return None if person_id is None else await technicians.get(tx, person_id)


async def _lock(tx: Tx, context: Context) -> Technician | Refusal:
    person_id = context.actor.person_id
    technician = None if person_id is None else await technicians.lock(tx, person_id)
    if technician is None:
        return _none()
    if context.if_match is not None and context.if_match != technician.version:
        return Refusal("version_conflict", "Your profile changed in between.")
    return technician


def _none() -> Refusal:
    return Refusal("not_found", "There is no such technician.")
