"""Distances and directions agree with each other and with known places."""

from math import isclose

from hypothesis import given
from hypothesis import strategies as st

from geo.distance import bearing_deg, compass_deg, destination, haversine_m, plane_m, turn_deg, wrap_deg

latitudes = st.floats(-85, 85)
longitudes = st.floats(-180, 180)
bearings = st.floats(0, 360, exclude_max=True)


def test_a_known_distance() -> None:
    """Baltimore's Inner Harbor to the White House is 56.9 km by the great circle."""
    assert abs(haversine_m(39.2850, -76.6100, 38.8977, -77.0365) - 56_700) < 700


def test_bearings_of_the_compass() -> None:
    """North is 0 and east is 90."""
    assert bearing_deg(0, 0, 1, 0) == 0
    assert isclose(bearing_deg(0, 0, 0, 1), 90)
    assert isclose(bearing_deg(0, 0, -1, 0), 180)
    assert isclose(bearing_deg(0, 0, 0, -1), 270)


@given(latitudes, longitudes, bearings, st.floats(1, 100_000))
def test_a_destination_lies_at_its_distance(lat: float, lon: float, bearing: float, metres: float) -> None:
    """Going a distance and measuring it give the same, also across the antimeridian."""
    there = destination(lat, lon, bearing, metres)
    assert isclose(haversine_m(lat, lon, *there), metres, rel_tol=1e-6, abs_tol=1e-3)
    assert -180 <= there[1] < 180


@given(latitudes, longitudes, bearings, st.floats(100, 50_000))
def test_a_destination_lies_in_its_direction(lat: float, lon: float, bearing: float, metres: float) -> None:
    """The bearing back from the measurement is the bearing that was set out on."""
    there = destination(lat, lon, bearing, metres)
    assert abs(turn_deg(bearing, bearing_deg(lat, lon, *there))) < 1e-3


@given(st.floats(-60, 60), longitudes, bearings, st.floats(1, 50_000))
def test_the_plane_is_close_to_the_sphere(lat: float, lon: float, bearing: float, metres: float) -> None:
    """The quick distance is within 0.1 % for all that one city needs."""
    there = destination(lat, lon, bearing, metres)
    assert isclose(plane_m(lat, lon, *there), metres, rel_tol=1e-3, abs_tol=1e-3)


@given(st.floats(-1e6, 1e6))
def test_angles_are_held_in_their_range(angle: float) -> None:
    """Longitudes stay below 180 and compass directions below 360."""
    assert -180 <= wrap_deg(angle) < 180
    assert 0 <= compass_deg(angle) < 360
