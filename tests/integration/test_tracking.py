"""The way of a fix without a socket: counted once however it is sent, durable only when it is stored."""

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain import commands
from geo.track import Fix
from services import booking as booking_service
from services.booking_command import ChangedInBetweenError
from services.journeys import Journeys
from services.reply import Reply
from services.tracking import FixBatch, ingest
from storage.db import open_database
from storage.telemetry import Telemetry
from tests.integration.world import World

FAR = (39.260, -76.600)


@dataclass(slots=True)
class Phone:
    """One device on one leg, and the process that hears it."""

    world: World
    journeys: Journeys
    booking_id: UUID
    session_id: UUID
    began: datetime

    def fix(self, seq: int) -> Fix:
        """Return the reading of that number: one each 100 ms, creeping north."""
        t_ms = round(self.began.timestamp() * 1000) + seq * 100
        return Fix(seq, t_ms, FAR[0] + seq * 1e-6, FAR[1], 5.0)

    async def send(self, *seqs: int, at: datetime | None = None, device: str = "a") -> dict[str, Any]:
        """Send readings; returns the acknowledgement."""
        batch = FixBatch(self.session_id, device, [self.fix(seq) for seq in seqs])
        now = at or datetime.now(UTC)
        actor = self.world.technician(0)
        answer = await ingest(self.world.stores, self.journeys, actor, "socket", batch, now)
        assert isinstance(answer, Reply), answer
        return dict(answer.body)

    async def written(self) -> None:
        """Wait until telemetry has nothing left."""
        async with asyncio.timeout(10):
            while self.world.stores.telemetry.waiting_rows:
                await asyncio.sleep(0.02)


def process(world: World) -> Journeys:
    """Return the tracks of a process that just started."""
    return Journeys(world.stores, watched=lambda _: True, superseded=lambda *_: None)


async def on_the_way(world: World) -> Phone:
    """Book, accept, depart."""
    booking_id = await world.book(asked=(0,))
    context = world.context(world.technician(0))
    await booking_service.accept(world.stores, booking_id, commands.Accept(), context)
    answer = await booking_service.depart(world.stores, booking_id, commands.Depart(), context)
    assert isinstance(answer, Reply), answer
    began = datetime.now(UTC)
    return Phone(world, process(world), booking_id, UUID(str(answer.body["gps_session_id"])), began)


@pytest.fixture
async def phone(world: World) -> Phone:
    """A phone on its way."""
    return await on_the_way(world)


@pytest.mark.parametrize("seed", range(4))
async def test_counted_once_in_any_order(phone: Phone, seed: int) -> None:
    """Shuffled, cut into messages of any size and half of it sent twice: each fix counts once and becomes durable."""
    rng = random.Random(seed)
    seqs = list(range(1, 151))
    seqs += rng.sample(seqs, 75)
    rng.shuffle(seqs)
    totals = dict.fromkeys(("live", "late", "duplicate", "rejected"), 0)
    later = phone.began + timedelta(seconds=16)
    ack: dict[str, Any] = {}
    while seqs:
        size = rng.randint(1, 40)
        ack = await phone.send(*seqs[:size], at=later)
        seqs = seqs[size:]
        for verdict, count in ack["counts"].items():
            totals[verdict] += count
    assert totals["duplicate"] == 75
    assert totals["live"] + totals["late"] + totals["rejected"] == 150
    assert ack["acked_seq"] == 150
    await phone.written()
    assert (await phone.send(150, at=later))["durable_seq"] == 150
    rows = await phone.world.stores.telemetry.fixes(phone.began.date(), phone.session_id)
    assert sorted(row.seq for row in rows) == list(range(1, 151))


