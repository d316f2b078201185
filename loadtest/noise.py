"""The noise of real phones, seeded: what a GPS says of a true place, and what a radio does to the message.

Measured with `python -m loadtest.learn_noise DIR` over four sources of real trips: GeoLife (Beijing, 72 trips,
38,285 fixes), Go!Track (Aracaju, 51 and 7,599), Rome taxis (40 and 4,215) and Liverpool bus 14 (7 and 698).
Jitter and its memory are those of parked phones. Accuracy is blank in every source: that it lies at times
(200 m out, claiming 1.7 m) is reported from the field, as are doubled messages and disorder. Nothing here
reads a clock: time is an argument, and the same seed and calls give the same noise.
"""

import math
import random
from dataclasses import dataclass

from geo.distance import METRES_PER_DEGREE
from loadtest.buffer import Reading
from loadtest.drive import Pose


@dataclass(frozen=True, slots=True)
class Habits:
    """How bad a phone is. Defaults are the phones of the traces; every number names its source."""

    sigma_m: tuple[float, float] = (
        2.3,
        7.2,
    )  # per axis, each phone draws one: p50 of parked, gotrack..geolife
    memory_s: tuple[float, float] = (
        4.7,
        9.5,
    )  # jitter's time constant: lag-1 correlation .28 at 6 s, .73 at 3 s
    jumps_per_1000: float = 0.4  # geolife .44, gotrack .40 (rome's 11 are parked taxis and a coarse clock)
    jump_m: tuple[float, float] = (66.0, 620.0)  # geolife's p10 and p90
    gaps_per_hour: float = 3.0  # geolife 2.3, gotrack 4.7
    gap_s: tuple[float, float] = (27.0, 100.0)  # p10 of both, p90 of gotrack
    repeated_share: float = 0.03  # the same place again while moving: geolife 2.6 %
    lying_share: float = 0.005  # fixes whose accuracy claims far too much: field reports, not the traces
    doubled_share: float = 0.005  # messages sent twice: field reports
    disorder_share: float = 0.01  # batches in a shuffled order: field reports
    outages_per_hour: float = 2.0  # loss of signal, when everything is buffered: field reports
    outage_s: tuple[float, float] = (8.0, 45.0)


QUIET = Habits(
    jumps_per_1000=0.0,
    gaps_per_hour=0.0,
    repeated_share=0.0,
    lying_share=0.0,
    doubled_share=0.0,
    disorder_share=0.0,
    outages_per_hour=0.0,
)


class PhoneGps:
    """One phone's GPS: true poses in, readings out; None while it has no fix."""

    def __init__(self, rng: random.Random, habits: Habits) -> None:
        self._rng = rng
        self._habits = habits
        self._sigma_m = rng.uniform(*habits.sigma_m)
        self._memory_s = rng.uniform(*habits.memory_s)
        self._east_m = rng.gauss(0, self._sigma_m)
        self._north_m = rng.gauss(0, self._sigma_m)
        self._last_s: float | None = None
        self._blind_until_s = -math.inf
        self._last: Reading | None = None
        self._battery = rng.uniform(0.35, 1.0)

    def read(self, pose: Pose, t_ms: int) -> Reading | None:
        """What the phone says at `t_ms` of a true pose."""
        now_s = t_ms / 1000
        passed_s = 1.0 if self._last_s is None else max(0.0, now_s - self._last_s)
        self._last_s = now_s
        self._drift(passed_s)
        if now_s < self._blind_until_s:
            return None
        if self._rng.random() < self._habits.gaps_per_hour * passed_s / 3600:
            self._blind_until_s = now_s + self._rng.uniform(*self._habits.gap_s)
            return None
        drained = self._battery - passed_s / 40_000
        self._battery = drained if drained > 0.08 else 1.0  # charged in the car
        if self._last is not None and self._rng.random() < self._habits.repeated_share:
            return Reading(t_ms, self._last.lat, self._last.lon, *self._described(pose))
        east, north, (acc, spd, hdg, battery) = self._east_m, self._north_m, self._described(pose)
        if self._rng.random() < self._habits.jumps_per_1000 / 1000:
            way, turn = self._rng.uniform(*self._habits.jump_m), self._rng.uniform(0, math.tau)
            east, north = way * math.cos(turn), way * math.sin(turn)
            acc = way * self._rng.uniform(0.5, 1.2)
        if self._rng.random() < self._habits.lying_share:
            way, turn = self._rng.uniform(80, 250), self._rng.uniform(0, math.tau)
            east, north = way * math.cos(turn), way * math.sin(turn)
            acc = self._rng.uniform(1.5, 4.0)
        lat = pose.lat + north / METRES_PER_DEGREE
        lon = pose.lon + east / (METRES_PER_DEGREE * math.cos(math.radians(pose.lat)))
        self._last = Reading(t_ms, lat, lon, acc, spd, hdg, battery)
        return self._last

    def _drift(self, passed_s: float) -> None:
        """Jitter that remembers: an Ornstein-Uhlenbeck step on each axis."""
        keep = math.exp(-passed_s / self._memory_s)
        fresh = self._sigma_m * math.sqrt(1 - keep * keep)
        self._east_m = self._east_m * keep + self._rng.gauss(0, fresh)
        self._north_m = self._north_m * keep + self._rng.gauss(0, fresh)

    def _described(self, pose: Pose) -> tuple[float, float, float | None, float]:
        acc = max(3.0, self._sigma_m * self._rng.uniform(1.2, 3.0))
        spd = max(0.0, pose.speed_mps + self._rng.gauss(0, 0.4))
        hdg = (pose.heading_deg + self._rng.gauss(0, 6)) % 360 if spd > 1.0 else None
        return acc, spd, hdg, self._battery


class Radio:
    """One phone's connection: when it is out of reach, and how messages get doubled or shuffled."""

    def __init__(self, rng: random.Random, habits: Habits) -> None:
        self._rng = rng
        self._habits = habits
        self._last_s: float | None = None

    def outage_s(self, now_s: float) -> float:
        """How long the signal is lost from now; 0 nearly always."""
        passed_s = 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)
        self._last_s = now_s
        if self._rng.random() < self._habits.outages_per_hour * passed_s / 3600:
            return self._rng.uniform(*self._habits.outage_s)
        return 0.0

    def order(self, seqs: list[int]) -> list[int]:
        """The order in which a batch leaves: now and then not the order of time."""
        if len(seqs) > 1 and self._rng.random() < self._habits.disorder_share * len(seqs):
            return self._rng.sample(seqs, len(seqs))
        return seqs

    def doubled(self) -> bool:
        """Whether this message leaves twice."""
        return self._rng.random() < self._habits.doubled_share
