"""The demo city: seeded once, the same again, consistent, and with every account of the contract at work."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.city import TRACES
from app.seed import PASSWORD, seed
from app.seeds.ids import seeded_id
from app.seeds.people import HOME
from domain.context import Actor, Context, Role
from services.considering import Wish
from services.discovery import discover
from services.policy import Policy
from services.reply import Reply
from services.routing import StraightRouter
from services.sandbox_gateway import SandboxGateway
from services.stores import Stores
from storage.db import open_database
from storage.hot import MemoryHot
from storage.telemetry import open_telemetry
from tests.conftest import Database
from tests.integration.door import Door, open_door
from tests.integration.world import SECRET, World

COUNTS = """
SELECT (SELECT count(*) FROM app.people) AS people, (SELECT count(*) FROM app.technicians) AS technicians,
       (SELECT count(*) FROM app.credentials) AS credentials, (SELECT count(*) FROM app.bookings) AS bookings,
       (SELECT count(*) FROM app.booking_events) AS events, (SELECT count(*) FROM app.ledger_entries) AS entries,
       (SELECT count(*) FROM app.requirement_sets) AS rules, (SELECT count(*) FROM audit.events) AS audit
"""
GAPS = """
SELECT count(*) FROM (SELECT booking_id, count(*) AS n, max(seq) AS last FROM app.booking_events GROUP BY booking_id) e
JOIN app.bookings b USING (booking_id) WHERE e.n <> e.last OR b.version <> e.last
"""
COUNTERS = """
SELECT count(*) FROM app.technicians t
WHERE jobs_completed <> (SELECT count(*) FROM app.bookings b
                         WHERE b.technician_id = t.technician_id AND b.state = 'completed')
   OR rating_count <> (SELECT count(*) FROM app.ratings r WHERE r.technician_id = t.technician_id)
   OR rating_sum <> (SELECT coalesce(sum(stars), 0) FROM app.ratings r WHERE r.technician_id = t.technician_id)
"""
BALANCE = "SELECT sum(debit) - sum(credit) FROM app.ledger_entries"
BOOKS_AGREE = """
SELECT count(*) FROM app.payment_intents i FULL JOIN sandbox.operations o USING (intent_id)
WHERE i.status IS DISTINCT FROM o.outcome OR i.amount IS DISTINCT FROM o.amount OR i.gateway_ref IS DISTINCT FROM o.ref
"""
PHONE_HASH = "SELECT password_hash FROM app.people WHERE email = 'tech-001@sim.doorstep.example'"
STANDINGS = "SELECT status, count(*) AS n FROM app.credentials GROUP BY status"


def account(name: str) -> str:
    """Return a demo account's address."""
    return f"{name}@demo.doorstep.example"


@pytest.fixture
async def city_door(database: Database) -> AsyncIterator[Door]:
    """The HTTP door of a freshly seeded demo city."""
    async with open_database(database.app_url) as db, open_telemetry(database.app_url) as telemetry:
        await seed(db, technicians=12, sim_password="sim-password")
        gateway = SandboxGateway(db, SECRET)
        stores = Stores(db, MemoryHot(), telemetry, StraightRouter(), gateway, Policy(), SECRET)
        world = World(stores, database.owner_url, (), (), seeded_id("person", account("dispatcher")),
                      seeded_id("person", account("founder")))  # fmt: skip
        async with open_door(world) as door:
            yield door


async def test_the_city_is_seeded_once_and_a_second_start_changes_nothing(database: Database) -> None:
    """Two starts leave one city, the second is quick, and what the first wrote is consistent."""
    async with open_database(database.app_url) as db:
        await seed(db, technicians=12, sim_password="sim-password", traces=TRACES)
        owner = await asyncpg.connect(database.owner_url)
        try:
            first = dict(await owner.fetchrow(COUNTS) or {})
            began = datetime.now(UTC)
            await seed(db, technicians=12, sim_password="sim-password", traces=TRACES)
            assert datetime.now(UTC) - began < timedelta(seconds=3)
            assert dict(await owner.fetchrow(COUNTS) or {}) == first
            assert first["bookings"] > 100
            assert await owner.fetchval(GAPS) == 0
            assert await owner.fetchval(COUNTERS) == 0
            assert await owner.fetchval(BALANCE) == 0
            assert await owner.fetchval(BOOKS_AGREE) == 0
            standings = {record["status"] for record in await owner.fetch(STANDINGS)}
            assert standings == {"pending", "verified", "rejected", "suspended", "revoked"}
        finally:
            await owner.close()


async def test_a_later_start_tells_a_yesterday_and_a_new_password_reaches_the_phones(
    database: Database,
) -> None:
    """After days without a server there is a yesterday again; the phones' accounts follow their password."""
    async with open_database(database.app_url) as db:
        await seed(db, technicians=3, sim_password="first-password")
        async with db.reading() as tx:
            before = await tx.fetchval("SELECT count(*) FROM app.bookings")
            old = await tx.fetchval(
                "SELECT password_hash FROM app.people WHERE email = 'tech-001@sim.doorstep.example'"
            )
        await seed(
            db, technicians=3, sim_password="second-password", now=datetime.now(UTC) + timedelta(days=3)
        )
        async with db.reading() as tx:
            after = await tx.fetchval("SELECT count(*) FROM app.bookings")
            new = await tx.fetchval(
                "SELECT password_hash FROM app.people WHERE email = 'tech-001@sim.doorstep.example'"
            )
    assert before < after <= before + 22
    assert new != old


