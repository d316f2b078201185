"""What finance reads and decides: accounts, transactions, the trial balance, refunds, adjustments, earnings.

A refund is a decision and a wish, committed together under the booking's lock, so that no two of them give back the
same money; a job asks the gateway, and the books follow its answer. Every decision is an audit row in the same commit.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from domain import ledger, payments
from domain.booking import Booking
from domain.context import Context
from domain.facts import Decided, Fact
from domain.money import Money
from domain.refusals import FieldError, Refusal
from services import idempotency
from services.payment_outcomes import paid
from services.reply import Answer, Reply
from services.stores import Stores
from storage import bookings
from storage import ledger as books
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record


async def accounts(stores: Stores, after: UUID | None, limit: int) -> Answer:
    """List accounts with the sums of both their sides, in minor units, in the order that they were made."""
    async with stores.db.reading() as tx:
        found = await books.accounts(tx, after, limit + 1)
    return _page(found, limit, "account_id")


async def entries(stores: Stores, account_id: UUID, before: UUID | None, limit: int) -> Answer:
    """List an account's entries, newest first."""
    async with stores.db.reading() as tx:
        if await books.account(tx, account_id) is None:
            return Refusal("not_found", "There is no such account.")
        found = await books.entries(tx, account_id, before, limit + 1)
    return _page(found, limit, "entry_id")


async def transaction(stores: Stores, transaction_id: UUID) -> Answer:
    """Read one transaction with its entries."""
    async with stores.db.reading() as tx:
        found = await books.transaction(tx, transaction_id)
    if found is None:
        return Refusal("not_found", "There is no such transaction.")
    head, sides = found
    return Reply(200, {**_plain(head), "entries": [_plain(side) for side in sides]})


async def trial_balance(stores: Stores) -> Answer:
    """Each account's balance on its side, and the totals by currency: they agree, or something is very wrong."""
    async with stores.db.reading() as tx:
        found = await books.trial_balance(tx)
    rows: list[dict[str, Any]] = []
    totals: dict[str, dict[str, Any]] = {}
    for r in found:
        balance = r["debit"] - r["credit"]
        row = {"debit": max(balance, 0), "credit": max(-balance, 0)}
        rows.append({"account_id": str(r["account_id"]), "code": r["code"], "currency": r["currency"], **row})
        total = totals.setdefault(r["currency"], {"currency": r["currency"], "debit": 0, "credit": 0})
        total["debit"] += row["debit"]
        total["credit"] += row["credit"]
    in_order = [totals[currency] for currency in sorted(totals)]
    balanced = all(total["debit"] == total["credit"] for total in in_order)
    return Reply(200, {"balanced": balanced, "totals": in_order, "rows": rows})


async def refund(stores: Stores, booking_id: UUID, amount: Money, reason: str, context: Context) -> Answer:
    """Give back part or all of what a booking's payment took; 201 with the refund, pending until the gateway did it."""
    async with stores.db.transaction() as tx:
        booking = await bookings.lock(tx, booking_id)
        if booking is None:
            return Refusal("not_found", "There is no such booking.")
        began = await idempotency.begin(tx, context)
        if isinstance(began, Reply | Refusal):
            return began
        asked = await refund_facts(tx, booking, amount, reason)
        if isinstance(asked, Refusal):
            return await idempotency.refuse(tx, asked, context)
        refund_id, facts = asked
        body = {
            "refund_id": str(refund_id),
            "booking_id": str(booking_id),
            "amount": _money(amount),
            "status": "pending",
            "reason": reason,
        }
        reply = Reply(201, body)
        await record(tx, [*facts, *await idempotency.kept(tx, reply, context)], context)
    return reply


