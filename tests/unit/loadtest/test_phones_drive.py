"""Driving is plausible: it starts and ends at the right places, obeys physics, and is the same for the same seed."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.distance import plane_m
from geo.route import Route
from loadtest.drive import FASTEST_MPS, MAX_FACTOR, again, on_streets
from loadtest.traces import TraceFix, Trip

HOME = (39.28, -76.58)
CORNER = (39.28, -76.57)
DOOR = (39.29, -76.57)


def a_route() -> Route:
    """Two straight streets and one right-angled turn, about 2 km."""
    return Route.through([HOME, CORNER, DOOR], speed_mps=13.0)


def test_a_drive_starts_and_ends_where_the_route_does() -> None:
    """Before departure and after parking the phone stands at the ends."""
    drive = on_streets(a_route(), random.Random(1))
    start, end = drive.at(-5), drive.at(drive.duration_s + 99)
    assert plane_m(start.lat, start.lon, *HOME) < 1
    assert plane_m(end.lat, end.lon, *DOOR) < 1
    assert start.speed_mps == end.speed_mps == 0


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), factor=st.floats(1.0, 50.0))
def test_no_drive_is_ever_faster_than_a_fix_may_be(seed: int, factor: float) -> None:
    """However hurried the demo, apparent speed stays far below the teleport gate, and distance never shrinks."""
    drive = on_streets(a_route(), random.Random(seed), factor=factor)
    for t in range(int(drive.duration_s)):
        a, b = drive.at(t), drive.at(t + 1)
        assert plane_m(a.lat, a.lon, b.lat, b.lon) <= FASTEST_MPS + 1
    assert all(a <= b for a, b in pairwise(drive.gone_m))
    assert all(a <= b for a, b in pairwise(drive.times_s))


def test_a_car_slows_down_for_a_turn() -> None:
    """Around a right-angled corner it is much slower than on the straight."""
    drive = on_streets(a_route(), random.Random(3))
    poses = [drive.at(t) for t in range(int(drive.duration_s))]
    near = min(pose.speed_mps for pose in poses if plane_m(pose.lat, pose.lon, *CORNER) < 12)
    assert near < 6 < max(pose.speed_mps for pose in poses)


def test_the_same_seed_drives_the_same_way() -> None:
    """Nothing but the seed decides; another seed drives otherwise."""
    one, two, three = (on_streets(a_route(), random.Random(seed)) for seed in (7, 7, 8))
    assert one.times_s == two.times_s != three.times_s


def test_a_pause_makes_it_later() -> None:
    """Somebody who stops on the way arrives that much later."""
    plain = on_streets(a_route(), random.Random(5))
    paused = on_streets(a_route(), random.Random(5), pause_s=300)
    assert paused.duration_s > plain.duration_s + 200


def test_hurry_shortens_by_no_more_than_its_limit() -> None:
    """A demo at ten times the speed drives two and a half times as fast."""
    plain = on_streets(a_route(), random.Random(5))
    hurried = on_streets(a_route(), random.Random(5), factor=10)
    assert hurried.duration_s == pytest.approx(plain.duration_s / MAX_FACTOR, rel=0.01)


def a_trip() -> Trip:
    """Ten fixes, five seconds apart, 50 m each, then parked."""
    fixes = [
        TraceFix(1_700_000_000_000 + i * 5_000, 53.4 + i * 0.00045, -2.9, None, None, None) for i in range(10)
    ]
    return Trip("t", "bus", tuple(fixes))


def test_a_recorded_trip_gives_back_its_own_fixes() -> None:
    """Each recorded fix comes once, at its own moment since departure."""
    drive = again(a_trip())
    first = drive.recorded(-1, 0)
    rest = drive.recorded(0, 1_000)
    assert first is not None
    assert rest is not None
    assert [at for at, _ in [*first, *rest]] == [5.0 * i for i in range(10)]


def test_a_recorded_trip_is_hurried_only_as_far_as_plausible() -> None:
    """At 10 m/s it may go 2.5 times as fast; a trip at 30 m/s hardly faster than it went."""
    assert again(a_trip(), factor=9).duration_s == pytest.approx(45 / 2.5, rel=0.01)
    quick = Trip(
        "q",
        "bus",
        tuple(
            TraceFix(f.t_ms, 53.4 + i * 0.00135, -2.9, None, None, None) for i, f in enumerate(a_trip().fixes)
        ),
    )
    assert again(quick, factor=9).duration_s > 45 / 1.3
