"""Makes the demo city's files from its OpenStreetMap extract: the offline basemap, the streets, the service areas.

    python -m app.city.extract

Run by hand after a change here; the files it writes stand in the repository, so nobody needs osmium to run the demo.
The same extract gives the same bytes. Everything it writes is © OpenStreetMap contributors, ODbL.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import cos, radians
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import osmium
import shapely
from osmium.osm import Node, Way
from shapely.geometry import LineString, Point, Polygon, box, mapping
from shapely.geometry.base import BaseGeometry
from shapely.ops import linemerge, polygonize, unary_union

from app.city import AREAS, BASEMAP, BOX, EXTRACT, STREETS
from geo.distance import METRES_PER_DEGREE, bearing_deg, destination, haversine_m

ATTRIBUTION = "© OpenStreetMap contributors"
ATTRIBUTION_URL = "https://www.openstreetmap.org/copyright"
FRAME = box(*BOX)

ROADS = ("path", "service", "residential", "tertiary", "secondary", "primary", "trunk", "motorway")
"""Small to large: the order in which they are drawn."""
ROAD_CLASS = {
    **{name: name for name in ROADS},
    **{f"{name}_link": name for name in ROADS},
    **dict.fromkeys(("unclassified", "living_street"), "residential"),
    **dict.fromkeys(("footway", "pedestrian", "steps", "cycleway", "track"), "path"),
}
HOMES = {"residential", "tertiary", "secondary", "primary"}
GREEN = {"park", "garden", "playground", "recreation_ground", "forest", "grass", "wood"}
GROUND = {
    "industrial",
    "cemetery",
    "commercial",
    "retail",
    "railway",
    "pitch",
    "stadium",
    "marina",
    "brownfield",
}

AREA_SHAPES = {
    # Rough shapes; a block belongs to the first one that its middle lies in, so borders run along streets.
    "Locust Point": Polygon(
        [
            (-76.6081, 39.2586),
            (-76.5735, 39.2586),
            (-76.5735, 39.2690),
            (-76.5830, 39.2768),
            (-76.6081, 39.2768),
        ]
    ),
    "Fells Point": box(-76.6081, 39.2768, -76.5852, 39.2918),
    "Washington Hill": box(-76.6081, 39.2918, -76.5852, 39.3065),
    "Canton": box(-76.5852, 39.2586, -76.5560, 39.2868),
    "Highlandtown": box(-76.5852, 39.2868, -76.5560, 39.3065),
    "Bayview": box(-76.5560, 39.2846, -76.5288, 39.3065),
    "O'Donnell Heights": box(-76.5560, 39.2586, -76.5288, 39.2846),
}
BLOCK_MOST_KM2 = 0.12
"""A larger block (water, docks, railway yards) is cut by the rough shapes themselves."""
GRID_DEG = 0.00001


@dataclass(frozen=True, slots=True)
class Thing:
    """A node or way of the extract with its tags."""

    tags: dict[str, str]
    geometry: BaseGeometry


def read(path: Path) -> list[Thing]:
    """Every tagged node and way that touches the covered box."""
    things = []
    for item in osmium.FileProcessor(str(path)).with_locations().with_filter(osmium.filter.EmptyTagFilter()):
        tags = {tag.k: tag.v for tag in item.tags}
        if isinstance(item, Node):
            geometry: BaseGeometry = Point(item.location.lon, item.location.lat)
        elif isinstance(item, Way):
            at = [(node.location.lon, node.location.lat) for node in item.nodes if node.location.valid()]
            if len(at) < 2:
                continue
            closed = at[0] == at[-1] and len(at) >= 4
            geometry = (
                Polygon(at) if closed and "highway" not in tags and "barrier" not in tags else LineString(at)
            )
        else:
            continue
        if tags.get("natural") == "coastline":
            geometry = LineString(geometry.exterior.coords) if isinstance(geometry, Polygon) else geometry
        if geometry.intersects(FRAME) or tags.get("natural") == "coastline":
            things.append(Thing(tags, geometry))
    return things


def harbour(things: list[Thing]) -> BaseGeometry:
    """The sea within the box: coastlines have water on their right."""
    shores = [
        t.geometry
        for t in things
        if t.tags.get("natural") == "coastline" and isinstance(t.geometry, LineString)
    ]
    coast = linemerge(shores)
    lines = [part for part in getattr(coast, "geoms", [coast]) if isinstance(part, LineString)]
    faces = list(polygonize(unary_union([FRAME.exterior, *(line.intersection(FRAME) for line in lines)])))
    wet = dict.fromkeys(range(len(faces)), 0)
    tree = shapely.STRtree(faces)
    for line in lines:
        for (lon1, lat1), (lon2, lat2) in pairwise(line.coords):
            middle = (lat1 + lat2) / 2, (lon1 + lon2) / 2
            ahead = bearing_deg(lat1, lon1, lat2, lon2)
            for side, vote in ((ahead + 90, 1), (ahead - 90, -1)):
                lat, lon = destination(*middle, side, 1.0)
                for face in tree.query(Point(lon, lat), predicate="within"):
                    wet[int(face)] += vote
    return unary_union([face for i, face in enumerate(faces) if wet[i] > 0])


def basemap(things: list[Thing]) -> dict[str, Any]:
    """The map to draw under everything, features in drawing order."""
    layers: dict[str, list[tuple[str, str | None, BaseGeometry, dict[str, Any]]]] = defaultdict(list)
    layers["land"].append(("land", None, FRAME, {}))
    layers["water"].append(("harbour", None, harbour(things), {}))
    for thing in things:
        placed = place_of(thing)
        if placed is not None:
            layer, kind, extra = placed
            name = thing.tags.get("name") if layer in {"road", "park", "place", "water"} else None
            layers[layer].append((kind, name, thing.geometry, extra))
    roads = layers["road"]
    layers["road"] = [*merged_roads(roads)]
    features = []
    for layer in ("land", "landuse", "park", "water", "pier", "building", "rail", "road", "place"):
        for kind, name, geometry, extra in layers[layer]:
            tidy = tidied(geometry, layer)
            if tidy is not None:
                properties = {"layer": layer, "class": kind, **({"name": name} if name else {}), **extra}
                features.append({"type": "Feature", "properties": properties, "geometry": tidy})
    w, s, e, n = BOX
    return {
        "type": "FeatureCollection",
        "bbox": [w, s, e, n],
        "attribution": ATTRIBUTION,
        "attribution_url": ATTRIBUTION_URL,
        "centre": [-76.5700, 39.2840],
        "zoom": 13,
        "features": features,
    }


def place_of(thing: Thing) -> tuple[str, str, dict[str, Any]] | None:
    """The layer, the class and further properties of a thing, or None when it is not drawn."""
    tags, geometry = thing.tags, thing.geometry
    if tags.get("place") == "neighbourhood" and isinstance(geometry, Point):
        return "place", "neighbourhood", {}
    if isinstance(geometry, Point):
        return None
    if "highway" in tags:
        kind = ROAD_CLASS.get(tags["highway"])
        parking = tags.get("service") == "parking_aisle"
        if kind is None or parking or isinstance(geometry, Polygon):
            return None
        return "road", kind, {key: 1 for key in ("bridge", "tunnel") if tags.get(key) not in {None, "no"}}
    if tags.get("railway") == "rail" and not isinstance(geometry, Polygon):
        return ("rail", "rail", {}) if tags.get("service") not in {"spur", "yard", "siding"} else None
    if not isinstance(geometry, Polygon):
        return ("pier", "pier", {}) if tags.get("man_made") == "pier" else None
    for key, layer, kinds in (
        ("building", "building", None),
        ("man_made", "pier", {"pier"}),
        ("leisure", "park", GREEN),
        ("landuse", "park", GREEN),
        ("natural", "park", GREEN),
        ("leisure", "landuse", GROUND),
        ("landuse", "landuse", GROUND),
        ("natural", "water", {"water"}),
        ("waterway", "water", {"riverbank", "dock"}),
    ):
        kind = tags.get(key)
        if kind is not None and (kinds is None or kind in kinds):
            return layer, "building" if layer == "building" else kind, {}
    return None


def merged_roads(
    roads: Iterable[tuple[str, str | None, BaseGeometry, dict[str, Any]]],
) -> Iterator[tuple[str, str | None, BaseGeometry, dict[str, Any]]]:
    """One feature for each class and name instead of one for each bit of street: half the size."""
    groups: dict[tuple[int, str, str, bool, bool], list[LineString]] = defaultdict(list)
    for kind, name, geometry, extra in roads:
        if isinstance(geometry, LineString):
            groups[ROADS.index(kind), kind, name or "", "bridge" in extra, "tunnel" in extra].append(geometry)
    for (_, kind, name, bridge, tunnel), lines in sorted(groups.items()):
        merged = linemerge(lines) if len(lines) > 1 else lines[0]
        extra = {**({"bridge": 1} if bridge else {}), **({"tunnel": 1} if tunnel else {})}
        yield kind, name or None, merged, extra


def tidied(geometry: BaseGeometry, layer: str) -> dict[str, Any] | None:
    """The geometry within the box, simplified to about a metre, five decimals; None when nothing is left."""
    geometry = shapely.make_valid(geometry).intersection(FRAME).simplify(0.00001)
    if isinstance(geometry, shapely.GeometryCollection):
        keep = shapely.Polygon if layer not in {"road", "rail"} else shapely.LineString
        geometry = unary_union([part for part in geometry.geoms if isinstance(part, keep)])
    if geometry.is_empty or (layer == "building" and geometry.area < 2e-9):
        return None
    plain: dict[str, Any] = rounded(mapping(geometry))
    return plain


def rounded(value: Any) -> Any:
    """The same GeoJSON with coordinates of five decimals (a metre)."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return round(value, 5) if isinstance(value, float) else value


