"""How well the estimate along streets foretells simulated drives.

    python -m loadtest.try_eta STREETS W S E N

STREETS is a directory of prepared streets (`.doorstep/roads` after a demo), the rest a box to drive in. Drives are
those of the simulated phones, in real time and hurried as in a quick demo; each is asked at a quarter, half and three
quarters of its time. Simulated traffic is no evidence about real traffic.
"""

import random
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from geo.distance import METRES_PER_DEGREE
from geo.eta import Eta, estimate, speeds_of
from geo.roads import RoadNetwork
from geo.route import Point, Route
from geo.track import Fix, Track, judge
from loadtest.drive import on_streets

_T0 = 1_790_000_000_000
_DRIVES = 150
_EVERY_S = 5
_LEAST_M = 800.0
_JITTER_DEG = 5.0 / METRES_PER_DEGREE


def routes(
    roads: RoadNetwork, bbox: tuple[float, float, float, float], rnd: random.Random
) -> Iterator[Route]:
    """Ways between random places of a box, as many as are wanted."""
    w, s, e, n = bbox
    found = 0
    while found < _DRIVES:
        a, b = ((rnd.uniform(s, n), rnd.uniform(w, e)) for _ in range(2))
        route = roads.route(a, b)
        if route is not None and route.distance_m >= _LEAST_M:
            found += 1
            yield route


def asked(route: Route, rnd: random.Random, factor: float) -> Iterator[tuple[float, float, bool]]:
    """(seconds foretold, seconds it took, whether the range held) at each quarter of one drive."""
    drive = on_streets(route, rnd, factor=factor)
    destination: Point = route.points[-1]
    track, eta, quarters = Track.opened(_T0), None, [0.25, 0.5, 0.75]
    for number, second in enumerate(range(0, int(drive.duration_s), _EVERY_S), 1):
        pose, now_ms = drive.at(second), _T0 + second * 1000
        lat, lon = pose.lat + rnd.gauss(0, _JITTER_DEG), pose.lon + rnd.gauss(0, _JITTER_DEG)
        fix = Fix(number, now_ms, lat, lon, 10.0, pose.speed_mps, pose.heading_deg)
        _, track = judge(track, fix, now_ms + 300)
        if track.position is None:
            continue
        eta = estimate(track.position, destination, route, speeds_of(track, *destination), now_ms, eta)
        if quarters and second >= quarters[0] * drive.duration_s:
            quarters.pop(0)
            yield eta.seconds, drive.duration_s - second, _held(eta, _T0 + round(drive.duration_s * 1000))


def _held(eta: Eta, arrived_ms: int) -> bool:
    return eta.low_ms <= arrived_ms <= eta.high_ms


def main(streets: Path, bbox: tuple[float, float, float, float]) -> None:
    """Prints a line for each pace of the simulated life."""
    roads = RoadNetwork.open(streets)
    for factor in (1.0, 1.6, 2.5):
        rnd = random.Random(9)
        answers = [answer for route in routes(roads, bbox, rnd) for answer in asked(route, rnd, factor)]
        error = statistics.median(abs(foretold - took) / took for foretold, took, _ in answers)
        inside = statistics.mean(held for *_, held in answers)
        sys.stdout.write(
            f"pace {factor}: median error {error:.1%}, inside the range {inside:.0%} of {len(answers)}\n"
        )


if __name__ == "__main__":
    west, south, east, north = (float(value) for value in sys.argv[2:6])
    main(Path(sys.argv[1]), (west, south, east, north))
