"""The sandbox gateway's own books. Only it reads them; ours are elsewhere and must agree without looking here."""

from typing import Literal, NamedTuple
from uuid import UUID

from domain.payments import PaymentIntent
from storage.db import Tx

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7266))"
AGAIN = """
UPDATE sandbox.operations SET calls = calls + 1 WHERE intent_id = $1 RETURNING outcome, reason, ref, calls
"""
INSERT = """
INSERT INTO sandbox.operations (intent_id, kind, method, amount, currency, parent_id, outcome, reason, ref)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
VOIDED = """
SELECT EXISTS (SELECT FROM sandbox.operations WHERE parent_id = $1 AND kind = 'void' AND outcome = 'succeeded')
"""
BOOKS = """
SELECT (SELECT amount FROM sandbox.operations WHERE intent_id = $1 AND outcome = 'succeeded') AS amount,
       coalesce(sum(amount) FILTER (WHERE kind = 'capture'), 0)::bigint AS captured,
       coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0)::bigint AS refunded,
       coalesce(bool_or(kind = 'void'), false) AS voided
FROM sandbox.operations WHERE parent_id = $1 AND outcome = 'succeeded'
"""

type Outcome = Literal["succeeded", "declined"]


class Done(NamedTuple):
    """How an operation ended, and how often it was asked for."""

    outcome: Outcome
    reason: str | None
    ref: str
    calls: int


class Operation(NamedTuple):
    """What the sandbox is asked for beside payments: `intent_id` is the caller's idempotency key."""

    intent_id: UUID
    kind: str
    method: str
    amount: int
    currency: str
    parent_id: UUID | None = None


class Books(NamedTuple):
    """What stands about one hold, method or payment; `amount` None when there is no such thing."""

    amount: int | None
    captured: int
    refunded: int
    voided: bool


async def begin(tx: Tx, intent: PaymentIntent | Operation) -> Done | None:
    """Lock what the intent is about; return how it ended if it was asked before."""
    await tx.execute(LOCK, str(intent.parent_id or intent.intent_id))
    record = await tx.fetchrow(AGAIN, intent.intent_id)
    return Done(**record) if record else None


async def finish(tx: Tx, intent: PaymentIntent | Operation, outcome: Outcome, reason: str | None) -> Done:
    """Write down how an operation ended."""
    ref = f"sb_{intent.kind}_{intent.intent_id.hex[-12:]}"
    await tx.execute(
        INSERT, intent.intent_id, intent.kind, intent.method, intent.amount, intent.currency, intent.parent_id,
        outcome, reason, ref,
    )  # fmt: skip
    return Done(outcome, reason, ref, 1)


async def voided(tx: Tx, intent_id: UUID) -> bool:
    """Tell whether a hold was let go before it was even asked for: its answer, and then its question, came late."""
    return await tx.fetchval(VOIDED, intent_id) is True


async def books(tx: Tx, parent_id: UUID) -> Books:
    """Sum what was done about one hold, method or payment."""
    records = await tx.fetch(BOOKS, parent_id)
    return Books(**records[0])
