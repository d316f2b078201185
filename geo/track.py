"""One phone's way during one session: every fix gets a verdict, and the newest good ones move the marker.

The way of a fix is the ordered list in `judge`. A session's memory is bounded, a late fix never moves the marker, and
no fault of a phone can shut it out for good: a wrong clock is learned, a wrong anchor is left once several refused
fixes agree with each other, and the limit on accuracy widens the longer nothing better comes.
"""

from dataclasses import dataclass
from math import atan2, cos, degrees, isfinite, radians, sin, sqrt
from typing import Any, Literal, Self

from geo.clock import Clock
from geo.distance import compass_deg, plane_m
from geo.handled import Handled
from geo.smoothing import Smoothed, begun, fix_sigma_m, hearing_speed, moved
from geo.trail import Trail

Kind = Literal["live", "late", "duplicate", "rejected"]
Reason = Literal["teleport", "inaccurate", "future", "before_session", "invalid"]

FUTURE_MS = 5_000
BEFORE_MS = 30_000
MAX_MPS = 50.0
_GATE_MPS = 20.0  # what a phone may be quicker than it was thought to be, before its acceleration counts
_GATE_MPS2 = 3.0
_GATE_M = 30.0
_GATE_SIGMAS = 3.0
_GATE_SIGMA_MOST_M = 300.0
_AGREEING = 3
_AGREEING_MS = 5_000
_FORGET_MS = 180_000  # after such a silence the old motion says nothing about the new
_ACCURACY_M = 100.0
_ACCURACY_MPS = 20.0
_ACCURACY_MOST_M = 5_000.0
_HEADING_MPS = 1.0
_STANDING_MPS = 0.5


@dataclass(frozen=True, slots=True)
class Fix:
    """What a phone said: its own number and time, a place, and perhaps accuracy, motion, battery (0–1)."""

    seq: int
    t_ms: int
    lat: float
    lon: float
    acc_m: float | None = None
    spd_mps: float | None = None
    hdg_deg: float | None = None
    battery: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a fix; `reason` only when rejected."""

    kind: Kind
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """The smoothed newest place, with its time by our clock, its 68 % radius, and its motion."""

    t_ms: int
    lat: float
    lon: float
    acc_m: float
    spd_mps: float
    hdg_deg: float | None


@dataclass(frozen=True, slots=True)
class Suspect:
    """The newest of several refused fixes that agree with each other."""

    since_ms: int
    t_ms: int
    lat: float
    lon: float
    sigma_m: float
    agreeing: int


LIVE = Verdict("live")
LATE = Verdict("late")
DUPLICATE = Verdict("duplicate")
INVALID = Verdict("rejected", "invalid")
FUTURE = Verdict("rejected", "future")
BEFORE_SESSION = Verdict("rejected", "before_session")
INACCURATE = Verdict("rejected", "inaccurate")
TELEPORT = Verdict("rejected", "teleport")


@dataclass(frozen=True, slots=True)
class Track:
    """Everything that is kept of a session: about 2 KB."""

    opened_ms: int
    handled: Handled
    clock: Clock
    smoothed: Smoothed | None
    position: Position | None
    suspect: Suspect | None
    trail: Trail | None

    @classmethod
    def opened(cls, opened_ms: int) -> Self:
        """The track of a session that opened now."""
        return cls(opened_ms, Handled(), Clock(), None, None, None, None)

    @property
    def acked_seq(self) -> int:
        """The highest sequence number at and below which all were handled; 0 before the first."""
        return self.handled.upto

    def taken_over(self) -> "Track":
        """The same way, continued by another device: its own clock and its own numbers."""
        return Track(self.opened_ms, Handled(), Clock(), self.smoothed, self.position, None, self.trail)

    def trailing_mps(self, window_s: float = 300.0) -> float | None:
        """Metres per second over the last minutes before the newest position."""
        if self.trail is None or self.position is None:
            return None
        return self.trail.trailing_mps(self.position.t_ms, self.position.lat, self.position.lon, window_s)

    def still_s(self) -> float:
        """For how long, by its own fixes, the phone has been standing; a silent phone does not stand."""
        if self.trail is None or self.position is None:
            return 0.0
        return (self.position.t_ms - self.trail.anchor_ms) / 1000.0

    def to_snapshot(self) -> dict[str, Any]:
        """A JSON-able copy for the session's next owner."""
        return {
            "opened": self.opened_ms,
            "handled": self.handled.to_snapshot(),
            "clock": _values(self.clock),
            "smoothed": _values(self.smoothed),
            "position": _values(self.position),
            "suspect": _values(self.suspect),
            "trail": self.trail.to_snapshot() if self.trail is not None else None,
        }

    @classmethod
    def from_snapshot(cls, snapshot: dict[str, Any]) -> Self:
        """The track of a snapshot; KeyError, TypeError or ValueError if it is not one."""
        smoothed, position = snapshot["smoothed"], snapshot["position"]
        suspect, trail = snapshot["suspect"], snapshot["trail"]
        return cls(
            int(snapshot["opened"]),
            Handled.from_snapshot(snapshot["handled"]),
            Clock(*snapshot["clock"]),
            Smoothed(*smoothed) if smoothed is not None else None,
            Position(*position) if position is not None else None,
            Suspect(*suspect) if suspect is not None else None,
            Trail.from_snapshot(trail) if trail is not None else None,
        )


