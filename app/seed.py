"""The demo city on a migrated database: people, rules, technicians and past days, the same at every start.

A second start keeps everything that is there, adds what is missing, and makes sure that there was a yesterday. Truth is
written as facts through the journal, so that events, audit, ledger and earnings agree with what the pages show.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from app import city
from app.seeds import base
from app.seeds import traces as trace_country
from app.seeds.history import City, Hand, House, plan_day
from app.seeds.ids import seeded_id
from app.seeds.licences import licences
from app.seeds.people import DEMO, HOME, MEASURED, ZONE, Cast, Worker, cast
from app.seeds.visits import Teller, looks, sandbox_ref
from domain.commands import Address
from domain.context import Actor, Context, Role
from domain.facts import Decided, Fact
from domain.trust import CredentialWritten, Technician, TechnicianStatus, TechnicianWritten
from geo.areas import AreaIndex
from services.passwords import Passwords
from services.policy import Policy
from services.qualification import rules_at
from storage import bookings, catalogue, credentials, matches, payouts, personal, sandbox, technicians
from storage.db import Database, Tx
from storage.journal import record_all

log = structlog.get_logger(__name__)

PASSWORD = "doorstep-demo"  # noqa: S105 - shown on the demo's screen, opens nothing else
LOCK = "SELECT pg_advisory_xact_lock(7266183205)"
KNOWN_TECHNICIANS = "SELECT technician_id FROM app.technicians WHERE technician_id = ANY ($1)"
BOOKED_DAYS = "SELECT DISTINCT (created_at AT TIME ZONE $1)::date AS day FROM app.bookings"
DAYS = 7
FEWEST_PHONES = 60
HANDS = 110  # who had work in the past days; a larger crew is younger than that
VISITS_A_DAY = 22


async def seed(
    db: Database,
    *,
    technicians: int,
    sim_password: str,
    traces: Path | None = None,
    now: datetime | None = None,
) -> None:
    """Make or top up the demo city. At least `technicians` phones and customers can sign in with `sim_password`.

    `traces`: a folder of real traces whose places and drivers are added. Safe to run again, and by two at once.
    """
    now = now or datetime.now(UTC)
    houses = _houses()
    people = cast(
        houses, simulated=max(FEWEST_PHONES, technicians + MEASURED), driven=technicians, today=now.date()
    )
    countries = [] if traces is None else await trace_country.read(traces, now)
    founder_id = seeded_id("person", f"founder@{DEMO}")
    everybody = [*people.people(), *(p for c in countries for p in c.customers)]
    everybody += [worker.person for c in countries for worker in c.workers]
    async with db.transaction() as tx:
        await tx.execute(LOCK)
        await base.offer(tx, city.load_areas())
        await trace_country.lay_out(tx, countries)
        await base.addresses(tx, [house.address for house in houses])
        added = await base.people(tx, everybody, Passwords(), (PASSWORD, sim_password), now)
        await base.rules(tx, founder_id, now)
        await base.rules(tx, founder_id, now, trace_country.rules_of(countries))
        workers = [*people.workers, *(worker for c in countries for worker in c.workers)]
        await _workers(tx, workers, founder_id, now)
    told = 0
    if days := await _missing_days(db, now):
        async with db.reading() as tx:
            past = await _city(tx, people, houses)
        for day in days:
            told += await _tell_day(db, past, day)
    log.info("seeded", people=added, visits=told)


def _houses() -> list[House]:
    """Return every numbered door of the city that lies in an area."""
    index = AreaIndex(city.load_areas())
    houses = []
    for street, doors in city.load_streets().items():
        for door in doors:
            area = index.find(door.lat, door.lon)
            if area is not None and door.number is not None:
                postcode = base.POSTCODES.get(area.name, base.POSTCODE)
                address = Address(f"{door.number} {street}", base.TOWN, postcode, door.lat, door.lon)
                houses.append(House(address, area))
    return houses


async def _workers(tx: Tx, wanted: Sequence[Worker], founder_id: UUID, now: datetime) -> None:
    ids = [worker.person.person_id for worker in wanted]
    known = {record["technician_id"] for record in await tx.fetch(KNOWN_TECHNICIANS, ids)}
    new = [worker for worker in wanted if worker.person.person_id not in known]
    await record_all(tx, [story for worker in new for story in _hired(worker, founder_id, now)])
    for worker in new:
        await payouts.set_account(tx, worker.person.person_id, "sandbox_ok", now)
    await record_all(tx, [await _on_duty(tx, worker, now) for worker in wanted if worker.person.simulated])


async def _on_duty(tx: Tx, worker: Worker, now: datetime) -> tuple[Sequence[Fact], Context]:
    """Let a phone's technician work when this start drives it, and rest when it does not."""
    context = Context(Actor(worker.person.person_id, Role.TECHNICIAN), now, "seed-hours-of-the-phones")
    technician = await technicians.get(tx, worker.person.person_id)
    if technician is None or technician.availability == worker.availability:
        return (), context
    after = replace(technician, availability=worker.availability, version=technician.version + 1)
    return (TechnicianWritten(after),), context


