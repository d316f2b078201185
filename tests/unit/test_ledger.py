"""Every transaction that the builders make balances, whatever the price, the commission and the currency."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ledger
from domain.booking import Price
from domain.money import Money, half_up_bp

TECHNICIAN = UUID(int=5)
OF = ledger.Of(UUID(int=1), UUID(int=2), TECHNICIAN, "US-MD")
NOBODY = ledger.Of(UUID(int=1), UUID(int=2), None, "US-MD")
CURRENCIES = st.sampled_from(["USD", "JPY", "KWD"])
RATES = st.integers(0, 10_000)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """A quote of more than nothing."""
    base, travel = draw(st.integers(1, 10**8)), draw(st.integers(0, 10**6))
    tax_bp = draw(st.integers(0, 5000))
    tax = half_up_bp(base + travel, tax_bp)
    return Price(base, travel, tax, base + travel + tax, draw(CURRENCIES), tax_bp)


def credited(posted: ledger.LedgerPosted) -> dict[str, int]:
    """What each account got."""
    return {e.code: e.credit for e in posted.entries if e.credit}


@given(prices(), RATES)
def test_a_capture_balances_and_pays_everybody(price: Price, commission_bp: int) -> None:
    """The customer's money is exactly the technician's, the house's and the tax office's."""
    posted = ledger.capture(OF, price, commission_bp)
    parts = credited(posted)
    assert sum(parts.values()) == price.total == posted.entries[0].debit
    assert parts.get("tax_payable:US-MD", 0) == price.tax
    assert parts.get(ledger.PLATFORM_REVENUE, 0) == half_up_bp(price.base + price.travel, commission_bp)


@given(prices(), RATES, st.data())
def test_refunds_in_any_pieces_empty_every_account(
    price: Price, commission_bp: int, data: st.DataObject
) -> None:
    """Piece by piece, no account gives more than it has; after the last, nothing is left anywhere."""
    left = credited(ledger.capture(OF, price, commission_bp))
    first = True
    while left:
        step = data.draw(st.integers(max(1, sum(left.values()) // 4), sum(left.values())))
        posted = ledger.refund(OF, Money(step, price.currency), left, "why", UUID(int=9) if first else None)
        assert (posted.reverses is not None) == (first and step == sum(left.values()))
        for entry in posted.entries:
            if entry.debit:
                left[entry.code] -= entry.debit
        assert min(left.values()) >= 0
        left = {code: amount for code, amount in left.items() if amount}
        first = False


@given(st.integers(1, 10**8), RATES, CURRENCIES)
def test_fees_tips_and_adjustments_balance(amount: int, commission_bp: int, currency: str) -> None:
    """A fee is shared, or the house's when nobody was coming; a tip is the technician's alone."""
    money = Money(amount, currency)
    shared = credited(ledger.fee(OF, "cancellation_fee", money, commission_bp))
    assert sum(shared.values()) == amount
    assert credited(ledger.fee(NOBODY, "cancellation_fee", money, commission_bp)) == {
        ledger.PLATFORM_REVENUE: amount
    }
    assert credited(ledger.tip(OF, money)) == {ledger.technician_payable(TECHNICIAN): amount}
    assert len(ledger.adjustment(UUID(int=1), "a", "b", money, "why").entries) == 2


@pytest.mark.parametrize("amount", [0, -1, 101])
def test_more_than_is_left_is_not_given_back(amount: int) -> None:
    """A refund of nothing, of less, or of more than there is cannot be built."""
    with pytest.raises(ValueError, match="cannot give back"):
        ledger.refund(OF, Money(amount, "USD"), {"a": 60, "b": 40}, None, None)


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (ledger.Entry("a", "USD", debit=1),),
        (ledger.Entry("a", "USD", debit=1), ledger.Entry("b", "JPY", credit=1)),
        (ledger.Entry("a", "USD", debit=1, credit=1),),
        (ledger.Entry("a", "USD"),),
        (ledger.Entry("a", "USD", debit=-1), ledger.Entry("b", "USD", credit=-1)),
    ],
)
def test_what_does_not_balance_cannot_be_built(entries: tuple[ledger.Entry, ...]) -> None:
    """Unbalanced, mixed, empty and negative transactions are refused where they are made."""
    with pytest.raises(ValueError, match=r"balance|more than nothing"):
        ledger.LedgerPosted(UUID(int=1), "adjustment", None, entries)


def test_a_technicians_account_is_their_own() -> None:
    """The owner is read from the code, and nobody else's account has one."""
    assert ledger.owner_of(ledger.technician_payable(TECHNICIAN)) == TECHNICIAN
    assert ledger.owner_of(ledger.CUSTOMER_FUNDS) is None
    assert ledger.owner_of(ledger.tax_payable("US-MD")) is None
