"""Payout batches: who may move them, how much is in them, and that every way of an item balances."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import payouts
from domain.context import Actor, Role
from domain.ledger import LedgerPosted, technician_payable
from domain.payouts import Item, Payout, PayoutMoved, Status
from domain.refusals import Refusal

MAKER, OTHER = UUID(int=1), UUID(int=2)
ITEM = Item(UUID(int=3), UUID(int=4), 3600, "USD", "sandbox_ok")
WAYS = {
    "approve": {"draft": "approved"},
    "submit": {"approved": "submitted"},
    "cancel": {"draft": "cancelled", "approved": "cancelled"},
    "settle": {"submitted": "settled"},
}


def batch(status: Status) -> Payout:
    """A batch that MAKER made."""
    return Payout(UUID(int=9), status, datetime(2026, 6, 1, tzinfo=UTC), MAKER)


@pytest.mark.parametrize("step", WAYS)
@pytest.mark.parametrize("status", Status)
def test_every_step_from_every_status(step: str, status: Status) -> None:
    """A step leads where its row says, and is refused with `payout_state` from anywhere else."""
    found = payouts.move(batch(status), step, Actor(OTHER, Role.FINANCE))
    to = WAYS[step].get(status)
    if to is None:
        assert isinstance(found, Refusal)
        assert found.code == "payout_state"
    else:
        assert found == PayoutMoved(UUID(int=9), status, Status(to))


def test_nobody_approves_their_own() -> None:
    """The maker is refused; the maker may still submit what another has approved."""
    found = payouts.move(batch(Status.DRAFT), "approve", Actor(MAKER, Role.FOUNDER))
    assert isinstance(found, Refusal)
    assert found.code == "own_approval"
    assert isinstance(payouts.move(batch(Status.APPROVED), "submit", Actor(MAKER, Role.FINANCE)), PayoutMoved)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_never_more_than_is_owed(earned: int, taken: int, reserved: int) -> None:
    """What is paid, what was taken and what is reserved never exceed what was earned; a debt pays nothing."""
    amount = payouts.payable(earned, taken, reserved)
    assert amount >= 0
    assert amount + taken + reserved <= max(earned, taken + reserved)


def moved(*posted: LedgerPosted) -> dict[str, int]:
    """Credits less debits by account."""
    sums: dict[str, int] = {}
    for each in posted:
        for entry in each.entries:
            sums[entry.code] = sums.get(entry.code, 0) + entry.credit - entry.debit
    return {code: amount for code, amount in sums.items() if amount}


def test_an_item_is_paid_or_owed_again() -> None:
    """Sent and arrived: the money is gone. Sent and come back: nothing has changed, by a reversal."""
    sent = payouts.sent(ITEM, UUID(int=5))
    owed = technician_payable(ITEM.technician_id)
    assert moved(sent, payouts.arrived(ITEM, UUID(int=6))) == {owed: -3600, "customer_funds": 3600}
    back = payouts.came_back(ITEM, UUID(int=6), "account_closed", sent.transaction_id)
    assert moved(sent, back) == {}
    assert back.reverses == sent.transaction_id
