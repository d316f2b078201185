"""The demo city's streets, prepared from its extract, and the router over them."""

import random
import shutil
import threading
from pathlib import Path

import pytest

from app.city import BASEMAP, BOX, EXTRACT, load_streets, prepare_roads
from geo.distance import haversine_m, plane_m
from geo.roads import RoadNetwork, RoadsMissing
from services.routing import RoadRouter, StraightRouter, build_roads, open_router

FELLS_POINT = (39.2822, -76.5946)
BAYVIEW = (39.2894, -76.5416)
LONDON = (51.5, -0.12)


@pytest.fixture(scope="module")
def tiles_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The city's streets, prepared once for this file."""
    return prepare_roads(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def roads(tiles_dir: Path) -> RoadNetwork:
    """The open network."""
    return RoadNetwork.open(tiles_dir)


def test_a_way_across_the_city(roads: RoadNetwork) -> None:
    """A route begins and ends at its places, is longer than the straight line, and drives at a car's speeds."""
    route = roads.route(FELLS_POINT, BAYVIEW)
    assert route is not None
    assert plane_m(*route.points[0], *FELLS_POINT) < 100
    assert plane_m(*route.points[-1], *BAYVIEW) < 150
    straight = haversine_m(*FELLS_POINT, *BAYVIEW)
    assert straight < route.distance_m < 2 * straight
    assert 5 < route.distance_m / route.duration_s < 25
    speeds = [route.speed_at(m) for m in range(0, int(route.distance_m), 50)]
    assert 1 < min(speeds) <= max(speeds) < 35


def test_no_way_off_the_map(roads: RoadNetwork) -> None:
    """Nothing leads to London, nothing is near it, and it does not spoil a table."""
    assert roads.route(FELLS_POINT, LONDON) is None
    assert roads.snap(*LONDON) is None
    first, none, last = roads.table([FELLS_POINT, LONDON, BAYVIEW], (39.2970, -76.5800))
    assert none is None
    assert first is not None
    assert last is not None
    assert roads.table([], BAYVIEW) == []


def test_tables_agree_with_routes(roads: RoadNetwork) -> None:
    """The table's seconds are the route's."""
    route = roads.route(FELLS_POINT, BAYVIEW)
    (seconds,) = roads.table([FELLS_POINT], BAYVIEW)
    assert route is not None
    assert seconds == pytest.approx(route.duration_s, abs=1)


def test_every_door_can_be_driven_to(roads: RoadNetwork) -> None:
    """The doors of the demo lie in the box near a street, and ways lead between them."""
    doors = [door for street in load_streets().values() for door in street]
    assert len(doors) > 3000
    assert sum(door.number is not None for door in doors) > 1000
    for door in doors:
        assert BOX[0] <= door.lon <= BOX[2]
        assert BOX[1] <= door.lat <= BOX[3]
    rnd = random.Random(4)
    for _ in range(60):
        a, b = rnd.sample(doors, 2)
        assert roads.snap(a.lat, a.lon) is not None
        assert roads.route((a.lat, a.lon), (b.lat, b.lon)) is not None


def test_threads_may_share_a_network(roads: RoadNetwork) -> None:
    """Routes asked from several threads at once are the same as alone."""
    alone = roads.route(FELLS_POINT, BAYVIEW)
    answers: list[object] = []

    def ask() -> None:
        answers.extend(roads.route(FELLS_POINT, BAYVIEW) for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [alone] * 80


def test_nothing_prepared_is_a_sentence(tmp_path: Path) -> None:
    """Opening a place without streets says so."""
    with pytest.raises(RoadsMissing, match="no street network is prepared"):
        RoadNetwork.open(tmp_path)


def test_preparing_again_does_nothing(tiles_dir: Path) -> None:
    """The same extract is not prepared twice."""
    before = (tiles_dir / "prepared-from").stat().st_mtime_ns
    build_roads(EXTRACT, tiles_dir)
    assert (tiles_dir / "prepared-from").stat().st_mtime_ns == before


def test_two_may_prepare_at_once(tmp_path: Path) -> None:
    """Two preparations of one place both end well, and leave nothing else behind."""
    threads = [threading.Thread(target=prepare_roads, args=(tmp_path,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["roads"]
    assert RoadNetwork.open(tmp_path / "roads").route(FELLS_POINT, BAYVIEW) is not None


def test_an_extract_that_is_none(tmp_path: Path) -> None:
    """A file without streets is refused in one sentence, and nothing is left."""
    bad = tmp_path / "bad.osm.pbf"
    bad.write_bytes(b"no map")
    with pytest.raises(RuntimeError, match="could not prepare the streets"):
        build_roads(bad, tmp_path / "out" / "roads")
    assert list((tmp_path / "out").iterdir()) == []


async def test_the_router_over_streets(tiles_dir: Path) -> None:
    """Ways by street where there are some; times for every place, on the map or off it."""
    router = open_router(tiles_dir)
    assert isinstance(router, RoadRouter)
    assert await router.route(*FELLS_POINT, *BAYVIEW) is not None
    assert await router.route(*FELLS_POINT, *LONDON) is None
    many = [FELLS_POINT, LONDON, *[BAYVIEW] * 30]
    times = await router.durations_to(many, (39.2970, -76.5800))
    assert len(times) == 32
    assert all(seconds > 0 for seconds in times)
    assert times[1] > 1000 * times[0] / 10


async def test_the_router_without_streets(tmp_path: Path) -> None:
    """With nothing prepared there are no ways, and times by the straight line."""
    for router in (open_router(None), open_router(tmp_path)):
        assert isinstance(router, StraightRouter)
        assert await router.route(*FELLS_POINT, *BAYVIEW) is None
        near, far = await router.durations_to([BAYVIEW, LONDON], FELLS_POINT)
        assert 300 < near < 1500 < far


def test_a_prepared_network_that_is_damaged(tiles_dir: Path, tmp_path: Path) -> None:
    """A truncated file is a sentence, not a crash."""
    broken = tmp_path / "roads"
    shutil.copytree(tiles_dir, broken)
    (broken / "roads.osrm.cells").write_bytes(b"")
    with pytest.raises(RoadsMissing, match="does not open"):
        RoadNetwork.open(broken)


def test_the_basemap_is_small() -> None:
    """The offline map stays under two megabytes and names its makers."""
    text = BASEMAP.read_text(encoding="utf-8")
    assert len(text) < 2_000_000
    assert "© OpenStreetMap contributors" in text[:2000]
