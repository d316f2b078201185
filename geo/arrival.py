"""Whether a technician has come near and has arrived, told once each.

Arrival is entry (the nearer the surer), standing or crawling there for a while, seen in several fixes, and not undone
by leaving a wider circle. Passing by, however slowly traffic moves, and a phone that fell silent at the door do not
count: time is taken from fixes, never from the clock. The technician's own word stands above this and needs none of it.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self

from geo.distance import plane_m
from geo.track import Position

Event = Literal["near", "arrived"]

NEAR_M = 500.0
NEAR_S = 180.0
ENTRY_M = 80.0
EXIT_M = 140.0
CLOSE_M = 40.0
_SLACK_M = 30.0  # what a vague position may be farther out and still count
_CLOSE_DWELL_MS = 20_000
_DWELL_MS = 45_000  # further out it may be a red light before the last corner
_SLOW_MPS = 2.5
_QUICK_MPS = 5.0
_CONFIRMATIONS = 2


@dataclass(frozen=True, slots=True)
class Arrival:
    """What was noticed so far: what was told, and since when (and how often) the phone has been seen at the place."""

    near: bool = False
    arrived: bool = False
    seen_ms: int = 0
    since_ms: int | None = None
    sightings: int = 0

    def to_snapshot(self) -> list[Any]:
        """A JSON-able copy."""
        return [self.near, self.arrived, self.seen_ms, self.since_ms, self.sightings]

    @classmethod
    def from_snapshot(cls, snapshot: list[Any]) -> Self:
        """The state of a snapshot."""
        return cls(*snapshot)


def observe(
    arrival: Arrival,
    position: Position | None,
    destination_lat: float,
    destination_lon: float,
    now_ms: int,
    eta_s: float | None = None,
) -> tuple[Arrival, Event | None]:
    """The state after the newest position, and what is to be told now; for each live fix and each new ETA.

    `now_ms` is our clock: a position older than two minutes tells nothing new. Near and arrived at once: near is told
    first, arrived with the next position. After arrival nothing changes any more.
    """
    if position is None or arrival.arrived or now_ms - position.t_ms > 120_000:
        return arrival, None
    away_m = plane_m(position.lat, position.lon, destination_lat, destination_lon)
    if position.t_ms > arrival.seen_ms:
        arrival = _seen(arrival, position, away_m)
    if not arrival.near and (away_m <= NEAR_M or (eta_s is not None and eta_s <= NEAR_S)):
        return _marked(arrival, near=True, arrived=False), "near"
    if arrival.since_ms is not None and arrival.sightings >= _CONFIRMATIONS and away_m <= _reach_m(position):
        dwell_ms = _CLOSE_DWELL_MS if away_m <= CLOSE_M else _DWELL_MS
        if position.t_ms - arrival.since_ms >= dwell_ms:
            return _marked(arrival, near=True, arrived=True), "arrived"
    return arrival, None


def _seen(arrival: Arrival, position: Position, away_m: float) -> Arrival:
    """The dwell begun, continued or given up by one newer position."""
    t_ms, since_ms, sightings = position.t_ms, arrival.since_ms, arrival.sightings
    if away_m > EXIT_M + min(position.acc_m, _SLACK_M) or position.spd_mps > _QUICK_MPS:
        since_ms, sightings = None, 0
    elif away_m <= _reach_m(position) and position.spd_mps <= _SLOW_MPS:
        since_ms, sightings = t_ms if since_ms is None else since_ms, sightings + 1
    return Arrival(arrival.near, arrival.arrived, t_ms, since_ms, sightings)


def _reach_m(position: Position) -> float:
    return ENTRY_M + min(position.acc_m, _SLACK_M) / 2


def _marked(arrival: Arrival, *, near: bool, arrived: bool) -> Arrival:
    return Arrival(near, arrived, arrival.seen_ms, arrival.since_ms, arrival.sightings)
