"""Where and when customers want somebody: a few busy neighbourhoods, waves over the day, never silence.

Places in the demo city lie near the technicians' home bases and around hot spots among them, on real streets; in
the areas of recorded trips they are the ends of those trips.
"""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from geo.areas import AreaIndex
from geo.distance import destination, haversine_m
from geo.roads import RoadNetwork
from loadtest.choosing import Wish
from loadtest.shapes import LatLon
from loadtest.traces import Trip

NEAR_M = (250.0, 900.0)
SPREAD_M = 1_100.0
WAVE_S = 1_500.0
DOOR_SLACK_M = 120.0
TRIES = 8


@dataclass(slots=True)
class Demand:
    """Wishes on request; pure but for its own random numbers."""

    rng: random.Random
    roads: RoadNetwork | None
    streets: Sequence[tuple[LatLon, str]] = ()
    experiences: list[str] = field(default_factory=list)
    areas: AreaIndex | None = None
    _spots: list[LatLon] = field(default_factory=list)

    def level(self, now_s: float, hour: float) -> float:
        """How much of the possible is wanted now, 0.55–1: evenings more than nights, and waves between."""
        day = 0.9 + 0.1 * math.cos((hour - 17) / 24 * math.tau)
        return max(0.55, min(1.0, day - 0.12 + 0.12 * math.sin(now_s / WAVE_S * math.tau)))

    def near(self, home: LatLon, services: Sequence[str], *, prefer: str | None) -> Wish:
        """A short leg from a technician's place: what a demo starts with."""
        way_m = self.rng.uniform(*NEAR_M)
        wish = self._wish(home, way_m, services)
        return replace(wish, hurried=True, prefer=prefer, experience=())

    def anywhere(self, homes: Sequence[LatLon], services: Sequence[str]) -> Wish:
        """A wish of an ordinary customer: around one of a few hot spots among the homes."""
        if len(self._spots) < 5:
            self._spots.append(self.rng.choice(homes))
        if self.streets and self.rng.random() < 0.6:
            place, line1 = self.rng.choice(self.streets)
            service, wanted = self.rng.choice(services), self._experience()
            return Wish(service, place, line1, "Baltimore", "21224", experience=wanted)
        spot = self.rng.choice(self._spots if self.rng.random() < 0.6 else list(homes))
        way_m = min(3 * SPREAD_M, abs(self.rng.gauss(0, SPREAD_M)) + 150)
        return self._wish(spot, way_m, services)

    def at_trip_end(self, trip: Trip, services: Sequence[str], *, prefer: str | None = None) -> Wish:
        """Somebody who lives where a recorded trip ended."""
        line1 = f"{self.rng.randint(1, 200)} Trace Street"
        service, city = self.rng.choice(services), trip.source.title()
        return Wish(service, trip.end, line1, city, "00000", hurried=prefer is not None, prefer=prefer)

    def _experience(self) -> tuple[str, ...]:
        some = len(self.experiences) > 1 and self.rng.random() < 0.4
        return tuple(self.rng.sample(self.experiences, self.rng.choice((1, 2)))) if some else ()

    def _wish(self, around: LatLon, way_m: float, services: Sequence[str]) -> Wish:
        service, wanted = self.rng.choice(services), self._experience()
        place, line1 = self._door_near(around, way_m)
        return Wish(service, place, line1, "Baltimore", "21224", experience=wanted)

    def _door_near(self, around: LatLon, way_m: float) -> tuple[LatLon, str]:
        """A real door about so far away; without one, a place on a street and a number of our own."""
        slack_m = DOOR_SLACK_M + 0.3 * way_m
        doors = [
            door for door in self.streets if abs(haversine_m(*around, *door[0]) - way_m) < slack_m
        ]  # fmt: skip
        if doors:
            return self.rng.choice(doors)
        return self._street_near(around, way_m), f"{self.rng.randint(100, 3900)} Demo Street"

    def _street_near(self, around: LatLon, way_m: float) -> LatLon:
        """A place on a street about so far away, inside a service area if a few tries find one."""
        for _ in range(TRIES):
            place = destination(*around, self.rng.uniform(0, 360), way_m)
            place = (self.roads.snap(*place) if self.roads is not None else None) or place
            if self.areas is None or self.areas.find(*place) is not None:
                return place
        return around


def read_streets(path: Path | None) -> list[tuple[LatLon, str]]:
    """Real addresses, (place, line1), of `{"streets": {name: [[lat, lon, number or null]]}}`; [] without a file."""
    if path is None:
        return []
    streets = json.loads(path.read_text())["streets"]
    return [
        ((float(lat), float(lon)), f"{number} {name}")
        for name, doors in streets.items()
        for lat, lon, number in doors
        if number
    ]
