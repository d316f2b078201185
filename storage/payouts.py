"""Payouts: SQL and `fact -> rows`. What may be paid is summed from the ledger, under a lock that one maker holds."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.facts import Fact
from domain.payouts import (
    Item,
    ItemStatus,
    Payout,
    PayoutItemSent,
    PayoutItemSettled,
    PayoutMade,
    PayoutMoved,
    Status,
)
from storage.db import Tx
from storage.rows import Row

ONE_MAKER = "SELECT pg_advisory_xact_lock(hashtextextended('payouts', 7266))"
OWED = """
SELECT a.owner_id AS technician_id, a.currency, p.method,
       coalesce(sum(e.credit) FILTER (WHERE t.at <= $1), 0)::bigint AS earned,
       coalesce(sum(e.debit), 0)::bigint AS taken,
       coalesce((SELECT sum(i.amount) FROM app.payout_items i JOIN app.payouts o USING (payout_id)
                 WHERE i.technician_id = a.owner_id AND i.currency = a.currency
                   AND o.status IN ('draft', 'approved')), 0)::bigint AS reserved
FROM app.accounts a JOIN app.ledger_entries e USING (account_id) JOIN app.ledger_transactions t USING (transaction_id)
LEFT JOIN app.payout_accounts p ON p.technician_id = a.owner_id
WHERE a.owner_id IS NOT NULL
GROUP BY a.owner_id, a.currency, p.method ORDER BY a.owner_id, a.currency
"""
BALANCES = """
SELECT a.owner_id AS technician_id, a.currency, sum(e.credit - e.debit)::bigint AS owed
FROM app.accounts a JOIN app.ledger_entries e USING (account_id)
WHERE a.owner_id = ANY ($1) GROUP BY a.owner_id, a.currency
"""
COLUMNS = """payout_id, status, cutoff, made_by, made_at, approved_by, approved_at, submitted_at, ended_at,
    correlation_id"""
LOCK = f"SELECT {COLUMNS} FROM app.payouts WHERE payout_id = $1 FOR NO KEY UPDATE"
GET = f"SELECT {COLUMNS} FROM app.payouts WHERE payout_id = $1"
LIST = f"""
SELECT {COLUMNS} FROM app.payouts
WHERE ($1::text IS NULL OR status = $1) AND ($2::uuid IS NULL OR payout_id < $2) ORDER BY payout_id DESC LIMIT $3
"""
ITEM_COLUMNS = """item_id, payout_id, technician_id, amount, currency, method, status, gateway_ref, reason,
    transaction_id, settled_at"""
ITEMS = (
    f"SELECT {ITEM_COLUMNS} FROM app.payout_items WHERE payout_id = ANY ($1) ORDER BY technician_id, currency"
)
ITEM = f"SELECT {ITEM_COLUMNS} FROM app.payout_items WHERE item_id = $1"
LOCK_ITEM = f"{ITEM} FOR NO KEY UPDATE"
OPEN_ITEMS = """
SELECT count(*) FROM app.payout_items WHERE payout_id = $1 AND status IN ('pending', 'submitted') AND item_id <> $2
"""
SET_ACCOUNT = """
INSERT INTO app.payout_accounts AS a (technician_id, method, updated_at) VALUES ($1, $2, $3)
ON CONFLICT (technician_id) DO UPDATE SET method = EXCLUDED.method, updated_at = EXCLUDED.updated_at
WHERE a.method <> EXCLUDED.method RETURNING true
"""


class Owed(NamedTuple):
    """One technician's account in one currency, in minor units; `method` None: nowhere to pay to."""

    technician_id: UUID
    currency: str
    method: str | None
    earned: int
    taken: int
    reserved: int


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield a batch and its items, or how they went on."""
    match fact:
        case PayoutMade(payout=p, items=items):
            yield Row("payouts", {
                "payout_id": p.payout_id, "status": p.status, "cutoff": p.cutoff, "made_by": p.made_by,
                "made_at": context.now, "correlation_id": context.correlation_id,
            })  # fmt: skip
            for item in items:
                yield Row("payout_items", {
                    "item_id": item.item_id, "payout_id": p.payout_id, "technician_id": item.technician_id,
                    "amount": item.amount, "currency": item.currency, "method": item.method, "status": item.status,
                })  # fmt: skip
        case PayoutMoved():
            yield Row("payout_moves", {
                "payout_id": fact.payout_id, "was": fact.was, "status": fact.now, "by_id": context.actor.person_id,
                "at": context.now,
            })  # fmt: skip
        case PayoutItemSent():
            yield Row("payout_items", {
                "item_id": fact.item_id, "status": ItemStatus.SUBMITTED, "transaction_id": fact.transaction_id,
            })  # fmt: skip
        case PayoutItemSettled():
            yield Row("payout_items", {
                "item_id": fact.item_id, "status": fact.status, "gateway_ref": fact.gateway_ref,
                "reason": fact.reason, "settled_at": context.now,
            })  # fmt: skip
        case _:
            return


async def owed(tx: Tx, cutoff: datetime) -> list[Owed]:
    """Sum what every technician earned by the cutoff; other makers wait until this transaction ends."""
    await tx.execute(ONE_MAKER)
    return [Owed(**r) for r in await tx.fetch(OWED, cutoff)]


async def balances(tx: Tx, technician_ids: list[UUID]) -> dict[tuple[UUID, str], int]:
    """Return what is owed now, by technician and currency; submissions wait for each other."""
    await tx.execute(ONE_MAKER)
    return {(r["technician_id"], r["currency"]): r["owed"] for r in await tx.fetch(BALANCES, technician_ids)}


async def lock(tx: Tx, payout_id: UUID) -> Payout | None:
    """Read and lock a batch until the transaction ends."""
    record = await tx.fetchrow(LOCK, payout_id)
    if record is None:
        return None
    return Payout(record["payout_id"], Status(record["status"]), record["cutoff"], record["made_by"])


async def get(tx: Tx, payout_id: UUID) -> asyncpg.Record | None:
    """Read a batch."""
    return await tx.fetchrow(GET, payout_id)


async def list_(tx: Tx, status: str | None, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """List batches, newest first."""
    return await tx.fetch(LIST, status, before, limit)


async def items(tx: Tx, payout_ids: list[UUID]) -> list[asyncpg.Record]:
    """List the items of some batches."""
    return await tx.fetch(ITEMS, payout_ids)


def item_of(record: asyncpg.Record) -> Item:
    """Return an item from its row."""
    return Item(record["item_id"], record["technician_id"], record["amount"], record["currency"], record["method"],
                ItemStatus(record["status"]))  # fmt: skip


async def item(tx: Tx, item_id: UUID, *, lock: bool = False) -> asyncpg.Record | None:
    """Read an item, and lock it when its answer is about to be settled."""
    return await tx.fetchrow(LOCK_ITEM if lock else ITEM, item_id)


async def open_beside(tx: Tx, payout_id: UUID, item_id: UUID) -> int:
    """Count the batch's other items that have no answer yet. The batch is locked."""
    counted: int = await tx.fetchval(OPEN_ITEMS, payout_id, item_id)
    return counted


async def set_account(tx: Tx, technician_id: UUID, method: str, now: datetime) -> bool:
    """Say where a technician's money goes; False when it went there already."""
    return await tx.fetchval(SET_ACCOUNT, technician_id, method, now) is True
