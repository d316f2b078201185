"""A way along streets, with the seconds that free driving takes up to each of its points.

A route is made once (at departure, and again after leaving it) and then only measured against, so the cumulative
metres and seconds stand ready. Invariant: `points`, `cum_m` and `cum_s` have one length ≥ 2 and never decrease.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import cos, inf, radians
from typing import Any, Self

from geo.distance import METRES_PER_DEGREE, bearing_deg, plane_m

Point = tuple[float, float]

_LOOK_BACK_M = 150.0
_LOOK_AHEAD_M = 2000.0
_ON_ROUTE_M = 60.0


@dataclass(frozen=True, slots=True)
class RoutePosition:
    """Where on a route a place is: metres along it, metres beside it, and what remains to its end."""

    along_m: float
    off_m: float
    remaining_m: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Route:
    """Points (lat, lon) with metres and free-flow seconds from the start to each of them."""

    points: tuple[Point, ...]
    cum_m: tuple[float, ...]
    cum_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.points) == len(self.cum_m) == len(self.cum_s):
            raise ValueError("a route needs two points or more, each with its metres and seconds")

    @classmethod
    def through(
        cls, points: Iterable[Point], leg_s: Sequence[float] | None = None, speed_mps: float = 10.0
    ) -> Self:
        """The route through points, with the seconds between neighbours, or at one speed throughout."""
        at = tuple(points)
        leg_m = [plane_m(*a, *b) for a, b in pairwise(at)]
        seconds = leg_s if leg_s is not None else [metres / speed_mps for metres in leg_m]
        return cls(at, tuple(accumulate(leg_m, initial=0.0)), tuple(accumulate(seconds, initial=0.0)))

    @property
    def distance_m(self) -> float:
        """Metres from end to end."""
        return self.cum_m[-1]

    @property
    def duration_s(self) -> float:
        """Free-flow seconds from end to end."""
        return self.cum_s[-1]

    def at_distance(self, along_m: float) -> tuple[float, float, float]:
        """(lat, lon, bearing) after `along_m` metres, held within the route."""
        i, share = self._leg(self.cum_m, along_m)
        return self._on_leg(i, share)

    def at_seconds(self, elapsed_s: float) -> tuple[float, float, float]:
        """(lat, lon, bearing) after `elapsed_s` seconds of free driving, held within the route."""
        i, share = self._leg(self.cum_s, elapsed_s)
        return self._on_leg(i, share)

    def seconds_at(self, along_m: float) -> float:
        """Free-flow seconds from the start to `along_m`."""
        i, share = self._leg(self.cum_m, along_m)
        return self.cum_s[i] + share * (self.cum_s[i + 1] - self.cum_s[i])

    def speed_at(self, along_m: float) -> float:
        """Free-flow metres per second of the street at `along_m`."""
        i, _ = self._leg(self.cum_m, along_m)
        while i < len(self.points) - 2 and self.cum_m[i + 1] <= self.cum_m[i]:
            i += 1  # two points in one place have no speed of their own
        seconds = self.cum_s[i + 1] - self.cum_s[i]
        metres = self.cum_m[i + 1] - self.cum_m[i]
        if seconds <= 0 or metres <= 0:
            return self.distance_m / self.duration_s if self.duration_s > 0 else 0.0
        return metres / seconds

    def locate(self, lat: float, lon: float, hint_m: float | None = None) -> RoutePosition:
        """The point of the route nearest to a place.

        With `hint_m` (the last known `along_m`) only the streets around it are looked at, so a route that crosses or
        doubles itself does not throw the position forward; too far from those, the whole route is searched.
        """
        last = len(self.points) - 2
        if hint_m is not None:
            first = max(0, bisect_right(self.cum_m, hint_m - _LOOK_BACK_M) - 1)
            until = min(last, bisect_right(self.cum_m, hint_m + _LOOK_AHEAD_M))
            off_m, along_m = self._nearest(lat, lon, min(first, last), until)
            if off_m <= _ON_ROUTE_M:
                return self._position(along_m, off_m)
        off_m, along_m = self._nearest(lat, lon, 0, last)
        return self._position(along_m, off_m)

    def slice(self, from_m: float, to_m: float) -> Self:
        """The part between two distances, as a route of its own."""
        from_m = max(0.0, min(from_m, self.distance_m))
        to_m = max(from_m, min(to_m, self.distance_m))
        inner = [i for i, m in enumerate(self.cum_m) if from_m < m < to_m]
        start, end = self.at_distance(from_m), self.at_distance(to_m)
        start_s, end_s = self.seconds_at(from_m), self.seconds_at(to_m)
        return type(self)(
            ((start[0], start[1]), *(self.points[i] for i in inner), (end[0], end[1])),
            (0.0, *(self.cum_m[i] - from_m for i in inner), to_m - from_m),
            (0.0, *(self.cum_s[i] - start_s for i in inner), end_s - start_s),
        )

    def polyline(self) -> str:
        """Its points as an encoded polyline of precision 5."""
        return encode_polyline(self.points)

    def to_snapshot(self) -> dict[str, Any]:
        """A small JSON-able copy (points rounded to a metre, seconds to tenths)."""
        return {"line": self.polyline(), "s": [round(s, 1) for s in self.cum_s]}

    @classmethod
    def from_snapshot(cls, snapshot: dict[str, Any]) -> Self:
        """The route of a snapshot; ValueError if it is not one."""
        points = decode_polyline(snapshot["line"])
        cum_s: list[float] = snapshot["s"]
        return cls.through(points, [b - a for a, b in pairwise(cum_s)])

    def _leg(self, cumulative: tuple[float, ...], value: float) -> tuple[int, float]:
        i = min(max(bisect_right(cumulative, value) - 1, 0), len(cumulative) - 2)
        span = cumulative[i + 1] - cumulative[i]
        share = (value - cumulative[i]) / span if span > 0 else 0.0
        return i, min(1.0, max(0.0, share))

    def _on_leg(self, i: int, share: float) -> tuple[float, float, float]:
        (lat1, lon1), (lat2, lon2) = self.points[i], self.points[i + 1]
        bearing = bearing_deg(lat1, lon1, lat2, lon2)
        return lat1 + share * (lat2 - lat1), lon1 + share * (lon2 - lon1), bearing

    def _nearest(self, lat: float, lon: float, first: int, last: int) -> tuple[float, float]:
        """(metres beside, metres along) of the nearest point on the legs first..last, on the plane around the place."""
        scale_x = METRES_PER_DEGREE * cos(radians(lat))
        best, best_leg, best_share = inf, first, 0.0
        p_lat, p_lon = self.points[first]
        ax, ay = (p_lon - lon) * scale_x, (p_lat - lat) * METRES_PER_DEGREE
        for i in range(first, last + 1):
            q_lat, q_lon = self.points[i + 1]
            bx, by = (q_lon - lon) * scale_x, (q_lat - lat) * METRES_PER_DEGREE
            dx, dy = bx - ax, by - ay
            length2 = dx * dx + dy * dy
            share = 0.0 if length2 == 0.0 else min(1.0, max(0.0, -(ax * dx + ay * dy) / length2))
            x, y = ax + share * dx, ay + share * dy
            away2 = x * x + y * y
            if away2 < best:
                best, best_leg, best_share = away2, i, share
            ax, ay = bx, by
        along = self.cum_m[best_leg] + best_share * (self.cum_m[best_leg + 1] - self.cum_m[best_leg])
        return best**0.5, along

    def _position(self, along_m: float, off_m: float) -> RoutePosition:
        remaining_s = self.duration_s - self.seconds_at(along_m)
        return RoutePosition(along_m, off_m, self.distance_m - along_m, remaining_s)


def encode_polyline(points: Iterable[Point]) -> str:
    """Points as text, five decimals each (Google's encoded polyline format)."""
    out: list[str] = []
    last_lat = last_lon = 0
    for lat, lon in points:
        lat5, lon5 = round(lat * 1e5), round(lon * 1e5)
        for delta in (lat5 - last_lat, lon5 - last_lon):
            value = ~(delta << 1) if delta < 0 else delta << 1
            while value >= 0x20:
                out.append(chr((0x20 | value & 0x1F) + 63))
                value >>= 5
            out.append(chr(value + 63))
        last_lat, last_lon = lat5, lon5
    return "".join(out)


def decode_polyline(text: str) -> tuple[Point, ...]:
    """The points of an encoded polyline; ValueError when it breaks off."""
    values: list[int] = []
    value = shift = 0
    for char in text:
        bits = ord(char) - 63
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits < 0x20:
            values.append(~(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    if shift or len(values) % 2:
        raise ValueError("the polyline breaks off")
    lats = accumulate(values[0::2])
    lons = accumulate(values[1::2])
    return tuple((lat / 1e5, lon / 1e5) for lat, lon in zip(lats, lons, strict=True))
