"""The whole application over the small world: both doors, every supervised task, on a port of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient

from app.serving import listening
from app.settings import Settings
from app.wiring import REALTIME, create_app
from tests.integration.door import Door, Said
from tests.integration.sockets import Exchange
from tests.integration.world import HOME, SECRET, World

STEPS = ("accept", "depart", "arrive", "start", "complete")


@dataclass(frozen=True, slots=True)
class House:
    """A served application, and who comes to its doors."""

    world: World
    door: Door
    exchange: Exchange
    url: str

    async def book(self, **headers: Any) -> UUID:
        """Request a visit over HTTP; returns its id."""
        match_id, cards = await self.world.match(datetime.now(UTC) + timedelta(minutes=30))
        body = {
            "match_id": str(match_id), "card_id": str(cards[0]), "payment_method": "sandbox_ok",
            "address": {"line1": "12 Harbor Street", "city": "Baltimore", "postcode": "21231",
                        "lat": HOME[0], "lon": HOME[1]},
        }  # fmt: skip
        said = await self.door.ask(
            "POST", "/v1/bookings", body, who=self.world.customers[0], key=True, **headers
        )
        assert said.status == 201, said.body
        return UUID(said.body["booking_id"])

    async def step(self, booking_id: UUID, name: str, **headers: Any) -> Said:
        """Let the technician do something over HTTP."""
        path = f"/v1/bookings/{booking_id}/{name}"
        said = await self.door.ask("POST", path, {}, who=self.world.technicians[0], key=True, **headers)
        assert said.status == 200, said.body
        return said


@asynccontextmanager
async def open_house(world: World, data_dir: Path, **given: Any) -> AsyncIterator[House]:
    """Serve everything while the block runs."""
    settings = Settings(
        data_dir=data_dir, post_allow=("127.0.0.0/8",), post_http=True, check_answers=True, **given
    )
    app = create_app(settings, world.stores.db.url, SECRET)
    async with (
        listening(app, "127.0.0.1", 0) as url,
        aiohttp.ClientSession(url) as session,
    ):
        client = cast("TestClient[web.Request, web.Application]", session)
        exchange = Exchange(world, url, app[REALTIME])
        try:
            yield House(world, Door(client, world), exchange, url)
        finally:
            await exchange.hang_up()
