"""When a technician will be there: a time, a range that holds in four cases of five, and how it was made.

Without streets, seconds to go = e^A × km^B × (trailing speed / 6)^C × (progress / 4.5)^D, both speeds drawn towards
those typical values while little is known. `python -m loadtest.fit_eta` fitted A to D on 170 real trips (GeoLife,
Go!Track, Rome taxis, a Liverpool bus; least absolute log error, folds by trip): median error 40 %, against 52 % for
remaining way ÷ trailing speed. The range's factors are the 10th and 90th percentile of those errors by distance.
With streets, free-flow seconds to go × the pace kept so far. Its constants were chosen on simulated drives
(`python -m loadtest.try_eta`: median error 14 %), as no trace here has streets: they tell nothing about real traffic.
"""

from dataclasses import dataclass
from math import exp, hypot, log
from typing import Any, Literal, Self

from geo.distance import plane_m
from geo.route import Point, Route
from geo.track import Position, Track

Method = Literal["route", "straight"]

ROAD_FACTOR = 1.35
FREE_FLOW_PACE = 1.3
"""How much longer a city drive takes than OSRM's free flow."""

FEATURES = ("A: constant", "B: km to go", "C: trailing speed", "D: progress")
_A, _B, _C, _D = 5.692, 0.732, -0.422, -0.163
_TYPICAL_MPS = 6.0
_TYPICAL_PROGRESS_MPS = 4.5
_LEAST_MPS = 0.5
_TRAILING_S, _TRAILING_WEIGHT_S = 300.0, 120.0
_PROGRESS_WEIGHT_S = 400.0
_RANGES = (  # straight metres up to, and the range's factors
    (500.0, 0.61, 6.2),
    (1000.0, 0.45, 4.0),
    (2000.0, 0.54, 3.2),
    (4000.0, 0.61, 2.4),
)
_FAR_RANGE = (0.63, 2.3)

_PACE_WEIGHT_S = 40.0
_PACE_LEAST, _PACE_MOST = 0.35, 4.0
_OFF_ROUTE_M = 150.0
_ROUTE_SPREAD = 0.16
_ROUTE_SPREAD_S = 45.0
_TENTH = 1.2816  # standard deviations from the middle to the 10th and the 90th percentile
_LATE_SKEW = 1.4  # drives run late farther than early

_DAMPING_MS = 20_000.0
_SMALL_MS, _SMALL = 10_000.0, 0.08  # of the time to go, whichever is more
_STALE_MOST_S = 60.0


@dataclass(frozen=True, slots=True)
class Speeds:
    """How a phone came so far: speed over the last five minutes, straight metres gained a second, and for how long."""

    trailing_mps: float | None = None
    progress_mps: float | None = None
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Eta:
    """Arrival `at_ms` within [`low_ms`, `high_ms`] in four cases of five, as known at `as_of_ms`.

    `remaining_m` are metres by street (estimated when straight); `along_m` is where on the route, if by route.
    """

    at_ms: int
    low_ms: int
    high_ms: int
    remaining_m: float
    method: Method
    as_of_ms: int
    along_m: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds from when it was made until arrival."""
        return (self.at_ms - self.as_of_ms) / 1000.0

    def to_snapshot(self) -> list[Any]:
        """A JSON-able copy."""
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def from_snapshot(cls, snapshot: list[Any]) -> Self:
        """The estimate of a snapshot."""
        return cls(*snapshot)


def speeds_of(track: Track, destination_lat: float, destination_lon: float) -> Speeds:
    """What a track tells about its pace towards a place."""
    trail, position = track.trail, track.position
    if trail is None or position is None or trail.travelled_m == 0:
        return Speeds()  # who has not set out yet tells nothing about the drive
    elapsed_s = (position.t_ms - trail.began_ms) / 1000.0
    began_m = plane_m(trail.began_lat, trail.began_lon, destination_lat, destination_lon)
    left_m = plane_m(position.lat, position.lon, destination_lat, destination_lon)
    return Speeds(track.trailing_mps(_TRAILING_S), (began_m - left_m) / elapsed_s, elapsed_s)


def estimate(
    position: Position,
    destination: Point,
    route: Route | None,
    speeds: Speeds,
    now_ms: int,
    previous: Eta | None = None,
) -> Eta:
    """The arrival of a phone at `destination` (lat, lon), by `route` while it is on it, else by the straight line.

    `previous` is the estimate before this one for the same leg: it damps jumps and shortens the search on the route.
    """
    raw = _by_route(position, route, speeds, previous) if route is not None else None
    if raw is None:
        raw = _by_straight_line(position, destination, speeds)
    return _damped(raw, position.t_ms, now_ms, previous)


@dataclass(frozen=True, slots=True)
class _Raw:
    """An estimate as of the position's own time, before damping; seconds to go."""

    left_s: float
    low_s: float
    high_s: float
    remaining_m: float
    method: Method
    along_m: float | None = None


