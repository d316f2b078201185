"""What dispatchers see: every leg that is under way, in at most four conflated frames a second for each of them.

A cell index says which viewports a position falls into, so a tick costs what moved, not fixes × dispatchers: a row is
encoded once however many look at it. A dispatcher that reads slowly gets one later frame with the newest of everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from domain.context import Role
from domain.disclosure import Freshness
from geo.cells import cell_id, cells_in_bbox, count_in_bbox
from realtime.clients import Client
from realtime.wire import Wire
from services.live_position import LivePosition
from services.policy import Policy
from services.watching import freshness_of

COLUMNS = [
    "booking_id",
    "technician_id",
    "lat",
    "lon",
    "hdg_deg",
    "spd_mps",
    "age_s",
    "eta_s",
    "phase",
    "freshness",
]
CELL_M = 2000.0
MAX_CELLS = 2_000  # a larger viewport is asked about each position instead

type Box = tuple[float, float, float, float]


@dataclass(slots=True, eq=False)
class View:
    """One dispatcher's viewport: what it shows, and what it has not been told yet."""

    client: Client
    box: Box | None
    cells: tuple[int, ...] | None
    n: int = 0
    shown: set[UUID] = field(default_factory=set)
    moved: set[UUID] = field(default_factory=set)
    gone: set[UUID] = field(default_factory=set)

    def takes_in(self, position: LivePosition) -> bool:
        """Tell whether a position lies in the viewport and in an area that the dispatcher serves."""
        actor = self.client.actor
        if actor.role == Role.DISPATCHER and not actor.covers(position.area_id):
            return False
        if self.box is None:
            return True
        w, s, e, n = self.box
        inside = w <= position.lon <= e if w <= e else position.lon >= w or position.lon <= e
        return inside and s <= position.lat <= n


@dataclass(slots=True)
class Leg:
    """A leg on the map, its row as it was last encoded, and who shows it."""

    position: LivePosition
    cell: int
    freshness: Freshness
    viewers: set[View] = field(default_factory=set)
    row: orjson.Fragment | None = None
    row_tick: int = -1


