"""Who lives in the demo city: the six accounts of the contract, customers, and technicians of every standing.

`tech-NNN@` and `cust-NNN@sim.doorstep.example` belong to the simulated phones: qualified for years, free at any hour
while a phone drives them, so that nobody waits for somebody whom nobody drives. Technicians `@pros.doorstep.example`
show what licences can look like; few of them may work.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from app.seeds.history import House
from app.seeds.ids import seeded_id
from app.seeds.offer import EXPERIENCES
from domain.availability import ALWAYS, Window
from domain.context import Role
from domain.trust import TechnicianStatus
from geo.distance import haversine_m

DEMO = "demo.doorstep.example"
PROS = "pros.doorstep.example"
HOMES = "homes.doorstep.example"
SIM = "sim.doorstep.example"
ZONE = "America/New_York"
HOME = (39.2822, -76.5763)  # of technician@: Canton, by the park
APART_M = 700.0  # the others are based at least so far from there, so that technician@ is near at home

FIRST = (  # noqa: SIM905 - names read best as words
    "Ada Amir Bea Ben Carla Chen Dara Diego Elif Emma Farah Felix Gia Hugo Ines Ivan Jada Jonas Kaya Kofi Lena Luis "
    "Maya Milan Nadia Noah Olga Omar Paula Quinn Rosa Ravi Sana Sean Tara Theo Uma Vera Walt Yara Zoe"
).split()
LAST = (  # noqa: SIM905 - names read best as words
    "Abbott Baker Castillo Diaz Ellis Fischer Greene Hassan Ito Johnson Kim Lopez Mensah Novak Okafor Park Reed Silva "
    "Tran Ueda Vargas Walsh Xu Young Ziegler"
).split()

TRADES: tuple[tuple[str, ...], ...] = (
    ("haircut",), ("hvac_repair", "electrical"), ("manicure", "facial"), ("plumbing",), ("massage",),
    ("furniture_assembly", "electrical"), ("haircut", "facial"), ("plumbing", "hvac_repair"), ("manicure", "haircut"),
    ("electrical",), ("massage", "facial"), ("furniture_assembly", "plumbing"), ("manicure", "massage"),
    ("hvac_repair",), ("furniture_assembly",),
)  # fmt: skip

BIOS: dict[str, tuple[str, ...]] = {
    "haircut": (
        "Fifteen years behind the chair, now in front of yours.",
        "Short cuts, long curls, and no hurry.",
    ),
    "manicure": ("Careful hands for careful hands.", "Classic polish, clean lines, a steady brush."),
    "facial": ("Skin first, products second.", "An hour of quiet for your face."),
    "massage": (
        "Deep tissue when you need it, gentle when you don't.",
        "I bring the table, the oil and the calm.",
    ),
    "hvac_repair": (
        "Furnaces, heat pumps, and the odd stubborn thermostat.",
        "I fix it before I sell you a new one.",
    ),
    "electrical": ("From a dead outlet to a whole panel, to code.", "Neat wiring is safe wiring."),
    "plumbing": ("Leaks found without opening every wall.", "Drains, valves and honest prices."),
    "furniture_assembly": ("No screw left over.", "Flat packs, full bookcases."),
}

MEASURED = 3  # the last accounts are for measurements beside the city that drives


class Standing(NamedTuple):
    """What is the matter with a technician's licences: `licences` says how each is made (app/seeds/licences.py)."""

    licences: str
    status: TechnicianStatus


STANDINGS: tuple[tuple[Standing, int], ...] = (
    (Standing("valid", TechnicianStatus.APPROVED), 9),
    (Standing("expiring", TechnicianStatus.APPROVED), 6),
    (Standing("expired", TechnicianStatus.APPROVED), 6),
    (Standing("pending", TechnicianStatus.APPLIED), 6),
    (Standing("rejected", TechnicianStatus.APPLIED), 4),
    (Standing("suspended", TechnicianStatus.APPROVED), 4),
    (Standing("revoked", TechnicianStatus.SUSPENDED), 3),
    (Standing("elsewhere", TechnicianStatus.APPROVED), 6),
    (Standing("unverified", TechnicianStatus.APPROVED), 4),
)


