"""Each candidate meets the gates in their order: licences first, then presence, then time.

A technician is measured from the cell of about 1 km around home, or from the cell that a phone lately named, never from
a door. Only those whom no gate stopped cost a driving time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.availability import Span, spans, without
from domain.credentials import Rules, Status
from domain.gate import Passed, Stopped, Visit, check
from domain.matching import Facts
from domain.trust import Technician
from geo.areas import Area
from services import cards
from services.qualification import coarse, distance_m
from services.stores import Stores
from storage.catalogue import Service
from storage.hot import Presence
from storage.technicians import Nearby

NOW_WITHIN = timedelta(hours=2)  # a visit "now" begins within this, or it is none
CELL_FRESH_S = 900.0
SLOT_S = 300
FREE_GATES = frozenset({"busy", "not_free", "too_soon"})

type Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a customer asks: `when` None means now; `limit` cards at most."""

    service: str
    lat: float
    lon: float
    when: datetime | None
    experience: tuple[str, ...]
    limit: int


@dataclass(frozen=True, slots=True)
class Scene:
    """All that was read for one question."""

    service: Service
    area: Area | None
    rules: Rules | None
    currency: str
    tax_bp: int
    nearby: Sequence[Nearby]


@dataclass(frozen=True, slots=True)
class Open:
    """A technician whom no gate stopped, and when the visit could begin."""

    technician: Technician
    passed: Passed
    starts_at: datetime
    facts: Facts


@dataclass(frozen=True, slots=True)
class Closed:
    """A technician whom a gate stopped."""

    technician_id: UUID
    stopped: Stopped


@dataclass(frozen=True, slots=True)
class Ready:
    """A technician whose way is to be measured from `origin`; `present` None when presence does not matter."""

    nearby: Nearby
    origin: Point
    present: bool | None


async def consider(stores: Stores, wish: Wish, scene: Scene, now: datetime) -> list[Open | Closed]:
    """Tell of each candidate whether a gate is shut, or when the visit could begin."""
    place = (wish.lat, wish.lon)
    starts = wish.when or now
    ends = starts + timedelta(seconds=scene.service.duration_s)
    presences = await stores.hot.presences([each.technician.technician_id for each in scene.nearby])
    outcomes: list[Open | Closed] = []
    left: list[Ready] = []
    for each in scene.nearby:
        technician = each.technician
        home = (technician.home_lat, technician.home_lon)
        presence = presences.get(technician.technician_id)
        gate = check(
            technician,
            scene.rules,
            each.credentials,
            Visit(wish.service, starts, ends, distance_m(home, place)),
            now,
        )
        if isinstance(gate, Stopped):
            outcomes.append(Closed(technician.technician_id, gate))
        elif wish.when is not None:
            left.append(Ready(each, coarse(home), None))
        elif each.engaged or _state(presence) == "busy":
            outcomes.append(Closed(technician.technician_id, Stopped("busy")))
        else:
            left.append(Ready(each, _origin(home, presence, now), _state(presence) == "available"))
    seconds = await stores.router.durations_to([each.origin for each in left], place) if left else []
    buffer = timedelta(seconds=stores.policy.travel_buffer_s)
    outcomes += [
        _in_time(wish, scene, each, eta, buffer, now) for each, eta in zip(left, seconds, strict=True)
    ]
    return outcomes


def _in_time(
    wish: Wish, scene: Scene, ready: Ready, eta: float, buffer: timedelta, now: datetime
) -> Open | Closed:
    technician = ready.nearby.technician
    duration = timedelta(seconds=scene.service.duration_s)
    eta_s = cards.eta_shown_s(eta)
    there = _slot(now + timedelta(seconds=eta_s))
    if wish.when is not None and wish.when < there:
        return Closed(technician.technician_id, Stopped("too_soon"))
    not_before, latest = (wish.when, wish.when) if wish.when else (there, max(there, now + NOW_WITHIN))
    starts_at = _start(
        _free(ready.nearby, not_before, latest + duration, buffer), not_before, latest, duration
    )
    if starts_at is None:
        return Closed(technician.technician_id, Stopped("not_free"))
    visit = Visit(wish.service, starts_at, starts_at + duration, None)
    passed = check(technician, scene.rules, ready.nearby.credentials, visit, now)
    if isinstance(passed, Stopped):
        return Closed(technician.technician_id, passed)
    facts = Facts(
        way_s=eta,
        eta_s=eta_s,
        distance_m=cards.distance_shown_m(distance_m(ready.origin, (wish.lat, wish.lon))),
        wait_s=(starts_at - not_before).total_seconds(),
        rating_sum=technician.rating_sum,
        rating_count=technician.rating_count,
        jobs_completed=technician.jobs_completed,
        wished=len(wish.experience),
        matched=sum(wished in technician.experiences for wished in wish.experience),
        present=ready.present,
        expiring=passed.status == Status.EXPIRING,
    )
    return Open(technician, passed, starts_at, facts)


def _free(nearby: Nearby, start: datetime, end: datetime, buffer: timedelta) -> list[Span]:
    technician = nearby.technician
    working = spans(technician.availability, technician.time_zone, start, end)
    return without(working, [(begins - buffer, ends + buffer) for begins, ends in nearby.taken])


def _start(free: list[Span], not_before: datetime, latest: datetime, duration: timedelta) -> datetime | None:
    """Find the first start on a slot that leaves room for the whole visit."""
    for begins, ends in free:
        start = not_before if begins <= not_before else _slot(begins)
        if start <= latest and start + duration <= ends:
            return start
    return None


def _slot(at: datetime) -> datetime:
    """Round up to five minutes, so that a start says no more about a way than the card does."""
    return at + timedelta(seconds=-at.timestamp() % SLOT_S)


def _state(presence: Presence | None) -> str:
    if presence is None or not presence.connected or presence.said is None:
        return "offline"
    return presence.said.state


def _origin(home: Point, presence: Presence | None, now: datetime) -> Point:
    """Return where somebody sets out from: the cell they lately said they are in, else the cell of their home."""
    said = presence.said if presence is not None and _state(presence) == "available" else None
    if (
        said is None
        or said.cell is None
        or said.cell_at is None
        or now.timestamp() - said.cell_at > CELL_FRESH_S
    ):
        return coarse(home)
    return coarse(said.cell)
