"""Service areas: found at once, one a place, and refused with a sentence when they cannot work."""

from copy import deepcopy
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box
from shapely.ops import unary_union

from app.city import BOX, load_areas
from geo.areas import Area, AreaIndex, AreasInvalid, parse_feature_collection


def area(number: int, w: float, s: float, e: float, n: float) -> Area:
    """A rectangle."""
    return Area(UUID(int=number), f"area {number}", "US-MD", "America/New_York", box(w, s, e, n))


def collection() -> dict[str, Any]:
    """One good feature."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {
                    "area_id": str(UUID(int=1)),
                    "name": "North",
                    "jurisdiction": "US-MD",
                    "time_zone": "America/New_York",
                },
                "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]},
            }
        ],
    }


def test_inside_and_outside() -> None:
    """A place is found in its area and nowhere else."""
    index = AreaIndex([area(1, 0, 0, 1, 1), area(2, 1, 0, 2, 1)])
    found = index.find(0.5, 0.5)
    assert found is not None
    assert found.area_id == UUID(int=1)
    assert index.find(5, 5) is None
    assert index.contains(UUID(int=2), 0.5, 1.5)
    assert not index.contains(UUID(int=2), 0.5, 0.5)
    assert not index.contains(UUID(int=9), 0.5, 0.5)


def test_a_border_has_one_answer() -> None:
    """On a shared border the lower id wins, in whatever order areas are given; both contain it."""
    one, two = area(1, 0, 0, 1, 1), area(2, 1, 0, 2, 1)
    for order in ([one, two], [two, one]):
        index = AreaIndex(order)
        found = index.find(0.5, 1.0)
        assert found is not None
        assert found.area_id == UUID(int=1)
        assert index.contains(UUID(int=1), 0.5, 1.0)
        assert index.contains(UUID(int=2), 0.5, 1.0)


def test_the_smaller_of_two_wins() -> None:
    """An area drawn inside another one is the one that is meant."""
    index = AreaIndex([area(1, 0, 0, 10, 10), area(2, 4, 4, 5, 5)])
    found = index.find(4.5, 4.5)
    assert found is not None
    assert found.area_id == UUID(int=2)


def test_no_areas_find_nothing() -> None:
    """An empty index is not an error."""
    assert AreaIndex([]).find(0, 0) is None


def test_a_good_collection() -> None:
    """What is written in the feature is what the area says."""
    (parsed,) = parse_feature_collection(collection())
    assert (parsed.area_id, parsed.name, parsed.jurisdiction) == (UUID(int=1), "North", "US-MD")


BOW_TIE = [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("type",), "Feature", "not a GeoJSON FeatureCollection"),
        (("features",), None, "not a GeoJSON FeatureCollection"),
        (("features", 0), 7, "feature 0: not a GeoJSON Feature"),
        (("features", 0, "properties"), None, "has no properties"),
        (("features", 0, "properties", "name"), " ", "name is missing"),
        (("features", 0, "properties", "area_id"), "x", "area_id is not a UUID"),
        (("features", 0, "properties", "time_zone"), "Mars/Base", "time_zone 'Mars/Base' is not known"),
        (("features", 0, "properties", "time_zone"), "../etc", "is not known"),
        (("features", 0, "geometry"), {"type": "Point", "coordinates": [0, 0]}, "neither Polygon nor"),
        (("features", 0, "geometry", "coordinates"), "x", "geometry cannot be read"),
        (("features", 0, "geometry", "coordinates"), [], "geometry is empty"),
        (("features", 0, "geometry", "coordinates"), [[[0, 0], [1, 0], [1, 200], [0, 0]]], "not degrees"),
        (("features", 0, "geometry", "coordinates"), BOW_TIE, "Self-intersection"),
    ],
)
def test_a_bad_collection_says_why(path: tuple[str | int, ...], value: Any, sentence: str) -> None:
    """Each thing that would not work later is refused now, with the feature and the reason."""
    broken = deepcopy(collection())
    target: Any = broken
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(AreasInvalid, match=sentence):
        parse_feature_collection(broken)


def test_an_id_used_twice_is_refused() -> None:
    """Two features may not be one area."""
    twice = collection()
    twice["features"] *= 2
    with pytest.raises(AreasInvalid, match="used twice"):
        parse_feature_collection(twice)


def test_the_demo_city_has_no_gap() -> None:
    """Its areas cover the extract's whole box and overlap nowhere."""
    areas = load_areas()
    frame = box(*BOX)
    covered = unary_union([a.geometry for a in areas])
    assert 4 <= len(areas) <= 7
    assert frame.difference(covered).area < 1e-9
    assert sum(a.geometry.area for a in areas) == pytest.approx(covered.area, rel=1e-6)
    assert {(a.jurisdiction, a.time_zone) for a in areas} == {("US-MD", "America/New_York")}


@given(st.floats(BOX[1] + 1e-4, BOX[3] - 1e-4), st.floats(BOX[0] + 1e-4, BOX[2] - 1e-4))
def test_every_place_of_the_demo_city_has_an_area(lat: float, lon: float) -> None:
    """Wherever someone taps on the map, there is an area, and it contains the place."""
    index = AreaIndex(load_areas())
    found = index.find(lat, lon)
    assert found is not None
    assert index.contains(found.area_id, lat, lon)
