"""Support asks for a refund, finance decides: an approval is the refund itself, in the same commit."""

from typing import Any
from uuid import UUID

import asyncpg

from domain import refund_requests
from domain.context import Context
from domain.facts import Decided
from domain.money import Money
from domain.refund_requests import RefundAsked, RefundDecided, RefundRequest, Status
from domain.refusals import Refusal
from services import finance
from services.reply import Answer, Reply
from services.stores import Stores
from storage import bookings
from storage import refund_requests as rows
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record


async def ask(stores: Stores, booking_id: UUID, amount: Money, reason: str, context: Context) -> Answer:
    """Ask for part or all of what a booking's payment took; 201 with the request. Refuses `over_refund` at once."""
    if context.actor.person_id is None:
        raise ValueError("only people ask")
    async with stores.db.transaction() as tx:
        booking = await bookings.lock(tx, booking_id)
        if booking is None:
            return Refusal("not_found", "There is no such booking.")
        wanted = await finance.refund_facts(tx, booking, amount, reason)
        if isinstance(wanted, Refusal):
            return wanted
        request = RefundRequest(new_id(), booking_id, amount, reason, context.actor.person_id)
        data = {"request_id": str(request.request_id), "amount": amount.amount, "currency": amount.currency}
        decided = Decided("finance.refund_asked", "booking", str(booking_id), reason, data)
        await record(tx, [RefundAsked(request), decided], context)
        return Reply(201, await _shown(tx, request.request_id))


async def approve(stores: Stores, request_id: UUID, reason: str | None, context: Context) -> Answer:
    """Give the money back; another person than who asked. Refuses `over_refund` where too little is left by now."""
    return await _decide(stores, request_id, Status.APPROVED, reason, context)


async def reject(stores: Stores, request_id: UUID, reason: str, context: Context) -> Answer:
    """Say no, and why."""
    return await _decide(stores, request_id, Status.REJECTED, reason, context)


async def _decide(
    stores: Stores, request_id: UUID, status: Status, reason: str | None, context: Context
) -> Answer:
    async with stores.db.transaction() as tx:
        seen = await rows.get(tx, request_id)
        booking = None if seen is None else await bookings.lock(tx, seen["booking_id"])
        found = await rows.get(tx, request_id, lock=True)
        if booking is None or found is None:
            return Refusal("not_found", "There is no such request.")
        request = rows.request_of(found)
        refusal = refund_requests.may_decide(request, context.actor)
        if refusal is not None:
            return refusal
        told = Decided(f"finance.refund_{status}", "booking", str(request.booking_id), reason,
                       {"request_id": str(request_id)})  # fmt: skip
        if status is Status.REJECTED:
            await record(tx, [RefundDecided(request_id, status, reason), told], context)
        else:
            wanted = await finance.refund_facts(tx, booking, request.amount, request.reason)
            if isinstance(wanted, Refusal):
                return wanted
            refund_id, facts = wanted
            await record(tx, [*facts, RefundDecided(request_id, status, reason, refund_id), told], context)
        return Reply(200, await _shown(tx, request_id))


async def list_(stores: Stores, status: str | None, before: UUID | None, limit: int) -> Answer:
    """List requests, newest first."""
    async with stores.db.reading() as tx:
        found = await rows.list_(tx, status, before, limit + 1)
    items = [_body(r) for r in found[:limit]]
    return Reply(
        200, {"items": items, "next_cursor": items[-1]["request_id"] if len(found) > limit else None}
    )


async def _shown(tx: Tx, request_id: UUID) -> dict[str, Any]:
    found = await rows.get(tx, request_id)
    if found is None:
        raise LookupError(request_id)
    return _body(found)


def _body(found: asyncpg.Record) -> dict[str, Any]:
    plain = {name: str(value) if isinstance(value, UUID) else value for name, value in found.items()}
    amount = {"amount": plain.pop("amount"), "currency": plain.pop("currency")}
    return {**plain, "amount": amount}
