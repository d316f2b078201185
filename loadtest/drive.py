"""How a car gets along a route: true position for each moment, pure and seeded.

A profile of speed over distance is built once: the road's own speed times the driver's style, slower through
turns, zero at red lights and at the kerb, joined by what brakes and engine allow. Time follows from it. A
`factor` above 1 replays the same drive faster (a demo in a hurry); it is capped so that no fix would look
like a teleport (the server's gate is about 60 m/s).
"""

import math
import random
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol

from geo.distance import bearing_deg, turn_deg
from geo.route import Route
from loadtest.traces import TraceFix, Trip, apart_m

STEP_M = 6.0
ENGINE_MPS2 = 1.7
BRAKE_MPS2 = 2.1
KERB_M = 25.0
KERB_MPS = 5.0
LIGHT_EVERY_M = 330.0
RED_SHARE = 0.4
RED_S = (4.0, 32.0)
FASTEST_MPS = 36.0  # replayed: well below the server's teleport gate of about 60, jitter included
MAX_FACTOR = 2.5


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the phone truly is; heading clockwise from north."""

    lat: float
    lon: float
    speed_mps: float
    heading_deg: float


class Drive(Protocol):
    """A leg as it will be driven."""

    @property
    def duration_s(self) -> float:
        """From the first move to the last."""
        ...

    def at(self, t_s: float) -> Pose:
        """The true pose `t_s` after departure; before and after it the ends."""
        ...

    def recorded(self, after_s: float, until_s: float) -> list[tuple[float, TraceFix]] | None:
        """Fixes that a real phone recorded in (after, until], with their times; None where nothing was."""
        ...


@dataclass(frozen=True, slots=True)
class StreetDrive:
    """A drive along a route: metres gone at each moment."""

    route: Route
    times_s: "array[float]"
    gone_m: "array[float]"

    @property
    def duration_s(self) -> float:
        """From the first move to parking."""
        return self.times_s[-1]

    def at(self, t_s: float) -> Pose:
        """The true pose at a moment."""
        last = len(self.times_s) - 1
        i = min(max(bisect_right(self.times_s, t_s) - 1, 0), last - 1)
        span_s = self.times_s[i + 1] - self.times_s[i]
        way_m = self.gone_m[i + 1] - self.gone_m[i]
        share = 0.0 if span_s <= 0 else min(1.0, max(0.0, (t_s - self.times_s[i]) / span_s))
        lat, lon, bearing = self.route.at_distance(self.gone_m[i] + share * way_m)
        moving = 0.0 <= t_s < self.duration_s and span_s > 0
        return Pose(lat, lon, way_m / span_s if moving else 0.0, bearing)

    def recorded(self, after_s: float, until_s: float) -> list[tuple[float, TraceFix]] | None:  # noqa: ARG002 - a Drive's signature
        """Nothing was recorded: the phone's own GPS says what it sees."""
        return None


def on_streets(route: Route, rng: random.Random, *, factor: float = 1.0, pause_s: float = 0.0) -> StreetDrive:
    """Drive a route. `pause_s` is a stop on the way (somebody who will be late)."""
    stations = _stations(route)
    caps = _caps(route, stations, rng)
    halts = _halts(stations, caps, rng, pause_s)
    for i in halts:
        caps[i] = 0.0
    for i in range(len(caps) - 2, -1, -1):
        caps[i] = min(caps[i], math.sqrt(caps[i + 1] ** 2 + 2 * BRAKE_MPS2 * (stations[i + 1] - stations[i])))
    for i in range(1, len(caps)):
        caps[i] = min(
            caps[i], math.sqrt(caps[i - 1] ** 2 + 2 * ENGINE_MPS2 * (stations[i] - stations[i - 1]))
        )
    hurry = _hurry(factor, max(caps))
    times, gone, now_s = array("d", [0.0]), array("d", [0.0]), 0.0
    for i in range(1, len(stations)):
        now_s += (stations[i] - stations[i - 1]) / max(0.6, (caps[i] + caps[i - 1]) / 2) / hurry
        times.append(now_s)
        gone.append(stations[i])
        if i in halts:
            now_s += halts[i] / hurry
            times.append(now_s)
            gone.append(stations[i])
    return StreetDrive(route, times, gone)


