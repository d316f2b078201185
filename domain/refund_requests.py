"""A refund that support asks for and finance decides: two people, always."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.context import Actor
from domain.facts import Fact
from domain.money import Money
from domain.refusals import Refusal


class Status(StrEnum):
    """Where a request stands; a decision is final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """What was asked for, by whom."""

    request_id: UUID
    booking_id: UUID
    amount: Money
    reason: str
    asked_by: UUID
    status: Status = Status.PENDING


@dataclass(frozen=True, slots=True)
class RefundAsked(Fact):
    """Somebody asked for a customer's money back."""

    request: RefundRequest


@dataclass(frozen=True, slots=True)
class RefundDecided(Fact):
    """Somebody else decided; `refund_id` is the payment intent of an approved one."""

    request_id: UUID
    status: Status
    reason: str | None
    refund_id: UUID | None = None


def may_decide(request: RefundRequest, actor: Actor) -> Refusal | None:
    """Refuse `refund_request_state` for one that was decided, `own_approval` for one's own."""
    if request.status is not Status.PENDING:
        return Refusal("refund_request_state", f"This request was {request.status} before.")
    if actor.person_id == request.asked_by:
        return Refusal("own_approval", "Who asked for a refund does not decide about it: ask another person.")
    return None