def judge(track: Track, fix: Fix, received_ms: int) -> tuple[Verdict, Track]:  # noqa: PLR0911 - one exit a verdict
    """The verdict on a fix that arrived at `received_ms` by our clock, and the track after it. Steps in their order."""
    if _invalid(fix):
        return INVALID, track
    if fix.seq in track.handled:
        return DUPLICATE, track

    track = _heard(track, fix, received_ms)  # from here on the fix counts as handled
    t_ms = fix.t_ms + track.clock.offset_ms
    if t_ms > received_ms + FUTURE_MS:
        return FUTURE, track
    if t_ms < track.opened_ms - BEFORE_MS:
        return BEFORE_SESSION, track

    last = track.smoothed
    if last is not None and t_ms <= last.t_ms:
        return LATE, track
    if _inaccurate(fix, t_ms, last.t_ms if last is not None else track.opened_ms):
        return INACCURATE, track

    sigma_m = fix_sigma_m(fix.acc_m)
    if last is None:
        return LIVE, _anchored(track, fix, t_ms, sigma_m)
    if not _reachable(last, t_ms, fix.lat, fix.lon, sigma_m):
        suspect = _suspected(track.suspect, fix, t_ms, sigma_m)
        if suspect.agreeing < _AGREEING or t_ms - suspect.since_ms < _AGREEING_MS:
            return TELEPORT, _doubting(track, suspect)
        return LIVE, _anchored(track, fix, t_ms, sigma_m)
    if t_ms - last.t_ms > _FORGET_MS:
        return LIVE, _anchored(track, fix, t_ms, sigma_m)
    return LIVE, _followed(track, last, fix, t_ms, sigma_m)


def _invalid(fix: Fix) -> bool:
    lat, lon = fix.lat, fix.lon
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0) or fix.seq < 0 or fix.t_ms <= 0:
        return True  # NaN fails every comparison
    return fix.acc_m is not None and not (fix.acc_m >= 0.0 and isfinite(fix.acc_m))


def _heard(track: Track, fix: Fix, received_ms: int) -> Track:
    return Track(
        track.opened_ms,
        track.handled.adding(fix.seq),
        track.clock.observing(fix.t_ms, received_ms),
        track.smoothed,
        track.position,
        track.suspect,
        track.trail,
    )


def _inaccurate(fix: Fix, t_ms: int, since_ms: int) -> bool:
    """Too vague for what is known already; a fixed limit would starve a phone that never gets better."""
    if fix.acc_m is None:
        return False
    waited_s = max(0.0, (t_ms - since_ms) / 1000.0)
    return fix.acc_m > min(_ACCURACY_M + _ACCURACY_MPS * waited_s, _ACCURACY_MOST_M)


