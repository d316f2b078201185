"""Payouts by four eyes: one person of finance makes a batch, another approves it, and then it goes to the gateway.

Making and submitting read the ledger under one lock, so that nothing is in two batches. Submitting books every item as
in transit and wants a job for each; the gateway's answer books it as gone, or as owed again. Every step is audited.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from domain import payouts
from domain.context import Context
from domain.facts import Decided, Fact, JobWanted
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
from domain.refusals import FieldError, Refusal
from services import idempotency
from services.job import Later
from services.payment_gateway import GatewayAnswer, GatewayUnreachable
from services.reply import Answer, Reply
from services.stores import Stores
from storage import payouts as rows
from storage import technicians
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record

ATTEMPT_S = 10.0
UNANSWERED = (GatewayUnreachable, TimeoutError, OSError)


async def make(stores: Stores, until: datetime | None, context: Context) -> Answer:
    """Put a batch together: what every technician earned up to `until`, and not within the dispute window.

    201 with the batch. `skipped` names who is owed something and has no account to pay to. With nothing to pay at
    all: `payout_state`.
    """
    cutoff = context.now - timedelta(seconds=stores.policy.payout_after_s)
    if until is not None:
        if until > context.now:
            wrong = FieldError("/until", "future", "What will be earned cannot be paid out yet.")
            return Refusal("validation", "The batch would reach into the future.", (wrong,))
        cutoff = min(cutoff, until)
    async with stores.db.transaction() as tx:
        began = await idempotency.begin(tx, context)
        if isinstance(began, Reply | Refusal):
            return began
        items, skipped = [], []
        for each in await rows.owed(tx, cutoff):
            amount = payouts.payable(each.earned, each.taken, each.reserved)
            if amount and each.method is None:
                skipped.append(
                    {"technician_id": str(each.technician_id), "amount": _money(amount, each.currency)}
                )
            elif amount and each.method is not None:
                items.append(Item(new_id(), each.technician_id, amount, each.currency, each.method))
        if not items:
            nothing = Refusal("payout_state", "There is nothing to pay out.", extra={"skipped": skipped})
            return await idempotency.refuse(tx, nothing, context)
        payout = Payout(new_id(), Status.DRAFT, cutoff, _person(context))
        body = {
            "payout_id": str(payout.payout_id), "status": payout.status, "cutoff": cutoff,
            "made_by": str(payout.made_by), "made_at": context.now, "approved_by": None, "approved_at": None,
            "submitted_at": None, "ended_at": None, "totals": _totals(items),
            "items": [_fresh(item) for item in items], "skipped": skipped,
        }  # fmt: skip
        reply = Reply(201, body)
        decided = Decided("finance.payout_made", "payout", str(payout.payout_id),
                          data={"items": len(items), "totals": body["totals"]})  # fmt: skip
        facts = [PayoutMade(payout, tuple(items)), decided, *await idempotency.kept(tx, reply, context)]
        await record(tx, facts, context)
    return reply


async def approve(stores: Stores, payout_id: UUID, context: Context) -> Answer:
    """Approve a batch that somebody else made: `own_approval` for one's own, `payout_state` where it is no draft."""
    return await _step(stores, payout_id, "approve", None, context)


async def cancel(stores: Stores, payout_id: UUID, reason: str, context: Context) -> Answer:
    """Give a batch up before it is submitted; what it held is free for the next one."""
    return await _step(stores, payout_id, "cancel", reason, context)


async def _step(stores: Stores, payout_id: UUID, step: str, reason: str | None, context: Context) -> Answer:
    async with stores.db.transaction() as tx:
        payout = await rows.lock(tx, payout_id)
        if payout is None:
            return _unknown()
        moved = payouts.move(payout, step, context.actor)
        if isinstance(moved, Refusal):
            return moved
        decided = Decided(f"finance.payout_{moved.now}", "payout", str(payout_id), reason)
        await record(tx, [moved, decided], context)
        return Reply(200, await _shown(tx, payout_id))


async def submit(stores: Stores, payout_id: UUID, context: Context) -> Answer:
    """Hand an approved batch to the gateway: book each item as in transit, and want it sent.

    Refuses `payout_state` where somebody is owed less by now than their item says: cancel, and make another.
    """
    async with stores.db.transaction() as tx:
        payout = await rows.lock(tx, payout_id)
        if payout is None:
            return _unknown()
        began = await idempotency.begin(tx, context)
        if isinstance(began, Reply | Refusal):
            return began
        moved = payouts.move(payout, "submit", context.actor)
        if isinstance(moved, Refusal):
            return await idempotency.refuse(tx, moved, context)
        items = [rows.item_of(r) for r in await rows.items(tx, [payout_id])]
        owed = await rows.balances(tx, [item.technician_id for item in items])
        short = [str(i.technician_id) for i in items if owed.get((i.technician_id, i.currency), 0) < i.amount]
        if short:
            less = Refusal("payout_state", "Somebody is owed less by now: cancel this batch and make another.",
                           extra={"technician_ids": short})  # fmt: skip
            return await idempotency.refuse(tx, less, context)
        facts: list[Fact] = [moved, Decided("finance.payout_submitted", "payout", str(payout_id))]
        for item in items:
            posted = payouts.sent(item, new_id())
            facts += [posted, PayoutItemSent(item.item_id, posted.transaction_id),
                      JobWanted("pay_out", {"item_id": str(item.item_id)})]  # fmt: skip
        await record(tx, facts, context)
        reply = Reply(200, await _shown(tx, payout_id))
        await record(tx, await idempotency.kept(tx, reply, context), context)
    return reply


