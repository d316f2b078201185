"""A technician's day: what a person does with the phone, by temperament.

Answers requests (yes, or now and then no), departs, drives, arrives by button or lets the server notice, starts,
writes notes, extends, completes; sometimes gives a job back, comes late, finds nobody home. A refusal never ends
the day: the booking is read again and life goes on from what is true.
"""

import asyncio
import random
from dataclasses import dataclass

from loadtest.api import ApiError
from loadtest.device import Phone
from loadtest.legs import Legs
from loadtest.pace import Pace
from loadtest.shapes import Booking, Json, LatLon
from loadtest.tally import Tally
from loadtest.wire import Refused, WireDown

ORDER = ("in_service", "arrived", "en_route", "accepted")
PRESENCE_EVERY_S = 45.0
TRIES = 8
LONGEST_WORK_S = (
    25 * 60.0
)  # done sooner than booked: else nearly everybody would serve and hardly anybody drive
FORGOTTEN_S = 75.0  # of the wall clock at any pace: the server's detector measures that
LATE_NOTES = (
    "Running a few minutes behind, sorry.",
    "Traffic on the bridge, a little late.",
    "Parking took a while.",
)
WORK_NOTES = ("Started, all clear.", "Halfway through.", "Found the cause, fixing it now.", "Cleaning up.")


@dataclass(frozen=True, slots=True)
class Temper:
    """How a technician is; seconds are seconds of life, shares of 1."""

    answer_s: tuple[float, float] = (3.0, 25.0)
    prepare_s: tuple[float, float] = (10.0, 90.0)
    park_s: tuple[float, float] = (6.0, 25.0)
    door_s: tuple[float, float] = (15.0, 80.0)
    visit_share: tuple[float, float] = (0.6, 1.05)  # of the time booked
    declines: float = 0.05
    gives_back: float = 0.015
    late: float = 0.08
    forgets_button: float = 0.25
    nobody_home: float = 0.01
    writes: float = 0.5
    extends: float = 0.08

    @staticmethod
    def drawn(rng: random.Random) -> "Temper":
        """Somebody: some are choosy, some forgetful."""
        return Temper(
            declines=rng.choice((0.0, 0.03, 0.05, 0.15)),
            forgets_button=rng.choice((0.1, 0.2, 0.4)),
            late=rng.choice((0.03, 0.08, 0.2)),
        )


EAGER = Temper(
    answer_s=(0.0, 0.1), prepare_s=(0.0, 0.1), declines=0.0, gives_back=0.0, late=0.0, nobody_home=0.0
)


