"""Measures the noise of real phones from a folder of traces: `python -m loadtest.learn_noise DIR`.

Prints one JSON object a source; `loadtest/noise.py` carries the numbers. Jitter is measured where the truth is
known: at parked phones, whose true place is the mean of the stay. Everything else is counted over all fixes.
"""

import json
import math
import statistics
import sys
from itertools import pairwise
from pathlib import Path

from geo.distance import METRES_PER_DEGREE
from loadtest.traces import TraceFix, Trip, apart_m, read_folder

JUMP_MPS = 60.0
PARKED_REACH_M = 40.0
PARKED_MIN_S = 60.0
PARKED_MIN_FIXES = 9
MAX_STEP_S = 30.0


def main(folder: Path) -> None:
    """Print what each source of the folder taught."""
    sources: dict[str, list[Trip]] = {}
    for trip in read_folder(folder):
        sources.setdefault(trip.source, []).append(trip)
    for source, trips in sources.items():
        print(json.dumps({"source": source, **measure(trips)}))  # noqa: T201 - this program's output


def measure(trips: list[Trip]) -> dict[str, object]:
    """Intervals, jumps, gaps, repeats and parked jitter of one source; metres and seconds."""
    steps = [
        ((b.t_ms - a.t_ms) / 1000, apart_m((a.lat, a.lon), (b.lat, b.lon)))
        for trip in trips
        for a, b in pairwise(trip.fixes)
    ]
    usual_s = statistics.median(dt for dt, _ in steps)
    hours = sum(trip.duration_s for trip in trips) / 3600
    jumps = [way for dt, way in steps if way / dt > JUMP_MPS]
    gaps = [dt for dt, _ in steps if dt > max(20.0, 4 * usual_s)]
    spread, memory = parked(trips)
    return {
        "trips": len(trips),
        "fixes": len(steps) + len(trips),
        "interval_s": quantiles([dt for dt, _ in steps]),
        "jumps_per_1000": round(1000 * len(jumps) / len(steps), 2),
        "jump_m": quantiles(jumps),
        "gaps_per_hour": round(len(gaps) / hours, 2),
        "gap_s": quantiles(gaps),
        "repeated_share": round(sum(way == 0 for _, way in steps) / len(steps), 3),
        "parked_off_m": quantiles(spread),
        "parked_lag1_correlation": quantiles(memory),
    }


def parked(trips: list[Trip]) -> tuple[list[float], list[float]]:
    """Distances from the mean place of each stay, and the lag-1 correlation of each stay."""
    spread: list[float] = []
    memory: list[float] = []
    for trip in trips:
        for stay in stays(trip.fixes):
            east, north = plane(stay)
            spread += [math.hypot(x, y) for x, y in zip(east, north, strict=True)]
            energy = sum(x * x for x in east) + sum(y * y for y in north)
            if energy > 0:
                lagged = [sum(a * b for a, b in pairwise(axis)) for axis in (east, north)]
                memory.append(sum(lagged) / energy)
    return spread, memory


def stays(fixes: tuple[TraceFix, ...]) -> list[tuple[TraceFix, ...]]:
    """Runs of fixes that keep near their first one, long enough to be a parked phone."""
    found: list[tuple[TraceFix, ...]] = []
    first = 0
    while first < len(fixes):
        last = first
        while (
            last + 1 < len(fixes)
            and fixes[last + 1].t_ms - fixes[last].t_ms < MAX_STEP_S * 1000
            and apart_m((fixes[first].lat, fixes[first].lon), (fixes[last + 1].lat, fixes[last + 1].lon))
            < PARKED_REACH_M
        ):
            last += 1
        long_enough = fixes[last].t_ms - fixes[first].t_ms >= PARKED_MIN_S * 1000
        if last - first + 1 >= PARKED_MIN_FIXES and long_enough:
            found.append(fixes[first : last + 1])
            first = last + 1
        else:
            first += 1
    return found


def plane(stay: tuple[TraceFix, ...]) -> tuple[list[float], list[float]]:
    """Metres east and north of the mean place."""
    lat = statistics.fmean(fix.lat for fix in stay)
    lon = statistics.fmean(fix.lon for fix in stay)
    shrink = math.cos(math.radians(lat))
    east = [(fix.lon - lon) * METRES_PER_DEGREE * shrink for fix in stay]
    north = [(fix.lat - lat) * METRES_PER_DEGREE for fix in stay]
    return east, north


def quantiles(values: list[float]) -> dict[str, float]:
    """The 10th, 50th and 90th percentile."""
    ordered = sorted(values)
    return (
        {f"p{p}": round(ordered[p * (len(ordered) - 1) // 100], 2) for p in (10, 50, 90)} if ordered else {}
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
