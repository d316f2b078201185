"""A browser page whose every complaint is remembered, with the few questions that the tests of pages ask of it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import ConsoleMessage, Page

# The words of a software renderer about itself; no page causes or can avoid them.
NOT_OURS = ("GPU stall due to ReadPixels", "WebGL")

UNNAMED_CONTROLS = """
() => [...document.querySelectorAll("button, a[href], input, select, textarea, [role=option], [role=listbox]")]
  .filter((e) => e.checkVisibility() && !e.closest("[aria-hidden=true]"))
  .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.title || e.placeholder
    || (e.labels && [...e.labels].some((l) => l.textContent.trim()))))
  .map((e) => e.outerHTML.slice(0, 120))
"""


@dataclass(slots=True)
class WatchedPage:
    """A page, and what its console said that it should not."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Remember console errors, warnings, and exceptions from now on."""

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not any(words in message.text for words in NOT_OURS):
                self.complaints.append(f"{message.type}: {message.text}")

        self.page.on("console", heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))

    async def state(self) -> dict[str, Any]:
        """What the page says it shows."""
        found: dict[str, Any] = await self.page.evaluate("window.doorstep?.state ?? {}")
        return found

    async def markers(self) -> dict[str, dict[str, Any]]:
        """Where each marker is drawn at this moment, by booking."""
        found: dict[str, dict[str, Any]] = await self.page.evaluate("window.doorstep?.markers ?? {}")
        return found

    async def until(self, expression: str, *, within_s: float = 30.0) -> None:
        """Wait until a JavaScript expression is true on the page, whose own policy forbids to evaluate one inside."""
        async with asyncio.timeout(within_s):
            while not await self.page.evaluate(expression):
                await asyncio.sleep(0.1)

    async def see(self, test_id: str, *, within_s: float = 15.0) -> None:
        """Wait until the part with this test id is to be seen."""
        await self.page.get_by_test_id(test_id).first.wait_for(state="visible", timeout=within_s * 1000)

    async def press(self, test_id: str, *, within_s: float = 15.0) -> None:
        """Press the first control with this test id."""
        await self.page.get_by_test_id(test_id).first.click(timeout=within_s * 1000)

    async def assert_sound(self) -> None:
        """No complaint in the console, nothing wider than the window, no control without a name."""
        assert self.complaints == []
        assert await self.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert await self.page.evaluate(UNNAMED_CONTROLS) == []
