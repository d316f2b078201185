"""A grid of nearly square cells over the earth, by which positions are blurred and viewports are indexed.

Rows follow the latitude, and each row has its own whole number of columns, so cells keep their area up to the poles.
A cell's id is a stable integer below 2**53 (safe in JSON), meaningful only together with the size it was made with.
"""

from collections.abc import Iterator
from math import ceil, cos, floor, radians

from geo.distance import METRES_PER_DEGREE, wrap_deg

_COLUMN_BITS = 24


def cell_id(lat: float, lon: float, size_m: float = 1000.0) -> int:
    """The cell in which a place lies; a place on a border belongs to the cell north or east of it."""
    row = _row(lat, size_m)
    return row << _COLUMN_BITS | _column(lon, _columns(row, size_m))


def cell_centre(cell: int, size_m: float = 1000.0) -> tuple[float, float]:
    """The (lat, lon) of a cell's centre, which lies in that cell."""
    row, column = cell >> _COLUMN_BITS, cell & (1 << _COLUMN_BITS) - 1
    height = 180.0 / _rows(size_m)
    return -90.0 + (row + 0.5) * height, -180.0 + (column + 0.5) * 360.0 / _columns(row, size_m)


def cells_in_bbox(w: float, s: float, e: float, n: float, size_m: float = 1000.0) -> Iterator[int]:
    """Each cell that a box touches, once; `w > e` means a box across the antimeridian.

    Lazy: ask `count_in_bbox` first when a stranger chose the box.
    """
    wide = e - w if e >= w else e - w + 360.0
    for row in range(_row(s, size_m), _row(n, size_m) + 1):
        columns = _columns(row, size_m)
        first = _column(w, columns)
        more = (_column(e, columns) - first) % columns
        if wide >= 360.0 or (more == 0 and wide > 180.0):
            more = columns - 1
        for column in range(first, first + more + 1):
            yield row << _COLUMN_BITS | column % columns


def count_in_bbox(w: float, s: float, e: float, n: float, size_m: float = 1000.0) -> int:
    """About how many cells `cells_in_bbox` would give, without walking them."""
    height = max(0.0, n - s) * METRES_PER_DEGREE / size_m
    across = e - w if e >= w else e - w + 360.0
    width = across * METRES_PER_DEGREE * cos(radians((s + n) / 2)) / size_m
    return (ceil(height) + 1) * (ceil(width) + 1)


def _rows(size_m: float) -> int:
    return max(1, ceil(180.0 * METRES_PER_DEGREE / size_m))


def _row(lat: float, size_m: float) -> int:
    rows = _rows(size_m)
    return min(rows - 1, max(0, floor((lat + 90.0) * rows / 180.0)))


def _columns(row: int, size_m: float) -> int:
    lat = -90.0 + (row + 0.5) * 180.0 / _rows(size_m)
    return max(1, round(360.0 * METRES_PER_DEGREE * cos(radians(lat)) / size_m))


def _column(lon: float, columns: int) -> int:
    return min(columns - 1, max(0, floor((wrap_deg(lon) + 180.0) * columns / 360.0)))
