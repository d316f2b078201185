"""A whole Doorstep for the end-to-end tests: the demo as a person starts it, on a free port, with quick phones."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from storage.embedded import EmbeddedPostgresError, remove_cluster
from tests.e2e.watched_page import WatchedPage

type OpenPage = Callable[..., Awaitable[WatchedPage]]

UP = re.compile(r"^Doorstep is up: (http://\S+?)/?$", re.MULTILINE)
UP_WITHIN_S = 120.0
ENDS_WITHIN_S = 20.0
TECHNICIANS = "12"
SPEED = "8"


@dataclass(frozen=True, slots=True)
class DemoServer:
    """A running demo."""

    base_url: str
    data_dir: Path
    process: subprocess.Popen[bytes]
    screen: Path

    def said(self) -> str:
        """What the demo printed so far."""
        return self.screen.read_text()

    def log(self) -> str:
        """The server's log."""
        return (self.data_dir / "doorstep.log").read_text()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what drives browsers and demos on one of the workers, one after the other; the other works the rest off."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("e2e"))


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    """A demo with simulated phones that drive eight times as fast as life, shared by the tests of a session."""
    folder = tmp_path_factory.mktemp("demo")
    screen = folder / "screen.txt"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DOORSTEP_")}
    environment["DOORSTEP_DATA_DIR"] = str(folder / "data")
    environment["DOORSTEP_CHECK_ANSWERS"] = "1"  # an answer that does not fit its documented shape is a 500
    arguments = ["demo", "--port", "0", "--technicians", TECHNICIANS, "--speed", SPEED]
    with screen.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", *arguments],
            env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield DemoServer(_url(process, screen), folder / "data", process, screen)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        try:
            remove_cluster(folder / "data")
        except EmbeddedPostgresError as error:
            pytest.fail(f"The demo left something running: {error.sentence}")


def _url(process: subprocess.Popen[bytes], screen: Path) -> str:
    until = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < until:
        if found := UP.search(screen.read_text()):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"The demo did not come up:\n{screen.read_text()}")


@pytest.fixture
async def open_page(
    demo_server: DemoServer, chromium_path: str, chromium_args: list[str]
) -> AsyncIterator[OpenPage]:
    """Opens pages of the demo by path, width and scheme, each in a browser profile of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=chromium_args)

        async def opened(path: str, *, width: int = 1440, dark: bool = False, **more: Any) -> WatchedPage:
            context = await browser.new_context(
                viewport={"width": width, "height": 900 if width > 500 else 844},
                color_scheme="dark" if dark else "light",
                **more,
            )
            watched = WatchedPage(await context.new_page())
            watched.watch()
            await watched.page.goto(demo_server.base_url + path)
            return watched

        yield opened
        await browser.close()
