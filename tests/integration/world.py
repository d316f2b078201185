"""A small true world for integration tests: one area, two services, four technicians, two customers, real stores.

Everything is written through the product's own doors for truth, so that a test begins where a running house would be.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg

from app.posting import open_poster
from domain.availability import ALWAYS
from domain.commands import Address, RequestBooking
from domain.context import SYSTEM, Actor, Claim, Context, Role
from domain.matching import MatchMade
from domain.trust import Technician, TechnicianStatus, TechnicianWritten
from services.booking_request import request
from services.policy import Policy
from services.reply import Reply
from services.routing import StraightRouter
from services.sandbox_gateway import SandboxGateway
from services.stores import Stores
from storage import people, personal
from storage.db import open_database
from storage.hot import MemoryHot
from storage.ids import new_id
from storage.journal import record
from storage.telemetry import open_telemetry

AREA = UUID(int=0xA)
HOME = (39.290, -76.570)
SQUARE = [[-76.61, 39.25], [-76.52, 39.25], [-76.52, 39.31], [-76.61, 39.31], [-76.61, 39.25]]
SECRET = b"test-secret-test-secret-test-secret!"

CATALOGUE = """
INSERT INTO app.jurisdictions (code, parent, name, level, tax_bp) VALUES
    ('US', NULL, 'United States', 'federal', 0), ('US-MD', 'US', 'Maryland', 'state', 600);
INSERT INTO app.services (service, name, category, description, duration_s, base_amount, currency) VALUES
    ('haircut', 'Haircut', 'beauty', 'A haircut', 2700, 4000, 'USD'),
    ('massage', 'Massage', 'care', 'A massage', 3600, 9000, 'USD');
INSERT INTO app.experiences (experience, name, description) VALUES ('quiet_visit', 'Quiet', 'Few words');
INSERT INTO app.requirement_sets (jurisdiction, service, version, requirements) VALUES
    ('US', 'haircut', 1, '[]'), ('US-MD', 'haircut', 1, '[]'),
    ('US', 'massage', 1, '[]'), ('US-MD', 'massage', 1, '[]');
"""
AREA_ROW = """
INSERT INTO app.service_areas (area_id, name, jurisdiction, time_zone, geometry)
VALUES ($1, 'Harbor', 'US-MD', 'America/New_York', $2)
"""


@dataclass(frozen=True, slots=True)
class World:
    """Real stores, and the people of this world."""

    stores: Stores
    owner_url: str
    customers: tuple[UUID, ...]
    technicians: tuple[UUID, ...]
    dispatcher: UUID
    founder: UUID

    def customer(self, n: int = 0) -> Actor:
        """Return a customer."""
        return Actor(self.customers[n], Role.CUSTOMER)

    def technician(self, n: int = 0) -> Actor:
        """Return a technician."""
        return Actor(self.technicians[n], Role.TECHNICIAN)

    def dispatch(self) -> Actor:
        """Return the dispatcher of the area."""
        return Actor(self.dispatcher, Role.DISPATCHER, frozenset({AREA}))

    async def match(
        self,
        starts_at: datetime,
        *,
        customer: int = 0,
        asked: tuple[int, ...] = (0, 1, 2),
        service: str = "haircut",
    ) -> tuple[UUID, list[UUID]]:
        """Write a match with a card for each asked technician; returns its id and the card ids in order."""
        match_id, cards = new_id(), [new_id() for _ in asked]
        quote = {"base": 4000, "travel": 500, "tax": 270, "total": 4770, "currency": "USD", "tax_bp": 600}
        async with self.stores.db.transaction() as tx:
            key = await personal.key_of(tx, self.customers[customer])
            assert key is not None
            fact = MatchMade(
                {
                    "match_id": match_id, "customer_id": self.customers[customer], "service": service,
                    "experience": ["quiet_visit"], "asked_for": None, "jurisdiction": "US-MD", "area_id": AREA,
                    "ranking_version": "test", "reason": None, "weights": {}, "seed": 1, "swaps": [],
                    "place": personal.seal(key, {"lat": HOME[0], "lon": HOME[1]}),
                    "expires_at": datetime.now(UTC) + timedelta(minutes=15),
                },
                [
                    {
                        "match_id": match_id, "technician_id": self.technicians[n], "card_id": cards[i],
                        "position": i + 1, "base_rank": i + 1, "features": {}, "contributions": {}, "score": 1.0,
                        "card": {}, "quote": quote, "starts_at": starts_at,
                    }
                    for i, n in enumerate(asked)
                ],
            )  # fmt: skip
            await record(tx, [fact], self.context(self.customer(customer)))
        return match_id, cards

    def context(self, actor: Actor, *, key: str | None = None, now: datetime | None = None) -> Context:
        """Return a fresh request of this actor; `key` is its Idempotency-Key."""
        claim = None
        if key is not None:
            claim = Claim(str(actor.person_id), "test", key, b"same")
        return Context(actor, now or datetime.now(UTC), f"test-{new_id().hex}", claim)

    async def book(
        self,
        starts_at: datetime | None = None,
        *,
        customer: int = 0,
        asked: tuple[int, ...] = (0, 1, 2),
        fallback: str = "none",
        method: str = "sandbox_ok",
        key: str | None = None,
    ) -> UUID:
        """Request a visit from the first asked technician; returns the booking's id."""
        when = starts_at or datetime.now(UTC) + timedelta(minutes=30)
        match_id, cards = await self.match(when, customer=customer, asked=asked)
        command = RequestBooking(match_id, cards[0], address(), method, fallback=fallback)
        answer = await request(self.stores, command, self.context(self.customer(customer), key=key))
        assert isinstance(answer, Reply), answer
        return UUID(str(answer.body["booking_id"]))


