"""Conflated frames: numbered without a gap, newest only, and no more than a viewport shows."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from domain.context import Actor, Role
from realtime.clients import Client
from realtime.fleet import COLUMNS, Fleet
from services.live_position import STALENESS_STEPS, Arriving, LivePosition, next_n
from services.policy import Policy

AREA, OTHER = uuid4(), uuid4()
BALTIMORE = (-77.0, 39.0, -76.0, 40.0)


class Outlet:
    """Where frames go; a client in `slow` has not read its last one."""

    def __init__(self) -> None:
        self.sent: list[tuple[Client, Any]] = []
        self.slow: set[Client] = set()

    def busy(self, client: Client) -> bool:
        """Tell whether a client is behind."""
        return client in self.slow

    def send(self, clients: list[Client], event: str, payload: Any) -> None:
        """Keep what would go over the wire, as it would be encoded."""
        assert event == "frame"
        self.sent += [(client, orjson.loads(orjson.dumps(payload))) for client in clients]

    def frames(self, client: Client) -> list[Any]:
        """Return a client's frames, oldest first."""
        return [frame for to, frame in self.sent if to is client]


def dispatcher(areas: frozenset[UUID] | None = None) -> Client:
    """Return a dispatcher's socket."""
    actor = Actor(uuid4(), Role.DISPATCHER, areas if areas is not None else "all")
    return Client(sid=uuid4().hex, eio_sid="e", namespace="/gps", actor=actor, expires_at=None)


def position(n: int = 4, lat: float = 39.3, lon: float = -76.6, **more: Any) -> LivePosition:
    """Return a position on some leg."""
    base = LivePosition(
        booking_id=uuid4(), session_id=uuid4(), technician_id=uuid4(), area_id=AREA, n=n, t_ms=1000, lat=lat, lon=lon,
        acc_m=5.0, spd_mps=7.0, hdg_deg=None, near=False, remaining_m=900.0, eta=Arriving(61_000, 0, 0, "route"),
    )  # fmt: skip
    return replace(base, **more)


@pytest.fixture
def outlet() -> Outlet:
    """Return where frames go."""
    return Outlet()


@pytest.fixture
def fleet(outlet: Outlet) -> Fleet:
    """Return an empty map."""
    return Fleet(outlet, Policy())  # type: ignore[arg-type]  # an outlet that only counts


def test_a_frame_holds_what_moved(fleet: Fleet, outlet: Outlet) -> None:
    """A tick sends one frame with the newest of each leg; a tick without news sends nothing."""
    desk, one = dispatcher(), position()
    fleet.put(one, "live")
    start = fleet.watch(desk, None, 1000)
    assert (start["columns"], len(start["rows"]), start["n"]) == (COLUMNS, 1, 0)
    fleet.put(replace(one, n=8, lat=39.31), "live")
    fleet.put(replace(one, n=12, lat=39.32), "live")
    fleet.tick(2000)
    fleet.tick(2250)
    (frame,) = outlet.frames(desk)
    row = dict(zip(COLUMNS, frame["moved"][0], strict=True))
    assert (frame["n"], frame["t"], frame["gone"], len(frame["moved"])) == (1, 2000, [], 1)
    assert (row["lat"], row["age_s"], row["eta_s"], row["phase"]) == (39.32, 1.0, 59, "en_route")


def test_older_positions_are_dropped(fleet: Fleet) -> None:
    """Within a session an older position never moves the marker; a new session starts over."""
    one = position(n=8)
    assert fleet.put(one, "live")
    assert not fleet.put(replace(one, n=4), "live")
    assert fleet.put(replace(one, n=4, session_id=uuid4()), "live")


