"""What every request gets: a story, safe headers, bounds, and no word too much when things break."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from rest.server import DoorSettings
from tests.integration.door import Door, application, open_door
from tests.integration.world import World

LOGIN = {"email": "nobody@test.example", "password": "wrong"}


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """The log lines of a test, with what the story binds to them."""
    structlog.configure(processors=[structlog.contextvars.merge_contextvars])
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield captured
    structlog.reset_defaults()


async def test_a_story_is_answered_and_on_the_log_line(door: Door, lines: list[Any]) -> None:
    """The caller's correlation id comes back, and the line names the route, not the address."""
    booking_id = await door.world.book()
    said = await door.ask(
        "GET",
        f"/v1/bookings/{booking_id}?x=secret",
        who=door.world.customers[0],
        X_Correlation_ID="my-story-1",
    )
    assert said.headers["X-Correlation-ID"] == "my-story-1"
    assert said.body["correlation_id"] == "my-story-1"
    line = next(line for line in lines if line["event"] == "request")
    assert (line["route"], line["status"], line["correlation_id"]) == (
        "/v1/bookings/{booking_id}",
        422,
        "my-story-1",
    )
    assert str(booking_id) not in str(line)
    assert "secret" not in str(line)


async def test_a_story_reaches_the_events_that_it_causes(door: Door) -> None:
    """The id of the request is the id of the event."""
    booking_id = await door.world.book()
    technician = door.world.technicians[0]
    path = f"/v1/bookings/{booking_id}"
    await door.ask("POST", f"{path}/accept", {}, who=technician, key=True, X_Correlation_ID="the-acceptance")
    events = await door.ask("GET", f"{path}/events", who=technician)
    assert events.body["items"][-1]["correlation_id"] == "the-acceptance"


