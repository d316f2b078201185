"""Payouts: what technicians earned leaves the house in batches that one person makes and another approves.

    draft → approved → submitted → settled        draft, approved → cancelled

A batch's items are fixed when it is made. The books move when it is submitted (owed → in transit) and when each item's
answer comes (in transit → gone, or back to owed).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.context import Actor
from domain.facts import Fact
from domain.ledger import CUSTOMER_FUNDS, Entry, LedgerPosted, technician_payable
from domain.money import Money
from domain.refusals import Refusal

IN_TRANSIT = "payouts_in_transit"


class Status(StrEnum):
    """Where a batch stands."""

    DRAFT = "draft"
    APPROVED = "approved"
    SUBMITTED = "submitted"
    SETTLED = "settled"
    CANCELLED = "cancelled"


class ItemStatus(StrEnum):
    """Where one technician's money stands: still ours, on its way, there, or come back."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    PAID = "paid"
    RETURNED = "returned"


MOVES: dict[str, tuple[frozenset[Status], Status]] = {
    "approve": (frozenset({Status.DRAFT}), Status.APPROVED),
    "submit": (frozenset({Status.APPROVED}), Status.SUBMITTED),
    "cancel": (frozenset({Status.DRAFT, Status.APPROVED}), Status.CANCELLED),
    "settle": (frozenset({Status.SUBMITTED}), Status.SETTLED),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One technician's money in one currency; `method` is what the gateway knows their account by."""

    item_id: UUID
    technician_id: UUID
    amount: int
    currency: str
    method: str
    status: ItemStatus = ItemStatus.PENDING


@dataclass(frozen=True, slots=True)
class Payout:
    """A batch. `cutoff`: what was earned up to then is in it."""

    payout_id: UUID
    status: Status
    cutoff: datetime
    made_by: UUID


@dataclass(frozen=True, slots=True)
class PayoutMade(Fact):
    """Somebody put a batch together."""

    payout: Payout
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class PayoutMoved(Fact):
    """A batch went on; the writer refuses one that is not where it was seen."""

    payout_id: UUID
    was: Status
    now: Status


@dataclass(frozen=True, slots=True)
class PayoutItemSent(Fact):
    """An item was handed over to be paid, and booked by this transaction."""

    item_id: UUID
    transaction_id: UUID


@dataclass(frozen=True, slots=True)
class PayoutItemSettled(Fact):
    """The gateway answered for one item."""

    item_id: UUID
    status: ItemStatus
    gateway_ref: str
    reason: str | None


def move(payout: Payout, step: str, actor: Actor) -> PayoutMoved | Refusal:
    """Take a batch one step on. Refuses `payout_state`, and `own_approval` for who made it."""
    allowed, to = MOVES[step]
    if payout.status not in allowed:
        return Refusal("payout_state", f"A payout that is {payout.status} cannot be taken this step: {step}.")
    if step == "approve" and actor.person_id == payout.made_by:
        return Refusal("own_approval", "Who made a payout does not approve it: ask another person.")
    return PayoutMoved(payout.payout_id, payout.status, to)


def payable(earned_by_cutoff: int, taken: int, reserved: int) -> int:
    """Return what may be paid out, in minor units: never more than is owed, and nothing twice.

    `earned_by_cutoff` sums the credits up to the cutoff, `taken` all debits (refunds, fees, payouts) until now, and
    `reserved` is what stands in batches that were not submitted yet. A debt (a refund after a payout) is less than
    nothing until new earnings have covered it.
    """
    return max(0, earned_by_cutoff - taken - reserved)


def sent(item: Item, transaction_id: UUID) -> LedgerPosted:
    """Book an item that is handed to the gateway: owed to the technician before, in transit now."""
    amount = Money(item.amount, item.currency)
    return _posted(transaction_id, "payout", technician_payable(item.technician_id), IN_TRANSIT, amount)


def arrived(item: Item, transaction_id: UUID) -> LedgerPosted:
    """Book an item that reached its technician: it left the money that the gateway holds for us."""
    amount = Money(item.amount, item.currency)
    return _posted(transaction_id, "payout_paid", IN_TRANSIT, CUSTOMER_FUNDS, amount)


def came_back(item: Item, transaction_id: UUID, reason: str | None, sent_as: UUID) -> LedgerPosted:
    """Book an item that the gateway would not pay: owed again, by the reversal of what sent it."""
    amount = Money(item.amount, item.currency)
    payable_code = technician_payable(item.technician_id)
    return _posted(transaction_id, "payout_returned", IN_TRANSIT, payable_code, amount, reason, sent_as)


def _posted(
    transaction_id: UUID,
    kind: str,
    debit: str,
    credit: str,
    amount: Money,
    reason: str | None = None,
    reverses: UUID | None = None,
) -> LedgerPosted:
    entries = (
        Entry(debit, amount.currency, debit=amount.amount),
        Entry(credit, amount.currency, credit=amount.amount),
    )
    return LedgerPosted(transaction_id, kind, None, entries, reason, reverses)
