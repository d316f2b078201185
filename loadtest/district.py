"""Technicians and customers who meet: the demo city, or the area of some recorded trips.

Customers open the app as demand says, one visit a person, never more visits than the technicians could bear. The first
wishes go to the technicians who start without hesitation, a short leg away, so that something moves at once.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from loadtest.api import Api, ApiError, Server, Unreachable
from loadtest.choosing import Choice, Person, Whims, Wish
from loadtest.customer import Visit
from loadtest.demand import Demand
from loadtest.pace import Pace
from loadtest.tally import Tally, leaf
from loadtest.technician import TechnicianLife
from loadtest.traces import Trip

BUSY_SHARE = 0.8
MOST_VISITS = 200
HURRIED_EVERY_S = 0.05
LOOK_EVERY_S = 0.4
SETTLED_S = 12.0  # by then the phones are signed in and know their bookings


@dataclass(frozen=True, slots=True)
class Setting:
    """What all districts of a process share."""

    at: Server
    demand: Demand
    pace: Pace
    tally: Tally
    rng: random.Random


class District:
    """One area's technicians, customers and visits in flight."""

    def __init__(
        self,
        name: str,
        setting: Setting,
        lives: Sequence[TechnicianLife],
        customers: Sequence[Api],
        trips: Sequence[Trip] = (),
    ) -> None:
        self.name = name
        self.lives = lives
        self.customers = customers
        self.visits: dict[asyncio.Task[None], Visit] = {}
        self._setting = setting
        self._trips = trips
        self._out: set[str] = set()
        self._greeted: set[str] = set()

    async def welcome_back(self) -> None:
        """After a restart of the phones: customers in the middle of a visit open their apps again, one by one."""
        await asyncio.sleep(SETTLED_S)
        for api in self.customers:
            unwatched = sum(bool(life.phone.bookings) for life in self.lives) - len(self.visits)
            if unwatched <= 0:
                return
            if api.account.name in self._out:
                continue
            try:
                open_ones = [booking for booking in await api.bookings(limit=5) if booking.active]
            except (ApiError, Unreachable) as error:
                self._setting.tally.error("welcome_back", error)
                continue
            if open_ones and api.account.name not in self._out:
                rng = random.Random(self._setting.rng.getrandbits(64))
                who = Person(api, self._setting.pace, rng, self._setting.tally, Whims())
                self._setting.tally.count("came_back")
                self._begin(Visit(self._setting.at, who, open_ones[0]), api)
            await asyncio.sleep(LOOK_EVERY_S)

    async def run(self) -> None:
        """Let customers come, for ever."""
        while True:
            for task in [task for task in self.visits if task.done()]:
                del self.visits[task]
                self._out.discard(task.get_name())
            wish = self._next_wish()
            if wish is not None:
                self._open_app(wish)
            await asyncio.sleep(HURRIED_EVERY_S if wish is not None and wish.hurried else LOOK_EVERY_S)

    def _next_wish(self) -> Wish | None:
        free = [life for life in self.lives if life.free and life.services]
        if not free or len(self.visits) >= min(len(self.customers), MOST_VISITS):
            return None
        first = next((life for life in free if life.eager and life.name not in self._greeted), None)
        if first is not None:
            self._greeted.add(first.name)
            return self._first_wish(first)
        if len(self.visits) >= self._wanted():
            return None
        demand, services = self._setting.demand, self._setting.rng.choice(free).services
        if self._trips:
            return demand.at_trip_end(self._setting.rng.choice(self._trips), services)
        return demand.anywhere([life.home for life in self.lives if life.home is not None], services)

    def _first_wish(self, life: TechnicianLife) -> Wish | None:
        demand = self._setting.demand
        if self._trips:
            shortest = sorted(self._trips, key=lambda trip: trip.duration_s)[: len(self.lives)]
            return demand.at_trip_end(
                self._setting.rng.choice(shortest), life.services, prefer=life.technician_id
            )
        return (
            demand.near(life.home, life.services, prefer=life.technician_id)
            if life.home is not None
            else None
        )

    def _wanted(self) -> float:
        life_s = time.time() * self._setting.pace.speed
        return self._setting.demand.level(life_s, datetime.now(UTC).hour) * BUSY_SHARE * len(self.lives)

    def _open_app(self, wish: Wish) -> None:
        setting = self._setting
        api = setting.rng.choice([api for api in self.customers if api.account.name not in self._out])
        crew = {life.technician_id for life in self.lives if life.technician_id is not None}
        rng = random.Random(setting.rng.getrandbits(64))
        who = Person(api, setting.pace, rng, setting.tally, Whims())
        self._begin(Visit(setting.at, who, Choice(who, wish, crew), patient=wish.hurried), api)

    def _begin(self, visit: Visit, api: Api) -> None:
        self._out.add(api.account.name)
        self.visits[asyncio.create_task(self._visit(visit), name=api.account.name)] = visit

    async def _visit(self, visit: Visit) -> None:
        try:
            await visit.run()
        except Exception as error:  # noqa: BLE001 - one customer's trouble is not the city's
            self._setting.tally.error("visit", leaf(error))
            await asyncio.sleep(5.0 if isinstance(leaf(error), Unreachable) else 1.0)
        if visit.booking is None:
            await asyncio.sleep(2.0)  # nobody came of it: no hammering
