"""Ways and driving times between places: over prepared streets where they cover, by the straight line elsewhere.

Callers ask a `Router` and never learn which engine answers. Routes are asked for at departure and after leaving the
way, tables by discovery; nothing here is called for each fix. Seconds are free flow × the pace of a city by day.
"""

import asyncio
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Protocol

import osrm
import structlog

from geo.distance import haversine_m
from geo.eta import FREE_FLOW_PACE, typical_s
from geo.roads import NETWORK, RoadNetwork, RoadsMissing
from geo.route import Point, Route

log = structlog.get_logger(__name__)

_INLINE_LIMIT_S = 0.002
_INLINE_SOURCES = 20
_THREADS = 4  # at most so many calls at once; a caller beyond that waits for its turn
_PREPARED = "prepared-from"


class Router(Protocol):
    """Ways and driving times between places; both methods answer for any place on earth."""

    async def route(self, lat1: float, lon1: float, lat2: float, lon2: float) -> Route | None:
        """The way by street, or None where only the straight line is known."""

    async def durations_to(self, points: Sequence[Point], destination: Point) -> list[float]:
        """Driving seconds from each (lat, lon) to the destination, in the order of `points`."""


class StraightRouter:
    """What trips over the same straight distance usually take: needs nothing, works everywhere, knows no streets."""

    async def route(self, lat1: float, lon1: float, lat2: float, lon2: float) -> Route | None:  # noqa: ARG002 - a Router
        """None: it knows no streets."""
        return None

    async def durations_to(self, points: Sequence[Point], destination: Point) -> list[float]:
        """Seconds by the straight line."""
        return [straight_s(point, destination) for point in points]


class RoadRouter:
    """Routes over one `RoadNetwork`; calls that turn out slow move to worker threads, off the event loop."""

    def __init__(self, network: RoadNetwork) -> None:
        self._network = network
        self._usual_s = 0.0
        self._turn = asyncio.Semaphore(_THREADS)

    async def route(self, lat1: float, lon1: float, lat2: float, lon2: float) -> Route | None:
        """The fastest way by car, or None off the map."""
        return await self._call(lambda: self._network.route((lat1, lon1), (lat2, lon2)), slow=False)

    async def durations_to(self, points: Sequence[Point], destination: Point) -> list[float]:
        """Seconds by street at a city's pace; by the straight line for each point that no street joins."""
        table = await self._call(
            lambda: self._network.table(points, destination), slow=len(points) > _INLINE_SOURCES
        )
        return [
            straight_s(point, destination) if seconds is None else seconds * FREE_FLOW_PACE
            for point, seconds in zip(points, table, strict=True)
        ]

    async def _call[T](self, work: Callable[[], T], *, slow: bool) -> T:
        if slow or self._usual_s > _INLINE_LIMIT_S:
            async with self._turn:
                return await asyncio.to_thread(work)
        began = perf_counter()
        answer = work()
        self._usual_s += 0.1 * (perf_counter() - began - self._usual_s)
        return answer


def straight_s(a: Point, b: Point) -> float:
    """Driving seconds that real trips over such a straight distance took."""
    return typical_s(haversine_m(*a, *b))


def open_router(tiles_dir: Path | None) -> Router:
    """The router for a directory of prepared streets; the straight one where there is none."""
    if tiles_dir is None:
        return StraightRouter()
    try:
        return RoadRouter(RoadNetwork.open(tiles_dir))
    except RoadsMissing as missing:
        log.warning("roads_missing", reason=str(missing), action="`doorstep routing build` prepares them")
        return StraightRouter()


def build_roads(pbf: Path, tiles_dir: Path) -> None:
    """Prepares the streets of an OpenStreetMap extract for `RoadNetwork.open`; a second for a city's middle.

    Does nothing when `tiles_dir` was already prepared from the same bytes. It appears whole or not at all, also when
    two processes prepare it at once. RuntimeError with OSRM's last words when the extract holds no streets.
    """
    mark = hashlib.sha256(pbf.read_bytes()).hexdigest()
    if _prepared_from(tiles_dir) == mark:
        return
    tiles_dir.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{tiles_dir.name}-", dir=tiles_dir.parent))
    try:
        shutil.copyfile(pbf, work / "roads.osm.pbf")
        _osrm(
            work, "osrm-extract", "-p", str(_osrm_home() / "share" / "profiles" / "car.lua"), "roads.osm.pbf"
        )
        _osrm(work, "osrm-partition", NETWORK)
        _osrm(work, "osrm-customize", NETWORK)
        (work / "roads.osm.pbf").unlink()
        (work / _PREPARED).write_text(mark)
        work.chmod(0o755)
        if _prepared_from(tiles_dir) != mark:  # another process may have been quicker
            _put_in_place(work, tiles_dir)
        if _prepared_from(tiles_dir) != mark:
            raise RuntimeError(f"{tiles_dir} holds another extract and could not be replaced")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _prepared_from(tiles_dir: Path) -> str | None:
    try:
        return (tiles_dir / _PREPARED).read_text()
    except OSError:
        return None


def _put_in_place(work: Path, tiles_dir: Path) -> None:
    """Renames the finished directory to its place; one that another process finished first may stay."""
    old = work.with_name(work.name + "-old")
    with suppress(FileNotFoundError):
        tiles_dir.replace(old)
    try:
        work.replace(tiles_dir)
    except OSError:
        log.info("roads_prepared_elsewhere", action="using those")
    shutil.rmtree(old, ignore_errors=True)


def _osrm_home() -> Path:
    return Path(osrm.__file__).parent


def _osrm(folder: Path, program: str, *arguments: str) -> None:
    command = [str(_osrm_home() / "bin" / program), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - the wheel's own program
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no words"]
        raise RuntimeError(f"{program} could not prepare the streets: {words[0]}")
