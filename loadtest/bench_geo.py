"""What one fix and one estimate cost.

    python -m loadtest.bench_geo [STREETS]

The drive is made up: two hours at a fix each 3 s with jitter and turns. STREETS is a directory of prepared streets
(`.doorstep/roads` after a demo) and adds the cost of a route and of an estimate along it.
"""

import json
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

from geo.arrival import Arrival, observe
from geo.distance import destination
from geo.eta import Eta, estimate, speeds_of
from geo.roads import RoadNetwork
from geo.track import Fix, Track, judge

_T0 = 1_790_000_000_000
_START, _DOOR = (39.2822, -76.5946), (39.2894, -76.5416)


def drive(count: int) -> list[Fix]:
    """A wandering drive with jitter."""
    rnd, (lat, lon), heading = random.Random(1), _START, 90.0
    fixes = []
    for i in range(count):
        heading += rnd.choice((0, 0, 0, 0, 0, 90, -90))
        lat, lon = destination(lat, lon, heading, 30)
        noisy = destination(lat, lon, rnd.uniform(0, 360), abs(rnd.gauss(0, 6)))
        fixes.append(
            Fix(i + 1, _T0 + i * 3000, *noisy, acc_m=9.0, spd_mps=10.0, hdg_deg=heading % 360, battery=0.8)
        )
    return fixes


def say(name: str, costs_ns: list[int]) -> None:
    """One line: median and 99th percentile in µs."""
    costs_ns.sort()
    median, worst = statistics.median(costs_ns) / 1000, costs_ns[int(len(costs_ns) * 0.99)] / 1000
    sys.stdout.write(f"{name:<34}{median:9.1f} µs median {worst:9.1f} µs 99 %\n")


def timed(count: int, work: Callable[[], object]) -> list[int]:
    """Nanoseconds of each of `count` calls."""
    costs = []
    for _ in range(count):
        began = perf_counter_ns()
        work()
        costs.append(perf_counter_ns() - began)
    return costs


def main(streets: Path | None) -> None:
    """Prints a line for each cost."""
    fixes, track, arrival = drive(2400), Track.opened(_T0), Arrival()
    costs, eta_costs = [], []
    eta: Eta | None = None
    for fix in fixes:
        began = perf_counter_ns()
        _, track = judge(track, fix, fix.t_ms + 200)
        arrival, _ = observe(arrival, track.position, *_DOOR, fix.t_ms + 200)
        costs.append(perf_counter_ns() - began)
        if track.position is not None:
            began = perf_counter_ns()
            eta = estimate(track.position, _DOOR, None, speeds_of(track, *_DOOR), fix.t_ms + 200, eta)
            eta_costs.append(perf_counter_ns() - began)
    say("track + arrival of one fix", costs)
    say("estimate by the straight line", eta_costs)
    say("duplicate", timed(2000, lambda: judge(track, fixes[5], _T0)))
    sys.stdout.write(f"{'snapshot of a session':<34}{len(json.dumps(track.to_snapshot())):9d} bytes\n")
    if streets is None:
        return
    roads = RoadNetwork.open(streets)
    route, position = roads.route(_START, _DOOR), track.position
    if route is None or position is None:
        return
    say("route over streets", timed(500, lambda: roads.route(_START, _DOOR)))
    say("table of 50 sources", timed(50, lambda: roads.table([_START] * 50, _DOOR)))
    lat, lon, _ = route.at_distance(2000)
    there = type(position)(_T0, lat, lon, 8.0, 10.0, 90.0)
    speeds = speeds_of(track, *_DOOR)
    first = estimate(there, _DOOR, route, speeds, _T0)
    say(
        f"estimate by route ({len(route.points)} points)",
        timed(2000, lambda: estimate(there, _DOOR, route, speeds, _T0, first)),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
