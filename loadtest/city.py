"""The life of the demo city: technicians at work, customers coming and going, for as long as it is wanted.

`python -m loadtest.city --url URL --technicians N --speed X [--traces DIR] --roads TILES_DIR`, the shared password in
DOORSTEP_SIM_PASSWORD. Nothing ends it but its owner: an error is counted, said and backed off from. Nothing grows:
visits in flight, remembered ids and measurements are all bounded. Its accounts are those of
`@sim.doorstep.example`; no other technician is ever booked.
"""

import argparse
import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from geo.areas import AreaIndex, parse_feature_collection
from geo.roads import RoadNetwork
from loadtest.api import Api, ApiError, Server, Unreachable, reach
from loadtest.demand import Demand, read_streets
from loadtest.device import Phone
from loadtest.district import District, Setting
from loadtest.legs import Legs, StreetLegs, TraceLegs
from loadtest.noise import Habits
from loadtest.pace import Pace
from loadtest.program import run_as_child
from loadtest.shapes import Account, Json
from loadtest.tally import Tally, leaf
from loadtest.technician import TechnicianLife, Temper
from loadtest.traces import clusters, describe, read_folder

REPORT_EVERY_S = 3.0
FIRST_REPORT_S = 1.5
EAGER_CREW = 6
EAGER_TRACED = 2
EAGER_STEP = 0.6  # of the usual distance between two sign-ins
LOGINS_PER_S = 5.0
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0
GOODBYE_S = 1.0
HEADLINES = {
    "booked": "booked",
    "legs": "drives",
    "start": "visits begun",
    "complete": "completed",
    "rate": "rated",
    "decline": "declined",
    "cancel": "cancelled",
    "lost_signal": "signals lost",
    "fixes": "fixes sent",
    "positions": "positions seen",
}

type Report = Callable[[Json], None]
type Work = Coroutine[object, object, None]


@dataclass(frozen=True, slots=True)
class CityPlan:
    """How large and how fast the life is."""

    password: str
    technicians: int = 40
    first: int = 1  # number of the first account of each kind
    customers: int = 40
    speed: float = 1.0
    roads: Path | None = None
    traces: Path | None = None
    streets: Path | None = None
    seed: int = 1
    habits: Habits = field(default_factory=Habits)


async def run(base_url: str, plan: CityPlan, stop: asyncio.Event, report: Report) -> None:
    """Live until `stop`; `report` gets a status object every few seconds. Raises only for a bad plan."""
    tally = Tally()
    async with reach(base_url) as server:
        city = City(server, plan, tally)
        tasks = [asyncio.create_task(work, name=name) for name, work in city.works(report)]
        try:
            await stop.wait()
        finally:
            for task in [*tasks, *city.visiting()]:
                task.cancel()
            await asyncio.wait([*tasks, *city.visiting()], timeout=GOODBYE_S)


