"""Stories with known times for tests of metrics: written as facts through the journal, counted by the subscriber."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from domain import booking_events as ev
from domain.booking import Booking, apply
from domain.context import Actor, Context, Role
from domain.matching import MatchMade
from services.metrics import METRICS
from services.subscribers import one_pass
from storage import bookings
from storage.ids import new_id
from storage.journal import record
from tests.integration.world import AREA, SQUARE, World
from tests.unit.bookings import blank

BEHIND = """
SELECT count(*) FROM app.bookings b LEFT JOIN metrics.visits v USING (booking_id) WHERE v.seq IS DISTINCT FROM b.version
"""
AREA_ROW = """
INSERT INTO app.service_areas (area_id, name, jurisdiction, time_zone, geometry) VALUES ($1, 'Far', 'US-MD', $2, $3)
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A discovery: its match, and the card of each technician who was shown, in order."""

    match_id: UUID
    at: datetime
    service: str
    area_id: UUID
    cards: Mapping[int, UUID]


async def lay_out(world: World, area_id: UUID, time_zone: str) -> None:
    """Add an area by another clock."""
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute(
        AREA_ROW, area_id, time_zone, json.dumps({"type": "Polygon", "coordinates": [SQUARE]})
    )
    await owner.close()


async def discovered(
    world: World,
    at: datetime,
    *,
    technicians: Sequence[int] = (0, 1, 2),
    service: str = "haircut",
    wishes: Sequence[str] = (),
    area_id: UUID | None = AREA,
) -> Shown:
    """Somebody asked who could come, and these were shown."""
    match_id, cards = new_id(), {n: new_id() for n in technicians}
    match = {
        "match_id": match_id, "customer_id": world.customers[0], "service": service, "experience": list(wishes),
        "asked_for": None, "jurisdiction": "US-MD" if area_id else None, "area_id": area_id, "ranking_version": "test",
        "reason": None if cards else "outside_service_area", "weights": {}, "seed": 1, "swaps": [], "place": b"sealed",
        "expires_at": at + timedelta(minutes=15),
    }  # fmt: skip
    candidates: list[dict[str, object]] = [
        {"match_id": match_id, "technician_id": world.technicians[n], "card_id": card_id, "position": place,
         "base_rank": place, "features": {}, "contributions": {}, "score": 1.0, "card": {}, "quote": None}
        for place, (n, card_id) in enumerate(cards.items(), 1)
    ]  # fmt: skip
    async with world.stores.db.transaction() as tx:
        await record(tx, [MatchMade(match, candidates)], Context(world.customer(), at, "test-discovery"))
    return Shown(match_id, at, service, area_id or AREA, cards)


class Story:
    """A booking whose events are told by hand, at known times."""

    def __init__(self, world: World, booking: Booking) -> None:
        self.world = world
        self.booking = booking

    @property
    def booking_id(self) -> UUID:
        """The booking's id."""
        return self.booking.booking_id

    async def tell(self, happened: ev.Happened, at: datetime, role: Role = Role.SYSTEM) -> None:
        """One more event, by somebody of that role."""
        fact = apply(self.booking, happened, at)
        actor = Actor(None, role, "all")
        async with self.world.stores.db.transaction() as tx:
            await record(tx, [fact], Context(actor, at, "test-story-told"))
        self.booking = fact.booking


async def asked(
    world: World, shown: Shown, at: datetime, *, technician: int = 0, starts_at: datetime | None = None
) -> Story:
    """A customer asked a technician who was shown."""
    starts_at = starts_at or at + timedelta(hours=3)
    async with world.stores.db.reading() as tx:
        number = await bookings.next_number(tx)
    booking = replace(
        blank(), booking_id=new_id(), number=number, service=shown.service, customer_id=world.customers[0],
        match_id=shown.match_id, card_id=shown.cards[technician], area_id=shown.area_id, starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=45), created_at=at, updated_at=at,
    )  # fmt: skip
    story = Story(world, booking)
    await story.tell(
        ev.Requested(world.technicians[technician], at + timedelta(minutes=5)), at, Role.CUSTOMER
    )
    return story


async def count_all(world: World) -> None:
    """Let the subscriber count until it has heard of everything."""
    async with asyncio.timeout(20), world.stores.db.reading() as tx:
        while await tx.fetchval(BEHIND):
            if (await one_pass(world.stores, METRICS)).wait_s != 0.0:
                await asyncio.sleep(0.01)


async def rows(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return all that reports can read of bookings and discoveries, in a fixed order."""
    keys = {
        "visits": "booking_id",
        "offers": "booking_id, seq",
        "discoveries": "match_id",
        "cards": "card_id",
    }
    async with world.stores.db.transaction() as tx:
        await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return {
            table: [dict(r) for r in await tx.fetch(f"SELECT * FROM metrics.{table} ORDER BY {key}")]
            for table, key in keys.items()
        }


def utc(text: str) -> datetime:
    """Read a time that is written in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
