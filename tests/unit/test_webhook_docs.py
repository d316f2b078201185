"""The page about webhooks: its example verifies what we send, and its tables say what the code does."""

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from domain import webhooks as rules
from rest.api import routes
from services.webhook_message import ping_message
from services.webhook_secrets import new_secret, signed_headers

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


async def test_the_example_in_python_verifies() -> None:
    """The code of the page, run as it stands, takes a good message and refuses a changed one."""
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    secret, now = new_secret(), datetime.now(UTC)
    names: dict[str, object] = {}
    exec(example.replace("whsec_…", secret), names)  # noqa: S102 - our own page
    app = web.Application()
    app.router.add_post("/doorstep", names["hear"])  # type: ignore[arg-type]  # names of a page that was run
    body = ping_message(UUID(int=1), now).replace(b'"webhook_id"', b'"booking_id"')
    headers = signed_headers([new_secret(), secret], UUID(int=2), now, body)
    async with TestClient(TestServer(app)) as client:
        for sent, status in ((body, 204), (body, 204), (body + b" ", 400)):
            async with client.post("/doorstep", data=sent, headers=headers) as answer:
                assert answer.status == status
    assert names["seen"] == {str(UUID(int=2))}


def test_the_schedule_on_the_page_is_the_schedule() -> None:
    """The delays and the bounds, in words."""
    units = {"s": 1, "min": 60, "h": 3600}
    [line] = [line for line in PAGE.splitlines() if "tried again: after" in line]
    told = [int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", line)]
    assert told == list(rules.DELAYS_S)
    assert f"more than {rules.WAITING_AT_MOST:,} deliveries wait" in PAGE
    assert f"at\nmost {rules.AT_MOST} webhooks" in PAGE


def test_every_operation_is_on_the_page() -> None:
    """Each route about webhooks of ours."""
    for route in routes():
        if route.path.startswith("/v1/webhooks") and not route.open:
            path = route.path.replace("{webhook_id}", "{id}")
            assert f"`{route.method} {path}" in PAGE, route.path
