"""Bookings and their events: SQL and `fact -> rows`.

The row is the fold of the events; both are written by `journal.record` in one statement.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from domain import booking_events as ev
from domain.booking import Booking, BookingEvent, Price, State
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row

COLUMNS = """booking_id, number, state, version, service, experience, customer_id, technician_id, match_id, card_id,
    area_id, jurisdiction, starts_at, ends_at, expected_end_at, deadline_at, base_amount, travel_amount, tax_amount,
    total_amount, currency, tax_bp, payment_status, gps_session_id, fallback, address, offered, near_at, arrived_at,
    fee_amount, rated, created_at, updated_at"""

GET = f"SELECT {COLUMNS} FROM app.bookings WHERE booking_id = $1"
LOCK = f"{GET} FOR NO KEY UPDATE"
MANY = f"SELECT {COLUMNS} FROM app.bookings WHERE booking_id = ANY ($1)"
NEXT_NUMBER = "SELECT 'D-' || nextval('app.booking_numbers')"
BEGINNING = f"{NEXT_NUMBER} AS number, app.cancellation_policy_in_force($1, $2, $3) AS version"
LIST = f"""
SELECT {COLUMNS} FROM app.bookings
WHERE ($1::uuid IS NULL OR customer_id = $1) AND ($2::uuid IS NULL OR technician_id = $2)
  AND ($3::uuid[] IS NULL OR area_id = ANY ($3)) AND ($4::text[] IS NULL OR state = ANY ($4))
  AND ($5::timestamptz IS NULL OR updated_at >= $5)
  AND ($6::timestamptz IS NULL OR (created_at, booking_id) < ($6, $7::uuid))
ORDER BY created_at DESC, booking_id DESC LIMIT $8
"""
EVENTS = """
SELECT e.event_id, e.booking_id, e.seq, e.type, e.at, e.actor_id, e.actor_role, e.correlation_id, e.data,
       n.text AS note, n.author_id AS note_author_id
FROM app.booking_events e LEFT JOIN app.booking_notes n USING (event_id)
WHERE e.booking_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3
"""
NAMES = """
SELECT p.person_id, p.display_name, t.photo_url FROM app.people p
LEFT JOIN app.technicians t ON t.technician_id = p.person_id WHERE p.person_id = ANY ($1)
"""
LEGS = """
SELECT b.booking_id, b.state, b.customer_id, b.technician_id, b.area_id, b.gps_session_id, b.near_at
FROM app.bookings b WHERE b.booking_id = ANY ($1)
"""
ENGAGED = """
SELECT technician_id, min(updated_at) AS since FROM app.bookings
WHERE technician_id = ANY ($1) AND state IN ('en_route', 'arrived', 'in_service') GROUP BY technician_id
"""
ACCEPTED_EVIDENCE = """
SELECT data, at FROM app.booking_events WHERE booking_id = $1 AND type = 'booking.accepted' ORDER BY seq DESC LIMIT 1
"""


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield a booking's row, its event, and the sealed text that came with it."""
    if isinstance(fact, BookingEvent):
        yield Row("bookings", _columns(fact.booking))
        yield Row("booking_events", _event(fact, event_id, context))
        yield from _sealed_text(fact, event_id, context)


def _sealed_text(fact: BookingEvent, event_id: UUID, context: Context) -> Iterator[Row]:
    if isinstance(fact.happened, ev.Rated):
        yield Row("ratings", {"booking_id": fact.booking.booking_id, "technician_id": fact.booking.technician_id,
                              "stars": fact.happened.stars, "comment": fact.note, "at": context.now})  # fmt: skip
    elif fact.note is not None:
        values = {"event_id": event_id, "author_id": context.actor.person_id, "text": fact.note}
        yield Row("booking_notes", values)


def _columns(b: Booking) -> dict[str, Any]:
    return {
        "booking_id": b.booking_id, "number": b.number, "state": b.state, "version": b.version, "service": b.service,
        "experience": b.experience, "customer_id": b.customer_id, "technician_id": b.technician_id,
        "match_id": b.match_id, "card_id": b.card_id, "area_id": b.area_id, "jurisdiction": b.jurisdiction,
        "starts_at": b.starts_at, "ends_at": b.ends_at, "expected_end_at": b.expected_end_at,
        "deadline_at": b.deadline_at, "base_amount": b.price.base, "travel_amount": b.price.travel,
        "tax_amount": b.price.tax, "total_amount": b.price.total, "currency": b.price.currency,
        "tax_bp": b.price.tax_bp, "payment_status": b.payment_status, "gps_session_id": b.gps_session_id,
        "fallback": b.fallback, "address": b.address, "offered": b.offered, "near_at": b.near_at,
        "arrived_at": b.arrived_at, "fee_amount": b.fee_amount, "rated": b.rated, "created_at": b.created_at,
        "updated_at": b.updated_at,
    }  # fmt: skip


