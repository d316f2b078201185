"""How far and how fast a phone came, in a few numbers: for estimates of arrival and for noticing that it stands.

An anchor follows the position only when it is left by `STILL_M`, so jitter of a parked phone adds no way and does not
end its stillness. One sample each half minute for five minutes gives the trailing speed.
"""

from dataclasses import dataclass
from typing import Any, Self

from geo.distance import plane_m

STILL_M = 25.0
_SAMPLE_MS = 30_000
_SAMPLES = 11
_LEAST_MS = 15_000


@dataclass(frozen=True, slots=True)
class Trail:
    """Where it began, the anchor (and since when), metres travelled, and (time, metres) samples, oldest first."""

    began_ms: int
    began_lat: float
    began_lon: float
    anchor_ms: int
    anchor_lat: float
    anchor_lon: float
    travelled_m: float
    samples: tuple[tuple[int, float], ...]

    @classmethod
    def begun(cls, t_ms: int, lat: float, lon: float) -> Self:
        """A trail of one place."""
        return cls(t_ms, lat, lon, t_ms, lat, lon, 0.0, ((t_ms, 0.0),))

    def reaching(self, t_ms: int, lat: float, lon: float) -> "Trail":
        """The trail after the newest position."""
        step_m = plane_m(self.anchor_lat, self.anchor_lon, lat, lon)
        due = t_ms - self.samples[-1][0] >= _SAMPLE_MS
        if step_m < STILL_M:
            if not due:
                return self
            anchor_ms, anchor_lat, anchor_lon = self.anchor_ms, self.anchor_lat, self.anchor_lon
            travelled_m = self.travelled_m
        else:
            anchor_ms, anchor_lat, anchor_lon = t_ms, lat, lon
            travelled_m = self.travelled_m + step_m
        samples = (*self.samples[1 - _SAMPLES :], (t_ms, travelled_m)) if due else self.samples
        return Trail(
            self.began_ms,
            self.began_lat,
            self.began_lon,
            anchor_ms,
            anchor_lat,
            anchor_lon,
            travelled_m,
            samples,
        )

    def trailing_mps(self, t_ms: int, lat: float, lon: float, window_s: float = 300.0) -> float | None:
        """Metres per second over ground within `window_s` before the newest position, or None until that tells much."""
        since_ms = t_ms - window_s * 1000.0
        then_ms, then_m = next((sample for sample in self.samples if sample[0] >= since_ms), self.samples[-1])
        elapsed_ms = t_ms - then_ms
        if elapsed_ms < _LEAST_MS:
            return None
        begun_m = plane_m(self.anchor_lat, self.anchor_lon, lat, lon)  # the part of a step not counted yet
        return (self.travelled_m + begun_m - then_m) / elapsed_ms * 1000.0

    def to_snapshot(self) -> list[Any]:
        """A JSON-able copy."""
        return [
            self.began_ms,
            self.began_lat,
            self.began_lon,
            self.anchor_ms,
            self.anchor_lat,
            self.anchor_lon,
            self.travelled_m,
            [list(sample) for sample in self.samples],
        ]

    @classmethod
    def from_snapshot(cls, snapshot: list[Any]) -> Self:
        """The trail of a snapshot."""
        began_ms, began_lat, began_lon, anchor_ms, anchor_lat, anchor_lon, travelled_m, raw = snapshot
        samples = tuple((int(t_ms), float(m)) for t_ms, m in raw)
        return cls(began_ms, began_lat, began_lon, anchor_ms, anchor_lat, anchor_lon, travelled_m, samples)
