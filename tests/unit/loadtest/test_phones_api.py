"""The REST client keeps its promises: one key for all tries of a command, patience when asked, tokens renewed once."""

import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from loadtest.api import Api, ApiError, Server, Unreachable, reach
from loadtest.shapes import Account

BOOKING = {"booking_id": "b1", "state": "accepted", "version": 2}


class Strange:
    """A server that answers as it is told: (status, headers) for each next command, then 200."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], str]] = []
        self.keys: list[str] = []
        self.calls: Counter[str] = Counter()
        self.lifetime_s = 900.0
        self.refresh_works = True
        self.app = web.Application()
        self.app.router.add_post("/v1/auth/token", self.token)
        self.app.router.add_post("/v1/auth/refresh", self.refresh)
        self.app.router.add_post("/v1/bookings/b1/accept", self.accept)

    async def token(self, _request: web.Request) -> web.Response:
        """Sign in."""
        self.calls["token"] += 1
        return web.json_response({"access_token": "a", "expires_in": self.lifetime_s, "refresh_token": "r"})

    async def refresh(self, _request: web.Request) -> web.Response:
        """Renew, or refuse as after a revoked family."""
        self.calls["refresh"] += 1
        if not self.refresh_works:
            return web.json_response(
                {"code": "token_revoked"}, status=401, content_type="application/problem+json"
            )
        return web.json_response({"access_token": "b", "expires_in": 900, "refresh_token": "r2"})

    async def accept(self, request: web.Request) -> web.Response:
        """One command, answered as told."""
        self.calls["accept"] += 1
        self.keys.append(request.headers["Idempotency-Key"])
        status, headers, code = self.answers.pop(0) if self.answers else (200, {}, "")
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        body = BOOKING if status == 200 else {"code": code, "title": code}
        return web.json_response(body, status=status, headers=headers)


@pytest.fixture
def strange() -> Strange:
    """A strange server's behaviour."""
    return Strange()


@pytest.fixture
async def api(strange: Strange, aiohttp_server: AiohttpServer) -> AsyncIterator[Api]:
    """A client of it, impatient so that tests are quick."""
    server = await aiohttp_server(strange.app)
    async with reach(str(server.make_url("/"))) as at:
        yield quick(at)


def quick(at: Server) -> Api:
    """A client whose waits are shortened."""
    api = Api(at, Account("tech-001@sim.doorstep.example", "secret"), rng=random.Random(1))
    api.first_backoff_s = 0.001
    return api


async def test_a_lost_answer_is_asked_for_again_with_the_same_key(strange: Strange, api: Api) -> None:
    """Connection loss, 503 and 'still running' are all one command to the server."""
    strange.answers = [(0, {}, ""), (503, {}, "not_ready"), (409, {}, "idempotency_in_progress")]
    booking = await api.command("b1", "accept")
    assert booking.state == "accepted"
    assert len(strange.keys) == 4
    assert len(set(strange.keys)) == 1


async def test_two_commands_have_two_keys(strange: Strange, api: Api) -> None:
    """A key belongs to one intention."""
    await api.command("b1", "accept")
    await api.command("b1", "accept")
    assert len(set(strange.keys)) == 2


async def test_a_refusal_is_raised_at_once_with_its_code(strange: Strange, api: Api) -> None:
    """The domain has decided: trying again would change nothing."""
    strange.answers = [(409, {}, "booking_state")]
    with pytest.raises(ApiError) as refused:
        await api.command("b1", "accept")
    assert (refused.value.status, refused.value.code) == (409, "booking_state")
    assert strange.calls["accept"] == 1


async def test_retry_after_is_honoured(strange: Strange, api: Api) -> None:
    """A 429 is waited out as long as the server asks."""
    strange.answers = [(429, {"Retry-After": "0.05"}, "rate_limited")]
    await api.command("b1", "accept")
    assert strange.calls["accept"] == 2


async def test_a_server_that_stays_away_is_unreachable(strange: Strange, api: Api) -> None:
    """Tries are bounded."""
    strange.answers = [(500, {}, "internal")] * 50
    with pytest.raises(Unreachable):
        await api.command("b1", "accept")
    assert strange.calls["accept"] < 10


async def test_an_expired_token_is_renewed_once_and_the_command_repeated(strange: Strange, api: Api) -> None:
    """A 401 in the middle of a day costs one refresh."""
    strange.answers = [(401, {}, "token_expired")]
    await api.command("b1", "accept")
    assert strange.calls == {"token": 1, "refresh": 1, "accept": 2}
    assert len(set(strange.keys)) == 1


async def test_a_revoked_family_signs_in_anew(strange: Strange, api: Api) -> None:
    """When the refresh token is refused the password is used again."""
    strange.answers = [(401, {}, "token_revoked")]
    strange.refresh_works = False
    await api.command("b1", "accept")
    assert strange.calls == {"token": 2, "refresh": 1, "accept": 2}


async def test_a_token_about_to_end_is_renewed_before_it_does(strange: Strange, api: Api) -> None:
    """With a lifetime already over, the second command refreshes first."""
    strange.lifetime_s = 0.0
    await api.command("b1", "accept")
    await api.command("b1", "accept")
    assert strange.calls["refresh"] == 1
    assert strange.calls["token"] == 1


def test_a_password_never_shows_in_an_account() -> None:
    """A traceback or log line that prints an account gives nothing away."""
    assert "secret" not in repr(Account("a@sim.doorstep.example", "secret"))
