"""Finance: the books as they stand, money given back, money moved with a reason, and a technician's own earnings."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from domain import money
from domain.context import Role
from rest.models import Body, Instant, ListView, MoneyView, Nothing, Query, View
from rest.registry import Ask, Routes
from services import finance
from services.reply import Answer

ROUTES = Routes("Finance")

FINANCE = frozenset({Role.FINANCE, Role.FOUNDER})


class Pages(Query):
    """A page of a list; the cursor is `next_cursor` of the page before."""

    limit: int = Field(default=50, ge=1, le=200, description="How many items at most")
    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before")


class Sum(Body):
    """More than nothing, in minor units."""

    amount: int = Field(ge=1, le=100_000_000)
    currency: str = Field(pattern="^[A-Z]{3}$")


class RefundBody(Body):
    """How much of a booking's payment goes back, and why."""

    booking_id: UUID
    amount: Sum
    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")


class AdjustmentBody(Body):
    """Two accounts, each by its id or its code, and why money moves from one to the other."""

    debit: str = Field(min_length=1, max_length=200, examples=["platform_revenue"])
    credit: str = Field(min_length=1, max_length=200, examples=["customer_funds"])
    amount: Sum
    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")


class AccountView(View):
    """An account with the sums of both its sides, in minor units."""

    account_id: UUID
    code: str
    currency: str
    owner_id: UUID | None
    debit: int
    credit: int


class AccountEntryView(View):
    """One side of a transaction, as its account sees it."""

    entry_id: UUID
    transaction_id: UUID
    kind: str
    booking_id: UUID | None
    at: Instant
    correlation_id: str
    currency: str
    debit: int
    credit: int


class EntryView(View):
    """One side of a transaction."""

    entry_id: UUID
    account_id: UUID
    code: str
    currency: str
    debit: int
    credit: int


class TransactionView(View):
    """A balanced transaction: debits equal credits in each currency."""

    transaction_id: UUID
    kind: str
    booking_id: UUID | None
    reverses: UUID | None
    reversed_by: UUID | None
    reason: str | None
    correlation_id: str
    actor_id: UUID | None
    at: Instant
    entries: list[EntryView]


class TotalView(View):
    """Both sides of a currency."""

    currency: str
    debit: int
    credit: int


class BalanceView(View):
    """An account's balance, on its side."""

    account_id: UUID
    code: str
    currency: str
    debit: int
    credit: int


class TrialBalanceView(View):
    """All accounts; `balanced` says that the sides agree in every currency."""

    balanced: bool
    totals: list[TotalView]
    rows: list[BalanceView]


class RefundView(View):
    """A refund: pending until the gateway has done it, which the booking tells as `payment.refunded`."""

    refund_id: UUID
    booking_id: UUID
    amount: MoneyView
    status: Literal["pending"]
    reason: str


class AdjustmentView(View):
    """What was moved; read it again as a transaction."""

    transaction_id: UUID
    debit: str
    credit: str
    amount: MoneyView
    reason: str


class EarningsTotalView(View):
    """What is owed in one currency, in minor units, and what it is made of (`capture`, `tip`, `refund`, …)."""

    currency: str
    owed: int
    by_kind: dict[str, int]


class EarningView(View):
    """One movement of a technician's account; a refund is less than nothing."""

    transaction_id: UUID
    kind: str
    booking_id: UUID | None
    number: str | None
    service: str | None
    at: Instant
    amount: MoneyView


class EarningsView(View):
    """A technician's own account."""

    totals: list[EarningsTotalView]
    items: list[EarningView]
    next_cursor: str | None


@ROUTES.get("/v1/finance/accounts", roles=FINANCE, answer=ListView[AccountView])
async def list_accounts(ask: Ask[Nothing, Pages]) -> Answer:
    """List the accounts of the ledger, in the order that they were made."""
    return await finance.accounts(ask.stores, ask.query.cursor, ask.query.limit)


@ROUTES.get("/v1/finance/accounts/{account_id}/entries", roles=FINANCE, answer=ListView[AccountEntryView])
async def list_entries(ask: Ask[Nothing, Pages]) -> Answer:
    """List an account's entries, newest first."""
    return await finance.entries(ask.stores, ask.id("account_id"), ask.query.cursor, ask.query.limit)


@ROUTES.get("/v1/finance/transactions/{transaction_id}", roles=FINANCE, answer=TransactionView)
async def read_transaction(ask: Ask) -> Answer:
    """Read a transaction with its entries."""
    return await finance.transaction(ask.stores, ask.id("transaction_id"))


@ROUTES.get("/v1/finance/trial-balance", roles=FINANCE, answer=TrialBalanceView)
async def read_trial_balance(ask: Ask) -> Answer:
    """Read the trial balance."""
    return await finance.trial_balance(ask.stores)


@ROUTES.post(
    "/v1/finance/refunds",
    roles=FINANCE,
    answer=RefundView,
    status=201,
    key=True,
    refusals=("not_found", "over_refund"),
)
async def refund(ask: Ask[RefundBody]) -> Answer:
    """Give a customer money back.

    At most what was taken for the booking and not given back yet, counting refunds on their way. The decision is
    audited; the gateway is asked a moment later.
    """
    amount = money.Money(ask.body.amount.amount, ask.body.amount.currency)
    return await finance.refund(ask.stores, ask.body.booking_id, amount, ask.body.reason, ask.context)


@ROUTES.post("/v1/finance/adjustments", roles=FINANCE, answer=AdjustmentView, status=201, key=True)
async def adjust(ask: Ask[AdjustmentBody]) -> Answer:
    """Move money between two accounts, with a reason that is audited."""
    body = ask.body
    amount = money.Money(body.amount.amount, body.amount.currency)
    return await finance.adjust(ask.stores, body.debit, body.credit, amount, body.reason, ask.context)


@ROUTES.get("/v1/technicians/me/earnings", roles={Role.TECHNICIAN}, answer=EarningsView)
async def read_earnings(ask: Ask[Nothing, Pages]) -> Answer:
    """Read what I have earned, and from what."""
    return await finance.earnings(ask.stores, ask.person_id, ask.query.cursor, ask.query.limit)
