"""Service areas: which one a place lies in, and the reading of their GeoJSON.

Every place has at most one area: where areas touch or overlap, the smaller wins, then the lower id, so the answer
never depends on the order in which they were given. Geometry is prepared once, a look-up takes some microseconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import shapely
from shapely.geometry import MultiPolygon, Point, Polygon, shape


class AreasInvalid(ValueError):
    """A feature collection that cannot be taken, with the feature and the reason."""


@dataclass(frozen=True, slots=True)
class Area:
    """A service area: polygons in (lon, lat), the jurisdiction whose rules hold there, and the clock of its people."""

    area_id: UUID
    name: str
    jurisdiction: str
    time_zone: str
    geometry: Polygon | MultiPolygon


class AreaIndex:
    """Immutable look-up over a set of areas; a border belongs to the areas on both of its sides."""

    __slots__ = ("_by_id", "_ordered", "_tree")

    def __init__(self, features: Iterable[Area]) -> None:
        self._ordered = sorted(features, key=lambda area: (area.geometry.area, area.area_id))
        self._by_id = {area.area_id: area for area in self._ordered}
        if len(self._by_id) != len(self._ordered):
            raise AreasInvalid("two areas have one area_id")
        for area in self._ordered:
            shapely.prepare(area.geometry)
        self._tree = shapely.STRtree([area.geometry for area in self._ordered])

    @property
    def areas(self) -> tuple[Area, ...]:
        """All areas, by name."""
        return tuple(sorted(self._ordered, key=lambda area: (area.name, area.area_id)))

    def find(self, lat: float, lon: float) -> Area | None:
        """The area in which a place lies, or None."""
        hits = self._tree.query(Point(lon, lat), predicate="intersects")
        return self._ordered[int(hits.min())] if len(hits) else None

    def contains(self, area_id: UUID, lat: float, lon: float) -> bool:
        """Whether a place lies in an area or on its border; False for an unknown area."""
        area = self._by_id.get(area_id)
        return area is not None and bool(shapely.intersects_xy(area.geometry, lon, lat))


def parse_feature_collection(collection: Mapping[str, Any]) -> tuple[Area, ...]:
    """The areas of a GeoJSON FeatureCollection whose features have `area_id, name, jurisdiction, time_zone`.

    AreasInvalid, naming the feature, for anything that would not work later: wrong types, broken or empty geometry,
    coordinates that are not degrees, an unknown time zone, an id used twice.
    """
    features = collection.get("features")
    if not isinstance(features, list) or collection.get("type") != "FeatureCollection":
        raise AreasInvalid("not a GeoJSON FeatureCollection")
    areas = tuple(_parse_feature(feature, f"feature {i}") for i, feature in enumerate(features))
    seen: set[UUID] = set()
    for area in areas:
        if area.area_id in seen:
            raise AreasInvalid(f"{area.name}: area_id {area.area_id} is used twice")
        seen.add(area.area_id)
    return areas


def _parse_feature(feature: Any, where: str) -> Area:
    if not isinstance(feature, Mapping) or feature.get("type") != "Feature":
        raise AreasInvalid(f"{where}: not a GeoJSON Feature")
    properties = feature.get("properties")
    if not isinstance(properties, Mapping):
        raise AreasInvalid(f"{where}: has no properties")
    text = {key: _text(properties, key, where) for key in ("area_id", "name", "jurisdiction", "time_zone")}
    try:
        area_id = UUID(text["area_id"])
    except ValueError:
        raise AreasInvalid(f"{where}: area_id is not a UUID") from None
    try:
        ZoneInfo(text["time_zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise AreasInvalid(f"{where}: time_zone {text['time_zone']!r} is not known") from None
    geometry = _parse_geometry(feature.get("geometry"), where)
    return Area(area_id, text["name"], text["jurisdiction"], text["time_zone"], geometry)


def _text(properties: Mapping[str, Any], key: str, where: str) -> str:
    value = properties.get(key)
    if not isinstance(value, str) or not value.strip():
        raise AreasInvalid(f"{where}: {key} is missing")
    return value.strip()


def _parse_geometry(raw: Any, where: str) -> Polygon | MultiPolygon:
    if not isinstance(raw, Mapping) or raw.get("type") not in {"Polygon", "MultiPolygon"}:
        raise AreasInvalid(f"{where}: geometry is neither Polygon nor MultiPolygon")
    try:
        geometry = shape(dict(raw))
    except (ValueError, TypeError, IndexError, KeyError, shapely.errors.ShapelyError) as error:
        raise AreasInvalid(f"{where}: geometry cannot be read ({error})") from None
    if not isinstance(geometry, Polygon | MultiPolygon) or geometry.is_empty:
        raise AreasInvalid(f"{where}: geometry is empty")
    west, south, east, north = geometry.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise AreasInvalid(f"{where}: coordinates are not degrees (lon, lat)")
    if not geometry.is_valid:
        raise AreasInvalid(f"{where}: {shapely.is_valid_reason(geometry)}")
    return geometry