@dataclass(frozen=True, slots=True)
class Person:
    """An account."""

    person_id: UUID
    email: str
    display_name: str
    role: Role
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Worker:
    """A technician to be: who, what, where, when, and with which licences from where."""

    person: Person
    bio: str
    services: tuple[str, ...]
    experiences: tuple[str, ...]
    home: tuple[float, float]
    radius_m: int
    time_zone: str
    availability: tuple[Window, ...]
    member_since: date
    standing: Standing
    jurisdiction: str = "US-MD"
    licensed_in: str = "US-MD"


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody."""

    staff: tuple[Person, ...] = field(default_factory=tuple)
    customers: tuple[Person, ...] = field(default_factory=tuple)
    workers: tuple[Worker, ...] = field(default_factory=tuple)

    def people(self) -> Iterator[Person]:
        """Iterate over all accounts."""
        yield from self.staff
        yield from self.customers
        yield from (worker.person for worker in self.workers)


def cast(houses: Sequence[House], *, simulated: int, driven: int, today: date) -> Cast:
    """Make the demo city's people; `simulated` of each kind belong to the phones, of which `driven` are on the road."""
    customers = [_person(f"customer@{DEMO}", "Casey Customer", Role.CUSTOMER)]
    customers += [_person(f"{_slug(n)}@{HOMES}", _name(n), Role.CUSTOMER) for n in range(400, 424)]
    customers += [
        replace(_person(f"cust-{n:03d}@{SIM}", _name(n + 700), Role.CUSTOMER), simulated=True)
        for n in range(1, simulated + 1)
    ]
    return Cast(_staff(), tuple(customers), tuple(_workers(houses, simulated, driven, today)))


def _staff() -> tuple[Person, ...]:
    named = (
        ("dispatcher", "Dana Dispatcher", Role.DISPATCHER),
        ("support", "Sam Support", Role.SUPPORT),
        ("finance", "Fay Finance", Role.FINANCE),
        ("founder", "Fran Founder", Role.FOUNDER),
    )
    return tuple(_person(f"{account}@{DEMO}", name, role) for account, name, role in named)


def _workers(houses: Sequence[House], simulated: int, driven: int, today: date) -> Iterator[Worker]:
    yield Worker(
        person=_person(f"technician@{DEMO}", "Terry Technician", Role.TECHNICIAN),
        bio="Twelve years of cutting hair at kitchen tables all over Baltimore. Brings a cape, a broom and good music.",
        services=("haircut", "facial"),
        experiences=tuple(slug for slug, _, _ in EXPERIENCES[:6]),
        home=HOME,
        radius_m=15_000,
        time_zone=ZONE,
        availability=ALWAYS,
        member_since=today - timedelta(days=640),
        standing=Standing("valid", TechnicianStatus.APPROVED),
    )
    standings = [standing for standing, count in STANDINGS for _ in range(count)]
    for n, standing in enumerate(standings):
        person = _person(f"{_slug(n)}@{PROS}", _name(n), Role.TECHNICIAN)
        if standing.status == TechnicianStatus.APPLIED:
            person = replace(person, role=Role.CUSTOMER)  # until the founder approves
        elsewhere = ("US-TX", "US-CA", "US-NY")[n % 3] if standing.licences == "elsewhere" else "US-MD"
        yield replace(_worker(person, n, houses, today), standing=standing, licensed_in=elsewhere)
    for n in range(1, simulated + 1):
        person = replace(_person(f"tech-{n:03d}@{SIM}", _name(n + 100), Role.TECHNICIAN), simulated=True)
        on_duty = n <= driven or n > simulated - MEASURED
        yield replace(
            _worker(person, n, houses, today), availability=ALWAYS if on_duty else (), radius_m=20_000
        )


def _worker(person: Person, n: int, houses: Sequence[House], today: date) -> Worker:
    chance = random.Random(f"worker {person.email}")
    services = TRADES[n % len(TRADES)]
    while True:
        door = chance.choice(houses).address
        if haversine_m(door.lat, door.lon, *HOME) >= APART_M:
            break
    wishes = [slug for slug, _, _ in EXPERIENCES]
    return Worker(
        person=person,
        bio=BIOS[services[0]][n % 2],
        services=services,
        experiences=tuple(sorted(chance.sample(wishes, chance.randint(2, 5)))),
        home=(door.lat, door.lon),
        radius_m=12_000,
        time_zone=ZONE,
        availability=tuple(Window(day % 7, 8 * 60, 12 * 60) for day in (n, n + 3)),
        member_since=today - timedelta(days=chance.randint(20, 900)),
        standing=Standing("valid", TechnicianStatus.APPROVED),
    )


def _person(email: str, name: str, role: Role) -> Person:
    return Person(seeded_id("person", email), email, name, role)


def _name(n: int) -> str:
    return f"{FIRST[n * 7 % len(FIRST)]} {LAST[(n * 3 + n // len(FIRST)) % len(LAST)]}"


def _slug(n: int) -> str:
    return f"{_name(n).lower().replace(' ', '.')}.{n:03d}"