class City:
    """All districts of one process."""

    def __init__(self, at: Server, plan: CityPlan, tally: Tally) -> None:
        rng = random.Random(plan.seed)
        roads = RoadNetwork.open(plan.roads) if plan.roads is not None else None
        self._at = at
        self._plan = plan
        self._tally = tally
        self._pace = Pace(plan.speed)
        self._demand = Demand(rng, roads, read_streets(plan.streets))
        self._setting = Setting(at, self._demand, self._pace, tally, rng)
        streets = StreetLegs(roads)
        self.districts = [self._main(streets)]
        if plan.traces is not None:
            self.districts += self._traced(plan.traces, streets)

    def works(self, report: Report) -> list[tuple[str, Work]]:
        """Everything that goes on, each part kept alive by itself."""
        works: list[tuple[str, Work]] = []
        order = 0.0
        for district in self.districts:
            for life in district.lives:
                # Signing in costs the server a password check: a few a second, and the first ones not all at once.
                delay_s = order / LOGINS_PER_S
                order += EAGER_STEP if life.eager and district is self.districts[0] else 1
                works.append((life.name, self._keep(life.name, life.run, delay_s)))
            works.append((f"welcome-{district.name}", district.welcome_back()))
            works.append((f"customers-{district.name}", self._keep("customers", district.run, 0.0)))
        works.append(("wishes", self._learn_wishes()))
        works.append(("report", self._keep("report", lambda: self._report(report), FIRST_REPORT_S)))
        return works

    def visiting(self) -> list[asyncio.Task[None]]:
        """The visits in flight."""
        return [task for district in self.districts for task in district.visits]

    def status(self) -> Json:
        """Counts by state, happenings and errors: what the demo's screen shows."""
        lives = [life for district in self.districts for life in district.lives]
        stages = [visit.stage for district in self.districts for visit in district.visits.values()]
        happened = self._tally.happened
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "technicians": _counted(life.state for life in lives),
            "visits": _counted(stages),
            "happened": {word: happened[name] for name, word in HEADLINES.items() if happened[name]},
            "counts": dict(happened),
            "fix_to_customer_ms": self._tally.latency_ms(),
            "errors": dict(self._tally.errors.most_common(12)),
            "last_error": self._tally.last_error,
        }

    def _main(self, legs: Legs) -> District:
        plan = self._plan
        lives = [
            self._life(f"tech-{plan.first + i:03d}", legs, eager=2 if i < EAGER_CREW else 0)
            for i in range(plan.technicians)
        ]
        customers = [self._api(f"cust-{plan.first + i:03d}") for i in range(plan.customers)]
        return District("city", self._setting, lives, customers)

    def _traced(self, folder: Path, streets: Legs) -> list[District]:
        trips = clusters(read_folder(folder))
        districts = []
        for area in describe(folder)["areas"]:
            mine = trips[area["name"]]
            legs = TraceLegs(mine, streets)
            names = [person["email"].split("@")[0] for person in area["technicians"]]
            lives = [
                self._life(name, legs, eager=1 if i < EAGER_TRACED else 0) for i, name in enumerate(names)
            ]
            customers = [self._api(person["email"].split("@")[0]) for person in area["customers"]]
            districts.append(District(area["name"], self._setting, lives, customers, mine))
        return districts

    def _life(self, name: str, legs: Legs, *, eager: int) -> TechnicianLife:
        rng = self._own_rng(name)
        phone = Phone(self._at, self._account(name), rng=rng, tally=self._tally, habits=self._plan.habits)
        return TechnicianLife(
            phone, legs, self._pace, Temper.drawn(rng), rng=rng, tally=self._tally, eager=eager
        )

    def _api(self, name: str) -> Api:
        return Api(self._at, self._account(name), rng=self._own_rng(name))

    def _account(self, name: str) -> Account:
        return Account(f"{name}@sim.doorstep.example", self._plan.password)

    def _own_rng(self, name: str) -> random.Random:
        return random.Random(f"{self._plan.seed}/{name}")

    async def _keep(self, name: str, work: Callable[[], Work], delay_s: float) -> None:
        """Run a part for ever: what ends it is counted, then it starts again after a growing wait."""
        await asyncio.sleep(delay_s)
        backoff_s = FIRST_BACKOFF_S
        while True:
            begun = time.monotonic()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it was, the city lives on and says so
                self._tally.error(name.rstrip("-0123456789"), leaf(error))
            if time.monotonic() - begun > 120:
                backoff_s = FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s * random.uniform(0.7, 1.3))
            backoff_s = min(MAX_BACKOFF_S, backoff_s * 2)

    async def _learn_wishes(self) -> None:
        """Ask once where is served and what may be wished; without an answer customers wish blindly."""
        anybody = self._api("anybody")
        try:
            self._demand.areas = AreaIndex(parse_feature_collection(await anybody.service_areas()))
            self._demand.experiences[:] = await anybody.experiences()
        except (ApiError, Unreachable, ValueError, KeyError) as error:
            self._tally.error("wishes", error)

    async def _report(self, report: Report) -> None:
        while True:
            report(self.status())
            await asyncio.sleep(REPORT_EVERY_S)


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def main() -> None:
    """The child process of `doorstep demo`: one JSON status a line."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.city", description="Life for a Doorstep server."
    )
    parser.add_argument("--url", required=True, help="the server, as http://127.0.0.1:8080")
    parser.add_argument("--technicians", type=int, default=40, help="phones of the demo city")
    parser.add_argument(
        "--customers", type=int, default=0, help="customers' accounts (0: as many as technicians)"
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how much faster than real (driving: 2.5 at most)"
    )
    parser.add_argument("--roads", type=Path, help="the prepared street network")
    parser.add_argument("--streets", type=Path, help="real addresses to book at (JSON)")
    parser.add_argument("--traces", type=Path, help="a folder of recorded trips to drive again")
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn by chance")
    asked = parser.parse_args()
    plan = CityPlan(
        password=os.environ.get("DOORSTEP_SIM_PASSWORD", "doorstep-demo"),
        technicians=asked.technicians,
        customers=asked.customers or asked.technicians,
        speed=asked.speed,
        roads=asked.roads,
        streets=asked.streets,
        traces=asked.traces,
        seed=asked.seed,
    )
    run_as_child(lambda stop, report: run(asked.url, plan, stop, report))


if __name__ == "__main__":
    main()
