"""A small real world for money: a database, the sandbox gateway, and a completed visit whose payment is held."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain import booking_events as ev
from domain.booking import Booking, Price, State, apply
from domain.context import SYSTEM, Context
from domain.facts import Fact
from domain.payments import Authorized, Kind, PaymentIntended, PaymentIntent, PaymentSettled, Status
from services.job import Later
from services.payments import authorize
from services.policy import Policy
from services.routing import StraightRouter
from services.sandbox_gateway import SandboxGateway
from services.stores import Stores
from storage.db import open_database
from storage.hot import MemoryHot
from storage.ids import new_id
from storage.journal import record
from storage.telemetry import open_telemetry
from tests.conftest import Database

PEOPLE = """
INSERT INTO app.people (person_id, email, display_name, role) VALUES
    ($1, 'c@example.org', 'C', 'customer'), ($2, 't@example.org', 'T', 'technician'),
    ($3, 'f@example.org', 'F', 'finance')
"""
CATALOGUE = """
INSERT INTO app.jurisdictions (code, name, level) VALUES ('US-MD', 'Maryland', 'state');
INSERT INTO app.services (service, name, category, description, duration_s, base_amount, currency)
VALUES ('haircut', 'Haircut', 'hair', '', 2700, 4000, 'USD');
INSERT INTO app.service_areas (area_id, name, jurisdiction, time_zone, geometry)
VALUES ('00000000-0000-0000-0000-00000000000a', 'Area', 'US-MD', 'America/New_York', '{}')
"""
TECHNICIAN = """
INSERT INTO app.technicians (technician_id, status, services, home_lat, home_lon, radius_m, time_zone, member_since)
VALUES ($1, 'approved', '{haircut}', 39.3, -76.6, 10000, 'America/New_York', '2025-01-01')
"""


type Owner = asyncpg.Connection[asyncpg.Record]


@dataclass(frozen=True, slots=True)
class World:
    """What the tests of money share. `owner` may look at everything."""

    stores: Stores
    owner: Owner
    customer_id: UUID
    technician_id: UUID
    finance_id: UUID

    def context(self, story: str = "story-of-a-test", **changes: Any) -> Context:
        """Return the system's context in a story."""
        return replace(Context(SYSTEM, datetime.now(UTC), story), **changes)

    async def record(self, *facts: Fact, story: str = "story-of-a-test") -> None:
        """Record facts in a transaction of their own."""
        async with self.stores.db.transaction() as tx:
            await record(tx, facts, self.context(story))

    async def held(
        self,
        method: str = "sandbox_ok",
        *,
        kind: Kind = Kind.AUTHORIZE,
        price: Price | None = None,
        completed: bool = True,
    ) -> tuple[Booking, PaymentIntent]:
        """A booking whose payment was authorised (or verified) as `services.booking_request` does it."""
        now = datetime.now(UTC)
        price = price or Price(4000, 500, 270, 4770, "USD", 600)
        blank = Booking(
            booking_id=new_id(), number=f"T-{new_id().hex[-8:]}", state=State.REQUESTED, version=0, service="haircut",
            experience=(), customer_id=self.customer_id, technician_id=None, match_id=new_id(), card_id=new_id(),
            area_id=UUID(int=10), jurisdiction="US-MD", starts_at=now, ends_at=now + timedelta(minutes=45),
            expected_end_at=None, deadline_at=None, price=price, payment_status="pending", gps_session_id=None,
            fallback="none", address=b"sealed", offered=(), near_at=None, arrived_at=None, fee_amount=0, rated=False,
            created_at=now, updated_at=now,
        )  # fmt: skip
        intent = PaymentIntent(new_id(), blank.booking_id, kind, method, price.total, price.currency)
        await self.record(PaymentIntended(intent))
        answer = await authorize(self.stores, intent)
        assert isinstance(answer, Authorized)
        facts: list[Fact] = []
        booking = blank
        for happened in (
            ev.Requested(self.technician_id, now + timedelta(minutes=5)),
            ev.PaymentAuthorized(intent.intent_id, price.total, price.currency, answer.verified_only),
            ev.Accepted(self.technician_id, {}),
            *([ev.Completed()] if completed else []),
        ):
            fact = apply(booking, happened, now)
            facts.append(fact)
            booking = fact.booking
        await self.record(*facts, PaymentSettled(intent.intent_id, Status.SUCCEEDED, answer.gateway_ref))
        return booking, replace(intent, status=Status.SUCCEEDED)

    async def one(self, sql: str, *args: object) -> Any:
        """Read one value as the owner."""
        return await self.owner.fetchval(sql, *args)

    async def balanced(self) -> bool:
        """Tell whether every currency's debits equal its credits."""
        off = await self.one(
            "SELECT count(*) FROM (SELECT FROM app.ledger_entries GROUP BY currency HAVING sum(debit) <> sum(credit)) x"
        )
        return bool(off == 0)


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """Open a world on a database of this test's own."""
    owner = await asyncpg.connect(database.owner_url)
    customer_id, technician_id, finance_id = new_id(), new_id(), new_id()
    await owner.execute(PEOPLE, customer_id, technician_id, finance_id)
    await owner.execute(CATALOGUE)
    await owner.execute(TECHNICIAN, technician_id)
    async with (
        open_database(database.app_url, max_size=25) as db,
        open_telemetry(database.app_url) as telemetry,
    ):
        stores = Stores(
            db=db, hot=MemoryHot(), telemetry=telemetry, router=StraightRouter(),
            gateway=SandboxGateway(db, b"k" * 32, slow_s=0.2), policy=Policy(), secret_key=b"k" * 32,
        )  # fmt: skip
        yield World(stores, owner, customer_id, technician_id, finance_id)
    await owner.close()


type Retrying = Callable[[Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]]


@pytest.fixture
def patiently() -> Retrying:
    """Run a job as the worker would: again, a moment later, while it says so."""

    async def again(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for _ in range(50):
            try:
                return await run()
            except Later:
                await asyncio.sleep(0.05)
        pytest.fail("the job never got to run")

    return again


def payload(intent_id: UUID) -> Mapping[str, Any]:
    """Return the payload of a payment job."""
    return {"intent_id": str(intent_id)}
