"""The ledger's tables: `fact -> rows`, and the sums that finance reads. Nothing here is ever updated.

A join that came out short would drop an entry, so the balance trigger at commit is what makes the writer safe.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.facts import Fact
from domain.ledger import LedgerPosted, owner_of
from storage.db import Tx
from storage.rows import Row

ACCOUNTS = """
SELECT a.account_id, a.code, a.currency, a.owner_id, coalesce(sum(e.debit), 0)::bigint AS debit,
       coalesce(sum(e.credit), 0)::bigint AS credit
FROM (SELECT account_id, code, currency, owner_id FROM app.accounts
      WHERE ($1::uuid IS NULL OR account_id > $1) ORDER BY account_id LIMIT $2) AS a
LEFT JOIN app.ledger_entries e USING (account_id)
GROUP BY a.account_id, a.code, a.currency, a.owner_id ORDER BY a.account_id
"""
ACCOUNT = "SELECT account_id, code, currency, owner_id FROM app.accounts WHERE account_id = $1"
ACCOUNT_BY_CODE = (
    "SELECT account_id, code, currency, owner_id FROM app.accounts WHERE code = $1 AND currency = $2"
)
ENTRIES = """
SELECT e.entry_id, e.transaction_id, t.kind, t.booking_id, t.at, t.correlation_id, e.currency, e.debit, e.credit
FROM app.ledger_entries e JOIN app.ledger_transactions t USING (transaction_id)
WHERE e.account_id = $1 AND ($2::uuid IS NULL OR e.entry_id < $2) ORDER BY e.entry_id DESC LIMIT $3
"""
TRANSACTION = """
SELECT t.transaction_id, t.kind, t.booking_id, t.reverses, t.reason, t.correlation_id, t.actor_id, t.at,
       r.transaction_id AS reversed_by
FROM app.ledger_transactions t LEFT JOIN app.ledger_transactions r ON r.reverses = t.transaction_id
WHERE t.transaction_id = $1
"""
TRANSACTION_ENTRIES = """
SELECT e.entry_id, a.account_id, a.code, e.currency, e.debit, e.credit
FROM app.ledger_entries e JOIN app.accounts a USING (account_id)
WHERE e.transaction_id = $1 ORDER BY e.debit = 0, a.code
"""
TRIAL_BALANCE = """
SELECT a.account_id, a.code, a.currency, sum(e.debit)::bigint AS debit, sum(e.credit)::bigint AS credit
FROM app.ledger_entries e JOIN app.accounts a USING (account_id)
GROUP BY a.account_id, a.code, a.currency ORDER BY a.code, a.currency
"""
LEFT_OF_BOOKING = """
SELECT a.code, sum(e.credit - e.debit)::bigint AS remaining
FROM app.ledger_transactions t JOIN app.ledger_entries e USING (transaction_id) JOIN app.accounts a USING (account_id)
WHERE t.booking_id = $1 AND t.kind = ANY ($2) AND e.currency = $3 AND a.code <> 'customer_funds'
GROUP BY a.code HAVING sum(e.credit - e.debit) > 0 ORDER BY a.code
"""
TAKEN = """
SELECT transaction_id FROM app.ledger_transactions WHERE booking_id = $1 AND kind = ANY ($2) ORDER BY at, transaction_id
"""
EARNINGS = """
SELECT a.currency, t.kind, sum(e.credit - e.debit)::bigint AS amount, count(DISTINCT t.booking_id) AS bookings
FROM app.accounts a JOIN app.ledger_entries e USING (account_id) JOIN app.ledger_transactions t USING (transaction_id)
WHERE a.owner_id = $1 GROUP BY a.currency, t.kind ORDER BY a.currency, t.kind
"""
EARNED = """
SELECT t.transaction_id, t.kind, t.booking_id, b.number, b.service, t.at, e.entry_id, e.currency,
       (e.credit - e.debit) AS amount
FROM app.accounts a JOIN app.ledger_entries e USING (account_id) JOIN app.ledger_transactions t USING (transaction_id)
LEFT JOIN app.bookings b ON b.booking_id = t.booking_id
WHERE a.owner_id = $1 AND ($2::uuid IS NULL OR e.entry_id < $2) ORDER BY e.entry_id DESC LIMIT $3
"""

TAKING = ("capture", "cancellation_fee", "no_show_fee")  # a tip is the technician's and is not given back


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield a transaction and its entries; accounts are found, or made, by code and currency."""
    if not isinstance(fact, LedgerPosted):
        return
    yield Row("ledger_transactions", {
        "transaction_id": fact.transaction_id, "kind": fact.kind, "booking_id": fact.booking_id,
        "reverses": fact.reverses, "reason": fact.reason, "correlation_id": context.correlation_id,
        "actor_id": context.actor.person_id, "at": context.now,
    })  # fmt: skip
    for entry in fact.entries:
        yield Row("ledger_entries", {
            "transaction_id": fact.transaction_id, "code": entry.code, "currency": entry.currency,
            "owner_id": owner_of(entry.code), "debit": entry.debit, "credit": entry.credit,
        })  # fmt: skip


async def accounts(tx: Tx, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """List accounts with the sums of both their sides, in the order that they were made."""
    return await tx.fetch(ACCOUNTS, after, limit)


async def account(tx: Tx, account_id: UUID) -> asyncpg.Record | None:
    """Read one account."""
    return await tx.fetchrow(ACCOUNT, account_id)


async def account_by_code(tx: Tx, code: str, currency: str) -> asyncpg.Record | None:
    """Find an account by its code and currency."""
    return await tx.fetchrow(ACCOUNT_BY_CODE, code, currency)


async def entries(tx: Tx, account_id: UUID, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """List an account's entries, newest first."""
    return await tx.fetch(ENTRIES, account_id, before, limit)


async def transaction(tx: Tx, transaction_id: UUID) -> tuple[asyncpg.Record, list[asyncpg.Record]] | None:
    """Read one transaction with its entries."""
    record = await tx.fetchrow(TRANSACTION, transaction_id)
    return (record, await tx.fetch(TRANSACTION_ENTRIES, transaction_id)) if record else None


async def trial_balance(tx: Tx) -> list[asyncpg.Record]:
    """Sum both sides of every account, in one snapshot."""
    return await tx.fetch(TRIAL_BALANCE)


async def left_of_booking(tx: Tx, booking_id: UUID, currency: str) -> dict[str, int]:
    """Return what each account still has of this booking's payment, tips aside. The booking is locked."""
    records = await tx.fetch(LEFT_OF_BOOKING, booking_id, [*TAKING, "refund"], currency)
    return {r["code"]: r["remaining"] for r in records}


async def only_taking(tx: Tx, booking_id: UUID) -> UUID | None:
    """Return the transaction that took the payment, where nothing else was taken or given back since."""
    records = await tx.fetch(TAKEN, booking_id, [*TAKING, "refund"])
    found: UUID | None = records[0]["transaction_id"] if len(records) == 1 else None
    return found


async def earnings(tx: Tx, technician_id: UUID) -> list[dict[str, Any]]:
    """Sum a technician's account by currency and kind of transaction."""
    return [dict(r) for r in await tx.fetch(EARNINGS, technician_id)]


async def earned(tx: Tx, technician_id: UUID, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """List what moved a technician's account, newest first."""
    return await tx.fetch(EARNED, technician_id, before, limit)
