"""System in a real browser: how the house stands, the story of a request as a timeline, a dead letter given again."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from storage.embedded import running_postgres
from tests.e2e.conftest import DemoServer, OpenPage

SOMEBODY_BOOKS_WITHIN_S = 60.0
SIZES = [(1440, False), (390, True)]
EVENT = """
SELECT o.event_id, o.outbox_id, o.topic, o.correlation_id
FROM app.outbox o JOIN app.requests r USING (correlation_id, booking_id)
WHERE o.topic LIKE 'booking.%' AND o.at < now() - interval '2 seconds' ORDER BY o.outbox_id DESC LIMIT 1
"""
PUT = """
INSERT INTO app.dead_letters (subscriber, event_id, outbox_id, topic, correlation_id, attempts, error, at)
VALUES ('webhooks', $1, $2, $3, $4, 8, 'TimeoutError', now()) RETURNING dead_letter_id
"""
DROP = "DELETE FROM app.dead_letters WHERE dead_letter_id = $1"


@pytest.fixture
async def letter(demo_server: DemoServer) -> AsyncIterator[asyncpg.Record]:
    """An event of the demo that webhooks gave up, as the runner lays it down."""
    running = running_postgres(demo_server.data_dir)
    assert running is not None
    owner = await asyncpg.connect(running.owner_url)
    async with asyncio.timeout(SOMEBODY_BOOKS_WITHIN_S):
        while (event := await owner.fetchrow(EVENT)) is None:
            await asyncio.sleep(0.2)
    letter_id: UUID = await owner.fetchval(PUT, *event)
    yield event
    await owner.execute(DROP, letter_id)
    await owner.close()


@pytest.mark.parametrize(("width", "dark"), SIZES)
async def test_a_dead_letter_its_story_and_its_replay(
    open_page: OpenPage, letter: asyncpg.Record, width: int, dark: bool
) -> None:
    """Stores and queues stand, the letter leads to the story of its request, and a press lets it try again."""
    page = await open_page("/system#demo", width=width, dark=dark)
    for block in ("stores", "queues", "jobs", "tasks", "audit", "growth"):
        await page.see(block)
    assert await page.page.get_by_test_id("queues").get_by_text("notifications").count()
    await page.page.get_by_test_id("verdict").get_by_text("dead letter").wait_for()

    row = (
        page.page.get_by_test_id("letters")
        .locator("tbody tr")
        .filter(has_text=f"webhooks: {letter['topic']}")
    )
    await row.locator(".link").click()
    await page.page.locator("[data-testid=story] li[data-kind=event]").first.wait_for()
    assert await page.page.get_by_test_id("story-id").input_value() == letter["correlation_id"]
    kinds = await page.page.eval_on_selector_all(
        "[data-testid=story] li", "all => all.map((one) => one.dataset.kind)"
    )
    assert {"request", "event", "outbox"} <= set(kinds)
    event = page.page.locator("[data-testid=story] li[data-kind=event]").filter(
        has_text=str(letter["event_id"])
    )
    await event.locator("summary").first.click()
    await event.get_by_text(str(letter["event_id"])).first.wait_for()
    await page.assert_sound()

    await row.get_by_role("button", name="Replay").click()
    await page.page.get_by_text("webhooks: it was done.").wait_for()
    await row.wait_for(state="detached")
    await page.press("verify")
    await page.page.get_by_text("The chain holds").wait_for()
    await page.assert_sound()


async def test_what_was_once_shown_stays_in_its_place(open_page: OpenPage) -> None:
    """A new answer changes words where they stand: what a person marked or scrolled is not taken from under them."""
    page = await open_page("/system#demo")
    await page.see("tasks")
    await page.page.evaluate("window.marked = document.querySelector('[data-testid=tasks] td')")
    uptime = "window.doorstep.state.system.uptime_s"
    before = await page.page.evaluate(uptime)
    await page.until(f"{uptime} > {before}")
    assert await page.page.evaluate("window.marked.isConnected")


async def test_a_server_that_is_away_is_said_over_old_numbers(open_page: OpenPage) -> None:
    """Offline: one sentence, with the time of what still stands below; online again: the numbers are new."""
    page = await open_page("/system#demo")
    await page.see("stores")
    await page.page.context.set_offline(True)
    await page.page.get_by_test_id("verdict").get_by_text("Below is how it stood at").wait_for()
    await page.see("stores")
    await page.page.context.set_offline(False)
    await page.page.locator("main.system:not(.old)").wait_for()
