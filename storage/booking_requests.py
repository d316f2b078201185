"""A request for a visit in two statements for each of its transactions: everything read at once, then one write."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.payments import PaymentIntent
from storage import matches, payments
from storage.booking_commands import Key
from storage.db import Tx
from storage.matches import MatchCard

OPEN = """
SELECT match_customer, match_area, card, grounds, customer_key, actor_key, intents, fingerprint, locked_until, status,
       body, claimed_at, begun_id
FROM app.open_request($1, $2, $3, $4, $5, $6, $7)
"""
CONFIRM = """
SELECT intents, customer_name, technician_name, photo_url, area_name, customer_key, actor_key
FROM app.open_confirmation($1, $2, $3, $4, $5)
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A match, the card of it that is wanted (None: it is of another match), and what is checked about them.

    `begun` lists what a dead predecessor of this key asked of the gateway.
    """

    customer_id: UUID
    area_id: UUID | None
    card: MatchCard | None
    grounds: dict[str, Any] | None
    customer_key: bytes | None
    actor_key: bytes | None
    key: Key | None
    begun: tuple[PaymentIntent, ...]


@dataclass(frozen=True, slots=True)
class Confirming:
    """What a booking that is about to be needs: its intents, and what it is shown with."""

    intents: tuple[PaymentIntent, ...]
    customer_name: str | None
    technician_name: str | None
    photo_url: str | None
    area_name: str | None
    customer_key: bytes | None
    actor_key: bytes | None


async def read(tx: Tx, match_id: UUID, card_id: UUID, context: Context) -> Wanted | None:
    """Read a card to be booked, its technician locked and their stale holds gone; None for no such match."""
    c = context.claim
    names = (None, None, None) if c is None else (c.principal, c.route, c.key)
    r = await tx.fetchrow(OPEN, match_id, card_id, context.actor.person_id, *names, context.now)
    if r is None or r["match_customer"] is None:
        return None
    return Wanted(
        customer_id=r["match_customer"],
        area_id=r["match_area"],
        card=None if r["card"] is None else matches.from_document(r["card"]),
        grounds=r["grounds"],
        customer_key=r["customer_key"],
        actor_key=r["actor_key"],
        key=None if r["fingerprint"] is None else _key(r),
        begun=_intents(r),
    )


def _key(r: asyncpg.Record) -> Key:
    return Key(r["fingerprint"], r["locked_until"], r["status"], r["body"], r["claimed_at"])


def _intents(r: asyncpg.Record) -> tuple[PaymentIntent, ...]:
    return tuple(payments.from_document(each) for each in r["intents"] or ())


async def confirming(
    tx: Tx, technician_id: UUID, intent_id: UUID, context: Context, *, customer_id: UUID, area_id: UUID
) -> Confirming:
    """Lock the technician, then the intent, and read what the booking to be needs."""
    r = await tx.fetchrow(CONFIRM, technician_id, intent_id, context.actor.person_id, customer_id, area_id)
    if r is None:
        raise RuntimeError("the function always answers one row")
    return Confirming(
        intents=_intents(r),
        customer_name=r["customer_name"],
        technician_name=r["technician_name"],
        photo_url=r["photo_url"],
        area_name=r["area_name"],
        customer_key=r["customer_key"],
        actor_key=r["actor_key"],
    )
