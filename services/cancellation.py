"""What cancelling costs: the policy in force and those before it, the next version, and its price for one visit."""

from datetime import datetime
from typing import Any
from uuid import UUID

from domain import booking_rules, cancellation
from domain.booking import State
from domain.cancellation import CancellationPolicy, PolicyWritten
from domain.context import Context, Role
from domain.facts import Decided
from domain.refusals import FieldError, Refusal
from services.booking_view import may_read, not_found, stamp
from services.field_errors import wrong
from services.paging import foreign_cursor
from services.reply import Answer, Reply
from services.stores import Stores
from storage import bookings, catalogue
from storage import cancellation_policies as policies
from storage.cancellation_policies import Stored
from storage.db import Tx
from storage.journal import record

HISTORY_FOR = frozenset({Role.DISPATCHER, Role.SUPPORT, Role.FINANCE, Role.FOUNDER})
DIGITS = 9


async def read(
    stores: Stores, context: Context, *, area_id: UUID | None, limit: int, cursor: str | None
) -> Answer:
    """Show the policy that a visit asked for now is judged by; and to staff all versions, newest first."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= DIGITS):
        return foreign_cursor()
    async with stores.db.reading() as tx:
        jurisdiction = None if area_id is None else await catalogue.jurisdiction_of(tx, area_id)
        if area_id is not None and jurisdiction is None:
            return Refusal("not_found", "There is no such area.")
        now = await policies.in_force(tx, area_id, jurisdiction, context.now)
        known: list[Stored] = []
        if context.actor.role in HISTORY_FOR:
            known = await policies.list_(tx, None if cursor is None else int(cursor), limit + 1)
    shown = known[:limit]
    body = {
        "in_force": _view(now),
        "items": [_view(each) for each in shown],
        "next_cursor": str(shown[-1].policy.version) if len(known) > limit else None,
    }
    return Reply(200, body, version=now.policy.version)


async def write(
    stores: Stores,
    wanted: CancellationPolicy,
    context: Context,
    *,
    area_id: UUID | None,
    jurisdiction: str | None,
    valid_from: datetime | None,
    reason: str,
) -> Answer:
    """Write the next version for a scope, from now on or later; what was asked for before keeps its own."""
    starts = valid_from or context.now
    errors = [
        FieldError(f"/tiers/{n}", "invalid", why)
        for n, why in cancellation.idle(wanted.free_until_s, wanted.tiers)
    ]
    if starts < context.now:
        errors.append(FieldError("/valid_from", "out_of_range", "It cannot hold for what was asked before."))
    if area_id is not None and jurisdiction is not None:
        errors.append(FieldError("/jurisdiction", "not_allowed", "Give an area, a jurisdiction, or neither."))
    async with stores.db.transaction() as tx:
        errors += await _unknown_scope(tx, area_id, jurisdiction)
        if errors:
            return wrong(*errors)
        version = await policies.next_version(tx)
        place = jurisdiction if area_id is None else await catalogue.jurisdiction_of(tx, area_id)
        present = await policies.in_force(tx, area_id, place, context.now)
        if context.if_match is not None and context.if_match != present.policy.version:
            return Refusal("version_conflict", f"Version {present.policy.version} holds there now.")
        policy = CancellationPolicy(version, wanted.free_until_s, wanted.tiers, wanted.no_show_fee_bp)
        fact = PolicyWritten(policy, starts, area_id, jurisdiction)
        scope = {"area_id": area_id, "jurisdiction": jurisdiction, "replaces": present.policy.version}
        decided = Decided("cancellation_policy.set", "cancellation_policy", str(version), reason, scope)
        await record(tx, [fact, decided], context)
    stored = Stored(policy, area_id, jurisdiction, starts, context.now)
    return Reply(200, _view(stored), version=version)


async def _unknown_scope(tx: Tx, area_id: UUID | None, jurisdiction: str | None) -> list[FieldError]:
    if area_id is not None and await catalogue.jurisdiction_of(tx, area_id) is None:
        return [FieldError("/area_id", "not_allowed", "There is no such area.")]
    if jurisdiction is not None and not await catalogue.chain(tx, jurisdiction):
        return [FieldError("/jurisdiction", "not_allowed", "There is no such jurisdiction.")]
    return []


async def cost(stores: Stores, booking_id: UUID, context: Context) -> Answer:
    """Tell what cancelling a visit would cost its caller's side now; nothing when its technician gives it back."""
    async with stores.db.reading() as tx:
        booking = await bookings.get(tx, booking_id)
        if booking is None or not may_read(booking, context.actor):
            return not_found()
        policy = await policies.of_booking(tx, booking_id)
    row = booking_rules.permitted(booking, "cancel", context.actor.role)
    if isinstance(row, Refusal):
        return row
    amount = 0 if row.target == State.REQUESTED else cancellation.fee(booking, context.now, policy).amount
    return Reply(
        200,
        {
            "fee": {"amount": amount, "currency": booking.price.currency},
            "free_until": stamp(cancellation.free_until(booking, context.now, policy)),
            "policy": cancellation.terms(policy),
            "policy_version": policy.version,
        },
    )


def _view(stored: Stored) -> dict[str, Any]:
    return {
        "version": stored.policy.version,
        "area_id": None if stored.area_id is None else str(stored.area_id),
        "jurisdiction": stored.jurisdiction,
        "valid_from": stamp(stored.valid_from),
        **cancellation.terms(stored.policy),
        "made_at": stamp(stored.made_at),
    }