class Fleet:
    """All legs that are under way, and all viewports of this process."""

    def __init__(self, wire: Wire, policy: Policy) -> None:
        self._wire = wire
        self._policy = policy
        self._legs: dict[UUID, Leg] = {}
        self._views: dict[Client, View] = {}
        self._wide: set[View] = set()
        self._by_cell: dict[int, set[View]] = {}
        self._moved: set[UUID] = set()
        self._tick = 0

    def booking_ids(self) -> set[UUID]:
        """Return the bookings that are on the map."""
        return set(self._legs)

    def session_of(self, booking_id: UUID) -> UUID | None:
        """Return the session in which a booking is on the map."""
        leg = self._legs.get(booking_id)
        return leg.position.session_id if leg is not None else None

    def put(self, position: LivePosition, freshness: Freshness) -> bool:
        """Take a position; False when it is older than what is known."""
        leg = self._legs.get(position.booking_id)
        cell = cell_id(position.lat, position.lon, CELL_M)
        if leg is None:
            self._legs[position.booking_id] = Leg(position, cell, freshness)
        else:
            if leg.position.session_id == position.session_id and leg.position.n >= position.n:
                return False
            leg.position, leg.cell, leg.freshness = position, cell, freshness
        if self._views:
            self._moved.add(position.booking_id)
        return True

    def aged(self, booking_id: UUID, freshness: Freshness) -> None:
        """A position is worth less than it was."""
        leg = self._legs.get(booking_id)
        if leg is not None and leg.freshness != freshness:
            leg.freshness = freshness
            self._moved.add(booking_id)

    def remove(self, booking_id: UUID) -> None:
        """A leg ended."""
        leg = self._legs.pop(booking_id, None)
        self._moved.discard(booking_id)
        if leg is not None:
            for view in leg.viewers:
                self._leaves(view, booking_id)

    def watch(self, client: Client, box: Box | None, now_ms: int) -> dict[str, Any]:
        """Set a client's viewport. Returns columns, all rows in it, and the `n` that the next frame follows."""
        before = self._forget_view(client)
        cells = None
        if box is not None and count_in_bbox(*box, CELL_M) <= MAX_CELLS:
            cells = tuple(cells_in_bbox(*box, CELL_M))
        view = self._views[client] = View(client, box, cells, n=before.n if before is not None else 0)
        if cells is None:
            self._wide.add(view)
        else:
            for cell in cells:
                self._by_cell.setdefault(cell, set()).add(view)
        rows = []
        for booking_id, leg in self._legs.items():
            if view.takes_in(leg.position):
                leg.viewers.add(view)
                view.shown.add(booking_id)
                rows.append(_row(leg, now_ms))
        return {"columns": COLUMNS, "rows": rows, "t": now_ms, "n": view.n}

    def left(self, client: Client) -> None:
        """A dispatcher is gone, or looks elsewhere."""
        self._forget_view(client)

    def _forget_view(self, client: Client) -> View | None:
        view = self._views.pop(client, None)
        if view is None:
            return None
        self._wide.discard(view)
        for cell in view.cells or ():
            viewers = self._by_cell.get(cell)
            if viewers is not None:
                viewers.discard(view)
                if not viewers:
                    del self._by_cell[cell]
        for booking_id in view.shown:
            if (leg := self._legs.get(booking_id)) is not None:
                leg.viewers.discard(view)
        return view

    def tick(self, now_ms: int) -> None:
        """Send each dispatcher one frame with all that moved in its viewport since its last."""
        self._tick += 1
        moved, self._moved = self._moved, set()
        for booking_id in moved:
            leg = self._legs[booking_id]
            viewers = {v for v in self._candidates(leg.cell) if v.takes_in(leg.position)}
            for view in leg.viewers - viewers:
                self._leaves(view, booking_id)
            for view in viewers:
                view.shown.add(booking_id)
                view.gone.discard(booking_id)
                view.moved.add(booking_id)
            leg.viewers = viewers
        for view in self._views.values():
            if (view.moved or view.gone) and not self._wire.busy(view.client):
                self._send(view, now_ms)

    def _candidates(self, cell: int) -> Iterable[View]:
        return self._wide | self._by_cell.get(cell, set())

    def _leaves(self, view: View, booking_id: UUID) -> None:
        view.shown.discard(booking_id)
        view.moved.discard(booking_id)
        view.gone.add(booking_id)

    def _send(self, view: View, now_ms: int) -> None:
        view.n += 1
        rows = [self._encoded(self._legs[booking_id], now_ms) for booking_id in view.moved]
        frame = {"t": now_ms, "n": view.n, "moved": rows, "gone": [str(b) for b in view.gone]}
        view.moved, view.gone = set(), set()
        self._wire.send([view.client], "frame", frame)

    def _encoded(self, leg: Leg, now_ms: int) -> orjson.Fragment:
        if leg.row is None or leg.row_tick != self._tick:
            leg.row, leg.row_tick = orjson.Fragment(orjson.dumps(_row(leg, now_ms))), self._tick
        return leg.row

    def freshness(self, position: LivePosition, now_ms: int) -> Freshness:
        """Return what a position is worth now."""
        return freshness_of(position, self._policy, now_ms)


def _row(leg: Leg, now_ms: int) -> list[Any]:
    p = leg.position
    return [
        str(p.booking_id),
        str(p.technician_id),
        round(p.lat, 6),
        round(p.lon, 6),
        round(p.hdg_deg, 1) if p.hdg_deg is not None else None,
        round(p.spd_mps, 1),
        round(max(0.0, (now_ms - p.t_ms) / 1000.0), 1),
        round(max(0.0, (p.eta.at_ms - now_ms) / 1000.0)) if p.eta is not None else None,
        "near" if p.near else "en_route",
        leg.freshness,
    ]
