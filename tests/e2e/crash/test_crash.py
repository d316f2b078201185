"""kill -9 at random moments of a running load: nothing acknowledged is lost, nothing happens twice, everything agrees.

The serving process dies alone, or PostgreSQL does with all of its processes. A page that the kernel had not written
survives a kill -9, so fsync and synchronous_commit are asserted beside it.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.crash import proof
from tests.e2e.crash.house import Crew, House
from tests.e2e.crash.load import Load

PAIRS = 10
SERVER, POSTGRESQL = "server", "postgresql"
LOAD_S = (0.2, 1.2)  # how long people live between two crashes


@dataclass(slots=True)
class Tally:
    """What a run of crashes came to."""

    cycles: int = 0
    proved: int = 0
    acknowledged: int = 0
    refused: int = 0


@pytest.fixture
def house(tmp_path: Path, unused_tcp_port: int) -> Iterator[House]:
    """A house that is not yet open."""
    built = House(tmp_path, unused_tcp_port)
    yield built
    built.end()


@pytest.fixture
def crew(house: House) -> Crew:
    """Who works and lives in it."""
    return house.furnish(PAIRS)


async def crash(house: House, crew: Crew, victims: list[str], seed: int, *, patient: bool = False) -> Tally:
    """Live, die, come back, and prove; once for each victim. `patient`: a dead worker's jobs are really outwaited."""
    rng, tally = random.Random(seed), Tally()
    await house.start()
    assert await house.keeps_its_word()
    connector = aiohttp.TCPConnector(limit=0, force_close=False)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        load = Load(http, house.url, crew, rng)
        subscriber = proof.Subscriber(http, house.url, crew.dispatcher)
        listening = asyncio.create_task(subscriber.wire.run())
        await subscriber.wire.wait_up()
        living = asyncio.create_task(load.run())
        for victim in victims:
            await asyncio.sleep(rng.uniform(*LOAD_S))
            died_at = datetime.now(UTC)
            if victim == SERVER:
                house.kill_server()
                await house.start()
            else:
                house.kill_postgresql()
                await house.is_back()
            await house.let_leases_run_out(died_at, jobs=not patient)
            await _prove(house, load, tally)
        load.stop.set()
        async with asyncio.timeout(60):
            await living
        await _prove(house, load, tally)
        async with house.database() as db:
            wrong = await proof.settled(db, 60)
            wrong += await proof.caught_up(db, subscriber, 30) + await proof.whole(db)
        listening.cancel()
        await asyncio.wait({listening})
    assert wrong == []
    assert len(subscriber.heard) > tally.acknowledged
    return tally


async def _prove(house: House, load: Load, tally: Tally) -> None:
    told = load.ledger.told[tally.proved :]
    async with house.database() as db:
        wrong = [*load.ledger.wrong, *await proof.acknowledged(db, told), *await proof.whole(db)]
    assert wrong == [], "\n".join([f"cycle {tally.cycles}", *wrong, house.said()])
    tally.cycles += 1
    tally.proved += len(told)
    tally.acknowledged += sum(t.done for t in told)
    tally.refused += sum(not t.done for t in told)


async def test_a_crash_loses_and_repeats_nothing(house: House, crew: Crew) -> None:
    """The server dies twice and PostgreSQL once."""
    tally = await crash(house, crew, [SERVER, POSTGRESQL, SERVER], seed=1)
    assert tally.acknowledged > 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_a_hundred_crashes_lose_and_repeat_nothing(house: House, crew: Crew) -> None:
    """Sixty times the server, forty times PostgreSQL, in a random order."""
    victims = [SERVER] * 60 + [POSTGRESQL] * 40
    random.Random(2).shuffle(victims)
    tally = await crash(house, crew, victims, seed=3, patient=True)
    assert tally.cycles > 100
    assert tally.acknowledged > 1000