class TechnicianLife:
    """One technician; `state` says in a word what they do."""

    def __init__(
        self,
        phone: Phone,
        legs: Legs,
        pace: Pace,
        temper: Temper,
        *,
        rng: random.Random,
        tally: Tally,
        eager: int = 0,
    ) -> None:
        self.phone = phone
        self.state = "away"
        self._legs = legs
        self._pace = pace
        self._temper = temper
        self._rng = rng
        self._tally = tally
        self._eager = eager  # so many first jobs are taken without hesitation: a demo should move at once
        self._refused: dict[str, int] = {}

    @property
    def name(self) -> str:
        """The account's, for status and counts."""
        return self.phone.account.name

    @property
    def technician_id(self) -> str | None:
        """Known once signed in."""
        return self.phone.me.technician_id if self.phone.me is not None else None

    @property
    def services(self) -> tuple[str, ...]:
        """What they do; nothing before they signed in."""
        return self.phone.me.services if self.phone.me is not None else ()

    @property
    def home(self) -> LatLon | None:
        """Where they are based."""
        return self.phone.me.home if self.phone.me is not None else None

    @property
    def eager(self) -> bool:
        """Whether the next job is still taken without hesitation."""
        return self._eager > 0

    @property
    def free(self) -> bool:
        """Whether a new request could be taken at once."""
        return self.state == "available" and not self.phone.bookings

    async def run(self) -> None:
        """Live until cancelled. Raises what a supervisor should back off for."""
        self.state = "away"
        await self.phone.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.phone.run())
                tasks.create_task(self._answer_requests())
                tasks.create_task(self._work())
        finally:
            self.state = "away"

    async def _answer_requests(self) -> None:
        while True:
            waiting = [booking for booking in self.phone.bookings.values() if booking.state == "requested"]
            for booking in waiting:
                temper = self._mood()
                await self._pace.wait(self._rng.uniform(*temper.answer_s))
                if self._rng.random() < temper.declines:
                    await self._do(booking, "decline", {"reason": "not possible today"})
                else:
                    await self._do(booking, "accept")
            if not any(booking.state == "requested" for booking in self.phone.bookings.values()):
                await self.phone.wait_changed(30.0)

    async def _work(self) -> None:
        while True:
            booking = self._next()
            if booking is None:
                await self._idle()
                continue
            before = (booking.state, booking.version)
            await self._step(booking)
            after = self.phone.bookings.get(booking.booking_id)
            if after is not None and (after.state, after.version) == before:
                await self._stuck(after)

    def _next(self) -> Booking | None:
        mine = [booking for booking in self.phone.bookings.values() if booking.state in ORDER]
        return min(mine, key=_urgency, default=None)

    async def _idle(self) -> None:
        self.state = "available" if self.phone.wire.up else "away"
        await self._presence("available")
        await self.phone.wait_changed(PRESENCE_EVERY_S if self.phone.wire.up else 0.2)

    async def _step(self, booking: Booking) -> None:
        match booking.state:
            case "accepted":
                await self._set_out(booking)
            case "en_route":
                await self._drive(booking)
            case "arrived":
                await self._at_the_door(booking)
            case _:
                await self._serve(booking)

    async def _set_out(self, booking: Booking) -> None:
        self.state = "preparing"
        temper = self._mood()
        await self._pace.wait(self._rng.uniform(*temper.prepare_s))
        if self._rng.random() < temper.gives_back:
            self._tally.count("gave_back")
            await self._do(booking, "cancel", {"reason": "the van broke down"})
            return
        if self._rng.random() < temper.late:
            await self._do(booking, "note", {"text": self._rng.choice(LATE_NOTES), "kind": "late"})
            await self._pace.wait(self._rng.uniform(120, 400))
        await self._do(booking, "depart")

    async def _drive(self, booking: Booking) -> None:
        self.state = "en_route"
        if booking.session_id is None or booking.place is None:
            await self._look_again(booking.booking_id)
            return
        start: LatLon = self.phone.place or booking.place
        pause_s = self._rng.uniform(60, 240) if self._rng.random() < self._temper.late else 0.0
        drive = await self._legs.plan(
            start, booking.place, self._rng, factor=self._pace.driving, pause_s=pause_s
        )
        self._eager = max(0, self._eager - 1)
        press_s = drive.duration_s + max(3.0, self._pace.shrunk_s(self._rng.uniform(*self._temper.park_s)))
        if self._rng.random() < self._temper.forgets_button:
            press_s += FORGOTTEN_S

        def over(now_s: float) -> bool:
            known = self.phone.bookings.get(booking.booking_id)
            gone = known is None or known.state != "en_route" or known.session_id != booking.session_id
            return gone or now_s >= press_s

        await self.phone.stream(booking.session_id, drive, over)
        self._tally.count("legs")
        known = self.phone.bookings.get(booking.booking_id)
        if known is not None and known.state == "en_route" and known.session_id == booking.session_id:
            await self._do(booking, "arrive")
        else:
            self._tally.count(
                "arrivals_noticed_by_server" if known and known.state == "arrived" else "legs_ended"
            )

    async def _at_the_door(self, booking: Booking) -> None:
        self.state = "at_the_door"
        await self._pace.wait(self._rng.uniform(*self._temper.door_s))
        if self._rng.random() < self._mood().nobody_home:
            self._tally.count("nobody_home")
            await self._pace.wait(600)
            await self._do(booking, "no-show", {"reason": "nobody opened"})
            if self.phone.bookings.get(booking.booking_id, booking).state != "arrived":
                return
        await self._do(booking, "start")

    async def _serve(self, booking: Booking) -> None:
        self.state = "serving"
        booked_s = 1800.0
        if booking.starts_at is not None and booking.ends_at is not None:
            booked_s = (booking.ends_at - booking.starts_at).total_seconds()
        visit_s = min(LONGEST_WORK_S, booked_s) * self._rng.uniform(*self._temper.visit_share)
        parts = 4
        for part in range(1, parts + 1):
            await self._pace.wait(visit_s / parts)
            known = self.phone.bookings.get(booking.booking_id)
            if known is None or known.state != "in_service":
                return
            if part < parts and self._rng.random() < self._temper.writes / parts:
                await self._do(booking, "note", {"text": self._rng.choice(WORK_NOTES), "kind": "progress"})
            if part == parts - 1 and self._rng.random() < self._temper.extends:
                await self._do(booking, "extend", {"minutes": self._rng.choice((10, 15, 20, 30))})
                await self._pace.wait(600)
        await self._do(booking, "complete")

    async def _do(self, booking: Booking, command: str, body: Json | None = None) -> None:
        """One command; a refusal is counted and the booking read again."""
        try:
            self.phone.learn(await self.phone.api.command(booking.booking_id, command, body))
            self._tally.count(command)
        except ApiError as error:
            self._tally.error(command, error)
            await self._look_again(booking.booking_id)

    async def _look_again(self, booking_id: str) -> None:
        try:
            booking = await self.phone.api.booking(booking_id)
        except ApiError:
            self.phone.forget(booking_id)
            return
        self.phone.learn(booking)

    async def _stuck(self, booking: Booking) -> None:
        """The same booking in the same state after a step: wait, and after many times give it up."""
        tries = self._refused[booking.booking_id] = self._refused.get(booking.booking_id, 0) + 1
        if len(self._refused) > 50:  # ids of long ago: the oldest goes
            self._refused.pop(next(iter(self._refused)))
        if tries < TRIES:
            await asyncio.sleep(min(60.0, 2.0**tries))
            await self._look_again(booking.booking_id)
            return
        self._tally.count("gave_up_booking")
        if booking.state in {"accepted", "en_route"}:
            await self._do(booking, "cancel", {"reason": "the app would not let me go on"})
        self.phone.forget(booking.booking_id)

    async def _presence(self, state: str) -> None:
        try:
            await self.phone.show(state)
        except (WireDown, Refused) as error:  # it is set again with the next connection
            self._tally.error("presence", error)

    def _mood(self) -> Temper:
        return EAGER if self._eager > 0 else self._temper


def _urgency(booking: Booking) -> tuple[int, str]:
    return ORDER.index(booking.state), booking.starts_at.isoformat() if booking.starts_at else ""