async def read(stores: Stores, payout_id: UUID) -> Answer:
    """Read a batch with its items."""
    async with stores.db.reading() as tx:
        if await rows.get(tx, payout_id) is None:
            return _unknown()
        return Reply(200, await _shown(tx, payout_id))


async def list_(stores: Stores, status: str | None, before: UUID | None, limit: int) -> Answer:
    """List batches, newest first, with their items."""
    async with stores.db.reading() as tx:
        found = await rows.list_(tx, status, before, limit + 1)
        items = await rows.items(tx, [r["payout_id"] for r in found[:limit]])
    of_batch: dict[UUID, list[asyncpg.Record]] = {}
    for item in items:
        of_batch.setdefault(item["payout_id"], []).append(item)
    shown = [_body(r, of_batch.get(r["payout_id"], [])) for r in found[:limit]]
    more = shown[-1]["payout_id"] if len(found) > limit else None
    return Reply(200, {"items": shown, "next_cursor": more})


async def set_account(stores: Stores, method: str, context: Context) -> Answer:
    """Say where one's own money goes: the gateway's token of an account."""
    technician_id = _person(context)
    async with stores.db.transaction() as tx:
        if await technicians.lock(tx, technician_id) is None:
            return Refusal("not_found", "There is no such technician.")
        if await rows.set_account(tx, technician_id, method, context.now):
            decided = Decided("finance.payout_account_set", "technician", str(technician_id))
            await record(tx, [decided], context)
    return Reply(200, {"technician_id": str(technician_id), "method": method})


async def pay_out(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:
    """The job behind an item: ask the gateway, which does it once by the item's id, and settle its answer."""
    item_id = UUID(payload["item_id"])
    async with stores.db.reading() as tx:
        found = await rows.item(tx, item_id)
    if found is None or found["status"] != ItemStatus.SUBMITTED:
        return
    try:
        async with asyncio.timeout(ATTEMPT_S):
            answer = await stores.gateway.pay_out(rows.item_of(found))
    except UNANSWERED as error:
        raise Later(f"the gateway gave no answer: {type(error).__name__}") from error
    await _settle(stores, found, answer, replace(context, now=datetime.now(UTC)))


async def _settle(stores: Stores, seen: asyncpg.Record, answer: GatewayAnswer, context: Context) -> None:
    async with stores.db.transaction() as tx:
        payout = await rows.lock(tx, seen["payout_id"])
        found = await rows.item(tx, seen["item_id"], lock=True)
        if payout is None or found is None or found["status"] != ItemStatus.SUBMITTED:
            return
        item = rows.item_of(found)
        if answer.status == "succeeded":
            status, posted = ItemStatus.PAID, payouts.arrived(item, new_id())
        else:
            sent_as = found["transaction_id"]
            status, posted = ItemStatus.RETURNED, payouts.came_back(item, new_id(), answer.reason, sent_as)
        facts: list[Fact] = [PayoutItemSettled(item.item_id, status, answer.ref, answer.reason), posted]
        if await rows.open_beside(tx, payout.payout_id, item.item_id) == 0:
            facts.append(PayoutMoved(payout.payout_id, payout.status, Status.SETTLED))
        await record(tx, facts, context)


async def _shown(tx: Tx, payout_id: UUID) -> dict[str, Any]:
    found = await rows.get(tx, payout_id)
    if found is None:
        raise LookupError(payout_id)
    return _body(found, await rows.items(tx, [payout_id]))


def _body(found: asyncpg.Record, items: list[asyncpg.Record]) -> dict[str, Any]:
    parsed = [rows.item_of(r) for r in items]
    return {
        **{name: str(value) if isinstance(value, UUID) else value for name, value in found.items()
           if name != "correlation_id"},
        "totals": _totals(parsed),
        "items": [
            {**_fresh(item), "reason": r["reason"], "settled_at": r["settled_at"],
             "transaction_id": str(r["transaction_id"]) if r["transaction_id"] else None}
            for item, r in zip(parsed, items, strict=True)
        ],
        "skipped": [],
    }  # fmt: skip


def _fresh(item: Item) -> dict[str, Any]:
    return {
        "item_id": str(item.item_id), "technician_id": str(item.technician_id),
        "amount": _money(item.amount, item.currency), "status": item.status, "reason": None, "settled_at": None,
        "transaction_id": None,
    }  # fmt: skip


def _totals(items: list[Item]) -> list[dict[str, Any]]:
    sums: dict[str, int] = {}
    for item in items:
        sums[item.currency] = sums.get(item.currency, 0) + item.amount
    return [_money(amount, currency) for currency, amount in sorted(sums.items())]


def _money(amount: int, currency: str) -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def _person(context: Context) -> UUID:
    if context.actor.person_id is None:
        raise ValueError("only people decide about payouts")
    return context.actor.person_id


def _unknown() -> Refusal:
    return Refusal("not_found", "There is no such payout.")
