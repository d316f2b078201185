"""How a customer comes to a booking: discovers, looks at cards and licences, takes one.

Everything carries one correlation id, so that the story can be read by it. A card that somebody else took first is
followed by the next; a declined payment by another card of the bank.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass

from loadtest.api import Api, ApiError, new_correlation_id
from loadtest.pace import Pace
from loadtest.shapes import Booking, Card, Json, LatLon, Match
from loadtest.tally import Tally

CARD_REFUSALS = frozenset({"slot_taken", "not_qualified", "quote_expired", "match_expired", "card_mismatch"})


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


@dataclass(frozen=True, slots=True)
class Person:
    """A customer: an account, habits and a random will of their own."""

    api: Api
    pace: Pace
    rng: random.Random
    tally: Tally
    whims: Whims


class Choice:
    """One person's way from a wish to a booking; `outcome` says why there is none."""

    def __init__(self, who: Person, wish: Wish, crew: Collection[str]) -> None:
        self.outcome = "looking"
        self._who = who
        self._wish = wish
        self._crew = crew
        self._correlation_id = new_correlation_id()

    async def run(self) -> Booking | None:
        """The booking, or None with the reason in `outcome`."""
        lat, lon = self._wish.place
        match = await self._who.api.discover(
            self._wish.service,
            lat,
            lon,
            experience=self._wish.experience,
            correlation_id=self._correlation_id,
        )
        self._who.tally.count("discoveries")
        cards = [card for card in match.cards if card.technician_id in self._crew]
        if not cards:
            self.outcome = match.reason or "nobody_of_ours"
            self._who.tally.count(f"no_card_{self.outcome}")
            return None
        await self._look_at(match, cards)
        for card in self._by_liking(cards)[:3]:
            booking = await self._try_to_book(match, card)
            if booking is not None:
                self._who.tally.count("booked")
                return booking
        self.outcome = "gave_up"
        return None

    async def _look_at(self, match: Match, cards: list[Card]) -> None:
        if self._wish.hurried:
            return
        for card in cards[:3]:
            await self._who.api.view(match.match_id, card.card_id, "seen")
            await self._who.pace.wait(self._who.rng.uniform(1, 5))
        opened = cards[0] if self._who.rng.random() < 0.7 else self._who.rng.choice(cards[:3])
        if self._who.rng.random() < self._who.whims.opens:
            await self._who.api.view(match.match_id, opened.card_id, "opened")
            await self._who.pace.wait(self._who.rng.uniform(2, 12))
        if self._who.rng.random() < self._who.whims.reads_credentials and match.jurisdiction:
            await self._who.api.view(match.match_id, opened.card_id, "credentials")
            try:
                await self._who.api.credentials(opened.technician_id, match.jurisdiction, self._wish.service)
            except ApiError as error:
                self._who.tally.error("credentials", error)

    def _by_liking(self, cards: list[Card]) -> list[Card]:
        """Mostly as ranked; the soonest first for those in a hurry."""
        if self._wish.hurried:
            preferred = self._wish.prefer
            return sorted(
                cards, key=lambda card: (card.technician_id != preferred, card.distance_m, card.position)
            )
        return sorted(cards, key=lambda card: card.position + self._who.rng.expovariate(0.7))

    async def _try_to_book(self, match: Match, card: Card) -> Booking | None:
        bad_card = not self._wish.hurried and self._who.rng.random() < self._who.whims.declined_card
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
            "fallback": "next_card" if self._who.rng.random() < self._who.whims.falls_back else "none",
        }
        try:
            return await self._who.api.book(body, correlation_id=self._correlation_id)
        except ApiError as error:
            self._who.tally.count(f"book_{error.code}")
            if error.code == "payment_declined":
                body["payment_method"] = "sandbox_ok"
                await self._who.pace.wait(5)
                return await self._book_again(body)
            if error.code in CARD_REFUSALS:
                return None
            raise

    async def _book_again(self, body: Json) -> Booking | None:
        try:
            return await self._who.api.book(body, correlation_id=self._correlation_id)
        except ApiError as error:
            self._who.tally.count(f"book_{error.code}")
            return None
