"""Past days of the demo city: who asked, who was shown, who came; planned here, told step by step in `visits.py`.

Everything is drawn from the day's own seed. A technician is never planned for two visits at once, and only for what the
gate would have let them do.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from uuid import UUID
from zoneinfo import ZoneInfo

from app.seeds.ids import seeded_id
from domain import matching
from domain.availability import Span, spans
from domain.booking import Price
from domain.commands import Address
from domain.context import Actor, Context, Role
from domain.credentials import Credential, Rules, Status
from domain.gate import Stopped, Visit, check
from domain.trust import Technician
from geo.areas import Area
from geo.distance import haversine_m
from services import cards, discovery
from services.considering import Closed, Open, Scene, Wish
from services.policy import Policy
from services.qualification import coarse, distance_m
from services.routing import straight_s
from storage.catalogue import Service

OPENS, CLOSES = time(8), time(19)
NEAR_HOME_M = 1_500.0
WISHES = ("quiet_visit", "punctual", "pets_welcome", "explains_everything")


@dataclass(frozen=True, slots=True)
class House:
    """A door of the city with its area."""

    address: Address
    area: Area


@dataclass(frozen=True, slots=True)
class Hand:
    """A technician with credentials."""

    technician: Technician
    credentials: tuple[Credential, ...]
    simulated: bool


@dataclass(slots=True)
class City:
    """All that a past day needs to know; `taken` and the technicians' counters grow while days are planned."""

    houses: Sequence[House]
    services: Mapping[str, Service]
    rules: Mapping[str, Rules | None]
    currency: str
    tax_bp: int
    hands: dict[UUID, Hand]
    customers: Sequence[UUID]
    favourite: UUID
    home: tuple[float, float]
    policy: Policy
    taken: dict[UUID, list[Span]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planned:
    """One visit of the past, before it is told."""

    name: str
    customer_id: UUID
    house: House
    wish: Wish
    asked_at: datetime
    match: dict[str, object]
    candidates: list[dict[str, object]]
    chosen: Open
    card_id: UUID
    quote: Price
    ends_at: datetime
    outcome: str


def plan_day(city: City, day: date, visits: int) -> Iterator[Planned]:
    """Plan a day's visits, earliest first; some are for the favourite technician, near whom customer@ lives."""
    chance = random.Random(f"day {day.isoformat()}")
    zone = ZoneInfo(city.houses[0].area.time_zone)
    opens = datetime.combine(day, OPENS, zone).astimezone(UTC)
    closes = datetime.combine(day, CLOSES, zone).astimezone(UTC)
    near = [house for house in city.houses if _way_m(house, city.home) <= NEAR_HOME_M] or list(city.houses)
    favourites = set(range(2, visits, max(1, visits // 4)))
    for index in range(visits):
        asked_at = opens + (closes - opens) * (index + chance.random()) / visits
        favourite = city.hands[city.favourite].technician if index in favourites else None
        service = chance.choice(favourite.services if favourite else sorted(city.services))
        house = chance.choice(near if favourite or index == 1 else city.houses)
        when = None if chance.random() < 0.7 else _later(asked_at, chance)
        wishes = tuple(chance.sample(WISHES, chance.randint(0, 2)))
        wish = Wish(service, house.address.lat, house.address.lon, when, wishes, 8)
        customer = city.customers[0] if index == 1 else chance.choice(city.customers)
        planned = _plan(
            city, f"{day.isoformat()} {index}", customer, house, wish, asked_at, favourite, chance
        )
        if planned is not None:
            yield planned


def _plan(
    city: City, name: str, customer_id: UUID, house: House, wish: Wish, asked_at: datetime,
    favourite: Technician | None, chance: random.Random,
) -> Planned | None:  # fmt: skip
    service = city.services[wish.service]
    duration = timedelta(seconds=service.duration_s)
    outcomes = [
        _outcome(city, hand, wish, asked_at, duration)
        for hand in city.hands.values()
        if wish.service in hand.technician.services
    ]
    scene = Scene(service, house.area, city.rules[wish.service], city.currency, city.tax_bp, ())
    context = Context(Actor(customer_id, Role.CUSTOMER), asked_at, seeded_id("story", name).hex)
    numbers = count()
    match, rows, _ = discovery.made(
        wish,
        scene,
        outcomes,
        context,
        city.policy.match_ttl_s,
        ids=lambda: seeded_id("match", f"{name} {next(numbers)}", asked_at),
    )
    found = {each.technician.technician_id: each for each in outcomes if isinstance(each, Open)}
    shown = [row for row in rows if row.get("card_id")]
    if not shown:
        return None
    own = [row for row in shown if favourite and row["technician_id"] == favourite.technician_id]
    row = own[0] if own else shown[min(len(shown) - 1, chance.choice((0, 0, 0, 1, 1, 2)))]
    chosen = found[row["technician_id"]]
    buffer = timedelta(seconds=city.policy.travel_buffer_s)
    ends_at = chosen.starts_at + duration
    outcome = "completed" if own else chance.choices(
        ("completed", "cancelled", "declined", "expired", "no_show"), (84, 6, 5, 2, 3))[0]  # fmt: skip
    slack = timedelta(minutes=45)  # visits begin late and take longer
    taken = (chosen.starts_at - buffer, ends_at + buffer + slack)
    city.taken.setdefault(chosen.technician.technician_id, []).append(taken)
    if outcome == "completed":
        _count(city, chosen.technician.technician_id)
    return Planned(name, customer_id, house, wish, asked_at, match, rows, chosen, row["card_id"],
                   Price(**row["quote"]), ends_at, outcome)  # fmt: skip


def _outcome(city: City, hand: Hand, wish: Wish, asked_at: datetime, duration: timedelta) -> Open | Closed:
    technician = hand.technician
    place = (wish.lat, wish.lon)
    home = (technician.home_lat, technician.home_lon)
    way_s = straight_s(coarse(home), place)
    eta_s = cards.eta_shown_s(way_s)
    starts_at = wish.when or _slot(asked_at + timedelta(seconds=eta_s))
    visit = Visit(wish.service, starts_at, starts_at + duration, distance_m(home, place))
    gate = check(technician, city.rules[wish.service], hand.credentials, visit, asked_at)
    if isinstance(gate, Stopped):
        return Closed(technician.technician_id, gate)
    buffer = timedelta(seconds=city.policy.travel_buffer_s)
    wanted = (starts_at - buffer, starts_at + duration + buffer)
    works = spans(technician.availability, technician.time_zone, starts_at, starts_at + duration)
    taken = city.taken.get(technician.technician_id, ())
    busy = any(begins < wanted[1] and wanted[0] < ends for begins, ends in taken)
    if busy or works != [(starts_at, starts_at + duration)]:
        return Closed(technician.technician_id, Stopped("not_free"))
    facts = matching.Facts(
        way_s=way_s,
        eta_s=eta_s,
        distance_m=cards.distance_shown_m(distance_m(home, place)),
        wait_s=0.0,
        rating_sum=technician.rating_sum,
        rating_count=technician.rating_count,
        jobs_completed=technician.jobs_completed,
        wished=len(wish.experience),
        matched=sum(wished in technician.experiences for wished in wish.experience),
        present=None if wish.when else hand.simulated,
        expiring=gate.status == Status.EXPIRING,
    )
    return Open(technician, gate, starts_at, facts)


def _count(city: City, technician_id: UUID) -> None:
    hand = city.hands[technician_id]
    after = replace(hand.technician, jobs_completed=hand.technician.jobs_completed + 1)
    city.hands[technician_id] = replace(hand, technician=after)


def _later(asked_at: datetime, chance: random.Random) -> datetime:
    return _slot(asked_at + timedelta(minutes=chance.randint(90, 240)))


def _slot(at: datetime) -> datetime:
    return at + timedelta(seconds=-at.timestamp() % 300)


def _way_m(house: House, place: tuple[float, float]) -> float:
    return haversine_m(house.address.lat, house.address.lon, *place)