async def refund_facts(
    tx: Tx, booking: Booking, amount: Money, reason: str
) -> tuple[UUID, Sequence[Fact]] | Refusal:
    """Decide a refund of a locked booking: its id, and the facts that want it; `over_refund` for more than is left."""
    if amount.currency != booking.price.currency:
        return _wrong("/amount/currency", f"The booking was paid in {booking.price.currency}.")
    taken = await paid(tx, booking.booking_id)
    if taken is None:
        return Refusal("over_refund", "Nothing was taken for this booking.")
    intent, left = taken
    if amount.amount > left:
        most = Money(left, amount.currency).text()
        return Refusal("over_refund", f"At most {most} can still be given back.")
    refund_id = new_id()
    decided = Decided("finance.refunded", "booking", str(booking.booking_id), reason,
                      {"refund_id": str(refund_id), **_money(amount)})  # fmt: skip
    return refund_id, [*payments.refund(intent, refund_id, amount.amount, reason), decided]


async def adjust(
    stores: Stores, debit: str, credit: str, amount: Money, reason: str, context: Context
) -> Answer:
    """Move money between two accounts, each named by its id or its code; 201 with the transaction."""
    async with stores.db.transaction() as tx:
        began = await idempotency.begin(tx, context)
        if isinstance(began, Reply | Refusal):
            return began
        sides = [await _account(tx, name, amount.currency) for name in (debit, credit)]
        missing = [
            FieldError(f"/{field}", "unknown_account", f"There is no such account in {amount.currency}.")
            for field, side in zip(("debit", "credit"), sides, strict=True)
            if side is None
        ]
        codes = [side["code"] for side in sides if side is not None]
        if missing:
            refusal = Refusal("validation", "An account of an adjustment must exist.", tuple(missing))
            return await idempotency.refuse(tx, refusal, context)
        if codes[0] == codes[1]:
            same = _wrong("/credit", "An adjustment moves money between two accounts.")
            return await idempotency.refuse(tx, same, context)
        posted = ledger.adjustment(new_id(), codes[0], codes[1], amount, reason)
        decided = Decided("finance.adjusted", "transaction", str(posted.transaction_id), reason,
                          {"debit": codes[0], "credit": codes[1], **_money(amount)})  # fmt: skip
        reply = Reply(201, {"transaction_id": str(posted.transaction_id), "debit": codes[0], "credit": codes[1],
                            "amount": _money(amount), "reason": reason})  # fmt: skip
        await record(tx, [posted, decided, *await idempotency.kept(tx, reply, context)], context)
    return reply


async def earnings(stores: Stores, technician_id: UUID, before: UUID | None, limit: int) -> Answer:
    """A technician's own account: what is owed in each currency and from what, and its movements, newest first."""
    async with stores.db.reading() as tx:
        sums = await books.earnings(tx, technician_id)
        found = await books.earned(tx, technician_id, before, limit + 1)
    totals: dict[str, dict[str, Any]] = {}
    for each in sums:
        total = totals.setdefault(each["currency"], {"currency": each["currency"], "owed": 0, "by_kind": {}})
        total["owed"] += each["amount"]
        total["by_kind"][each["kind"]] = each["amount"]
    page = _page(found, limit, "entry_id").body
    items = [
        {**{k: v for k, v in item.items() if k not in {"amount", "currency", "entry_id"}},
         "amount": {"amount": item["amount"], "currency": item["currency"]}}
        for item in page["items"]
    ]  # fmt: skip
    return Reply(200, {"totals": list(totals.values()), "items": items, "next_cursor": page["next_cursor"]})


async def _account(tx: Tx, name: str, currency: str) -> asyncpg.Record | None:
    try:
        found = await books.account(tx, UUID(name))
    except ValueError:
        return await books.account_by_code(tx, name, currency)
    return found if found is not None and found["currency"] == currency else None


def _wrong(pointer: str, detail: str) -> Refusal:
    return Refusal("validation", detail, (FieldError(pointer, "invalid", detail),))


def _money(money: Money) -> dict[str, Any]:
    return {"amount": money.amount, "currency": money.currency}


def _plain(row: asyncpg.Record) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}


def _page(found: Sequence[asyncpg.Record], limit: int, cursor: str) -> Reply:
    """Make a page of one row more than was asked for: the cursor is the last shown row's id."""
    rows = [_plain(row) for row in found]
    return Reply(
        200, {"items": rows[:limit], "next_cursor": rows[limit - 1][cursor] if len(rows) > limit else None}
    )
