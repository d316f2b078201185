"""Dispatch in a real browser on a real city: what moves on the map has moved on the street."""

import asyncio
import itertools
import math
import os
import re
from pathlib import Path

import pytest
from playwright.async_api import Route

from tests.e2e.conftest import OpenPage
from tests.e2e.watched_page import WatchedPage

SOME_MOVE = "Object.values(window.doorstep?.markers ?? {}).some((m) => m.freshness === 'live')"
SOME_VISITS = "(window.doorstep?.state.visits ?? 0) >= 2"
ALL_IN_SIGHT = "window.doorstep.state.in_sight === Object.keys(window.doorstep.markers).length"
# A dozen technicians are at times all inside somebody's home at once.
PATIENCE_S = 130.0


async def dispatch(
    open_page: OpenPage, *, width: int = 1440, dark: bool = False, shows: str = SOME_MOVE
) -> WatchedPage:
    """Open dispatch as the demo dispatcher, once somebody is on the way there."""
    page = await open_page("/dispatch#demo", width=width, dark=dark)
    await page.until(shows, within_s=PATIENCE_S)
    return page


def metres(a: dict[str, float], b: dict[str, float]) -> float:
    """Reckon a short distance between two places."""
    return math.hypot((a["lat"] - b["lat"]) * 111_320, (a["lon"] - b["lon"]) * 86_000)


async def test_markers_glide(open_page: OpenPage) -> None:
    """A live marker travels, in many small steps and never in one jump."""
    page = await dispatch(open_page)
    seen = []
    for _ in range(40):
        seen.append(await page.markers())
        await asyncio.sleep(0.25)
    travelled = {}
    for booking_id in seen[0]:
        path = [shown[booking_id] for shown in seen if booking_id in shown]
        steps = [metres(a, b) for a, b in itertools.pairwise(path)]
        travelled[booking_id] = (sum(steps), max(steps, default=0.0), sum(step > 0.1 for step in steps))
    total, longest, moves = max(travelled.values())
    assert total > 30, travelled
    assert moves >= 10, travelled
    assert longest < total / 2, travelled
    await page.assert_sound()


async def test_eta_falls(open_page: OpenPage) -> None:
    """Ten seconds of driving bring somebody nearer to the door, in the page's own words too."""
    page = await dispatch(open_page)
    await page.until("Object.values(window.doorstep.state.etas_s).some((s) => s > 60)", within_s=60)
    before = (await page.state())["etas_s"]
    await asyncio.sleep(10)
    after = (await page.state())["etas_s"]
    both = [(before[b], after[b]) for b in before if b in after and before[b] > 60]
    assert any(later < earlier - 5 for earlier, later in both), both


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
async def test_choosing_a_visit(open_page: OpenPage, width: int, dark: bool) -> None:
    """A press in the list opens the visit with its story, the camera follows it, Escape closes it again."""
    page = await dispatch(open_page, width=width, dark=dark)
    await page.press("filter-way")
    await page.press("visit-row")
    await page.see("drawer")
    await page.page.locator("[data-testid=timeline] li[data-type='booking.departed']").wait_for(
        timeout=10_000
    )
    chosen = (await page.state())["chosen"]
    assert chosen
    assert await page.page.get_by_test_id("follow").get_attribute("aria-pressed") == "true"
    await page.assert_sound()
    await page.page.keyboard.press("Escape")
    await page.page.get_by_test_id("drawer").wait_for(state="hidden")


async def test_list_by_keyboard(open_page: OpenPage) -> None:
    """Slash finds the search, arrows walk the list, Enter opens what they stand on."""
    page = await dispatch(open_page, shows=SOME_VISITS)
    await page.page.keyboard.press("/")
    assert await page.page.evaluate("document.activeElement.dataset.testid") == "search"
    await page.page.get_by_test_id("visit-list").focus()
    await page.page.keyboard.press("ArrowDown")
    await page.page.keyboard.press("ArrowDown")
    active = await page.page.get_by_test_id("visit-list").get_attribute("aria-activedescendant")
    await page.page.keyboard.press("Enter")
    await page.see("drawer")
    assert active == f"visit-{(await page.state())['chosen']}"


async def test_search_leaves_what_matches(open_page: OpenPage) -> None:
    """A search for nonsense says that nothing matches; an empty one brings everybody back."""
    page = await dispatch(open_page, shows=SOME_VISITS)
    await page.page.get_by_test_id("search").fill("zzzz nobody")
    await page.see("empty")
    await page.page.get_by_test_id("search").fill("")
    await page.see("visit-row")
    await page.assert_sound()


