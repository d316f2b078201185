"""Near and arrived are told once each, when true, and passing by is neither."""

import json
import random

import pytest

from geo.arrival import Arrival, Event, observe
from geo.distance import destination
from geo.track import Fix, Position, Track, judge

T0 = 1_790_000_000_000
DOOR = (39.2840, -76.5700)


def seen_from(
    metres: float, t_s: float, *, mps: float = 0.0, acc_m: float = 8.0, side: float = 200
) -> Position:
    """A position at a distance from the door."""
    return Position(T0 + round(t_s * 1000), *destination(*DOOR, side, metres), acc_m, mps, None)


def events(positions: list[Position], *, eta_s: float | None = None) -> list[tuple[Event, float]]:
    """What was told, and at which second."""
    arrival, told = Arrival(), []
    for position in positions:
        arrival, event = observe(arrival, position, *DOOR, position.t_ms + 300, eta_s)
        if event is not None:
            told.append((event, (position.t_ms - T0) / 1000))
        assert Arrival.from_snapshot(json.loads(json.dumps(arrival.to_snapshot()))) == arrival
    return told


def test_a_visit_is_near_and_then_arrived() -> None:
    """Driving up and parking tells near at 500 m and arrived after the dwell, once each."""
    driving = [seen_from(1000 - 10 * s, s, mps=10) for s in range(0, 97, 5)]
    parked = [seen_from(30, 100 + s) for s in range(0, 300, 5)]
    told = events(driving + parked)
    assert [event for event, _ in told] == ["near", "arrived"]
    assert told[0][1] in {50, 55}
    assert 115 <= told[1][1] <= 130


def test_near_comes_from_the_eta_too() -> None:
    """Three minutes away is near, however far that is."""
    assert events([seen_from(4000, 0, mps=25)], eta_s=170) == [("near", 0)]
    assert events([seen_from(4000, 0, mps=25)], eta_s=190) == []


@pytest.mark.parametrize("mps", [3.0, 5.0, 10.0, 20.0])
def test_a_drive_by_is_not_an_arrival(mps: float) -> None:
    """Passing the very door at any speed of traffic tells near only."""
    fixes = [
        Fix(i + 1, T0 + i * 3000, *destination(*destination(*DOOR, 0, 15), 90, -900 + i * 3 * mps), 6.0)
        for i in range(round(1800 / (3 * mps)))
    ]
    track, arrival, told = Track.opened(T0), Arrival(), []
    for fix in fixes:
        _, track = judge(track, fix, fix.t_ms + 200)
        arrival, event = observe(arrival, track.position, *DOOR, fix.t_ms + 200)
        told.append(event)
    assert "near" in told
    assert "arrived" not in told


def test_a_red_light_at_the_last_corner_is_not_an_arrival() -> None:
    """Thirty seconds at 70 m from the door, then on: not yet."""
    waiting = [seen_from(70, s) for s in range(0, 30, 5)]
    leaving = [seen_from(70 + 10 * s, 30 + s, mps=10) for s in range(0, 60, 5)]
    assert [event for event, _ in events(waiting + leaving)] == ["near"]


def test_parking_down_the_street_is_an_arrival_after_longer() -> None:
    """Who stands at 70 m has arrived after three quarters of a minute."""
    told = events([seen_from(70, s) for s in range(0, 120, 5)])
    assert told[-1] == ("arrived", 45)


def test_a_silent_phone_does_not_arrive() -> None:
    """One fix at the door followed by silence is no dwell, whatever the clock says."""
    arrival, _ = observe(Arrival(), seen_from(10, 0), *DOOR, T0)
    for later_s in range(0, 100, 10):
        arrival, event = observe(arrival, seen_from(10, 0), *DOOR, T0 + later_s * 1000)
        assert event is None


def test_an_old_position_tells_nothing() -> None:
    """A position of three minutes ago is no news of being near."""
    assert observe(Arrival(), seen_from(100, 0), *DOOR, T0 + 180_000) == (Arrival(), None)


def test_sparse_fixes_arrive_too() -> None:
    """At one fix each 25 s the arrival comes within two of them after the dwell."""
    told = events([seen_from(20, s) for s in range(0, 200, 25)])
    assert told[-1][0] == "arrived"
    assert told[-1][1] <= 50


def test_jitter_at_the_door_does_not_undo_the_dwell() -> None:
    """Fixes that scatter around the door, some outside the entry circle, still arrive."""
    rnd = random.Random(2)
    told = events(
        [seen_from(abs(rnd.gauss(0, 45)), s, acc_m=30, side=rnd.uniform(0, 360)) for s in range(0, 150, 5)]
    )
    assert told[-1][0] == "arrived"


def test_nothing_follows_arrival() -> None:
    """Leaving and coming back after arrival tells nothing more."""
    arrived = Arrival(near=True, arrived=True)
    for s, metres in enumerate((10, 800, 10, 10, 10)):
        state, event = observe(arrived, seen_from(metres, s * 30), *DOOR, T0 + s * 30_000)
        assert (state, event) == (arrived, None)
