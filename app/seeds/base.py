"""The ground that everything stands on: services, wishes, jurisdictions with rules, areas, addresses, accounts.

Each function adds what is missing and leaves alone what is there: a price or a rule that somebody changed stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import orjson
from shapely.geometry import mapping

from app.seeds.offer import EXPERIENCES, SERVICES
from app.seeds.people import Person
from app.seeds.rules import JURISDICTIONS, RULES
from domain import commands
from domain.context import Actor, Context, Role
from domain.credentials import Jurisdiction, Requirement, RuleSet
from domain.facts import Decided
from domain.trust import RulesWritten
from geo.areas import Area
from services.passwords import Passwords
from storage import addresses as address_rows
from storage import people as people_rows
from storage import personal
from storage.addresses import Address
from storage.db import Tx
from storage.journal import record_all

ADD_SERVICES = """
INSERT INTO app.services (service, name, category, description, duration_s, base_amount, currency, position)
VALUES ($1, $2, $3, $4, $5, $6, 'USD', $7) ON CONFLICT DO NOTHING
"""
ADD_EXPERIENCES = """
INSERT INTO app.experiences (experience, name, description, position) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
ADD_JURISDICTION = """
INSERT INTO app.jurisdictions (code, parent, name, level, currency, tax_bp, complaint_contact)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""
ADD_AREA = """
INSERT INTO app.service_areas (area_id, name, jurisdiction, time_zone, geometry)
VALUES ($1, $2, $3, $4, $5::text::jsonb) ON CONFLICT DO NOTHING
"""
RULED = "SELECT DISTINCT jurisdiction, service FROM app.requirement_sets"
HAS_ADDRESSES = "SELECT EXISTS (SELECT FROM app.addresses)"
ADD_PEOPLE = """
INSERT INTO app.people (person_id, email, password_hash, display_name, role, areas, email_verified_at, created_at)
SELECT x.person_id, x.email, x.password_hash, x.display_name, x.role,
       CASE WHEN x.role = 'dispatcher' THEN NULL ELSE '{}'::uuid[] END, $2, $2
FROM jsonb_to_recordset($1::text::jsonb)
    AS x(person_id uuid, email text, password_hash text, display_name text, role text)
ON CONFLICT DO NOTHING RETURNING person_id
"""
KNOWN_PEOPLE = "SELECT person_id FROM app.people WHERE person_id = ANY ($1)"
NEW_PASSWORD = "UPDATE app.people SET password_hash = $2 WHERE person_id = ANY ($1) AND erased_at IS NULL"  # noqa: S105 - SQL, no password

POSTCODES: Mapping[str, str] = {"Fells Point": "21231", "Washington Hill": "21231", "Locust Point": "21230"}
POSTCODE = "21224"
TOWN = "Baltimore"


async def offer(tx: Tx, areas: Sequence[Area]) -> None:
    """Fill the shop window and draw the map."""
    await tx.executemany(ADD_SERVICES, [(*each, place) for place, each in enumerate(SERVICES)])
    await tx.executemany(ADD_EXPERIENCES, [(*each, place) for place, each in enumerate(EXPERIENCES)])
    for place in JURISDICTIONS:
        await jurisdiction(tx, place)
    for area in areas:
        await add_area(tx, area)


async def jurisdiction(tx: Tx, place: Jurisdiction) -> None:
    """Add a jurisdiction; its parent was added before."""
    await tx.execute(ADD_JURISDICTION, place.code, place.parent, place.name, place.level, place.currency,
                     place.tax_bp, place.complaint_contact)  # fmt: skip


async def add_area(tx: Tx, area: Area) -> None:
    """Add a service area."""
    shape = orjson.dumps(mapping(area.geometry)).decode()
    await tx.execute(ADD_AREA, area.area_id, area.name, area.jurisdiction, area.time_zone, shape)


async def rules(
    tx: Tx, founder_id: UUID, now: datetime, sets: Mapping[tuple[str, str], tuple[Requirement, ...]] = RULES
) -> None:
    """Give each jurisdiction its first rules for a service, as a decision of the founder."""
    ruled = {(record["jurisdiction"], record["service"]) for record in await tx.fetch(RULED)}
    context = Context(Actor(founder_id, Role.FOUNDER), now, "seed-rules-of-the-demo")
    facts = [
        fact
        for (code, service), requirements in sets.items()
        if (code, service) not in ruled
        for fact in (
            RulesWritten(RuleSet(code, service, 1, requirements), founder_id),
            Decided(
                "rules.set", "requirements", f"{code}/{service}", "Rules of the demo city", {"version": 1}
            ),
        )
    ]
    await record_all(tx, [(facts, context)])


async def addresses(tx: Tx, known: Iterable[commands.Address]) -> None:
    """Teach the geocoder the city's doors, the first time."""
    if await tx.fetchval(HAS_ADDRESSES):
        return
    found: dict[str, Address] = {}
    for each in known:
        number, _, street = each.line1.partition(" ")
        found[each.line1] = Address(street, number, each.city, each.postcode, each.lat, each.lon)
    await address_rows.load(tx, list(found.values()))


async def people(
    tx: Tx, wanted: Sequence[Person], passwords: Passwords, secrets: tuple[str, str], now: datetime
) -> int:
    """Add missing accounts with their keys, and return how many.

    `secrets`: everybody's password, and that of the phones' accounts, which they are given anew when it changed.
    """
    password, sim_password = secrets
    known = {
        record["person_id"] for record in await tx.fetch(KNOWN_PEOPLE, [each.person_id for each in wanted])
    }
    phones = [each.person_id for each in wanted if each.simulated]
    sim_hash: str | None = None
    if phones and phones[0] in known:
        first = await people_rows.get(tx, phones[0])
        if first is None or await passwords.verify(first.password_hash, sim_password) is not True:
            sim_hash = passwords.hash_now(sim_password)
            await tx.execute(NEW_PASSWORD, phones, sim_hash)
        else:
            sim_hash = first.password_hash
    missing = [each for each in wanted if each.person_id not in known]
    if not missing:
        return 0
    sim_hash = sim_hash or passwords.hash_now(sim_password)
    own_hash = passwords.hash_now(password)
    document = [
        {
            "person_id": each.person_id,
            "email": each.email,
            "password_hash": sim_hash if each.simulated else own_hash,
            "display_name": each.display_name,
            "role": each.role,
        }
        for each in missing
    ]
    added = await tx.fetch(ADD_PEOPLE, orjson.dumps(document).decode(), now)
    for record in added:
        await personal.create_key(tx, record["person_id"])
    return len(added)
