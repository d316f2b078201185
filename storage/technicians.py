"""Technicians: who they are, when they work, and what their visits earned them in stars.

The row is written by trust facts; visits and stars are counted by booking facts, in the same transaction as the visit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from domain import booking_events as ev
from domain.availability import Span, window
from domain.booking import BookingEvent
from domain.context import Context
from domain.credentials import Credential
from domain.facts import Fact
from domain.trust import Technician, TechnicianStatus, TechnicianWritten
from storage import credentials
from storage.db import Tx
from storage.rows import Row

_COLUMNS = """
t.technician_id, p.display_name, t.bio, t.status, t.services, t.experiences, t.home_lat, t.home_lon, t.radius_m,
t.time_zone, t.photo_url, t.availability, t.member_since, t.rating_sum, t.rating_count, t.jobs_completed, t.version
"""
GET = f"""
SELECT {_COLUMNS} FROM app.technicians t JOIN app.people p ON p.person_id = t.technician_id
WHERE t.technician_id = $1 AND p.erased_at IS NULL
"""
LOCK = GET + "FOR UPDATE OF t FOR KEY SHARE OF p"  # who is being erased is waited for, and then not found
# A busy city offers far more than a page of cards: the nearest 500 are considered, and all of them are kept.
AROUND = f"""
SELECT {_COLUMNS}, held.credentials, taken.begins, taken.ends,
       EXISTS (SELECT 1 FROM app.bookings b WHERE b.technician_id = t.technician_id
               AND b.state IN ('en_route', 'arrived', 'in_service')) AS engaged
FROM app.technicians t JOIN app.people p ON p.person_id = t.technician_id
LEFT JOIN LATERAL (SELECT jsonb_agg(to_jsonb(c)) AS credentials FROM app.credentials c
                   WHERE c.technician_id = t.technician_id) held ON true
LEFT JOIN LATERAL (SELECT array_agg(lower(r.during)) AS begins, array_agg(upper(r.during)) AS ends
                   FROM app.reservations r
                   WHERE r.technician_id = t.technician_id AND r.active AND r.during && tstzrange($6, $7)
                     AND (r.held_until IS NULL OR r.held_until > $8)) taken ON true
WHERE t.services @> ARRAY[$1] AND p.erased_at IS NULL
  AND t.home_lat BETWEEN $2::float8 - $4::float8 AND $2::float8 + $4::float8
  AND t.home_lon BETWEEN $3::float8 - $5::float8 AND $3::float8 + $5::float8
ORDER BY power(t.home_lat - $2::float8, 2) + power((t.home_lon - $3::float8) * $4::float8 / $5::float8, 2),
         t.technician_id
LIMIT 500
"""
HOMES = """
SELECT technician_id, home_lat, home_lon FROM app.technicians
WHERE status = 'approved' AND ($1::uuid[] IS NULL OR technician_id = ANY ($1))
"""
BECOME_TECHNICIAN = "UPDATE app.people SET role = 'technician' WHERE person_id = $1 AND role = 'customer'"


type Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Nearby:
    """A technician around a place, with all credentials and the time already taken; `engaged`: on a visit or a way."""

    technician: Technician
    credentials: tuple[Credential, ...]
    taken: tuple[Span, ...]
    engaged: bool


def rows(fact: Fact, _event_id: UUID, _context: Context) -> Iterator[Row]:
    """Yield the technician's row for trust facts, and what a finished or rated visit adds to the counters."""
    match fact:
        case TechnicianWritten():
            yield Row("technicians", _values(fact.technician))
        case BookingEvent(happened=ev.Completed()):
            yield _count(fact, jobs=1)
        case BookingEvent(happened=ev.Rated(stars=stars)):
            yield _count(fact, stars=stars, ratings=1)


def _count(fact: BookingEvent, *, jobs: int = 0, stars: int = 0, ratings: int = 0) -> Row:
    values = {"technician_id": fact.booking.technician_id, "jobs": jobs, "stars": stars, "ratings": ratings}
    return Row("technician_stats", values)


def _values(t: Technician) -> dict[str, Any]:
    return {
        "technician_id": t.technician_id,
        "bio": t.bio,
        "status": t.status,
        "services": t.services,
        "experiences": t.experiences,
        "home_lat": t.home_lat,
        "home_lon": t.home_lon,
        "radius_m": t.radius_m,
        "time_zone": t.time_zone,
        "photo_url": t.photo_url,
        "availability": [each.document() for each in t.availability],
        "member_since": t.member_since,
        "version": t.version,
    }


def technician(record: asyncpg.Record | dict[str, Any]) -> Technician:
    """Read a technician from a row of these queries."""
    return Technician(
        technician_id=record["technician_id"],
        display_name=record["display_name"],
        bio=record["bio"],
        status=TechnicianStatus(record["status"]),
        services=tuple(record["services"]),
        experiences=tuple(record["experiences"]),
        home_lat=record["home_lat"],
        home_lon=record["home_lon"],
        radius_m=record["radius_m"],
        time_zone=record["time_zone"],
        photo_url=record["photo_url"],
        availability=tuple(window(each) for each in record["availability"]),
        member_since=record["member_since"],
        rating_sum=record["rating_sum"],
        rating_count=record["rating_count"],
        jobs_completed=record["jobs_completed"],
        version=record["version"],
    )


def from_document(document: Mapping[str, Any]) -> Technician:
    """Read a technician from its row as JSON."""
    return technician(
        {
            **document,
            "technician_id": UUID(document["technician_id"]),
            "member_since": date.fromisoformat(document["member_since"]),
        }
    )


async def get(tx: Tx, technician_id: UUID) -> Technician | None:
    """Read one technician."""
    record = await tx.fetchrow(GET, technician_id)
    return technician(record) if record else None


async def lock(tx: Tx, technician_id: UUID) -> Technician | None:
    """Read one technician and hold the row until the transaction ends."""
    record = await tx.fetchrow(LOCK, technician_id)
    return technician(record) if record else None


async def around(tx: Tx, service: str, place: Place, reach: Place, busy: Span, now: datetime) -> list[Nearby]:
    """List the nearest technicians who offer a service, whatever their standing, at most `reach` degrees away."""
    found = await tx.fetch(AROUND, service, *place, *reach, *busy, now)
    return [
        Nearby(
            technician(record),
            tuple(credentials.from_document(each) for each in record["credentials"] or ()),
            tuple(zip(record["begins"] or (), record["ends"] or (), strict=True)),
            record["engaged"],
        )
        for record in found
    ]


async def become(tx: Tx, person_id: UUID) -> None:
    """Give an approved applicant the role; tokens issued from now on carry it."""
    await tx.execute(BECOME_TECHNICIAN, person_id)


async def homes(tx: Tx, technician_ids: Sequence[UUID] | None) -> list[asyncpg.Record]:
    """List approved technicians and where they live; all of them for None."""
    return await tx.fetch(HOMES, technician_ids)