def address() -> Address:
    """Return a door in the area."""
    return Address("12 Harbor Street", "Baltimore", "21231", HOME[0], HOME[1])


@asynccontextmanager
async def open_world(app_url: str, owner_url: str, policy: Policy | None = None) -> AsyncIterator[World]:
    """Furnish a migrated database and open real stores over it."""
    owner = await asyncpg.connect(owner_url)
    await owner.execute(CATALOGUE)
    await owner.execute(AREA_ROW, AREA, json.dumps({"type": "Polygon", "coordinates": [SQUARE]}))
    await owner.close()
    async with (
        open_database(app_url, max_size=12) as db,
        open_telemetry(app_url) as telemetry,
        open_poster(allow=("127.0.0.0/8",), http=True) as poster,
        open_database(app_url, role="doorstep_metrics", min_size=0, max_size=2) as reports,
    ):
        gateway = SandboxGateway(db, SECRET)
        stores = Stores(
            db, MemoryHot(), telemetry, StraightRouter(), gateway, policy or Policy(), SECRET, poster=poster,
            reports=reports,
        )  # fmt: skip
        yield await _people(stores, owner_url)


async def _people(stores: Stores, owner_url: str) -> World:
    async with stores.db.transaction() as tx:
        made: dict[str, list[UUID]] = {}
        for role, count in (
            (Role.CUSTOMER, 2),
            (Role.TECHNICIAN, 4),
            (Role.DISPATCHER, 1),
            (Role.FOUNDER, 1),
        ):
            for n in range(count):
                person_id = new_id()
                made.setdefault(role, []).append(person_id)
                await people.add(tx, person_id, email=f"{role}{n}@test.example", password_hash="x",
                                 display_name=f"{role.title()} {n}", role=role,
                                 areas=frozenset({AREA}) if role == Role.DISPATCHER else frozenset())  # fmt: skip
        one = Technician(
            technician_id=UUID(int=0), display_name="", bio="", status=TechnicianStatus.APPROVED,
            services=("haircut", "massage"), experiences=("quiet_visit",), home_lat=HOME[0], home_lon=HOME[1],
            radius_m=20_000, time_zone="America/New_York", photo_url=None, availability=ALWAYS,
            member_since=date(2025, 1, 1),
        )  # fmt: skip
        facts = [TechnicianWritten(replace(one, technician_id=t)) for t in made[Role.TECHNICIAN]]
        await record(tx, facts, Context(SYSTEM, datetime.now(UTC), "test-world-made"))
    return World(
        stores=stores,
        owner_url=owner_url,
        customers=tuple(made[Role.CUSTOMER]),
        technicians=tuple(made[Role.TECHNICIAN]),
        dispatcher=made[Role.DISPATCHER][0],
        founder=made[Role.FOUNDER][0],
    )