async def test_only_those_whom_a_phone_drives_are_on_duty(database: Database) -> None:
    """A start with more phones puts more technicians on duty, and one with fewer lets the others rest."""
    on_duty = (
        "SELECT count(*) FROM app.technicians t JOIN app.people p ON p.person_id = t.technician_id"
        " WHERE p.email LIKE 'tech-%@sim.doorstep.example' AND jsonb_array_length(t.availability) = 7"
    )
    async with open_database(database.app_url) as db:
        for phones in (5, 9, 4):
            await seed(db, technicians=phones, sim_password="sim-password")
            async with db.reading() as tx:
                assert await tx.fetchval(on_duty) == phones + 3


async def test_the_demo_accounts_sign_in(city_door: Door) -> None:
    """Each of the six accounts signs in with the printed password."""
    for name in ("customer", "technician", "dispatcher", "support", "finance", "founder"):
        said = await city_door.ask("POST", "/v1/auth/token", {"email": account(name), "password": PASSWORD})
        assert said.status == 200, name


async def test_technician_is_offered_near_home_at_any_hour(city_door: Door) -> None:
    """technician@ is free now and among the first three cards of both services at its home base."""
    customer = seeded_id("person", account("customer"))
    technician = seeded_id("person", account("technician"))
    for service in ("haircut", "facial"):
        wish = {"service": service, "lat": HOME[0], "lon": HOME[1], "when": "now"}
        said = await city_door.ask("POST", "/v1/discovery", wish, who=customer)
        assert said.status == 200
        ids = [card["technician"]["technician_id"] for card in said.body["cards"]]
        assert str(technician) in ids[:3]


async def test_every_service_has_somebody_for_the_phones_customers(city_door: Door) -> None:
    """Any service asked for now, anywhere in the city, is answered with cards of qualified people."""
    customer = seeded_id("person", "cust-001@sim.doorstep.example")
    services = await city_door.ask("GET", "/v1/services")
    assert len(services.body["items"]) == 8
    for service in services.body["items"]:
        wish = {"service": service["service"], "lat": 39.2920, "lon": -76.5600, "when": "now", "limit": 50}
        said = await city_door.ask("POST", "/v1/discovery", wish, who=customer)
        assert len(said.body["cards"]) >= 2, service["service"]


async def test_the_geocoder_knows_the_citys_doors(city_door: Door) -> None:
    """A number and the beginning of a street find the house, also behind a comma; strange signs find nothing."""
    customer = seeded_id("person", account("customer"))
    async with city_door.world.stores.db.reading() as tx:
        house = await tx.fetchrow("SELECT street, number FROM app.addresses ORDER BY street, number LIMIT 1")
    assert house is not None
    said = await city_door.ask(
        "GET", f"/v1/geocode?q={house['number']}%20{house['street'][:4]}", who=customer
    )
    assert said.body["items"][0]["line1"] == f"{house['number']} {house['street']}"
    assert (await city_door.ask("GET", "/v1/geocode?q=%25_%5C", who=customer)).body["items"] == []


async def test_an_old_visit_can_be_refunded_through_the_gateway(city_door: Door) -> None:
    """The gateway's books hold the operations of seeded visits, so that a refund of one is not refused."""
    async with city_door.world.stores.db.reading() as tx:
        operation = await tx.fetchrow(
            "SELECT count(*) AS n FROM sandbox.operations o JOIN app.bookings b ON true"
            " JOIN app.payment_intents i USING (booking_id)"
            " WHERE i.intent_id = o.intent_id AND i.kind = 'capture' AND b.state = 'completed'"
        )
    assert operation is not None
    assert operation["n"] > 50


async def test_where_traces_were_driven_there_is_somebody_to_book(database: Database) -> None:
    """The traces' own place has an area, rules that ask nothing, and technicians who are offered there."""
    async with open_database(database.app_url) as db, open_telemetry(database.app_url) as telemetry:
        await seed(db, technicians=1, sim_password="sim-password", traces=TRACES)
        gateway = SandboxGateway(db, SECRET)
        stores = Stores(db, MemoryHot(), telemetry, StraightRouter(), gateway, Policy(), SECRET)
        async with db.reading() as tx:
            place = await tx.fetchrow(
                "SELECT home_lat, home_lon FROM app.technicians WHERE technician_id = $1",
                seeded_id("person", "tech-trace-001@sim.doorstep.example"),
            )
        assert place is not None
        customer = Actor(seeded_id("person", "cust-trace-001@sim.doorstep.example"), Role.CUSTOMER)
        wish = Wish("haircut", place["home_lat"], place["home_lon"], None, (), 10)
        answer = await discover(stores, wish, Context(customer, datetime.now(UTC), "test-of-the-traces"))
        assert isinstance(answer, Reply)
        assert answer.body["jurisdiction"].startswith("ZZ-")
        assert len(answer.body["cards"]) >= 1