def test_leaving_the_viewport_is_told(fleet: Fleet, outlet: Outlet) -> None:
    """A leg that drives out of a viewport is gone from it, and comes back when it returns."""
    desk, one = dispatcher(), position()
    fleet.put(one, "live")
    assert len(fleet.watch(desk, BALTIMORE, 0)["rows"]) == 1
    fleet.put(replace(one, n=8, lat=41.0), "live")
    fleet.tick(1)
    fleet.put(replace(one, n=12), "live")
    fleet.tick(2)
    fleet.remove(one.booking_id)
    fleet.tick(3)
    frames = outlet.frames(desk)
    assert [frame["n"] for frame in frames] == [1, 2, 3]
    assert [frame["gone"] for frame in frames] == [[str(one.booking_id)], [], [str(one.booking_id)]]
    assert [len(frame["moved"]) for frame in frames] == [0, 1, 0]


def test_a_slow_reader_gets_fewer_and_newest(fleet: Fleet, outlet: Outlet) -> None:
    """While a reader is behind nothing piles up; its next frame has the newest of everything, and n has no gap."""
    desk, one = dispatcher(), position()
    fleet.put(one, "live")
    fleet.watch(desk, None, 0)
    outlet.slow.add(desk)
    for n in range(2, 50):
        fleet.put(replace(one, n=n * 4, lat=39 + n / 100), "live")
        fleet.tick(n)
    gone = position()
    fleet.put(gone, "live")
    fleet.tick(50)
    fleet.remove(gone.booking_id)
    assert outlet.frames(desk) == []
    outlet.slow.clear()
    fleet.tick(51)
    (frame,) = outlet.frames(desk)
    assert frame["n"] == 1
    assert frame["moved"][0][2] == pytest.approx(39.49)
    assert frame["gone"] == [str(gone.booking_id)]


def test_areas_limit_what_is_seen(fleet: Fleet, outlet: Outlet) -> None:
    """A dispatcher of another area sees nothing of this one's legs, nor their end."""
    here, elsewhere, one = dispatcher(frozenset({AREA})), dispatcher(frozenset({OTHER})), position()
    fleet.watch(here, None, 0)
    fleet.watch(elsewhere, BALTIMORE, 0)
    fleet.put(one, "live")
    fleet.tick(1)
    fleet.remove(one.booking_id)
    fleet.tick(2)
    assert len(outlet.frames(here)) == 2
    assert outlet.frames(elsewhere) == []


def test_growing_old_is_news(fleet: Fleet, outlet: Outlet) -> None:
    """A leg that falls silent is told once as delayed, without a new position."""
    desk, one = dispatcher(), position()
    fleet.put(one, "live")
    fleet.watch(desk, None, 0)
    fleet.aged(one.booking_id, "delayed")
    fleet.aged(one.booking_id, "delayed")
    fleet.tick(30_000)
    fleet.tick(30_250)
    (frame,) = outlet.frames(desk)
    assert frame["moved"][0][-1] == "delayed"


def test_nothing_stays_behind_a_viewport(fleet: Fleet) -> None:
    """Moving a viewport and leaving forgets every cell and every viewer."""
    desk = dispatcher()
    fleet.put(position(), "live")
    fleet.watch(desk, (-76.7, 39.2, -76.5, 39.4), 0)
    fleet.watch(desk, BALTIMORE, 0)
    fleet.left(desk)
    assert not fleet._by_cell
    assert not fleet._wide
    assert all(not leg.viewers for leg in fleet._legs.values())


def test_n_grows_whatever_the_clock_does() -> None:
    """Over restarts n follows the time since the session opened; a clock that steps back does not take it along."""
    first = next_n(0, 1_000, 5_000)
    assert first == 4_000 * STALENESS_STEPS
    assert next_n(first, 1_000, 3_000) == first + STALENESS_STEPS


def test_positions_survive_the_way_between_nodes() -> None:
    """A position decodes to what was encoded; another version's is not understood, and said so."""
    one = position()
    assert LivePosition.decode(one.encode()) == one
    assert LivePosition.decode(orjson.dumps({"v": 2})) is None
