"""Requests for refunds: SQL and `fact -> rows`."""

from collections.abc import Iterator
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.facts import Fact
from domain.money import Money
from domain.refund_requests import RefundAsked, RefundDecided, RefundRequest, Status
from storage.db import Tx
from storage.rows import Row

COLUMNS = """request_id, booking_id, amount, currency, reason, status, asked_by, asked_at, decided_by, decided_at,
    decision_reason, refund_id"""
GET = f"SELECT {COLUMNS} FROM app.refund_requests WHERE request_id = $1"
LOCK = f"{GET} FOR NO KEY UPDATE"
LIST = f"""
SELECT {COLUMNS} FROM app.refund_requests
WHERE ($1::text IS NULL OR status = $1) AND ($2::uuid IS NULL OR request_id < $2) ORDER BY request_id DESC LIMIT $3
"""


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield a request, or its decision."""
    match fact:
        case RefundAsked(request=r):
            yield Row("refund_requests", {
                "request_id": r.request_id, "booking_id": r.booking_id, "amount": r.amount.amount,
                "currency": r.amount.currency, "reason": r.reason, "status": r.status, "asked_by": r.asked_by,
                "asked_at": context.now, "correlation_id": context.correlation_id,
            })  # fmt: skip
        case RefundDecided():
            yield Row("refund_requests", {
                "request_id": fact.request_id, "status": fact.status, "decided_by": context.actor.person_id,
                "decided_at": context.now, "decision_reason": fact.reason, "refund_id": fact.refund_id,
            })  # fmt: skip
        case _:
            return


def request_of(record: asyncpg.Record) -> RefundRequest:
    """Return a request from its row."""
    return RefundRequest(
        record["request_id"], record["booking_id"], Money(record["amount"], record["currency"]), record["reason"],
        record["asked_by"], Status(record["status"]),
    )  # fmt: skip


async def get(tx: Tx, request_id: UUID, *, lock: bool = False) -> asyncpg.Record | None:
    """Read a request; lock it when it is about to be decided (its booking was locked before)."""
    return await tx.fetchrow(LOCK if lock else GET, request_id)


async def list_(tx: Tx, status: str | None, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """List requests, newest first."""
    return await tx.fetch(LIST, status, before, limit)
