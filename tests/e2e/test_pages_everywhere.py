"""Every page, narrow and wide, light and dark: it fits, it is silent in the console, and its errors are kind."""

import pytest

from tests.e2e.conftest import OpenPage

SIZES = [(1440, False), (390, True)]

# A session of a server that was started afresh since.
FORGOTTEN = """
(name) => localStorage.setItem(`doorstep.session.${name}`, JSON.stringify({
  email: "somebody@example.org", access: "access-of-old", refresh: "refresh-of-old-that-nobody-knows",
  expiresAt: Date.now() + 600_000, ttlS: 900 }))
"""


@pytest.mark.parametrize(("width", "dark"), SIZES)
@pytest.mark.parametrize(
    ("path", "landmark"),
    [
        ("/", "room-dispatch"),
        ("/book#demo", "service"),
        ("/technician#demo", "day"),
        ("/dispatch", "sign-in-form"),
    ],
)
async def test_page_is_sound(open_page: OpenPage, path: str, landmark: str, width: int, dark: bool) -> None:
    """The page stands, nothing scrolls sideways, every control has a name, the console is empty."""
    page = await open_page(path, width=width, dark=dark)
    await page.page.get_by_test_id(landmark).first.wait_for(state="attached", timeout=20_000)
    await page.page.wait_for_timeout(2_000)
    await page.assert_sound()


async def test_the_door_leads_only_to_what_is_there(open_page: OpenPage) -> None:
    """Each room of the front door answers."""
    page = await open_page("/")
    await page.see("room-dispatch")
    links = await page.page.eval_on_selector_all(".room", "rooms => rooms.map((room) => room.href)")
    assert len(links) >= 3
    for link in links:
        answer = await page.page.request.get(link)
        assert answer.ok, link


async def test_the_door_shows_the_city(open_page: OpenPage) -> None:
    """The window of the front door has the same markers that dispatch has."""
    page = await open_page("/")
    await page.until("(window.doorstep?.state.movers ?? 0) > 0", within_s=90)
    await page.assert_sound()


async def test_wrong_password_is_said_in_words(open_page: OpenPage) -> None:
    """A refused sign-in says so in a sentence, with the code to quote, and keeps the form."""
    page = await open_page("/dispatch")
    await page.page.get_by_label("E-mail").fill("dispatcher@demo.doorstep.example")
    await page.page.get_by_label("Password").fill("not the password")
    await page.press("sign-in")
    await page.see("error")
    assert await page.page.get_by_test_id("error").get_attribute("data-code") == "unauthenticated"
    assert "do not match" in await page.page.get_by_test_id("error").inner_text()


@pytest.mark.parametrize("name", ["book", "dispatch", "technician"])
async def test_a_session_that_is_over_is_no_wrong_password(open_page: OpenPage, name: str) -> None:
    """With tokens that the server does not know any more the page says "signed out", and offers the way in."""
    page = await open_page(f"/{name}")
    await page.see("sign-in-form")
    await page.page.evaluate(FORGOTTEN, name)
    await page.page.reload()
    await page.see("sign-in-again")
    words = await page.page.get_by_test_id("error").inner_text()
    assert words.strip() == "You have been signed out. Please sign in again."
    await page.press("sign-in-again")
    await page.see("sign-in-form")


async def test_unknown_link(open_page: OpenPage) -> None:
    """A link that never was says no more than that."""
    page = await open_page("/track/no-such-token", width=390)
    await page.see("unknown")
    assert await page.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_a_dispatcher_alone_may_dispatch(open_page: OpenPage) -> None:
    """A technician who opens dispatch is told that the account may not, and sees no visit."""
    page = await open_page("/dispatch")
    await page.page.get_by_label("E-mail").fill("technician@demo.doorstep.example")
    await page.page.get_by_label("Password").fill("doorstep-demo")
    await page.press("sign-in")
    await page.see("sign-in-again")
    assert await page.page.get_by_test_id("error").get_attribute("data-code") == "forbidden"
    assert await page.page.get_by_test_id("visit-row").count() == 0
