"""Estimates of arrival: ordered, damped, honest about silence, and right where the way is known."""

import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.city import TRACES
from geo.distance import destination, plane_m
from geo.eta import FREE_FLOW_PACE, Eta, Speeds, estimate, speeds_of, typical_s
from geo.route import Route
from geo.track import Fix, Position, Track, judge
from loadtest.fit_eta import questions_of, read_trips

T0 = 1_790_000_000_000
DOOR = (39.2840, -76.5700)


def at(metres: float, t_s: float = 0.0, side: float = 270) -> Position:
    """A position at a distance from the door."""
    return Position(T0 + round(t_s * 1000), *destination(*DOOR, side, metres), 8.0, 10.0, 90.0)


@given(
    st.floats(0, 100_000),
    st.none() | st.floats(0, 40),
    st.none() | st.floats(-40, 40),
    st.floats(0, 10_000),
    st.integers(0, 3_600_000),
    st.booleans(),
)
def test_the_range_holds_the_estimate(
    metres: float, mps: float | None, gained: float | None, elapsed_s: float, silent_ms: int, by_route: bool
) -> None:
    """Never in the past, and low ≤ at ≤ high, whatever is known."""
    position = at(metres)
    route = Route.through([(position.lat, position.lon), DOOR]) if by_route and metres > 0 else None
    eta = estimate(position, DOOR, route, Speeds(mps, gained, elapsed_s), T0 + silent_ms)
    assert T0 + silent_ms <= eta.low_ms <= eta.at_ms <= eta.high_ms
    assert eta.remaining_m >= 0
    assert Eta.from_snapshot(json.loads(json.dumps(eta.to_snapshot()))) == eta


def test_farther_takes_longer() -> None:
    """More metres are more seconds, and none are none."""
    times = [typical_s(metres) for metres in (0, 50, 100, 500, 2000, 10_000, 50_000)]
    assert times[0] == 0
    assert times == sorted(times)
    assert typical_s(5000) == pytest.approx(950, rel=0.1)


def test_a_faster_driver_is_there_sooner() -> None:
    """A fast trailing speed and good progress shorten the estimate."""
    fast = estimate(at(5000), DOOR, None, Speeds(18, 14, 600), T0)
    slow = estimate(at(5000), DOOR, None, Speeds(3, 2, 600), T0)
    assert fast.seconds < 0.6 * slow.seconds
    assert fast.method == "straight"


def test_by_route_while_on_it() -> None:
    """On the route the street's own metres and seconds count; off it the straight line does."""
    far = at(6000)
    bend = destination(far.lat, far.lon, 0, 2000)
    route = Route.through([(far.lat, far.lon), bend, DOOR], [200.0, 700.0])
    on = estimate(far, DOOR, route, Speeds(), T0)
    assert on.method == "route"
    assert on.seconds == pytest.approx(900 * FREE_FLOW_PACE, rel=0.01)
    assert on.remaining_m == pytest.approx(route.distance_m)
    off = Position(T0, *destination(far.lat, far.lon, 180, 800), 8.0, 10.0, 90.0)
    assert estimate(off, DOOR, route, Speeds(), T0).method == "straight"


def test_the_pace_of_the_drive_is_learned() -> None:
    """Who drives at half the free-flow speed is expected to go on so, in part."""
    route = Route.through([destination(*DOOR, 270, 10_000), DOOR], [1000.0])
    usual = estimate(at(5000), DOOR, route, Speeds(), T0)
    slow = estimate(at(5000), DOOR, route, Speeds(5.0, 5.0, 1000.0), T0)
    assert usual.seconds == pytest.approx(500 * FREE_FLOW_PACE, rel=0.01)
    assert 1.1 * usual.seconds < slow.seconds < 2 * 500


