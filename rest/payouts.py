"""Payouts: a batch that one person of finance makes and another approves, on its way to the technicians."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from domain.context import Role
from rest.finance import FINANCE, Pages
from rest.models import Body, Instant, ListView, MoneyView, Nothing, View
from rest.registry import Ask, Routes
from services import payouts
from services.reply import Answer

ROUTES = Routes("Payouts")

type Status = Literal["draft", "approved", "submitted", "settled", "cancelled"]
type ItemStatus = Literal["pending", "submitted", "paid", "returned"]


class PayoutBody(Body):
    """Up to when it was earned; the dispute window holds back what is newer than that anyhow."""

    until: Instant | None = None


class PayoutReason(Body):
    """Why a batch is given up."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")


class AccountBody(Body):
    """The gateway's token of an account; the sandbox takes the names of its payment methods."""

    method: str = Field(min_length=1, max_length=200, examples=["sandbox_ok"])


class PayoutPages(Pages):
    """A page of batches, of one status if asked."""

    status: Status | None = Field(default=None, description="Only batches that stand there")


class PayoutItemView(View):
    """One technician's money: pending, on its way, paid, or returned with the gateway's reason."""

    item_id: UUID
    technician_id: UUID
    amount: MoneyView
    status: ItemStatus
    reason: str | None
    settled_at: Instant | None
    transaction_id: UUID | None


class SkippedView(View):
    """Who is owed something and has no account to pay to."""

    technician_id: UUID
    amount: MoneyView


class PayoutView(View):
    """A batch; `cutoff`: what was earned up to then is in it."""

    payout_id: UUID
    status: Status
    cutoff: Instant
    made_by: UUID
    made_at: Instant
    approved_by: UUID | None
    approved_at: Instant | None
    submitted_at: Instant | None
    ended_at: Instant | None
    totals: list[MoneyView]
    items: list[PayoutItemView]
    skipped: list[SkippedView]


class PayoutAccountView(View):
    """Where a technician's money goes."""

    technician_id: UUID
    method: str


@ROUTES.post(
    "/v1/finance/payouts", roles=FINANCE, answer=PayoutView, status=201, key=True, refusals=("payout_state",)
)
async def make(ask: Ask[PayoutBody]) -> Answer:
    """Put a batch together from what technicians are owed."""
    return await payouts.make(ask.stores, ask.body.until, ask.context)


@ROUTES.get("/v1/finance/payouts", roles=FINANCE, answer=ListView[PayoutView])
async def list_payouts(ask: Ask[Nothing, PayoutPages]) -> Answer:
    """List batches, newest first."""
    return await payouts.list_(ask.stores, ask.query.status, ask.query.cursor, ask.query.limit)


@ROUTES.get("/v1/finance/payouts/{payout_id}", roles=FINANCE, answer=PayoutView)
async def read(ask: Ask) -> Answer:
    """Read a batch."""
    return await payouts.read(ask.stores, ask.id("payout_id"))


@ROUTES.post(
    "/v1/finance/payouts/{payout_id}/approve",
    roles=FINANCE,
    answer=PayoutView,
    refusals=("own_approval", "payout_state"),
)
async def approve(ask: Ask) -> Answer:
    """Approve a batch that somebody else made; audited."""
    return await payouts.approve(ask.stores, ask.id("payout_id"), ask.context)


@ROUTES.post(
    "/v1/finance/payouts/{payout_id}/cancel", roles=FINANCE, answer=PayoutView, refusals=("payout_state",)
)
async def cancel(ask: Ask[PayoutReason]) -> Answer:
    """Give a batch up before it is submitted; audited."""
    return await payouts.cancel(ask.stores, ask.id("payout_id"), ask.body.reason, ask.context)


@ROUTES.post(
    "/v1/finance/payouts/{payout_id}/submit",
    roles=FINANCE,
    answer=PayoutView,
    key=True,
    refusals=("not_found", "payout_state"),
)
async def submit(ask: Ask) -> Answer:
    """Hand an approved batch to the gateway; each item is paid, or comes back, a moment later."""
    return await payouts.submit(ask.stores, ask.id("payout_id"), ask.context)


@ROUTES.put(
    "/v1/technicians/me/payout-account",
    roles={Role.TECHNICIAN},
    answer=PayoutAccountView,
    refusals=("not_found",),
    limit="costly",
)
async def set_account(ask: Ask[AccountBody]) -> Answer:
    """Say where my money goes."""
    return await payouts.set_account(ask.stores, ask.body.method, ask.context)