def _reachable(last: Smoothed, t_ms: int, lat: float, lon: float, sigma_m: float) -> bool:
    """Whether a vehicle that was there can be here now, both places being uncertain."""
    dt = (t_ms - last.t_ms) / 1000.0
    away_m = plane_m(last.lat, last.lon, lat, lon)
    slack_m = _GATE_M + _GATE_SIGMAS * (min(sigma_m, _GATE_SIGMA_MOST_M) + sqrt(last.pp))
    if away_m <= slack_m:
        return True
    mps = min(MAX_MPS, _GATE_MPS + last.speed_mps + sqrt(last.vv) + _GATE_MPS2 * dt)
    return away_m <= slack_m + mps * dt


def _suspected(suspect: Suspect | None, fix: Fix, t_ms: int, sigma_m: float) -> Suspect:
    """The refused fix, joined with those before it if they tell one story: a vehicle's way, newest last."""
    if suspect is not None and t_ms > suspect.t_ms:
        reach_m = _GATE_M + _GATE_SIGMAS * (min(sigma_m, _GATE_SIGMA_MOST_M) + suspect.sigma_m)
        reach_m += MAX_MPS * (t_ms - suspect.t_ms) / 1000.0
        if plane_m(suspect.lat, suspect.lon, fix.lat, fix.lon) <= reach_m:
            return Suspect(suspect.since_ms, t_ms, fix.lat, fix.lon, sigma_m, suspect.agreeing + 1)
    return Suspect(t_ms, t_ms, fix.lat, fix.lon, sigma_m, 1)


def _doubting(track: Track, suspect: Suspect) -> Track:
    return Track(
        track.opened_ms, track.handled, track.clock, track.smoothed, track.position, suspect, track.trail
    )


def _anchored(track: Track, fix: Fix, t_ms: int, sigma_m: float) -> Track:
    """The track put down at this fix, without memory of the motion before it."""
    return _with(track, begun(t_ms, fix.lat, fix.lon, sigma_m), fix)


def _followed(track: Track, last: Smoothed, fix: Fix, t_ms: int, sigma_m: float) -> Track:
    smoothed = moved(last, t_ms, fix.lat, fix.lon, sigma_m)
    speed, heading = fix.spd_mps, fix.hdg_deg
    if speed is not None and 0.0 <= speed <= MAX_MPS:
        if speed < _STANDING_MPS:
            smoothed = hearing_speed(smoothed, 0.0, 0.0)
        elif heading is not None and 0.0 <= heading <= 360.0:
            angle = radians(heading)
            smoothed = hearing_speed(smoothed, speed * cos(angle), speed * sin(angle))
    return _with(track, smoothed, fix)


def _with(track: Track, smoothed: Smoothed, fix: Fix) -> Track:
    """The track with its marker moved and no suspicion left."""
    t_ms, lat, lon = smoothed.t_ms, smoothed.lat, smoothed.lon
    speed = smoothed.speed_mps
    if speed >= _HEADING_MPS:
        heading: float | None = compass_deg(degrees(atan2(smoothed.east_mps, smoothed.north_mps)))
    else:  # at a stand the direction is noise: the last one stays
        heading = track.position.hdg_deg if track.position is not None else fix.hdg_deg
    trail = track.trail
    return Track(
        track.opened_ms,
        track.handled,
        track.clock,
        smoothed,
        Position(t_ms, lat, lon, smoothed.sigma_m * 1.515, speed, heading),
        None,
        trail.reaching(t_ms, lat, lon) if trail is not None else Trail.begun(t_ms, lat, lon),
    )


def _values(thing: Clock | Smoothed | Position | Suspect | None) -> list[Any] | None:
    return None if thing is None else [getattr(thing, name) for name in thing.__slots__]
