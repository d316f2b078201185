"""The main job, whole: a real server, a seeded city, and simulated people who use it over the wire alone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import seed
from app.city import STREETS, TRACES, prepare_roads
from app.serving import listening
from app.settings import Settings
from app.wiring import create_app, open_stores
from loadtest.city import CityPlan, run
from loadtest.shapes import Json
from tests.conftest import Database

PASSWORD = "doorstep-demo"
KEY = b"a key of the tests, long enough to sign with"
CREW = 6
PATIENCE_S = 120.0


@pytest.fixture
async def city_url(database: Database, tmp_path: Path) -> AsyncIterator[str]:
    """A served, seeded demo city with streets and the bus's area."""
    settings = Settings(
        data_dir=tmp_path,
        routing_dir=prepare_roads(tmp_path),
        requests_per_s=1_000,
        requests_burst=4_000,
        sign_ins_per_minute=5_000,
        sign_ins_burst=1_000,
        check_answers=True,
    )
    async with open_stores(settings, database.app_url, KEY) as stores:
        await seed.seed(
            stores.db,
            technicians=CREW,
            traces=TRACES,
            sim_password=PASSWORD,
            now=datetime.now(UTC),
        )
    async with listening(create_app(settings, database.app_url, KEY, demo=True), "127.0.0.1", 0) as url:
        yield url


async def live(url: str, plan: CityPlan, *wanted: str) -> Json:
    """Let the city live until everything wanted has happened; its last status."""
    stop, status = asyncio.Event(), {}

    def report(now: Json) -> None:
        status.update(now)
        if all(now["counts"].get(name) for name in wanted):
            stop.set()

    asyncio.get_running_loop().call_later(PATIENCE_S, stop.set)
    await run(url, plan, stop, report)
    return status


async def test_phones_drive_streets_to_bookings_that_end_well(city_url: str, tmp_path: Path) -> None:
    """Customers book, technicians drive real streets, positions are seen, visits are completed and rated."""
    plan = CityPlan(
        PASSWORD, technicians=CREW, customers=CREW, speed=200, roads=tmp_path / "roads", streets=STREETS
    )
    status = await live(city_url, plan, "complete", "rate")
    assert status["counts"].get("complete"), status
    assert status["counts"].get("rate"), status
    assert status["fix_to_customer_ms"]["count"] > 10
    assert status["counts"].get("rejected_teleport", 0) <= 0.02 * status["counts"]["fixes"]


async def test_a_folder_of_traces_is_driven_where_it_was_driven(city_url: str, tmp_path: Path) -> None:
    """The bus's trips become drives of technicians in an area of their own, watched by customers there."""
    plan = CityPlan(PASSWORD, technicians=0, customers=0, speed=200, roads=tmp_path / "roads", traces=TRACES)
    status = await live(city_url, plan, "depart", "positions")
    assert status["counts"].get("positions"), status
