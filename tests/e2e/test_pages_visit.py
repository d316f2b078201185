"""One visit through all its pages, as three people live it: each in a browser of their own, nothing simulated."""

import asyncio
import re

from playwright.async_api import Geolocation

from tests.e2e.conftest import OpenPage
from tests.e2e.watched_page import WatchedPage

STREET = "1030 South Linwood"
DOOR = (39.28023, -76.57557)
START_NORTH_M = 620.0
STOP_NORTH_M = 240.0
STEP_M = 20.0
FAVOURITE = "Terry Technician"


def north_of_door(metres: float) -> Geolocation:
    """A place on the street north of the door, as a browser's geolocation."""
    return {"latitude": DOOR[0] + metres / 111_320, "longitude": DOOR[1], "accuracy": 6}


async def drive(technician: WatchedPage) -> None:
    """Come down the street at 20 m/s and stop before the corner."""
    metres = START_NORTH_M
    while metres > STOP_NORTH_M:
        metres -= STEP_M
        await technician.page.context.set_geolocation(north_of_door(metres))
        await asyncio.sleep(1)


async def book(customer: WatchedPage) -> None:
    """Choose the first service at the address, find the demo technician among the cards, look at licences, and ask."""
    page = customer.page
    await customer.see("service")
    await page.get_by_test_id("street").fill(STREET)
    await customer.press("hit")
    await customer.press("discover")
    card = page.get_by_test_id("card").filter(has_text=FAVOURITE)
    await card.get_by_test_id("credentials").click(timeout=20_000)
    await customer.see("credential-view")
    await page.get_by_test_id("credential-view").get_by_text("Maryland").first.wait_for()
    await page.keyboard.press("Escape")
    await card.get_by_test_id("choose").click()
    await page.get_by_test_id("cancellation-policy").get_by_text("25 % to 50 %").wait_for(timeout=10_000)
    await customer.press("confirm")
    await customer.until("window.doorstep.state.state === 'requested'")


async def shared_link(customer: WatchedPage) -> str:
    """Make a link for a guest and read it off the sheet."""
    await customer.press("share")
    await customer.see("share-url")
    url = await customer.page.get_by_test_id("share-url").input_value()
    await customer.page.keyboard.press("Escape")
    assert re.search(r"/track/[\w-]{22,}$", url)
    return url[url.index("/track/") :]


async def test_a_visit_from_wish_to_rating(open_page: OpenPage) -> None:
    """Booked, accepted, driven, followed, arrived, served, rated: each page shows what the others do."""
    customer = await open_page("/book#demo", width=390)
    technician = await open_page(
        "/technician#demo", width=390, geolocation=north_of_door(START_NORTH_M), permissions=["geolocation"]
    )
    await book(customer)

    await technician.press("accept", within_s=20)
    await customer.until("window.doorstep.state.state === 'accepted'")
    guest = await open_page(await shared_link(customer), dark=True)
    await guest.until("window.doorstep?.state.phase === 'waiting'")

    await technician.press("depart")
    await guest.until("window.doorstep.state.phase === 'en_route'")
    await guest.until("Object.keys(window.doorstep.markers).length === 1")
    first = await guest.markers()
    await guest.until("window.doorstep.state.eta !== null")
    eta = await minutes_left(guest)
    await drive(technician)
    await guest.until("window.doorstep.state.phase === 'near'")
    last = await guest.markers()
    assert last["technician"]["lat"] < first["technician"]["lat"] - 0.001
    assert await minutes_left(guest) < eta
    await customer.until("Object.keys(window.doorstep.markers).length === 1")
    for page in (customer, technician, guest):
        await page.assert_sound()

    await technician.press("arrive")
    await guest.until("['arrived', 'ended'].includes(window.doorstep.state.phase)")
    await guest.until("Object.keys(window.doorstep.markers).length === 0")
    await customer.until("window.doorstep.state.state === 'arrived'")

    await technician.press("start")
    await customer.until("window.doorstep.state.state === 'in_service'")
    await technician.press("note")
    await technician.page.get_by_role("button", name="Almost done").click()
    await technician.press("send-note")
    await customer.page.locator("li[data-type='booking.noted']").wait_for(timeout=10_000)
    await technician.press("complete")
    await customer.see("rating")
    await customer.page.locator("label:has([data-testid=star-5])").click()
    await customer.page.locator("label:has(input[name=tip][value='500'])").click()
    await customer.press("rate")
    await customer.page.locator("li[data-type='booking.rated']").wait_for(timeout=10_000)
    paid = customer.page.locator("li[data-type='payment.captured'] > span")
    await paid.nth(1).wait_for(timeout=10_000)
    tip, visit = await paid.all_inner_texts()
    assert tip == "Tip paid $5.00"
    assert re.fullmatch(r"Paid \$\d+\.\d\d", visit), visit
    for page in (customer, technician):
        await page.assert_sound()
    await guest.page.reload()
    await guest.see("ended")


