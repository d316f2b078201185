"""Fits the constants of `geo/eta.py` on a folder of real traces and prints them, with honest errors of the fit.

    python -m loadtest.fit_eta DIR

Every minute of every trip is one question: how long until the trip's end? Trips are never both learned and tested
(five folds by trip); the printed constants are then fitted on all of them. numpy is used here only, not at run time.
"""

import csv
import gzip
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import exp, log
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo.distance import plane_m
from geo.eta import FEATURES, Speeds, features, speeds_of
from geo.track import Fix, Track, judge

Floats = npt.NDArray[np.float64]

_EVERY_MS = 60_000
_LEAST_S = 60.0
_STAY_M = 80.0


@dataclass(frozen=True, slots=True)
class Question:
    """One moment of one trip: what was known, and the seconds that the rest then took."""

    trip: str
    source: str
    done: float
    straight_m: float
    speeds: Speeds
    start_m: float
    elapsed_s: float
    actual_s: float


def read_trips(folder: Path) -> Iterator[tuple[str, str, list[Fix]]]:
    """(source, trip, fixes) of every CSV file of a folder in the form of the project's traces."""
    for path in sorted([*folder.glob("*.csv.gz"), *folder.glob("*.csv")]):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            for trip, rows in groupby(csv.DictReader(lines), key=lambda row: row["trip_id"]):
                fixes = [
                    Fix(i, int(row["ts_ms"]), float(row["lat"]), float(row["lon"]))
                    for i, row in enumerate(rows, 1)
                ]
                yield path.name.split(".")[0], trip, fixes


def questions_of(source: str, trip: str, fixes: list[Fix]) -> Iterator[Question]:
    """A question for each minute until the phone comes within 80 m of the end to stay."""
    end = fixes[-1]
    arrived_ms = end.t_ms
    for fix in reversed(fixes):
        if plane_m(fix.lat, fix.lon, end.lat, end.lon) > _STAY_M:
            break
        arrived_ms = fix.t_ms
    track, asked_ms = Track.opened(fixes[0].t_ms), fixes[0].t_ms
    duration_ms = arrived_ms - fixes[0].t_ms
    for fix in fixes:
        _, track = judge(track, fix, fix.t_ms)
        position = track.position
        if position is None or fix.t_ms - asked_ms < _EVERY_MS or arrived_ms - fix.t_ms < _LEAST_S * 1000:
            continue
        asked_ms = fix.t_ms
        yield Question(
            trip,
            source,
            (fix.t_ms - fixes[0].t_ms) / duration_ms,
            max(1.0, plane_m(position.lat, position.lon, end.lat, end.lon)),
            speeds_of(track, end.lat, end.lon),
            plane_m(fixes[0].lat, fixes[0].lon, end.lat, end.lon),
            (fix.t_ms - fixes[0].t_ms) / 1000,
            (arrived_ms - fix.t_ms) / 1000,
        )


def say(*words: object) -> None:
    """One line of the report."""
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")


def fit(x: Floats, y: Floats, weight: Floats) -> Floats:
    """Weighted least absolute deviations by reweighting, with a little ridge."""
    w = weight.copy()
    beta = np.zeros(x.shape[1])
    ridge = np.eye(x.shape[1]) * 1e-3 * weight.sum()
    ridge[0, 0] = 0.0
    for _ in range(60):
        beta = np.linalg.solve(x.T @ (x * w[:, None]) + ridge, x.T @ (y * w))
        w = weight / np.maximum(np.abs(y - x @ beta), 0.02)
    return beta


def report(name: str, predicted: Floats, actual: Floats) -> None:
    """Median absolute percentage error, and the share within 20 % or two minutes."""
    off = np.abs(predicted - actual)
    good = float(np.mean((off <= 0.2 * actual) | (off <= 120)))
    say(f"{name:<28}{np.median(off / actual):8.3f}{good:8.3f}")


def main(folder: Path) -> None:
    """Fits, and prints errors and constants."""
    asked = [q for source, trip, fixes in read_trips(folder) for q in questions_of(source, trip, fixes)]
    trips = sorted({q.trip for q in asked})
    count = {trip: sum(q.trip == trip for q in asked) for trip in trips}
    x = np.array([features(q.straight_m, q.speeds) for q in asked])
    y = np.array([log(q.actual_s) for q in asked])
    actual = np.exp(y)
    weight = np.array([1.0 / count[q.trip] for q in asked])
    fold = np.array([trips.index(q.trip) % 5 for q in asked])
    predicted = np.zeros(len(y))
    for k in range(5):
        beta = fit(x[fold != k], y[fold != k], weight[fold != k])
        predicted[fold == k] = x[fold == k] @ beta
    naive = np.array([q.straight_m * 1.3 / max(0.5, q.speeds.trailing_mps or 8.0) for q in asked])
    pace = np.array(
        [q.straight_m * min(q.elapsed_s / max(30.0, q.start_m - q.straight_m), 2.0) for q in asked]
    )
    sources = np.array([q.source for q in asked])
    for name in ("all", *sorted(set(sources))):
        at = np.full(len(y), True) if name == "all" else sources == name
        report(f"{name} fitted", np.exp(predicted[at]), actual[at])
        report(f"{name} naive", naive[at], actual[at])
        report(f"{name} constant pace", pace[at], actual[at])
    residual = y - predicted
    for low, high in ((0, 500), (500, 1000), (1000, 2000), (2000, 4000), (4000, 8000), (8000, 1e9)):
        at = np.array([low <= q.straight_m < high for q in asked])
        if at.sum() > 30:
            say(
                f"{low}-{high} m: low, high =",
                *(round(exp(v), 2) for v in np.quantile(residual[at], (0.1, 0.9))),
            )
    beta = fit(x, y, weight)
    for name, value in zip(FEATURES, beta, strict=True):
        say(f"{name:<24}{value:8.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
