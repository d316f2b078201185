"""What the track filter makes of real traces: refused fixes, the longest starvation, and the marker's error.

    python -m loadtest.judge_traces DIR

Accuracy is unknown in real traces, so the error is measured by adding known noise to them: 10 m of jitter with the
accuracy told, untold, or claimed to be 3 m, and spikes of 80 to 400 m in 3 % of the fixes.
"""

import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from math import cos, radians
from pathlib import Path

from geo.distance import METRES_PER_DEGREE, destination, plane_m
from geo.track import Fix, Track, judge
from loadtest.fit_eta import read_trips, say

_JITTER_M = 10.0
_NOISES = ("told", "untold", "lying", "spikes")


def noisy(fix: Fix, noise: str, rnd: random.Random) -> Fix:
    """The fix as a worse phone would send it."""
    if noise == "spikes" and rnd.random() < 0.03:
        lat, lon = destination(fix.lat, fix.lon, rnd.uniform(0, 360), rnd.uniform(80, 400))
    else:
        scale = METRES_PER_DEGREE * cos(radians(fix.lat))
        lat, lon = (
            fix.lat + rnd.gauss(0, _JITTER_M) / METRES_PER_DEGREE,
            fix.lon + rnd.gauss(0, _JITTER_M) / scale,
        )
    return replace(
        fix, lat=lat, lon=lon, acc_m={"told": 15.0, "untold": None, "lying": 3.0, "spikes": 15.0}[noise]
    )


def refused(fixes: Iterable[Fix], opened_ms: int) -> tuple[int, int]:
    """How many fixes of a trip were refused, and how many in a row at most."""
    track, total, run, longest = Track.opened(opened_ms), 0, 0, 0
    for fix in fixes:
        verdict, track = judge(track, fix, fix.t_ms + 300)
        run = run + 1 if verdict.kind == "rejected" else 0
        total += verdict.kind == "rejected"
        longest = max(longest, run)
    return total, longest


def errors(fixes: list[Fix], noise: str, rnd: random.Random) -> tuple[list[float], list[float]]:
    """Metres off the clean trace of the raw noisy fixes, and of the marker made from them."""
    track, raw, marker = Track.opened(fixes[0].t_ms), [], []
    for clean in fixes:
        fix = noisy(clean, noise, rnd)
        _, track = judge(track, fix, fix.t_ms + 300)
        raw.append(plane_m(clean.lat, clean.lon, fix.lat, fix.lon))
        if track.position is not None:
            marker.append(plane_m(clean.lat, clean.lon, track.position.lat, track.position.lon))
    return raw, marker


def main(folder: Path) -> None:
    """Prints a block for each source."""
    sources: dict[str, list[list[Fix]]] = defaultdict(list)
    for source, _, fixes in read_trips(folder):
        sources[source].append(fixes)
    for source, trips in sources.items():
        judged = [refused(fixes, fixes[0].t_ms) for fixes in trips]
        count = sum(map(len, trips))
        share = sum(total for total, _ in judged) / count
        say(f"{source}: {count} fixes, {share:.3%} refused, at most {max(run for _, run in judged)} in a row")
        for noise in _NOISES:
            rnd = random.Random(7)
            raw, marker = [], []
            for fixes in trips:
                more_raw, more_marker = errors(fixes, noise, rnd)
                raw += more_raw
                marker += more_marker
            say(
                f"  {noise:<8}median {_of(raw, 50)} -> {_of(marker, 50)} m, 99 % {_of(raw, 99)} -> {_of(marker, 99)} m"
            )


def _of(values: list[float], percent: int) -> str:
    return f"{statistics.quantiles(values, n=100)[percent - 1]:.1f}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