async def test_a_full_queue_loses_nothing(world: World) -> None:
    """While telemetry takes no more, fixes are handled but not durable; sent again later, they are stored."""
    async with open_database(
        world.stores.db.url, role="doorstep_telemetry", min_size=1, max_size=1
    ) as database:
        full = Telemetry(database, max_rows=2)
        phone = await on_the_way(replace(world, stores=replace(world.stores, telemetry=full)))
        assert (await phone.send(1, 2, 3))["acked_seq"] == 3
        assert (await phone.send(1, 2))["counts"]["duplicate"] == 2
        await full.flush()
        ack = await phone.send(3)
        assert (ack["durable_seq"], ack["counts"]["duplicate"]) == (2, 1)
        await full.flush()
        assert (await phone.send(3))["durable_seq"] == 3
        assert len(await full.fixes(phone.began.date(), phone.session_id)) == 3


async def test_a_device_that_comes_back_goes_on_with_its_numbers(phone: Phone) -> None:
    """What it was told to be durable it sends no more, and nobody waits for that."""
    await phone.send(1, 2, 3)
    await phone.written()
    assert (await phone.send(1, device="b"))["acked_seq"] == 1
    ack = await phone.send(3, 4)
    assert (ack["acked_seq"], ack["counts"]["duplicate"]) == (4, 1)


async def test_late_fixes_for_a_day(phone: Phone) -> None:
    """After the leg closed its fixes are late for 24 hours, then refused; later ones were never part of it.

    What is refused for that reason holds nothing up, in a process that began only then either.
    """
    await phone.send(1)
    context = phone.world.context(phone.world.technician(0))
    await booking_service.arrive(phone.world.stores, phone.booking_id, commands.Arrive(), context)
    phone.journeys.close(phone.session_id)
    closed = datetime.now(UTC)
    ack = await phone.send(2, 3, 1, at=closed + timedelta(hours=20))
    assert (ack["counts"]["late"], ack["counts"]["duplicate"]) == (2, 1)
    ack = await phone.send(6000, at=closed + timedelta(hours=1))
    assert ack["rejected"] == [{"seq": 6000, "reason": "after_session"}]
    ack = await phone.send(5, at=closed + timedelta(hours=25))
    assert ack["rejected"] == [{"seq": 5, "reason": "session_closed"}]
    anew = replace(phone, journeys=process(phone.world))
    assert (await anew.send(8, at=closed + timedelta(hours=25)))["durable_seq"] == 8


HOME = (39.290, -76.570)


async def at_the_door(phone: Phone, seq: int) -> None:
    """Send a reading of near the customer's door, of `seq` seconds after the beginning."""
    now = phone.began + timedelta(seconds=seq)
    fix = Fix(seq, round(now.timestamp() * 1000), HOME[0] + 0.001, HOME[1], 5.0)
    batch = FixBatch(phone.session_id, "a", [fix])
    await ingest(phone.world.stores, phone.journeys, phone.world.technician(0), "socket", batch, now)


@pytest.mark.parametrize("error", [OSError, ChangedInBetweenError, asyncpg.LockNotAvailableError])
async def test_near_and_arrived_survive_a_lost_database(
    phone: Phone, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """When the booking cannot be written the detector tells again with the next fix."""
    calls: list[str] = []
    really = booking_service.came_near

    async def away(*given: Any) -> Any:
        calls.append("near")
        if len(calls) == 1:
            raise error
        return await really(*given)

    monkeypatch.setattr(booking_service, "came_near", away)
    for seq in (1, 2, 3):
        await at_the_door(phone, seq)
    assert calls == ["near", "near"]
    assert await times_near(phone) == 1


async def test_near_is_told_again_after_its_handler_was_cancelled(phone: Phone) -> None:
    """Somebody holds the booking for longer than a message may take: the next fix tells what nobody wrote down."""
    owner = await asyncpg.connect(phone.world.owner_url)
    async with owner.transaction():
        await owner.execute("SELECT FROM app.bookings WHERE booking_id = $1 FOR UPDATE", phone.booking_id)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await at_the_door(phone, 1)
    await owner.close()
    assert await times_near(phone) == 0
    await at_the_door(phone, 2)
    assert await times_near(phone) == 1


async def times_near(phone: Phone) -> int:
    """Return how often the booking's story says that its technician came near."""
    async with phone.world.stores.db.reading() as tx:
        count: int = await tx.fetchval("SELECT count(*) FROM app.booking_events WHERE type = 'booking.near'")
    return count
