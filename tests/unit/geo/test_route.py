"""Routes measure themselves: along, beside, what remains, and back from text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.distance import destination, plane_m
from geo.route import Route, decode_polyline, encode_polyline

START = (39.2840, -76.5700)


def square(side_m: float = 1000.0) -> Route:
    """East, north, west, south around a block: it ends where it began."""
    points = [START]
    for bearing in (90, 0, 270, 180):
        points.append(destination(*points[-1], bearing, side_m))
    return Route.through(points, [100.0, 50.0, 100.0, 200.0])


def test_lengths_add_up() -> None:
    """Metres and seconds of the whole are those of its legs."""
    route = square()
    assert route.distance_m == pytest.approx(4000, rel=1e-3)
    assert route.duration_s == 450
    assert route.speed_at(1500) == pytest.approx(20, rel=1e-3)
    assert route.seconds_at(1500) == pytest.approx(125, rel=1e-3)


@given(st.floats(0, 4000))
def test_a_place_on_the_route_is_found_again(along_m: float) -> None:
    """A point on the way lies on it, at its distance when the search is told roughly where."""
    route = square()
    lat, lon, bearing = route.at_distance(along_m)
    where = route.locate(lat, lon, along_m)
    assert where.off_m < 0.5
    assert where.along_m == pytest.approx(min(along_m, route.distance_m), abs=1)
    assert where.along_m + where.remaining_m == pytest.approx(route.distance_m)
    assert 0 <= bearing < 360


def test_a_crossing_does_not_throw_forward() -> None:
    """At the place where the route ends beside its beginning, the hint says which of the two is meant."""
    route = square()
    assert route.locate(*START, 0.0).along_m < 10
    assert route.locate(*START, 3900.0).remaining_m < 10


def test_beside_the_route() -> None:
    """The distance from the way is measured square to it, and a place far away is searched for everywhere."""
    route = square()
    beside = destination(*destination(*START, 90, 500), 180, 80)
    assert route.locate(*beside).off_m == pytest.approx(80, abs=1)
    assert route.locate(*route.at_distance(2500)[:2], 0.0).along_m == pytest.approx(2500, abs=1)


@given(st.floats(0, 4000), st.floats(0, 4000))
def test_a_slice_is_a_route(a: float, b: float) -> None:
    """A part has its share of metres and seconds."""
    route = square()
    a, b = sorted((min(a, route.distance_m), min(b, route.distance_m)))
    part = route.slice(a, b)
    assert part.distance_m == pytest.approx(b - a, abs=1e-6)
    assert part.duration_s == pytest.approx(route.seconds_at(b) - route.seconds_at(a), abs=1e-6)
    assert plane_m(*part.points[0], *route.at_distance(a)[:2]) < 0.01


def test_driving_by_the_clock() -> None:
    """Where one is after some seconds follows each leg's own speed and stops at the end."""
    route = square()
    assert route.locate(*route.at_seconds(125)[:2], 1500).along_m == pytest.approx(1500, abs=2)
    assert route.at_seconds(9999)[:2] == route.points[-1]


def test_the_known_polyline() -> None:
    """The example of the format's own description."""
    points = ((38.5, -120.2), (40.7, -120.95), (43.252, -126.453))
    assert encode_polyline(points) == "_p~iF~ps|U_ulLnnqC_mqNvxq`@"
    assert decode_polyline("_p~iF~ps|U_ulLnnqC_mqNvxq`@") == points


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=30))
def test_polylines_come_back(points: list[tuple[float, float]]) -> None:
    """Encoding keeps every point to five decimals."""
    back = decode_polyline(encode_polyline(points))
    assert len(back) == len(points)
    for (lat, lon), (lat5, lon5) in zip(points, back, strict=True):
        assert abs(lat - lat5) <= 0.000006
        assert abs(lon - lon5) <= 0.000006


def test_a_broken_polyline_says_so() -> None:
    """Text that ends in the middle of a number is refused."""
    with pytest.raises(ValueError, match="breaks off"):
        decode_polyline("_p~iF~ps|U_")


def test_snapshots_come_back() -> None:
    """A route survives JSON to within a metre and a tenth of a second."""
    route = square()
    back = Route.from_snapshot(json.loads(json.dumps(route.to_snapshot())))
    assert back.distance_m == pytest.approx(route.distance_m, abs=5)
    assert back.duration_s == pytest.approx(route.duration_s, abs=0.5)


def test_a_point_is_no_route() -> None:
    """One point has no way."""
    with pytest.raises(ValueError, match="two points"):
        Route.through([START])


def test_points_in_one_place() -> None:
    """Repeated points have no speed of their own and break nothing."""
    route = Route.through(
        [START, START, destination(*START, 90, 100), destination(*START, 90, 100)], [0.0, 10.0, 0.0]
    )
    assert route.speed_at(0) == pytest.approx(10, rel=1e-3)
    assert route.locate(*START).remaining_m == pytest.approx(100, rel=1e-3)
