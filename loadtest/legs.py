"""Which way a technician takes to an address: over the city's streets, or as somebody once drove there.

Both answer the same question, so a phone does not know which it is driving. A place that no street reaches is
driven to in a straight line, slowly: a demo never stops for a hole in a map.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

from geo.roads import RoadNetwork
from geo.route import Route
from loadtest.drive import Drive, again, on_streets
from loadtest.shapes import LatLon
from loadtest.traces import Trip, apart_m

SAME_PLACE_M = 60.0
STRAIGHT_MPS = 8.0


class Legs(Protocol):
    """Drives to addresses."""

    async def plan(
        self, start: LatLon, address: LatLon, rng: random.Random, *, factor: float, pause_s: float
    ) -> Drive:
        """The drive from where the technician is (or where the trip began) to the address."""
        ...


class StreetLegs:
    """Drives over a road network; routes are asked in a thread, half a millisecond each."""

    def __init__(self, roads: RoadNetwork | None) -> None:
        self._roads = roads

    async def plan(
        self, start: LatLon, address: LatLon, rng: random.Random, *, factor: float, pause_s: float
    ) -> Drive:
        """The fastest way by car, driven with this driver's style."""
        route = None
        if self._roads is not None:
            route = await asyncio.to_thread(self._roads.route, start, address)
        if route is None or route.distance_m <= 0:
            route = Route.through([start, address], speed_mps=STRAIGHT_MPS)
        return on_streets(route, rng, factor=factor, pause_s=pause_s)


class TraceLegs:
    """Recorded trips to the addresses where they ended; any other address is driven to over streets."""

    def __init__(self, trips: Sequence[Trip], otherwise: Legs) -> None:
        self._trips = trips
        self._otherwise = otherwise

    def to(self, address: LatLon) -> list[Trip]:
        """The trips that ended at an address."""
        return [trip for trip in self._trips if apart_m(trip.end, address) <= SAME_PLACE_M]

    async def plan(
        self, start: LatLon, address: LatLon, rng: random.Random, *, factor: float, pause_s: float
    ) -> Drive:
        """One of the trips that ended there, from its own beginning, wherever the technician was before."""
        there = self.to(address)
        if not there:
            return await self._otherwise.plan(start, address, rng, factor=factor, pause_s=pause_s)
        return again(rng.choice(there), factor=factor)
