"""The demo city: the middle of Baltimore from an OpenStreetMap extract, and a bus line's real traces.

Paths, and loaders for what is small. README.md beside this file says where each file comes from and under which terms
it may be passed on; `extract.py` made basemap, streets and areas from the extract.
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from geo.areas import Area, parse_feature_collection
from services.routing import build_roads

_HERE = Path(__file__).parent

EXTRACT = _HERE / "baltimore.osm.pbf"
BASEMAP = _HERE / "basemap.geojson"
AREAS = _HERE / "areas.geojson"
STREETS = _HERE / "streets.json"
TRACES = _HERE / "traces"

BOX = (-76.6081, 39.2586, -76.5288, 39.3065)
"""What the extract covers: w, s, e, n."""


class Door(NamedTuple):
    """A place to ring at; without a number it stands for the street there."""

    lat: float
    lon: float
    number: str | None


@cache
def load_areas() -> tuple[Area, ...]:
    """The service areas drawn over the city."""
    return parse_feature_collection(json.loads(AREAS.read_text(encoding="utf-8")))


@cache
def load_streets() -> dict[str, tuple[Door, ...]]:
    """Doors by street name."""
    streets = json.loads(STREETS.read_text(encoding="utf-8"))["streets"]
    return {name: tuple(Door(*door) for door in doors) for name, doors in streets.items()}


def prepare_roads(data_dir: Path) -> Path:
    """The city's street network for `RoadNetwork.open`, prepared under `data_dir` the first time."""
    tiles_dir = data_dir / "roads"
    build_roads(EXTRACT, tiles_dir)
    return tiles_dir