def test_small_changes_are_damped_and_news_is_not() -> None:
    """A second later a small change hardly moves the time, while a great one does at once."""
    first = estimate(at(5000), DOOR, None, Speeds(8, 6, 600), T0)
    small = estimate(at(5000, 1), DOOR, None, Speeds(7.6, 5.8, 601), T0 + 1000, first)
    plain = estimate(at(5000, 1), DOOR, None, Speeds(7.6, 5.8, 601), T0 + 1000)
    assert abs(small.at_ms - first.at_ms) < 0.1 * abs(plain.at_ms - first.at_ms)
    detour = estimate(at(15_000, 1), DOOR, None, Speeds(8, 6, 600), T0 + 1000, first)
    undamped = estimate(at(15_000, 1), DOOR, None, Speeds(8, 6, 600), T0 + 1000)
    assert detour.at_ms - first.at_ms > 0.7 * (undamped.at_ms - first.at_ms)


def test_silence_widens_the_doubt() -> None:
    """A phone silent for ten minutes is not arriving any sooner than one silent for two, and less surely."""
    heard = estimate(at(3000), DOOR, None, Speeds(8, 6, 600), T0)
    short = estimate(at(3000), DOOR, None, Speeds(8, 6, 600), T0 + 120_000)
    long = estimate(at(3000), DOOR, None, Speeds(8, 6, 600), T0 + 600_000)
    assert short.seconds < heard.seconds
    assert long.seconds == pytest.approx(short.seconds, abs=0.01)
    assert long.high_ms - long.at_ms > short.high_ms - short.at_ms


def test_a_steady_drive_is_foretold() -> None:
    """On a known street at the usual pace, the estimate stays within a tenth of the truth all the way."""
    free = Route.through([destination(*DOOR, 270, 9000), DOOR], [9000 / 13.0])
    truth_mps = 13.0 / FREE_FLOW_PACE
    track, eta = Track.opened(T0), None
    for i in range(int(8500 / truth_mps / 5)):
        lat, lon, _ = free.at_distance(i * 5 * truth_mps)
        fix = Fix(i + 1, T0 + i * 5000, lat, lon, 6.0)
        _, track = judge(track, fix, fix.t_ms + 100)
        assert track.position is not None
        eta = estimate(track.position, DOOR, free, speeds_of(track, *DOOR), fix.t_ms + 100, eta)
        left_s = (9000 - i * 5 * truth_mps) / truth_mps
        assert abs(eta.seconds - left_s) < max(0.1 * left_s, 15)
        assert eta.low_ms <= fix.t_ms + left_s * 1000 <= eta.high_ms


def test_real_trips_are_foretold_better_than_by_speed_alone() -> None:
    """Over the bus trips the median error is below half, and below that of remaining way ÷ trailing speed."""
    ours, naive, inside = [], [], []
    for source, trip, fixes in read_trips(TRACES):
        for question in questions_of(source, trip, fixes):
            position = Position(T0, *destination(*DOOR, 0, question.straight_m), 8.0, 5.0, None)
            eta = estimate(position, DOOR, None, question.speeds, T0)
            ours.append(abs(eta.seconds - question.actual_s) / question.actual_s)
            plain_s = question.straight_m * 1.3 / max(0.5, question.speeds.trailing_mps or 8.0)
            naive.append(abs(plain_s - question.actual_s) / question.actual_s)
            inside.append(eta.low_ms <= T0 + question.actual_s * 1000 <= eta.high_ms)
    assert statistics.median(ours) < min(0.4, statistics.median(naive))
    assert statistics.mean(inside) > 0.75


def test_a_track_tells_its_speeds() -> None:
    """Progress is metres gained on the straight line a second, since the beginning."""
    track = Track.opened(T0)
    for i in range(61):
        fix = Fix(i + 1, T0 + i * 5000, *destination(*DOOR, 270, 6000 - i * 50), 6.0)
        _, track = judge(track, fix, fix.t_ms)
    speeds = speeds_of(track, *DOOR)
    assert speeds.elapsed_s == 300
    assert speeds.progress_mps == pytest.approx(10, rel=0.02)
    assert speeds.trailing_mps == pytest.approx(10, rel=0.1)
    assert speeds_of(Track.opened(T0), *DOOR) == Speeds()
    assert track.position is not None
    assert plane_m(track.position.lat, track.position.lon, *DOOR) == pytest.approx(3000, abs=20)
