"""A customer's visit, from opening the app to the rating.

After choosing (`loadtest/choosing.py`) they watch over /bookings and /gps, now and then cancel, share the arrival with
a friend, rate with a tip. A visit is bounded in time; what is still open then is left to the server.
"""

import asyncio
import math
import time
from dataclasses import replace

from loadtest.api import ApiError, Server, Unreachable
from loadtest.choosing import Choice, Person
from loadtest.feed import Feed
from loadtest.shapes import ENDED, Booking, Event, Json
from loadtest.wire import Refused, Wire, WireDown

LONGEST_VISIT_S = 3 * 3600.0
LOOK_AGAIN_S = 60.0
COMMENTS = (
    "Friendly and quick.",
    "Very tidy work, thank you!",
    "Came right on time.",
    "A little late, well explained.",
)


class Visit:
    """One customer, one booking; `stage` says how far it is."""

    def __init__(
        self,
        at: Server,
        who: Person,
        begin: Choice | Booking,
        *,
        patient: bool = False,
    ) -> None:
        self.stage = "looking"
        self.booking: Booking | None = None
        self._begin = begin  # a booking: the app was closed in the middle of a visit and is opened again
        self._patient = patient
        self._pace = who.pace
        self._rng = who.rng
        self._tally = who.tally
        self._whims = who.whims
        self._api = who.api
        self._feed = Feed(self._told, self._look_again)
        self._wire = Wire(
            at,
            ("/bookings", "/gps"),
            api=self._api,
            on_event=self._heard,
            on_connect=self._connected,
            rng=self._rng,
        )
        self._changed = asyncio.Event()
        self._watching_since_s = math.inf

    async def run(self) -> str:
        """Live the visit; a word on how it ended. Raises `Unreachable` when the server stays away."""
        booking = self._begin if isinstance(self._begin, Booking) else await self._begin.run()
        if booking is None:
            self.stage = self._begin.outcome if isinstance(self._begin, Choice) else "nothing"
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
        if self._patient or self._rng.random() >= self._whims.cancels_early:
            return
        await self._pace.wait(self._rng.uniform(3, 20))
        await self._cancel(booking, "changed my mind")

    async def _while_accepted(self, booking: Booking) -> None:
        if self._patient or self._rng.random() >= self._whims.cancels_late:
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