@pytest.mark.parametrize(
    ("method", "path", "raw", "headers", "status", "code"),
    [
        ("GET", "/v1/nothing", None, {}, 404, "not_found"),
        ("GET", "/../../etc/passwd", None, {}, 404, "not_found"),
        ("DELETE", "/v1/auth/token", None, {}, 405, "method_not_allowed"),
        ("POST", "/v1/auth/token", b"x" * 300_000, {}, 413, "too_large"),
        ("POST", "/v1/auth/token", b"a=b", {"Content_Type": "text/plain"}, 415, "unsupported_media_type"),
        ("POST", "/v1/auth/token", b"{", {}, 422, "validation"),
        ("POST", "/v1/auth/token", b"\xff\xfe", {}, 422, "validation"),
        ("POST", "/v1/auth/token", b'{"email":"a\\u0000@b.c","password":"x"}', {}, 422, "validation"),
        ("GET", "/v1/shares/%00", None, {}, 404, "not_found"),
        ("GET", "/v1/me", None, {"Authorization": "Basic eDp5"}, 401, "unauthenticated"),
        ("GET", "/v1/me", None, {"Authorization": "Bearer"}, 401, "unauthenticated"),
        ("GET", "/v1/me", None, {"Authorization": "Bearer a.b.c.d"}, 401, "unauthenticated"),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(
    door: Door, method: str, path: str, raw: bytes | None, headers: dict[str, str], status: int, code: str
) -> None:
    """Always RFC 9457, always with a story, never an echo of what was sent."""
    said = await door.ask(method, path, raw=raw, **headers)
    assert (said.status, said.code) == (status, code)
    assert said.headers["Content-Type"] == "application/problem+json"
    assert said.body["correlation_id"] == said.headers["X-Correlation-ID"]
    assert "passwd" not in str(said.body)


async def test_every_answer_wears_safe_headers(door: Door) -> None:
    """Good ones and problems alike; private ones are not kept by anybody."""
    for path in ("/healthz", "/v1/nothing", "/docs"):
        said = await door.ask("GET", path)
        assert said.headers["X-Content-Type-Options"] == "nosniff"
        assert said.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in said.headers["Content-Security-Policy"]
        assert said.headers["Server"] == "doorstep"
    own = await door.ask("GET", "/v1/me", who=door.world.customers[0])
    assert own.headers["Cache-Control"] == "no-store"


async def test_limits_say_how_long_to_wait(world: World) -> None:
    """A burst, then 429 with Retry-After; another person is not concerned."""
    async with open_door(world, DoorSettings(requests_burst=3, requests_per_s=0.1)) as door:
        one, other = await door.token(world.customers[0]), await door.token(world.customers[1])
        said = [await door.ask("GET", "/v1/me", who=one) for _ in range(4)]
        assert [answer.status for answer in said] == [200, 200, 200, 429]
        assert said[-1].code == "rate_limited"
        assert int(said[-1].headers["Retry-After"]) >= 1
        assert said[-1].headers["RateLimit-Policy"] == '"default";q=3;w=30'
        assert (await door.ask("GET", "/v1/me", who=other)).status == 200


async def test_guessing_tokens_is_limited_by_address(world: World) -> None:
    """Whoever has no account counts by where it calls from, and cannot choose that."""
    async with open_door(world, DoorSettings(requests_burst=2, requests_per_s=0.1)) as door:
        said = [
            await door.ask("GET", "/v1/me", who="a.b.c", X_Forwarded_For=f"198.51.100.{n}") for n in range(3)
        ]
        assert [answer.status for answer in said] == [401, 401, 429]


async def test_a_fault_of_ours_tells_nothing_but_its_number(
    door: Door, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets a story to quote; the log gets the rest."""

    async def broken(*_args: object) -> None:
        raise RuntimeError("secret detail of ours")

    token = await door.token(door.world.customers[0])
    monkeypatch.setattr("rest.me.people.get", broken)
    said = await door.ask("GET", "/v1/me", who=token)
    assert (said.status, said.code) == (500, "internal")
    assert "secret detail" not in str(said.body)
    assert any(line["event"] == "request_failed" for line in lines)


async def test_without_postgresql_the_answer_is_not_ready(world: World) -> None:
    """A store that is away is a 503 that says when to come back; the process itself stays alive."""
    async with open_door(world) as door:
        token = await door.token(world.customers[0])
        assert (await door.ask("GET", "/readyz")).body["status"] == "ready"
        await world.stores.db.pool.close()
        gone = await door.ask("GET", "/v1/me", who=token)
        assert (gone.status, gone.code, gone.headers["Retry-After"]) == (503, "not_ready", "1")
        assert "may or may not have been done" in gone.body["detail"]
        assert (await door.ask("GET", "/readyz")).status == 503
        assert (await door.ask("GET", "/healthz")).status == 200


async def test_metrics_count_templates_only(door: Door) -> None:
    """No id and no token becomes a label."""
    booking_id = await door.world.book()
    await door.ask("GET", f"/v1/bookings/{booking_id}", who=door.world.customers[0])
    await door.ask("GET", "/v1/shares/some-secret-token")
    text = (await door.ask("GET", "/metrics")).body.decode()
    assert 'route="/v1/bookings/{booking_id}"' in text
    assert str(booking_id) not in text
    assert "some-secret-token" not in text


async def test_the_document_is_served_and_revalidated(door: Door) -> None:
    """An ETag saves the second transfer; the page's policy allows its own style and nothing else."""
    first = await door.ask("GET", "/openapi.json")
    assert first.body["openapi"].startswith("3.1")
    again = await door.ask("GET", "/openapi.json", If_None_Match=first.headers["ETag"])
    assert again.status == 304
    page = await door.ask("GET", "/docs")
    assert re.search(r"style-src 'sha256-[A-Za-z0-9+/=]+'", page.headers["Content-Security-Policy"])


async def test_a_body_that_never_comes_does_not_hold_the_others(world: World) -> None:
    """One stalled caller, many others answered."""
    server = TestServer(application(world))
    async with TestClient(server) as client, ClientSession() as stalled:

        async def slowly() -> Any:
            yield b'{"email":'
            await client.get("/healthz")
            yield b'"a@b.example","password":"x"}'

        async with stalled.post(
            server.make_url("/v1/auth/token"), data=slowly(), headers={"Content-Type": "application/json"}
        ) as answer:
            assert answer.status == 401


async def test_what_costs_much_has_a_bucket_of_its_own(world: World) -> None:
    """Discoveries come twenty times slower than other requests, and do not take from those."""
    async with open_door(world, DoorSettings(requests_burst=2, requests_per_s=0.1)) as door:
        who = await door.token(world.customers[0])
        wish = {"service": "haircut", "lat": 0, "lon": 0, "when": "now"}
        said = [await door.ask("POST", "/v1/discovery", wish, who=who) for _ in range(3)]
        assert [answer.status for answer in said] == [200, 200, 429]
        assert said[-1].headers["RateLimit-Policy"] == '"costly";q=2;w=400'
        assert (await door.ask("GET", "/v1/me", who=who)).status == 200
