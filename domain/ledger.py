"""Double entry as pure builders: a transaction balances by construction, and the database refuses one that does not.

Accounts are named by code: `customer_funds` (what the gateway holds for us; debits grow it), `technician_payable:<id>`,
`platform_revenue` and `tax_payable:<jurisdiction>` (what we owe or earned; credits grow them). History is only added
to: a mistake is put right by another transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.booking import Price
from domain.facts import Fact
from domain.money import Money, half_up_bp, split

CUSTOMER_FUNDS = "customer_funds"
PLATFORM_REVENUE = "platform_revenue"


def technician_payable(technician_id: UUID) -> str:
    """The code of what we owe a technician."""
    return f"technician_payable:{technician_id}"


def tax_payable(jurisdiction: str) -> str:
    """The code of what we owe the tax office of a jurisdiction."""
    return f"tax_payable:{jurisdiction}"


def owner_of(code: str) -> UUID | None:
    """Whose account it is: a technician's own, or nobody's."""
    name, _, rest = code.partition(":")
    return UUID(rest) if name == "technician_payable" else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transaction, in minor units; exactly one of the two is more than nothing."""

    code: str
    currency: str
    debit: int = 0
    credit: int = 0


@dataclass(frozen=True, slots=True)
class LedgerPosted(Fact):
    """Money moved between accounts. Raises ValueError where debits and credits differ in any currency."""

    transaction_id: UUID
    kind: str
    booking_id: UUID | None
    entries: tuple[Entry, ...]
    reason: str | None = None
    reverses: UUID | None = None

    def __post_init__(self) -> None:
        if not self.entries or any(
            e.debit < 0 or e.credit < 0 or (e.debit == 0) == (e.credit == 0) for e in self.entries
        ):
            raise ValueError("an entry is a debit or a credit of more than nothing")
        balance: dict[str, int] = {}
        for e in self.entries:
            balance[e.currency] = balance.get(e.currency, 0) + e.debit - e.credit
        if any(balance.values()):
            raise ValueError(f"{self.kind} does not balance: {balance}")


@dataclass(frozen=True, slots=True)
class Of:
    """What a transaction belongs to: its own id, the booking, who did the work, and whose tax rules hold."""

    transaction_id: UUID
    booking_id: UUID
    technician_id: UUID | None
    jurisdiction: str


def capture(of: Of, price: Price, commission_bp: int) -> LedgerPosted:
    """The customer paid the price: tax aside, commission (half up) to the house, all the rest to the technician."""
    net = price.base + price.travel
    parts = _shares(of, net, commission_bp)
    parts[tax_payable(of.jurisdiction)] = price.tax
    return _received(of, "capture", parts, price.currency)


def fee(of: Of, kind: str, amount: Money, commission_bp: int) -> LedgerPosted:
    """The customer paid a fee (`cancellation_fee`, `no_show_fee`): shared like the price; with no technician, ours."""
    return _received(of, kind, _shares(of, amount.amount, commission_bp), amount.currency)


def tip(of: Of, amount: Money) -> LedgerPosted:
    """The customer gave a tip: all of it is the technician's."""
    return _received(of, "tip", _shares(of, amount.amount, 0), amount.currency)


def refund(
    of: Of, amount: Money, credited: Mapping[str, int], reason: str | None, captured: UUID | None
) -> LedgerPosted:
    """Money goes back to the customer, out of every account in proportion to what it still has of this booking.

    `credited` is that remainder for each account; no account gives more than it has, and a last refund empties all.
    A refund of everything at once reverses the transaction `captured`, and the database lets that happen once.
    Raises ValueError for more than is left.
    """
    left = sum(credited.values())
    if not 0 < amount.amount <= left:
        raise ValueError(f"cannot give back {amount.amount} of {left}")
    codes = list(credited)
    parts = split(amount.amount, [credited[code] for code in codes])
    taken = tuple(
        Entry(code, amount.currency, debit=part) for code, part in zip(codes, parts, strict=True) if part
    )
    returned = Entry(CUSTOMER_FUNDS, amount.currency, credit=amount.amount)
    reverses = captured if amount.amount == left else None
    return LedgerPosted(of.transaction_id, "refund", of.booking_id, (*taken, returned), reason, reverses)


def adjustment(
    transaction_id: UUID, debit_code: str, credit_code: str, amount: Money, reason: str
) -> LedgerPosted:
    """A person of finance moves money between two accounts, and says why."""
    entries = (
        Entry(debit_code, amount.currency, debit=amount.amount),
        Entry(credit_code, amount.currency, credit=amount.amount),
    )
    return LedgerPosted(transaction_id, "adjustment", None, entries, reason)


def _shares(of: Of, net: int, commission_bp: int) -> dict[str, int]:
    if of.technician_id is None:
        return {PLATFORM_REVENUE: net}
    commission = min(half_up_bp(net, commission_bp), net)
    return {technician_payable(of.technician_id): net - commission, PLATFORM_REVENUE: commission}


def _received(of: Of, kind: str, parts: Mapping[str, int], currency: str) -> LedgerPosted:
    owed = [Entry(code, currency, credit=part) for code, part in parts.items() if part]
    funds = Entry(CUSTOMER_FUNDS, currency, debit=sum(parts.values()))
    return LedgerPosted(of.transaction_id, kind, of.booking_id, (funds, *owed))