def streets(things: list[Thing]) -> dict[str, Any]:
    """Named streets with places to ring at: true house numbers, else a point each 60 m on alternating sides."""
    found: dict[str, list[tuple[float, float, str | None]]] = defaultdict(list)
    for thing in things:
        street, number = thing.tags.get("addr:street"), thing.tags.get("addr:housenumber")
        if street and number:
            middle = thing.geometry.centroid
            if FRAME.contains(middle):
                found[street.strip()].append((round(middle.y, 6), round(middle.x, 6), number.strip()))
    numbered = set(found)
    for thing in things:
        name, kind = thing.tags.get("name"), ROAD_CLASS.get(thing.tags.get("highway", ""))
        link = thing.tags.get("highway", "").endswith("_link")
        if (
            name
            and kind in HOMES
            and not link
            and name not in numbered
            and isinstance(thing.geometry, LineString)
        ):
            found[name].extend(doors(thing.geometry))
    return {
        "attribution": ATTRIBUTION,
        "attribution_url": ATTRIBUTION_URL,
        "streets": {name: sorted(set(found[name]), key=str) for name in sorted(found) if found[name]},
    }


def doors(line: LineString) -> Iterator[tuple[float, float, None]]:
    """Points 10 m beside a street, each 60 m, left and right in turn, not at its corners."""
    side, gone_m, next_m = 90.0, 0.0, 30.0
    for (lon1, lat1), (lon2, lat2) in pairwise(line.coords):
        length_m = haversine_m(lat1, lon1, lat2, lon2)
        bearing = bearing_deg(lat1, lon1, lat2, lon2)
        while next_m <= gone_m + length_m:
            lat, lon = destination(*destination(lat1, lon1, bearing, next_m - gone_m), bearing + side, 10.0)
            if FRAME.contains(Point(lon, lat)):
                yield round(lat, 6), round(lon, 6), None
            side, next_m = -side, next_m + 60.0
        gone_m += length_m