@dataclass(frozen=True, slots=True)
class TraceDrive:
    """A recorded trip, driven again: its fixes are what the phone says, noise and all."""

    fixes: tuple[TraceFix, ...]
    times_s: "array[float]"

    @property
    def duration_s(self) -> float:
        """From the first fix to the last."""
        return self.times_s[-1]

    def at(self, t_s: float) -> Pose:
        """Between two fixes, on the straight line."""
        i = min(max(bisect_right(self.times_s, t_s) - 1, 0), len(self.fixes) - 2)
        a, b = self.fixes[i], self.fixes[i + 1]
        span_s = self.times_s[i + 1] - self.times_s[i]
        share = min(1.0, max(0.0, (t_s - self.times_s[i]) / span_s))
        lat, lon = a.lat + share * (b.lat - a.lat), a.lon + share * (b.lon - a.lon)
        moving = 0.0 <= t_s < self.duration_s
        speed = apart_m((a.lat, a.lon), (b.lat, b.lon)) / span_s if moving else 0.0
        return Pose(lat, lon, speed, bearing_deg(a.lat, a.lon, b.lat, b.lon))

    def recorded(self, after_s: float, until_s: float) -> list[tuple[float, TraceFix]] | None:
        """The fixes recorded in (after, until]."""
        first, last = bisect_right(self.times_s, after_s), bisect_right(self.times_s, until_s)
        return [(self.times_s[i], self.fixes[i]) for i in range(first, last)]


def again(trip: Trip, *, factor: float = 1.0) -> TraceDrive:
    """Drive a recorded trip again, `factor` times as fast as far as that stays plausible."""
    legs = [
        (apart_m((a.lat, a.lon), (b.lat, b.lon)), (b.t_ms - a.t_ms) / 1000)
        for a, b in zip(trip.fixes, trip.fixes[1:], strict=False)
    ]
    paces = sorted(way / span for way, span in legs)
    hurry = _hurry(factor, paces[int(0.98 * (len(paces) - 1))])  # the last 2 % are the trace's own jumps
    begun = trip.fixes[0].t_ms
    return TraceDrive(trip.fixes, array("d", [(fix.t_ms - begun) / 1000 / hurry for fix in trip.fixes]))


def _hurry(factor: float, fastest_mps: float) -> float:
    return max(1.0, min(factor, MAX_FACTOR, FASTEST_MPS / max(1.0, fastest_mps)))


def _stations(route: Route) -> list[float]:
    total = max(route.distance_m, 1.0)
    count = max(2, math.ceil(total / STEP_M))
    return [total * i / count for i in range(count + 1)]


def _caps(route: Route, stations: list[float], rng: random.Random) -> list[float]:
    """The speed wanted at each station: road, style, turns, and the kerb at the end."""
    style = rng.uniform(0.82, 1.08)
    total = stations[-1]
    headings = [route.at_distance(m)[2] for m in stations]
    caps: list[float] = []
    for i, m in enumerate(stations):
        turn = abs(turn_deg(headings[max(0, i - 1)], headings[min(len(headings) - 1, i + 2)]))
        through = math.inf if turn < 12 else max(2.8, 17.0 * (1 - turn / 115))
        caps.append(min(route.speed_at(m) * style, through, KERB_MPS if total - m < KERB_M else math.inf))
    caps[0] = caps[-1] = 0.0
    return caps


def _halts(stations: list[float], caps: list[float], rng: random.Random, pause_s: float) -> dict[int, float]:
    """Station -> seconds of standing there: red lights, and the pause if there is one."""
    halts: dict[int, float] = {}
    at_m = rng.expovariate(1 / LIGHT_EVERY_M)
    while at_m < stations[-1] - 40:
        i = bisect_right(stations, at_m) - 1
        if i > 2 and rng.random() < RED_SHARE:
            halts[i] = rng.uniform(*RED_S)
        at_m += max(60.0, rng.expovariate(1 / LIGHT_EVERY_M))
    if pause_s > 0 and len(caps) > 4:
        halts[int(len(caps) * rng.uniform(0.3, 0.7))] = pause_s
    return halts
