"""A city's street network, answered in process by OSRM over files prepared from an OpenStreetMap extract.

The one file of this floor that reads from disk, and only when it is opened: OSRM maps the prepared files into memory
(about 20 MB for a city), so phones and servers share them. Preparing them starts programs and is therefore
`services.routing.build_roads`. A route takes about half a millisecond, a table of 50 sources about four.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import osrm

from geo.route import Point, Route, decode_polyline

NETWORK = "roads.osrm"
_SNAP_LIMIT_M = 1000.0


class RoadsMissing(Exception):
    """No prepared street network where one was asked for."""


class RoadNetwork:
    """Routes, many-to-one tables and snapping over one prepared network; safe to call from several threads."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @classmethod
    def open(cls, tiles_dir: Path) -> Self:
        """Maps the network prepared in `tiles_dir`; RoadsMissing with a sentence when there is none."""
        base = tiles_dir / NETWORK
        if not base.with_name(NETWORK + ".cells").exists():
            raise RoadsMissing(f"no street network is prepared in {tiles_dir}")
        try:
            engine = osrm.OSRM(storage_config=str(base), algorithm="MLD", use_shared_memory=False)
        except RuntimeError as error:
            raise RoadsMissing(f"the street network in {tiles_dir} does not open: {error}") from error
        return cls(engine)

    def route(self, a: Point, b: Point) -> Route | None:
        """The fastest way by car from a to b, each (lat, lon); None if no way leads or an end is 1 km off.

        Its seconds are free flow by street class and limit, with OSRM's turn penalties spread evenly over the way.
        """
        parameters = osrm.RouteParameters(
            coordinates=[(a[1], a[0]), (b[1], b[0])],
            radiuses=[_SNAP_LIMIT_M, _SNAP_LIMIT_M],
            overview="full",
            geometries="polyline",
            annotations=["duration"],
            generate_hints=False,
        )
        try:
            answer = self._engine.Route(parameters)
        except RuntimeError:
            return None
        found = answer["routes"][0]
        points = decode_polyline(found["geometry"])
        if len(points) < 2:
            return None
        legs = [float(seconds) for seconds in found["legs"][0]["annotation"]["duration"]]
        total = float(found["duration"])
        if len(legs) != len(points) - 1 or sum(legs) <= 0:
            return Route.through(points, speed_mps=max(1.0, float(found["distance"])) / max(1.0, total))
        stretch = max(1.0, total / sum(legs))
        return Route.through(points, [seconds * stretch for seconds in legs])

    def table(self, sources: Sequence[Point], destination: Point) -> list[float | None]:
        """Free-flow seconds from each source to the destination; None where no way leads."""
        if not sources:
            return []
        parameters = osrm.TableParameters(
            coordinates=[(lon, lat) for lat, lon in (*sources, destination)],
            radiuses=[_SNAP_LIMIT_M] * (len(sources) + 1),
            sources=list(range(len(sources))),
            destinations=[len(sources)],
            annotations=["duration"],
            generate_hints=False,
        )
        try:
            answer = self._engine.Table(parameters)
        except RuntimeError:
            return [None] if len(sources) == 1 else self._table_by_halves(sources, destination)
        return [None if row[0] is None else float(row[0]) for row in answer["durations"]]

    def snap(self, lat: float, lon: float) -> Point | None:
        """The nearest place on a street, or None if that is over 1 km away."""
        parameters = osrm.NearestParameters(
            coordinates=[(lon, lat)], radiuses=[_SNAP_LIMIT_M], generate_hints=False
        )
        try:
            answer = self._engine.Nearest(parameters)
        except RuntimeError:
            return None
        lon_there, lat_there = answer["waypoints"][0]["location"]
        return float(lat_there), float(lon_there)

    def _table_by_halves(self, sources: Sequence[Point], destination: Point) -> list[float | None]:
        """One source off the map fails OSRM's whole table, so the bad ones are found by halving."""
        middle = len(sources) // 2
        return self.table(sources[:middle], destination) + self.table(sources[middle:], destination)