def _by_route(position: Position, route: Route, speeds: Speeds, previous: Eta | None) -> _Raw | None:
    """None when the phone has left the route."""
    where = route.locate(position.lat, position.lon, previous.along_m if previous is not None else None)
    if where.off_m > _OFF_ROUTE_M + position.acc_m:
        return None
    left_s = where.remaining_s * _pace(route, where.along_m, speeds)
    spread = hypot(_ROUTE_SPREAD, _ROUTE_SPREAD_S / max(left_s, _ROUTE_SPREAD_S))
    low_s, high_s = left_s * exp(-_TENTH * spread), left_s * exp(_TENTH * _LATE_SKEW * spread)
    return _Raw(left_s, low_s, high_s, where.remaining_m, "route", where.along_m)


def _by_straight_line(position: Position, destination: Point, speeds: Speeds) -> _Raw:
    straight_m = plane_m(position.lat, position.lon, *destination)
    left_s = straight_s(straight_m, speeds)
    low, high = _range(straight_m)
    return _Raw(left_s, left_s * low, left_s * high, straight_m * ROAD_FACTOR, "straight")


def typical_s(straight_m: float) -> float:
    """Driving seconds over a straight distance when nothing is known about the driver."""
    return straight_s(straight_m, Speeds())


def straight_s(straight_m: float, speeds: Speeds) -> float:
    """Seconds to go by the fitted formula; the last 100 metres shrink it to nothing in proportion."""
    _, km, trailing, progress = features(straight_m, speeds)
    return exp(_A + _B * km + _C * trailing + _D * progress) * min(1.0, straight_m / 100.0)


def features(straight_m: float, speeds: Speeds) -> tuple[float, float, float, float]:
    """The formula's terms: 1, ln km, ln trailing speed and ln progress relative to the typical ones."""
    known_s = min(speeds.elapsed_s, _TRAILING_S)
    trailing = (
        (speeds.trailing_mps or 0.0) * known_s if speeds.trailing_mps is not None else _TYPICAL_MPS * known_s
    )
    trailing = (trailing + _TYPICAL_MPS * _TRAILING_WEIGHT_S) / (known_s + _TRAILING_WEIGHT_S)
    gained_m = speeds.progress_mps * speeds.elapsed_s if speeds.progress_mps is not None else 0.0
    waited_s = speeds.elapsed_s if speeds.progress_mps is not None else 0.0
    progress = (gained_m + _TYPICAL_PROGRESS_MPS * _PROGRESS_WEIGHT_S) / (waited_s + _PROGRESS_WEIGHT_S)
    return (
        1.0,
        log(max(straight_m, 100.0) / 1000.0),
        log(max(trailing, _LEAST_MPS) / _TYPICAL_MPS),
        log(max(progress, _LEAST_MPS) / _TYPICAL_PROGRESS_MPS),
    )


def _pace(route: Route, along_m: float, speeds: Speeds) -> float:
    """Seconds driven for each free-flow second over the last minutes of the route, drawn towards the city's usual."""
    known_s = min(speeds.elapsed_s, _TRAILING_S)
    if speeds.trailing_mps is None or known_s <= 0:
        return FREE_FLOW_PACE
    driven_m = speeds.trailing_mps * known_s
    if driven_m > along_m > 0:  # the route was made on the way: only its own part counts
        known_s, driven_m = known_s * along_m / driven_m, along_m
    free_s = route.seconds_at(along_m) - route.seconds_at(along_m - driven_m)
    pace = (known_s + FREE_FLOW_PACE * _PACE_WEIGHT_S) / (free_s + _PACE_WEIGHT_S)
    return min(max(pace, _PACE_LEAST), _PACE_MOST)


def _range(straight_m: float) -> tuple[float, float]:
    return next(((low, high) for upto_m, low, high in _RANGES if straight_m < upto_m), _FAR_RANGE)


def _damped(raw: _Raw, known_ms: int, now_ms: int, previous: Eta | None) -> Eta:
    """The estimate as seen now: a silent phone is credited a minute of driving at most, and doubt grows."""
    silent_s = max(0.0, (now_ms - known_ms) / 1000.0)
    credit_s = min(silent_s, _STALE_MOST_S, raw.left_s / 2)
    at_ms = now_ms + (raw.left_s - credit_s) * 1000.0
    if previous is not None:
        off_ms = at_ms - previous.at_ms
        weight = 1.0 - exp(-max(0, now_ms - previous.as_of_ms) / _DAMPING_MS)
        # A small change is smoothed away; of a large one, what goes beyond small is news and let through at once.
        small_ms = max(_SMALL_MS, _SMALL * (at_ms - now_ms))
        if abs(off_ms) > small_ms:
            weight = max(weight, 1.0 - small_ms / abs(off_ms))
        at_ms = max(float(now_ms), previous.at_ms + weight * off_ms)
    stretch = (at_ms - now_ms) / (raw.left_s * 1000.0) if raw.left_s > 0 else 1.0
    low_ms = min(at_ms, now_ms + raw.low_s * stretch * 1000.0)
    high_ms = max(at_ms, now_ms + (raw.high_s * stretch + max(0.0, silent_s - _STALE_MOST_S)) * 1000.0)
    return Eta(int(at_ms), int(low_ms), int(high_ms), raw.remaining_m, raw.method, now_ms, raw.along_m)
