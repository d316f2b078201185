"""Who decided what, and whether that record is whole."""

from typing import Any
from uuid import UUID

from pydantic import Field

from domain.context import Role
from rest.finance import Pages
from rest.models import Instant, ListView, Nothing, Query, View
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


class Against(Query):
    """A head that was kept elsewhere."""

    head: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="Its hash: the chain must still hold it"
    )


class HeadView(View):
    """The newest place of the chain: keep it where nobody who writes here can reach."""

    seal: int
    hash: str
    at: Instant
    signature: str | None = Field(description="HMAC-SHA256 of `seal:hash` under a key of this house, hex")


class BrokenView(View):
    """The first row that does not hold: `changed`, `event_missing`, `link_missing` or `not_in_chain`.

    `head_missing`: the rows hold, and yet the chain is not the one whose head was kept. It names no row.
    """

    audit_id: UUID | None
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
async def verify(ask: Ask[Nothing, Against]) -> Answer:
    """Walk the whole audit chain and say whether it holds.

    With `head` it must also be the chain of that head, so that one that was cut short or written anew is found.
    """
    return await audit.verified(ask.stores, ask.query.head)


@ROUTES.get("/v1/audit/head", roles=READERS, answer=HeadView)
async def read_head(ask: Ask) -> Answer:
    """Read the newest head of the audit chain, signed."""
    return await audit.newest(ask.stores)
