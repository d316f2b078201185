"""One correlation id tells one story: from the request to the last message, post, notification and job."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.house import STEPS, House, open_house
from tests.integration.world import World

STORY = "story-of-one-visit"
KINDS = {"request", "payment", "event", "outbox", "ledger", "job", "notification", "webhook", "socket"}


@pytest.fixture
async def house(world: World, tmp_path: Path) -> AsyncIterator[House]:
    """Everything that serves."""
    async with open_house(world, tmp_path) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[str]:
    """A server outside that takes all posts."""

    async def take(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


def ended(items: list[dict[str, Any]]) -> bool:
    """Tell whether a story that ends with the captured payment came to its end."""
    captured = [i["id"] for i in items if i.get("type") == "payment.captured" and i["kind"] == "event"]
    reached = {i["caused_by"] for i in items if i["kind"] == "socket"}
    work = [i for i in items if i["kind"] == "job"]
    posts = {i["event_id"] for i in items if i["kind"] == "webhook" and i["state"] == "delivered"}
    told = [i for i in items if i["kind"] == "notification" and i["attempts"]]
    names = {i["name"] for i in work if i["runs"] and i["runs"][-1]["outcome"] == "done"}
    return (
        bool(captured)
        and set(captured) <= reached & posts
        and len(told) > 2
        and {"capture_payment", "notify"} <= names
    )


async def test_a_visit_is_one_timeline(house: House, receiver: str) -> None:
    """Booked, accepted, departed, completed over HTTP: each item follows what caused it, to the last message."""
    world, door = house.world, house.door
    wanted = {"url": receiver, "topics": ["payment.captured"]}
    said = await door.ask("POST", "/v1/webhooks", wanted, who=world.founder, key=True)
    assert said.status == 201, said.body
    line = await house.exchange.connect("/bookings", world.customers[0])
    await line.ask("sync", {"cursor": None})
    booking_id = await house.book(X_Correlation_ID=STORY)
    for step in STEPS:
        await house.step(booking_id, step, X_Correlation_ID=STORY)
    async with asyncio.timeout(30):
        while not ended(items := (await told(house))):
            await asyncio.sleep(0.1)
    assert [i["at"] for i in items] == sorted(i["at"] for i in items)
    assert {i["kind"] for i in items} >= KINDS
    assert items[0]["kind"] == "request"
    by_id = {i["id"]: i for i in items if i["id"]}
    for item in items:
        if item["caused_by"] is not None:
            assert by_id[item["caused_by"]]["at"] <= item["at"], item
    captured = next(i for i in items if i["kind"] == "event" and i["type"] == "payment.captured")
    job = by_id[captured["caused_by"]]
    assert (job["kind"], job["name"]) == ("job", "capture_payment")
    assert by_id[job["caused_by"]]["type"] == "booking.completed"
    last = next(i for i in items if i["kind"] == "socket" and i["caused_by"] == captured["id"])
    assert (last["type"], last["sockets"]) == ("payment.captured", 1)
    assert receiver not in str(items)


async def told(house: House) -> list[dict[str, Any]]:
    """Read the story as the founder does."""
    said = await house.door.ask("GET", f"/v1/correlations/{STORY}", who=house.world.founder)
    assert said.status == 200, said.body
    items: list[dict[str, Any]] = said.body["items"]
    return items
