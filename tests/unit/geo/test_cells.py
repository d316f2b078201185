"""Cells cover the earth once, keep their size, and are found again from a box."""

from hypothesis import given
from hypothesis import strategies as st

from geo.cells import cell_centre, cell_id, cells_in_bbox, count_in_bbox
from geo.distance import destination, haversine_m

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)


@given(latitudes, longitudes, st.sampled_from([100.0, 1000.0, 25_000.0]))
def test_a_centre_lies_in_its_own_cell(lat: float, lon: float, size_m: float) -> None:
    """A cell's centre has the cell's id, and ids are safe in JSON."""
    cell = cell_id(lat, lon, size_m)
    assert cell_id(*cell_centre(cell, size_m), size_m) == cell
    assert 0 <= cell < 2**53


@given(st.floats(-80, 80), longitudes)
def test_a_cell_hides_a_place_within_its_size(lat: float, lon: float) -> None:
    """No place is farther from its cell's centre than half a diagonal of about a kilometre's square."""
    assert haversine_m(lat, lon, *cell_centre(cell_id(lat, lon))) < 760


@given(st.floats(-70, 70), longitudes, st.floats(0.001, 0.05), st.floats(0.001, 0.05), st.data())
def test_a_box_finds_every_place_in_it(
    lat: float, lon: float, high: float, wide: float, data: st.DataObject
) -> None:
    """The cells of a viewport hold each place in it, also where it crosses the antimeridian."""
    n, e = lat + high, lon + wide
    if e >= 180:
        e -= 360
    there = lat + data.draw(st.floats(0, high)), lon + data.draw(st.floats(0, wide))
    cells = list(cells_in_bbox(lon, lat, e, n))
    assert cell_id(*there) in cells
    assert len(cells) == len(set(cells))
    assert len(cells) <= 2 * count_in_bbox(lon, lat, e, n) + 4


def test_the_whole_world_has_every_cell_once() -> None:
    """A box of the world at a coarse size names each cell once."""
    cells = list(cells_in_bbox(-180, -90, 180, 90, 1_000_000))
    assert len(cells) == len(set(cells))
    assert cell_id(39.28, -76.57, 1_000_000) in cells


def test_neighbours_differ() -> None:
    """Two places two kilometres apart never share a cell of one kilometre."""
    assert cell_id(39.28, -76.57) != cell_id(*destination(39.28, -76.57, 45, 2000))


def test_a_box_at_the_antimeridian_is_not_the_world() -> None:
    """A small box that begins at the very 180th meridian has few cells, its own among them."""
    cells = list(cells_in_bbox(180.0, 0.0, -179.99, 0.03))
    assert cell_id(0.0, 180.0) in cells
    assert len(cells) < 20