def areas(things: list[Thing]) -> dict[str, Any]:
    """The service areas: blocks between streets, joined by rough shape, so they share borders and leave no gap."""
    lines: list[BaseGeometry] = [
        t.geometry
        for t in things
        if ROAD_CLASS.get(t.tags.get("highway", "")) in HOMES and isinstance(t.geometry, LineString)
    ]
    km2 = (METRES_PER_DEGREE / 1000) ** 2 * cos(radians(39.28))
    lines = [FRAME.exterior, *(line.intersection(FRAME) for line in lines)]
    large = [block for block in blocks_of(lines) if block.area * km2 > BLOCK_MOST_KM2]
    within = unary_union(large).buffer(
        2 * GRID_DEG
    )  # a cut that overshoots its block a little surely divides it
    cuts = [rough.exterior.intersection(within) for rough in AREA_SHAPES.values()]
    parts: dict[str, list[BaseGeometry]] = defaultdict(list)
    for block in blocks_of([*lines, *cuts]):
        middle = block.representative_point()
        parts[min(AREA_SHAPES, key=lambda name: AREA_SHAPES[name].distance(middle))].append(block)
    names = sorted(parts)
    simple = shapely.coverage_simplify([shapely.coverage_union_all(parts[name]) for name in names], 0.0001)
    return {
        "type": "FeatureCollection",
        "attribution": ATTRIBUTION,
        "attribution_url": ATTRIBUTION_URL,
        "features": [
            {
                "type": "Feature",
                "properties": {
                    "area_id": str(area_id(name)),
                    "name": name,
                    "jurisdiction": "US-MD",
                    "time_zone": "America/New_York",
                },
                "geometry": json.loads(json.dumps(rounded(mapping(geometry)))),
            }
            for name, geometry in zip(names, simple, strict=True)
        ],
    }


def blocks_of(lines: list[BaseGeometry]) -> list[Polygon]:
    """The faces between lines, on a grid of a metre so that rounding later moves nothing."""
    return list(polygonize(shapely.union_all(lines, grid_size=GRID_DEG)))


def area_id(name: str) -> UUID:
    """An id that stays the same whenever the areas are drawn anew."""
    return uuid5(NAMESPACE_URL, f"https://doorstep.example/areas/baltimore/{name}")


def write(path: Path, content: dict[str, Any]) -> None:
    """Compact JSON, one line a feature or street so that a change shows."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    text = (
        text.replace('{"type":"Feature",', '\n{"type":"Feature",').replace("]],", "]],\n")
        if path == STREETS
        else text
    )
    path.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.name}: {len(text) // 1024} KB\n")


def main() -> None:
    """Reads the extract and writes the three files."""
    things = read(EXTRACT)
    write(BASEMAP, basemap(things))
    write(STREETS, streets(things))
    write(AREAS, areas(things))


if __name__ == "__main__":
    main()
