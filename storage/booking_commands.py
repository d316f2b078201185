"""A command on a booking in two statements: everything its rule and its answer need, read at once; then one write.

The write locks the technician, then the booking, and refuses a booking that is not the one that was read: so no lock
is held while we think. `locking` takes the same locks with the read, for the transaction of a rule that asks further.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from domain.booking import Booking
from domain.context import Context
from domain.payments import PaymentIntent
from storage import bookings, payments, tracing
from storage.db import Tx

OPEN = f"""
SELECT {", ".join(f"(o.booking).{name.strip()}" for name in bookings.COLUMNS.split(","))},
       o.moved, o.customer_name, o.technician_name, o.photo_url, o.area_name, o.customer_key, o.actor_key, o.grounds,
       o.held, o.fingerprint, o.locked_until, o.status, o.body, o.claimed_at
FROM app.open_command($1, $2, $3, $4, $5, $6, $7, $8, $9) AS o
"""
RECORD = "SELECT app.record_command($1, $2, $3, $4, $5::text::jsonb)"


class Key(NamedTuple):
    """What an Idempotency-Key stands for: `status` is None while its request still runs."""

    fingerprint: bytes
    locked_until: datetime
    status: int | None
    body: bytes | None
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """A booking and its surroundings in one moment; `grounds` and `held` only where they were asked for."""

    booking: Booking
    key: Key | None
    moved: bool
    customer_name: str | None
    technician_name: str | None
    photo_url: str | None
    area_name: str | None
    customer_key: bytes | None
    actor_key: bytes | None
    grounds: dict[str, Any] | None
    held: PaymentIntent | None


async def read(
    tx: Tx,
    booking_id: UUID,
    context: Context,
    *,
    locking: bool = False,
    also: UUID | None = None,
    grounds: bool = False,
    held: bool = False,
) -> Opened | None:
    """Read a booking for a command; with `locking`, its technician and `also` are locked by id, then the booking."""
    claim = context.claim
    names = (None, None, None) if claim is None else (claim.principal, claim.route, claim.key)
    r = await tx.fetchrow(OPEN, booking_id, context.actor.person_id, *names, locking, also, grounds, held)
    if r is None or r["booking_id"] is None:
        return None
    return Opened(
        booking=bookings.booking(r),
        key=None if r["fingerprint"] is None else _key(r),
        moved=r["moved"],
        customer_name=r["customer_name"],
        technician_name=r["technician_name"],
        photo_url=r["photo_url"],
        area_name=r["area_name"],
        customer_key=r["customer_key"],
        actor_key=r["actor_key"],
        grounds=r["grounds"],
        held=None if r["held"] is None else payments.from_document(r["held"]),
    )


def _key(r: asyncpg.Record) -> Key:
    return Key(r["fingerprint"], r["locked_until"], r["status"], r["body"], r["claimed_at"])


async def write(tx: Tx, seen: Booking, technician_version: int | None, document: str) -> bool:
    """Write rows for a booking that was read without a lock; False, and nothing is written, if it is another by now.

    `technician_version` is the version of its technician that the gate relied on, None where it was not asked.
    """
    with tracing.step("journal.record"):
        written: bool = await tx.fetchval(
            RECORD, seen.booking_id, seen.technician_id, seen.version, technician_version, document
        )
    return written
