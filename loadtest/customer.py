"""A customer's visit, from opening the app to the rating.

Discovers, looks at cards (seen, opened, credentials), books, watches over /bookings and /gps, now and then
cancels, shares the arrival with a friend, rates with a tip. Every step of choosing carries one correlation id,
so that one story can be read by it. A visit is bounded in time; what is still open then is left to the server.
"""

import asyncio
import math
import random
import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from loadtest.api import Api, ApiError, Server, Unreachable, new_correlation_id
from loadtest.feed import Feed
from loadtest.pace import Pace
from loadtest.shapes import ENDED, Booking, Card, Event, Json, LatLon, Match
from loadtest.tally import Tally
from loadtest.wire import Refused, Wire, WireDown

LONGEST_VISIT_S = 3 * 3600.0
LOOK_AGAIN_S = 60.0
UNANSWERED_S = 400.0
CARD_REFUSALS = frozenset({"slot_taken", "not_qualified", "quote_expired", "match_expired", "card_mismatch"})
COMMENTS = (
    "Friendly and quick.",
    "Very tidy work, thank you!",
    "Came right on time.",
    "A little late, well explained.",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a customer wants, and where."""

    service: str
    place: LatLon
    line1: str
    city: str
    postcode: str
    hurried: bool = False  # no hesitation: a demo's first bookings
    experience: tuple[str, ...] = ()
    prefer: str | None = None  # a technician to take if on offer


@dataclass(frozen=True, slots=True)
class Whims:
    """How customers are; shares of 1."""

    opens: float = 0.6
    reads_credentials: float = 0.35
    falls_back: float = 0.3
    cancels_early: float = 0.03
    cancels_late: float = 0.02
    shares: float = 0.2
    rates: float = 0.8
    tips: float = 0.4
    declined_card: float = 0.01


class Visit:
    """One customer, one wish; `stage` says how far it is."""

    def __init__(
        self,
        at: Server,
        api: Api,
        wish: Wish,
        *,
        crew: Collection[str],
        pace: Pace,
        rng: random.Random,
        tally: Tally,
    ) -> None:
        self.stage = "looking"
        self.booking: Booking | None = None
        self.correlation_id = new_correlation_id()
        self._wish = wish
        self._crew = crew
        self._pace = pace
        self._rng = rng
        self._tally = tally
        self._whims = Whims()
        self._api = api
        self._feed = Feed(self._told, self._look_again)
        self._wire = Wire(
            at,
            ("/bookings", "/gps"),
            api=self._api,
            on_event=self._heard,
            on_connect=self._connected,
            rng=rng,
        )
        self._changed = asyncio.Event()
        self._watching_since_s = math.inf

    async def run(self) -> str:
        """Live the visit; a word on how it ended. Raises `Unreachable` when the server stays away."""
        booking = await self._choose_and_book()
        if booking is None:
            return self.stage
        self.booking = booking
        self.stage = "waiting"
        async with asyncio.TaskGroup() as tasks:
            connection = tasks.create_task(self._wire.run())
            try:
                async with asyncio.timeout(LONGEST_VISIT_S):
                    await self._follow()
            except TimeoutError:
                self._tally.count("visit_left_open")
            finally:
                connection.cancel()
        return self.stage

    async def _choose_and_book(self) -> Booking | None:
        lat, lon = self._wish.place
        match = await self._api.discover(
            self._wish.service, lat, lon, experience=self._wish.experience, correlation_id=self.correlation_id
        )
        self._tally.count("discoveries")
        cards = [card for card in match.cards if card.technician_id in self._crew]
        if not cards:
            self.stage = match.reason or "nobody_of_ours"
            self._tally.count(f"no_card_{self.stage}")
            return None
        await self._look_at(match, cards)
        for card in self._by_liking(cards)[:3]:
            booking = await self._try_to_book(match, card)
            if booking is not None:
                self._tally.count("booked")
                return booking
        self.stage = "gave_up"
        return None

    async def _look_at(self, match: Match, cards: list[Card]) -> None:
        if self._wish.hurried:
            return
        for card in cards[:3]:
            await self._api.view(match.match_id, card.card_id, "seen")
            await self._pace.wait(self._rng.uniform(1, 5))
        opened = cards[0] if self._rng.random() < 0.7 else self._rng.choice(cards[:3])
        if self._rng.random() < self._whims.opens:
            await self._api.view(match.match_id, opened.card_id, "opened")
            await self._pace.wait(self._rng.uniform(2, 12))
        if self._rng.random() < self._whims.reads_credentials and match.jurisdiction:
            await self._api.view(match.match_id, opened.card_id, "credentials")
            try:
                await self._api.credentials(opened.technician_id, match.jurisdiction, self._wish.service)
            except ApiError as error:
                self._tally.error("credentials", error)

    def _by_liking(self, cards: list[Card]) -> list[Card]:
        """Mostly as ranked; the soonest first for those in a hurry."""
        if self._wish.hurried:
            preferred = self._wish.prefer
            return sorted(
                cards, key=lambda card: (card.technician_id != preferred, card.distance_m, card.position)
            )
        return sorted(cards, key=lambda card: card.position + self._rng.expovariate(0.7))

    async def _try_to_book(self, match: Match, card: Card) -> Booking | None:
        bad_card = not self._wish.hurried and self._rng.random() < self._whims.declined_card
        lat, lon = self._wish.place
        body: Json = {
            "match_id": match.match_id,
            "card_id": card.card_id,
            "address": {
                "line1": self._wish.line1,
                "city": self._wish.city,
                "postcode": self._wish.postcode,
                "lat": lat,
                "lon": lon,
            },
            "payment_method": "sandbox_declined" if bad_card else "sandbox_ok",
            "fallback": "next_card" if self._rng.random() < self._whims.falls_back else "none",
        }
        try:
            return await self._api.book(body, correlation_id=self.correlation_id)
        except ApiError as error:
            self._tally.count(f"book_{error.code}")
            if error.code == "payment_declined":
                body["payment_method"] = "sandbox_ok"
                await self._pace.wait(5)
                return await self._book_again(body)
            if error.code in CARD_REFUSALS:
                return None
            raise

    async def _book_again(self, body: Json) -> Booking | None:
        try:
            return await self._api.book(body, correlation_id=self.correlation_id)
        except ApiError as error:
            self._tally.count(f"book_{error.code}")
            return None

    async def _follow(self) -> None:
        """From the request to the end of the visit."""
        moods = {
            "requested": self._while_requested,
            "accepted": self._while_accepted,
            "en_route": self._while_en_route,
        }
        done: set[str] = set()
        while (booking := self.booking) is not None and booking.state not in ENDED:
            self.stage = booking.state
            if booking.state in moods and booking.state not in done:
                done.add(booking.state)
                await moods[booking.state](booking)
                continue
            await self._wait(LOOK_AGAIN_S)
        if booking is not None:
            self.stage = booking.state
            self._tally.count(f"visit_{booking.state}")
            if booking.state == "completed":
                await self._thank(booking)

    async def _while_requested(self, booking: Booking) -> None:
        if self._wish.hurried or self._rng.random() >= self._whims.cancels_early:
            return
        await self._pace.wait(self._rng.uniform(3, 20))
        await self._cancel(booking, "changed my mind")

    async def _while_accepted(self, booking: Booking) -> None:
        if self._wish.hurried or self._rng.random() >= self._whims.cancels_late:
            return
        await self._pace.wait(self._rng.uniform(10, 60))
        await self._cancel(booking, "something came up")

    async def _while_en_route(self, booking: Booking) -> None:
        await self._watch()
        if self._rng.random() >= self._whims.shares:
            return
        try:
            token = await self._api.share(booking.booking_id, "a friend")
            self._tally.count("shared")
            for _ in range(3):
                await self._pace.wait(20)
                await self._api.shared(token)
        except ApiError as error:
            if error.status not in {404, 410}:  # over before the friend looked
                self._tally.error("share", error)

    async def _thank(self, booking: Booking) -> None:
        if self._rng.random() >= self._whims.rates:
            return
        await self._pace.wait(self._rng.uniform(5, 60))
        body: Json = {"stars": self._rng.choices((5, 4, 3, 2, 1), (70, 20, 6, 2, 2))[0]}
        if self._rng.random() < 0.4:
            body["comment"] = self._rng.choice(COMMENTS)
        if self._rng.random() < self._whims.tips:
            body["tip"] = {"amount": self._rng.choice((300, 500, 1000)), "currency": booking.currency}
        try:
            await self._api.command(booking.booking_id, "rate", body)
            self._tally.count("rate")
        except ApiError as error:
            self._tally.error("rate", error)

    async def _cancel(self, booking: Booking, reason: str) -> None:
        try:
            self.booking = await self._api.command(booking.booking_id, "cancel", {"reason": reason})
            self._tally.count("cancel")
        except ApiError as error:
            self._tally.error("cancel", error)
            await self._look_again()

    async def _wait(self, at_most_s: float) -> None:
        """Until the booking changed; after long silence it is read over REST."""
        self._changed.clear()
        try:
            async with asyncio.timeout(at_most_s):
                await self._changed.wait()
        except TimeoutError:
            await self._look_again()

    async def _look_again(self) -> None:
        if self.booking is None:
            return
        try:
            self._learn(await self._api.booking(self.booking.booking_id))
        except ApiError as error:
            self._tally.error("look", error)
            if error.status == 404:  # a server that started over: nothing is left to wait for
                self._learn(replace(self.booking, state="expired"))
        except Unreachable as error:
            self._tally.error("look", error)

    async def _connected(self) -> None:
        await self._feed.sync(self._wire)
        if self.booking is not None and self.booking.state == "en_route":
            await self._watch()

    async def _watch(self) -> None:
        if self.booking is None or not self._wire.up:
            return
        try:
            await self._wire.call("/gps", "watch", {"booking_id": self.booking.booking_id})
            self._watching_since_s = time.monotonic()
        except (WireDown, Refused) as error:  # watched again after the next connection
            self._tally.error("watch", error)

    def _heard(self, namespace: str, event: str, data: Json) -> None:
        if namespace == "/bookings" and event == "event":
            self._feed.take(data)
        elif namespace == "/gps" and event == "position":
            self._tally.count("positions")
            self._tally.seen(str(data.get("session_id")), int(data.get("t") or 0), self._watching_since_s)

    def _told(self, event: Event) -> None:
        if event.booking is not None:
            self._learn(event.booking)

    def _learn(self, booking: Booking) -> None:
        if self.booking is None or booking.booking_id != self.booking.booking_id:
            return
        if booking.version >= self.booking.version:
            self.booking = booking
            self._changed.set()