def _event(fact: BookingEvent, event_id: UUID, context: Context) -> dict[str, Any]:
    return {
        "event_id": event_id, "booking_id": fact.booking.booking_id, "seq": fact.booking.version,
        "type": fact.happened.type, "at": context.now, "actor_id": context.actor.person_id,
        "actor_role": context.actor.role, "correlation_id": context.correlation_id,
        "causation_id": context.causation_id, "data": fact.happened.data(),
    }  # fmt: skip


def booking(record: asyncpg.Record) -> Booking:
    """Read a booking from a row that has its columns."""
    price = Price(record["base_amount"], record["travel_amount"], record["tax_amount"], record["total_amount"],
                  record["currency"], record["tax_bp"])  # fmt: skip
    return Booking(
        booking_id=record["booking_id"], number=record["number"], state=State(record["state"]),
        version=record["version"], service=record["service"], experience=tuple(record["experience"]),
        customer_id=record["customer_id"], technician_id=record["technician_id"], match_id=record["match_id"],
        card_id=record["card_id"], area_id=record["area_id"], jurisdiction=record["jurisdiction"],
        starts_at=record["starts_at"], ends_at=record["ends_at"], expected_end_at=record["expected_end_at"],
        deadline_at=record["deadline_at"], price=price, payment_status=record["payment_status"],
        gps_session_id=record["gps_session_id"], fallback=record["fallback"], address=record["address"],
        offered=tuple(record["offered"]), near_at=record["near_at"], arrived_at=record["arrived_at"],
        fee_amount=record["fee_amount"], rated=record["rated"], created_at=record["created_at"],
        updated_at=record["updated_at"],
    )  # fmt: skip


async def next_number(tx: Tx) -> str:
    """Return a fresh human number, such as `D-1042`."""
    number: str = await tx.fetchval(NEXT_NUMBER)
    return number


async def beginning(tx: Tx, area_id: UUID, jurisdiction: str, now: datetime) -> tuple[str, int]:
    """Return a fresh human number, and the version of the cancellation policy that a visit asked for now is under."""
    record = await tx.fetchrow(BEGINNING, area_id, jurisdiction, now)
    if record is None:
        raise RuntimeError("a SELECT of values is always one row")
    return record["number"], record["version"]


async def get(tx: Tx, booking_id: UUID) -> Booking | None:
    """Read a booking without locking it."""
    record = await tx.fetchrow(GET, booking_id)
    return booking(record) if record else None


async def many(tx: Tx, booking_ids: Sequence[UUID]) -> dict[UUID, Booking]:
    """Read several bookings without locking them."""
    return {r["booking_id"]: booking(r) for r in await tx.fetch(MANY, booking_ids)}


async def lock(tx: Tx, booking_id: UUID) -> Booking | None:
    """Read and lock a booking until the transaction ends; its technician was locked before."""
    record = await tx.fetchrow(LOCK, booking_id)
    return booking(record) if record else None


async def list_(
    tx: Tx,
    *,
    customer_id: UUID | None = None,
    technician_id: UUID | None = None,
    area_ids: Sequence[UUID] | None = None,
    states: Sequence[str] | None = None,
    since: datetime | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[Booking]:
    """List bookings, newest first, from behind `after` (created_at, booking_id)."""
    created_at, booking_id = after or (None, None)
    records = await tx.fetch(
        LIST, customer_id, technician_id, area_ids, states, since, created_at, booking_id, limit
    )
    return [booking(record) for record in records]


async def events(tx: Tx, booking_id: UUID, after_seq: int, limit: int) -> list[asyncpg.Record]:
    """Read a booking's events in order, notes still sealed."""
    return await tx.fetch(EVENTS, booking_id, after_seq, limit)


async def names(tx: Tx, person_ids: Sequence[UUID]) -> dict[UUID, tuple[str, str | None]]:
    """Return display name and photo address for each person."""
    return {r["person_id"]: (r["display_name"], r["photo_url"]) for r in await tx.fetch(NAMES, person_ids)}


async def evidence_at_acceptance(tx: Tx, booking_id: UUID) -> tuple[dict[str, Any], datetime] | None:
    """Return what the licence gate relied on when the visit was accepted, and when."""
    record = await tx.fetchrow(ACCEPTED_EVIDENCE, booking_id)
    return (record["data"]["evidence"], record["at"]) if record else None


async def legs(tx: Tx, booking_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """Read what decides whether somebody may watch these bookings: state, people, area, session, near."""
    return await tx.fetch(LEGS, booking_ids)


async def engaged_since(tx: Tx, technician_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Tell who of these technicians is on the way, at a door or in service, and since when."""
    return {r["technician_id"]: r["since"] for r in await tx.fetch(ENGAGED, technician_ids)}
