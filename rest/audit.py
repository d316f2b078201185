"""Who decided what, and whether that record is whole."""

from typing import Any
from uuid import UUID

from pydantic import Field

from domain.context import Role
from rest.finance import Pages
from rest.models import Instant, ListView, Nothing, View
from rest.registry import Ask, Routes
from services import audit
from services.reply import Answer

ROUTES = Routes("Seeing it all")

READERS = frozenset({Role.FOUNDER, Role.SUPPORT, Role.FINANCE})


class Filters(Pages):
    """Which decisions; all of them must match."""

    actor: UUID | None = Field(default=None, description="Who decided")
    action: str | None = Field(default=None, max_length=100, examples=["credential.verified"])
    subject: str | None = Field(default=None, max_length=200, description="An id, or `kind:id`")


class DecisionView(View):
    """One decision. `seal` is its place in the chain, null for the moment before it has one."""

    audit_id: UUID
    at: Instant
    actor_id: UUID | None
    actor_role: str
    action: str
    subject_kind: str
    subject_id: str
    reason: str | None
    data: dict[str, Any]
    correlation_id: str
    seal: int | None


class BrokenView(View):
    """The first row that does not hold: `changed`, `event_missing`, `link_missing` or `not_in_chain`."""

    audit_id: UUID
    seal: int | None
    reason: str


class VerdictView(View):
    """Whether the chain holds. `head` is its newest hash, to be kept elsewhere; `unsealed` wait for their seal."""

    ok: bool
    events: int
    head: str | None
    unsealed: int
    broken: BrokenView | None


@ROUTES.get("/v1/audit", roles=READERS, answer=ListView[DecisionView])
async def list_decisions(ask: Ask[Nothing, Filters]) -> Answer:
    """List decisions, newest first.

    Finance reads those about money, support all others, the founder all.
    """
    query = ask.query
    return await audit.list_(
        ask.stores, query.actor, query.action, query.subject, query.cursor, query.limit, ask.context
    )


@ROUTES.get("/v1/audit/verify", roles=READERS, answer=VerdictView)
async def verify(ask: Ask) -> Answer:
    """Walk the whole audit chain and say whether it holds."""
    return await audit.verified(ask.stores)