async def test_a_lost_connection_is_said_and_heals(open_page: OpenPage) -> None:
    """Offline: the page says that it reconnects and nothing moves; online again: everything does."""
    page = await dispatch(open_page)
    await page.page.context.set_offline(True)
    await page.until("window.doorstep.state.link === 'offline'", within_s=60)
    await page.see("away")
    still = await page.markers()
    await asyncio.sleep(2)
    assert await page.markers() == still
    assert all(marker["freshness"] != "live" for marker in still.values())
    await page.page.context.set_offline(False)
    await page.until("window.doorstep.state.link === 'online'", within_s=30)
    await page.until(SOME_MOVE, within_s=PATIENCE_S / 2)


@pytest.mark.parametrize(("width", "shown"), [(1440, 3), (390, 1)])
async def test_every_alert_can_be_reached(open_page: OpenPage, width: int, shown: int) -> None:
    """A few of many alerts are shown, one on a phone; a press shows all, another the few again."""
    kinds = ["late_to_start", "predicted_late", "stopped", "silent", "off_route", "overrun", "unanswered"]
    page = await open_page("/dispatch", width=width)

    async def many(route: Route) -> None:
        fields: dict[str, object] = {
            "booking_id": None, "technician_id": None, "area_id": None, "state": "raised", "data": {},
        }  # fmt: skip
        at = "2026-01-01T00:00:00.000Z"
        items = [{"alert_id": f"alert-{kind}", "kind": kind, "at": at, **fields} for kind in kinds]
        await route.fulfill(json={"items": items, "next_cursor": None})

    await page.page.route(re.compile(r"/v1/alerts\?"), many)
    await page.press("demo-sign-in")
    alerts = page.page.get_by_test_id("alert")
    await alerts.nth(shown - 1).wait_for()
    for all_or_few in (f">= {len(kinds)}", f"=== {shown}"):
        await page.press("more-alerts")
        await page.until(f"document.querySelectorAll('[data-testid=alert]').length {all_or_few}")
    await page.assert_sound()


async def test_everyone_is_in_the_picture(open_page: OpenPage) -> None:
    """The map shows everybody when asked to, beside the details of a visit too."""
    page = await dispatch(open_page)
    for open_details in (False, True):
        if open_details:
            await page.press("filter-way")
            await page.press("visit-row")
            await page.see("drawer")
        await page.page.get_by_role("button", name="Show everyone").click()
        await page.until(ALL_IN_SIGHT, within_s=10)


async def test_who_drives_elsewhere_is_in_a_picture_too(open_page: OpenPage) -> None:
    """With the drawn city on another continent the map shows those who drive, not the ocean between."""
    page = await dispatch(open_page)

    async def far_away(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(
            response=answer, json={**await answer.json(), "bounds": [-3.05, 53.35, -2.9, 53.45]}
        )

    await page.page.route("**/pages/config.json", far_away)
    await page.page.reload()
    await page.until(f"Object.keys(window.doorstep?.markers ?? {{}}).length && {ALL_IN_SIGHT}", within_s=30)
    first, *others = (await page.markers()).values()
    assert all(metres(first, other) < 50_000 for other in others)
    assert await page.page.evaluate("window.doorstep.state.zoom") > 10


async def test_picture_for_the_readme(open_page: OpenPage, tmp_path: Path) -> None:
    """The picture of the README is what the page shows: a whole city on the way, and one visit chosen.

    DOORSTEP_WRITE_SCREENSHOTS=1 writes it there; the address of a demo in its place takes it of that demo.
    """
    write = os.environ.get("DOORSTEP_WRITE_SCREENSHOTS", "")
    page = await dispatch(open_page)
    await page.page.set_viewport_size({"width": 1600, "height": 860})
    if write.startswith("http"):
        await page.page.goto(f"{write}/dispatch#demo")
        await page.until(SOME_MOVE, within_s=PATIENCE_S)
        await asyncio.sleep(2)
    await page.press("filter-way")
    await page.page.get_by_test_id("visit-row").nth(4 if write.startswith("http") else 0).click()
    await page.see("drawer")
    await page.press("filter-all")
    await page.page.get_by_role("button", name="Show everyone").click()
    await asyncio.sleep(6)
    folder = Path(__file__).parents[2] / "docs" / "images" if write else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / "dispatch.png"
    await page.page.screenshot(path=picture)
    assert picture.stat().st_size > 50_000