async def test_a_visit_given_back_is_an_alert_until_somebody_looks(open_page: OpenPage) -> None:
    """Notes go both ways; what is given back stands in dispatch's strip until acknowledged; cancelling it is free."""
    customer = await open_page("/book#demo", width=390)
    technician = await open_page("/technician#demo", width=390)
    dispatch = await open_page("/dispatch#demo")
    await book(customer)
    await technician.press("accept", within_s=20)
    await customer.until("window.doorstep.state.state === 'accepted'")

    await customer.press("note")
    await customer.page.get_by_test_id("note-text").fill("The green door")
    await customer.press("send-note")
    await technician.page.get_by_test_id("job-notes").get_by_text("The green door").wait_for(timeout=10_000)
    await technician.press("note")
    await technician.page.get_by_role("button", name="Looking for a place to park").click()
    await technician.press("send-note")
    await customer.page.locator("li[data-type='booking.noted']").nth(1).wait_for(timeout=10_000)

    await technician.press("cancel")
    await technician.press("sure")
    booking_id = (await customer.state())["booking_id"]
    mine = dispatch.page.locator(f"[data-testid=alerts] li:has([data-booking-id='{booking_id}'])")
    await mine.wait_for(timeout=10_000)
    await mine.get_by_text("Given back").wait_for()
    await mine.get_by_test_id("snooze").wait_for()
    await mine.get_by_test_id("acknowledge").click()
    await mine.wait_for(state="detached", timeout=10_000)

    await customer.press("cancel")
    await customer.page.get_by_test_id("cancel-cost").get_by_text("free now").wait_for(timeout=10_000)
    await customer.press("cancel-sure")
    await customer.until("window.doorstep.state.state === 'cancelled'")
    for page in (customer, technician, dispatch):
        await page.assert_sound()


async def minutes_left(page: WatchedPage) -> float:
    """Minutes until the middle of the page's ETA."""
    left: float = await page.page.evaluate("(Date.parse(window.doorstep.state.eta.at) - Date.now()) / 60000")
    return left


async def test_a_declined_card_books_nothing(open_page: OpenPage) -> None:
    """A payment that is declined says so in the sheet, and no visit appears."""
    customer = await open_page("/book#demo")
    page = customer.page
    await customer.see("service")
    await page.get_by_test_id("street").fill(STREET)
    await customer.press("hit")
    await customer.press("discover")
    await customer.press("choose", within_s=20)
    await page.get_by_label("Test card that is declined").check()
    await customer.press("confirm")
    await customer.see("error")
    assert await page.get_by_test_id("error").get_attribute("data-code") == "payment_declined"
    assert (await customer.state())["view"] == "find"


async def test_an_address_far_away(open_page: OpenPage) -> None:
    """Outside every service area the page says so kindly, and offers nothing."""
    customer = await open_page("/book#demo", width=390)
    await customer.see("service")
    map_ = customer.page.get_by_test_id("pick-map")
    await map_.scroll_into_view_if_needed()
    for _ in range(5):
        await map_.locator("canvas").first.hover()
        await customer.page.mouse.wheel(0, 600)
        await customer.page.wait_for_timeout(250)
    await map_.click(position={"x": 12, "y": 12})
    await customer.press("discover")
    await customer.see("no-cards")
    reason = await customer.page.get_by_test_id("no-cards").get_attribute("data-reason")
    assert reason == "outside_service_area"
    await customer.assert_sound()
