"""Refunds that support asks for and finance decides."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from domain.context import Role
from domain.money import Money
from rest.finance import FINANCE, Pages, RefundBody
from rest.models import Body, Instant, ListView, MoneyView, Nothing, View
from rest.registry import Ask, Routes
from services import refund_requests
from services.reply import Answer

ROUTES = Routes("Refund requests")

ASKING = frozenset({Role.SUPPORT, Role.FOUNDER})
READING = FINANCE | ASKING

type Status = Literal["pending", "approved", "rejected"]


class Approval(Body):
    """A word on why, if there is one to say."""

    reason: str | None = Field(default=None, min_length=1, max_length=500, pattern=r"\S")


class Rejection(Body):
    """Why not."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")


class RequestPages(Pages):
    """A page of requests, of one status if asked."""

    status: Status | None = Field(default=None, description="Only requests that stand there")


class RefundRequestView(View):
    """What was asked for, and what was decided; `refund_id` is the refund of an approved one."""

    request_id: UUID
    booking_id: UUID
    amount: MoneyView
    reason: str
    status: Status
    asked_by: UUID
    asked_at: Instant
    decided_by: UUID | None
    decided_at: Instant | None
    decision_reason: str | None
    refund_id: UUID | None


@ROUTES.post(
    "/v1/refund-requests",
    roles=ASKING,
    answer=RefundRequestView,
    status=201,
    refusals=("not_found", "over_refund"),
)
async def ask_for(ask: Ask[RefundBody]) -> Answer:
    """Ask finance to give a customer money back."""
    amount = Money(ask.body.amount.amount, ask.body.amount.currency)
    return await refund_requests.ask(ask.stores, ask.body.booking_id, amount, ask.body.reason, ask.context)


@ROUTES.get("/v1/refund-requests", roles=READING, answer=ListView[RefundRequestView])
async def list_requests(ask: Ask[Nothing, RequestPages]) -> Answer:
    """List requests, newest first."""
    return await refund_requests.list_(ask.stores, ask.query.status, ask.query.cursor, ask.query.limit)


@ROUTES.post(
    "/v1/refund-requests/{request_id}/approve",
    roles=FINANCE,
    answer=RefundRequestView,
    refusals=("own_approval", "over_refund", "refund_request_state"),
)
async def approve(ask: Ask[Approval]) -> Answer:
    """Give the money back: the decision is the refund; another person than who asked."""
    return await refund_requests.approve(ask.stores, ask.id("request_id"), ask.body.reason, ask.context)


@ROUTES.post(
    "/v1/refund-requests/{request_id}/reject",
    roles=FINANCE,
    answer=RefundRequestView,
    refusals=("own_approval", "refund_request_state"),
)
async def reject(ask: Ask[Rejection]) -> Answer:
    """Say no, and why."""
    return await refund_requests.reject(ask.stores, ask.id("request_id"), ask.body.reason, ask.context)
