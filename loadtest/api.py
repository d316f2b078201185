"""A small REST client of one person: tokens, idempotency keys, retries, problems as exceptions.

What always holds: a command that is tried again carries the same Idempotency-Key, so a lost answer never
books or accepts twice; Retry-After is honoured; a refusal of the domain (4xx with a code) is raised at
once as `ApiError` and never retried; a server that stays away ends in `Unreachable`.
"""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from loadtest.shapes import Account, Booking, Json, Match, Technician

ATTEMPTS = 5
REFRESH_MARGIN_S = 60.0
FIRST_BACKOFF_S = 0.4
MAX_BACKOFF_S = 20.0
TIMEOUT = aiohttp.ClientTimeout(total=20, connect=5)


class ApiError(Exception):
    """The server's considered refusal, an RFC 9457 problem."""

    def __init__(self, status: int, code: str, title: str, correlation_id: str | None) -> None:
        super().__init__(f"{status} {code}: {title} [{correlation_id}]")
        self.status = status
        self.code = code
        self.correlation_id = correlation_id


class Unreachable(Exception):
    """No answer that could be used, after every attempt."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is, and the connections to it that all simulated people share."""

    http: aiohttp.ClientSession
    url: str


@asynccontextmanager
async def reach(url: str) -> AsyncIterator[Server]:
    """A server's address with a pool of connections; closed at the end. Sockets count too, so it has no limit."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Server(http, url.rstrip("/"))


class Api:
    """One person's client. Safe to share between the tasks of that person; tokens are renewed once."""

    def __init__(
        self,
        at: Server,
        account: Account,
        *,
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.account = account
        self.first_backoff_s = FIRST_BACKOFF_S
        self._at = at
        self._rng = rng
        self._clock = clock
        self._access: str | None = None
        self._refresh: str | None = None
        self._access_ends = 0.0
        self._margin_s = REFRESH_MARGIN_S
        self._lock = asyncio.Lock()

    async def token(self, *, fresh: bool = False) -> str:
        """An access token with life left in it: kept, refreshed (always when `fresh`) or signed in anew."""
        async with self._lock:
            if fresh or self._access is None or self._access_ends - self._clock() < self._margin_s:
                await self._renew()
            if self._access is None:
                raise Unreachable("no access token")
            return self._access

    def seconds_left(self) -> float:
        """How long the present access token lasts."""
        return self._access_ends - self._clock() if self._access else 0.0

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        keyed: bool = False,
        anonymous: bool = False,
        correlation_id: str | None = None,
    ) -> Json:
        """One request to `/v1{path}`; the parsed JSON. Raises `ApiError` or `Unreachable`."""
        headers = {"X-Correlation-ID": correlation_id or new_correlation_id()}
        if keyed:
            headers["Idempotency-Key"] = uuid.uuid4().hex
        signed_in_again = False
        trouble = ""
        for attempt in range(ATTEMPTS):
            if not anonymous:
                headers["Authorization"] = f"Bearer {await self.token()}"
            try:
                status, after_s, answer = await self._once(method, path, body, headers)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble = type(error).__name__
                await self._back_off(attempt, None)
                continue
            if status < 400:
                return answer
            code = str(answer.get("code") or f"http_{status}")
            if status == 401 and not anonymous and not signed_in_again:
                signed_in_again = True
                self._access = None
                continue
            if status >= 500 or status == 429 or code == "idempotency_in_progress":
                trouble = f"{status} {code}"
                await self._back_off(attempt, after_s)
                continue
            raise ApiError(
                status, code, str(answer.get("title") or ""), headers.get("X-Correlation-ID")
            ) from None
        raise Unreachable(f"{method} {path.split('?', 1)[0]}: {trouble}")

    async def technician(self) -> Technician:
        """The technician profile of this person."""
        return Technician.parse(await self.call("GET", "/technicians/me"))

    async def experiences(self) -> list[str]:
        """What a customer may wish besides the service itself."""
        answer = await self.call("GET", "/experiences", anonymous=True)
        return [str(item["experience"]) for item in answer.get("items") or ()]

    async def service_areas(self) -> Json:
        """Where Doorstep serves, as GeoJSON."""
        return await self.call("GET", "/service-areas", anonymous=True)

    async def discover(
        self,
        service: str,
        lat: float,
        lon: float,
        *,
        experience: Sequence[str] = (),
        limit: int = 10,
        correlation_id: str | None = None,
    ) -> Match:
        """Who could come now; changes nothing but the stored match."""
        body: Json = {"service": service, "lat": lat, "lon": lon, "when": "now", "limit": limit}
        if experience:
            body["experience"] = list(experience)
        return Match.parse(await self.call("POST", "/discovery", body, correlation_id=correlation_id))

    async def view(self, match_id: str, card_id: str, kind: str) -> None:
        """Tell the funnel that a card was `seen`, `opened` or its `credentials` looked at."""
        await self.call("POST", f"/matches/{match_id}/views", {"card_id": card_id, "kind": kind})

    async def credentials(self, technician_id: str, jurisdiction: str, service: str) -> None:
        """Look at a technician's credential view."""
        query = f"jurisdiction={jurisdiction}&service={service}"
        await self.call("GET", f"/technicians/{technician_id}/credentials?{query}")

    async def book(self, body: Json, *, correlation_id: str | None = None) -> Booking:
        """Request a booking; `ApiError` with payment_declined, slot_taken, quote_expired..."""
        return Booking.parse(
            await self.call("POST", "/bookings", body, keyed=True, correlation_id=correlation_id)
        )

    async def booking(self, booking_id: str) -> Booking:
        """A booking as it is now."""
        return Booking.parse(await self.call("GET", f"/bookings/{booking_id}"))

    async def bookings(self, state: str | None = None, *, limit: int = 50) -> list[Booking]:
        """The bookings of the person, newest first (one page)."""
        query = f"?limit={limit}" + (f"&state={state}" if state else "")
        answer = await self.call("GET", f"/bookings{query}")
        return [Booking.parse(raw) for raw in answer["items"]]

    async def command(self, booking_id: str, name: str, body: Json | None = None) -> Booking:
        """One command of the booking's table (`accept`, `depart`, `rate`...); the booking after it."""
        return Booking.parse(
            await self.call("POST", f"/bookings/{booking_id}/{name}", body or {}, keyed=True)
        )

    async def share(self, booking_id: str, recipient: str) -> str:
        """A share token for one recipient."""
        answer = await self.call("POST", f"/bookings/{booking_id}/share", {"recipient_label": recipient})
        return str(answer["token"])

    async def shared(self, token: str) -> Json:
        """What the holder of a share link sees; `ApiError` 410 once it is over."""
        return await self.call("GET", f"/shares/{token}", anonymous=True)

    async def _once(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> tuple[int, float | None, Json]:
        url = f"{self._at.url}/v1{path}"
        json = dict(body) if body is not None else None
        async with self._at.http.request(method, url, json=json, headers=headers, timeout=TIMEOUT) as answer:
            after = answer.headers.get("Retry-After")
            payload: Any = {}
            if "json" in (answer.content_type or ""):
                payload = await answer.json(content_type=None)
            else:
                await answer.read()
            return answer.status, _seconds(after), payload if isinstance(payload, dict) else {}

    async def _renew(self) -> None:
        refresh, self._access = self._refresh, None
        if refresh is not None:
            try:
                self._keep(
                    await self.call("POST", "/auth/refresh", {"refresh_token": refresh}, anonymous=True)
                )
                return
            except ApiError as error:
                if error.status not in {400, 401, 403, 422}:
                    raise
                self._refresh = None  # the family is gone: sign in anew
        body = {"email": self.account.email, "password": self.account.password}
        self._keep(await self.call("POST", "/auth/token", body, anonymous=True))

    def _keep(self, answer: Json) -> None:
        self._access = str(answer["access_token"])
        self._refresh = answer.get("refresh_token")
        lifetime_s = float(answer["expires_in"])
        self._access_ends = self._clock() + lifetime_s
        self._margin_s = min(REFRESH_MARGIN_S, lifetime_s / 3)

    async def _back_off(self, attempt: int, after_s: float | None) -> None:
        wait_s = after_s if after_s is not None else self.first_backoff_s * 2**attempt
        await asyncio.sleep(min(MAX_BACKOFF_S, wait_s) * self._rng.uniform(1.0, 1.4))


def new_correlation_id() -> str:
    """A fresh id of the allowed alphabet, recognisable as the simulator's."""
    return f"sim-{uuid.uuid4().hex[:24]}"


def _seconds(retry_after: str | None) -> float | None:
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        return None