def _hired(worker: Worker, founder_id: UUID, now: datetime) -> Iterator[tuple[Sequence[Fact], Context]]:
    """Tell how somebody applied, and what was decided."""
    technician_id = worker.person.person_id
    applied_at = max(now - timedelta(days=700), _noon(worker.member_since))
    technician = Technician(
        technician_id=technician_id,
        display_name=worker.person.display_name,
        bio=worker.bio,
        status=worker.standing.status,
        services=worker.services,
        experiences=worker.experiences,
        home_lat=worker.home[0],
        home_lon=worker.home[1],
        radius_m=worker.radius_m,
        time_zone=worker.time_zone,
        photo_url=None,
        availability=worker.availability,
        member_since=worker.member_since,
    )
    story = seeded_id("hired", worker.person.email).hex
    held = licences(worker, now.date())
    applicant = Context(Actor(technician_id, Role.CUSTOMER), applied_at, story)
    yield [TechnicianWritten(technician), *(CredentialWritten(each) for each in held)], applicant
    data = {"technician_id": str(technician_id)}
    decided = [
        Decided(
            f"credential.{each.state}",
            "credential",
            str(each.credential_id),
            each.verified_how or "It is not what it says",
            data,
        )
        for each in held
        if each.state != "pending"
    ]
    match worker.standing.status:
        case TechnicianStatus.APPROVED:
            decided.append(
                Decided("technician.approved", "technician", str(technician_id), "Papers in order")
            )
        case TechnicianStatus.SUSPENDED:
            decided.append(
                Decided("technician.suspended", "technician", str(technician_id), "Licence was revoked")
            )
    yield decided, Context(Actor(founder_id, Role.FOUNDER), applied_at + timedelta(hours=20), story)


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


async def _missing_days(db: Database, now: datetime) -> list[date]:
    """Return the past days to tell: a week on a new database, later only a yesterday on which nothing happened."""
    today = now.astimezone(ZoneInfo(ZONE)).date()
    async with db.reading() as tx:
        booked = {record["day"] for record in await tx.fetch(BOOKED_DAYS, ZONE)}
    days = [today - timedelta(days=back) for back in range(DAYS if not booked else 1, 0, -1)]
    return [day for day in days if day not in booked]


async def _tell_day(db: Database, past: City, day: date) -> int:
    async with db.transaction() as tx:
        await tx.execute(LOCK)
        if day in {record["day"] for record in await tx.fetch(BOOKED_DAYS, ZONE)}:
            return 0
        planned = list(plan_day(past, day, VISITS_A_DAY))
        keys = await personal.keys_of(tx, [*past.customers, *past.hands])
        tellers = [Teller(each, await bookings.next_number(tx), keys, past.policy) for each in planned]
        for steps in zip_longest(*(teller.tell() for teller in tellers)):
            await record_all(tx, [step for step in steps if step is not None])
        await tx.executemany(matches.VIEWED, [look for each in planned for look in looks(each)])
        done = [intent for teller in tellers for intent in teller.operations]
        await tx.executemany(
            sandbox.INSERT,
            [(i.intent_id, i.kind, i.method, i.amount, i.currency, i.parent_id, "succeeded", None, sandbox_ref(i))
             for i in done],
        )  # fmt: skip
    return len(tellers)


async def _city(tx: Tx, people: Cast, houses: Sequence[House]) -> City:
    """Read the city as it stands, so that days are planned over what really is."""
    jurisdiction = houses[0].area.jurisdiction
    offered = {each.service: each for each in await catalogue.services(tx)}
    place = (await catalogue.chain(tx, jurisdiction))[-1]
    hands: dict[UUID, Hand] = {}
    for worker in people.workers[:HANDS]:
        technician_id = worker.person.person_id
        technician = await technicians.get(tx, technician_id)
        if technician is not None:
            held = tuple(await credentials.of_technician(tx, technician_id))
            hands[technician_id] = Hand(technician, held, worker.person.simulated)
    return City(
        houses=houses,
        services=offered,
        rules={service: await rules_at(tx, jurisdiction, service) for service in offered},
        currency=place.currency,
        tax_bp=place.tax_bp,
        hands=hands,
        customers=[person.person_id for person in people.customers],
        favourite=people.workers[0].person.person_id,
        home=HOME,
        policy=Policy(),
    )
