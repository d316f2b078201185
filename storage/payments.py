"""Payment intents: what was asked of a gateway and how it ended; webhooks seen; who is asking right now.

The statements here are the conditional flips that make every outcome happen once: `ask` lets one job at a time call the
gateway for an intent, and a settled intent is settled again by a success alone.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.facts import Fact
from domain.payments import Kind, PaymentIntended, PaymentIntent, PaymentSettled, Purpose, Status
from storage.db import Tx
from storage.rows import Row

COLUMNS = """intent_id, booking_id, kind, method, amount, currency, purpose, parent_id, gateway, status, gateway_ref,
    attempts, reason"""

GET = f"SELECT {COLUMNS} FROM app.payment_intents WHERE intent_id = $1"
LOCK = f"{GET} FOR UPDATE"
ASK = f"""
UPDATE app.payment_intents SET attempts = attempts + 1, asked_until = $2
WHERE intent_id = $1 AND status IN ('pending', 'failed') AND (asked_until IS NULL OR asked_until < $3)
RETURNING {COLUMNS}
"""
STOP_ASKING = "UPDATE app.payment_intents SET asked_until = NULL WHERE intent_id = $1 AND asked_until = $2"
SEEN_BEFORE = "SELECT EXISTS (SELECT FROM app.gateway_webhooks WHERE gateway = $1 AND message_id = $2)"
HELD = f"""
SELECT {COLUMNS} FROM app.payment_intents
WHERE booking_id = $1 AND kind IN ('authorize', 'verify') AND status = 'succeeded'
ORDER BY created_at DESC, intent_id DESC LIMIT 1
"""
UNRESOLVED = f"""
SELECT * FROM (SELECT {COLUMNS} FROM app.payment_intents
               WHERE booking_id = $1 AND kind IN ('authorize', 'verify') AND status = 'succeeded'
               ORDER BY created_at DESC, intent_id DESC LIMIT 1) AS i
WHERE NOT EXISTS (SELECT FROM app.payment_intents r
                  WHERE r.parent_id = i.intent_id AND r.kind IN ('capture', 'charge', 'void')
                    AND r.purpose <> 'tip' AND r.status <> 'declined')
"""
OF_BOOKING = f"""
SELECT {COLUMNS} FROM app.payment_intents WHERE booking_id = $1 ORDER BY created_at, intent_id
"""
SEEN = """
INSERT INTO app.gateway_webhooks (gateway, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING message_id
"""


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield a new intent, or the answer that ends one."""
    match fact:
        case PaymentIntended(intent=i):
            yield Row("payment_intents", {
                "intent_id": i.intent_id, "booking_id": i.booking_id, "kind": i.kind, "method": i.method,
                "amount": i.amount, "currency": i.currency, "status": i.status, "gateway": i.gateway,
                "purpose": i.purpose, "parent_id": i.parent_id, "reason": i.reason,
                "correlation_id": context.correlation_id, "created_at": context.now,
            })  # fmt: skip
        case PaymentSettled():
            yield Row("payment_intents", {
                "intent_id": fact.intent_id, "status": fact.status, "gateway_ref": fact.gateway_ref,
                "settled_at": context.now, "settle": True,
            })  # fmt: skip


def _intent(r: asyncpg.Record | dict[str, Any]) -> PaymentIntent:
    return PaymentIntent(
        intent_id=r["intent_id"], booking_id=r["booking_id"], kind=Kind(r["kind"]), method=r["method"],
        amount=r["amount"], currency=r["currency"], purpose=Purpose(r["purpose"]), parent_id=r["parent_id"],
        gateway=r["gateway"], status=Status(r["status"]), gateway_ref=r["gateway_ref"], attempts=r["attempts"],
        reason=r["reason"],
    )  # fmt: skip


def from_document(document: Mapping[str, Any]) -> PaymentIntent:
    """Read an intent from its row as JSON."""
    parent_id = document["parent_id"]
    return _intent(
        {
            **document,
            "intent_id": UUID(document["intent_id"]),
            "booking_id": UUID(document["booking_id"]),
            "parent_id": UUID(parent_id) if parent_id else None,
        }
    )


async def get(tx: Tx, intent_id: UUID) -> PaymentIntent | None:
    """Read an intent."""
    record = await tx.fetchrow(GET, intent_id)
    return _intent(record) if record else None


async def lock(tx: Tx, intent_id: UUID) -> PaymentIntent | None:
    """Read and lock an intent; its booking, if there is one, was locked before."""
    record = await tx.fetchrow(LOCK, intent_id)
    return _intent(record) if record else None


async def ask(tx: Tx, intent_id: UUID, now: datetime, lease_s: float) -> PaymentIntent | None:
    """Take the right to call the gateway for an intent that has no success; None while somebody else has it."""
    record = await tx.fetchrow(ASK, intent_id, now + timedelta(seconds=lease_s), now)
    return _intent(record) if record else None


async def stop_asking(tx: Tx, intent_id: UUID, now: datetime, lease_s: float) -> None:
    """Give that right back early, with the same arguments: the call failed, and somebody may try again."""
    await tx.execute(STOP_ASKING, intent_id, now + timedelta(seconds=lease_s))


async def held(tx: Tx, booking_id: UUID) -> PaymentIntent | None:
    """Return a booking's newest hold, or checked method, whatever became of it: a tip is charged to its method."""
    record = await tx.fetchrow(HELD, booking_id)
    return _intent(record) if record else None


async def unresolved(tx: Tx, booking_id: UUID) -> PaymentIntent | None:
    """Return that hold or method where nothing was taken from it and nobody let it go; None when there is none left.

    Where a taking got no answer it may yet have gone through, so it counts as taken. The booking is locked.
    """
    record = await tx.fetchrow(UNRESOLVED, booking_id)
    return _intent(record) if record else None


async def of_booking(tx: Tx, booking_id: UUID) -> list[PaymentIntent]:
    """List everything that was asked of a gateway for a booking, oldest first."""
    return [_intent(r) for r in await tx.fetch(OF_BOOKING, booking_id)]


async def seen(tx: Tx, gateway: str, message_id: str) -> bool:
    """Tell whether a gateway's message came before."""
    return await tx.fetchval(SEEN_BEFORE, gateway, message_id) is True


async def first_seen(tx: Tx, gateway: str, message_id: str) -> bool:
    """Remember a gateway's message; False when it came before."""
    return await tx.fetchval(SEEN, gateway, message_id) is not None
