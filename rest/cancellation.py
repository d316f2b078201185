"""What cancelling costs: the policy in force, its versions, and the price of it for one visit."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from domain.booking import State
from domain.cancellation import CancellationPolicy, Tier
from domain.context import Role
from rest.bookings import booking_visible, roles_of
from rest.models import Body, Instant, MoneyView, Nothing, Page, View
from rest.registry import Ask, Routes
from services import cancellation
from services.reply import Answer

ROUTES = Routes("Cancellation")

LONGEST_LEAD_S = 366 * 86400


class TierBody(Body):
    """A fee in one state; with `lead_under_s`, only while less than that is left before the visit."""

    state: Literal["accepted", "en_route", "arrived", "in_service"]
    fee_bp: int = Field(ge=0, le=10_000, description="Basis points of the price without tax", examples=[2500])
    lead_under_s: int | None = Field(default=None, ge=1, le=LONGEST_LEAD_S, examples=[7200])


class PolicyBody(Body):
    """The next version, for an area, for a jurisdiction and all below it, or (neither given) for everywhere."""

    area_id: UUID | None = None
    jurisdiction: str | None = Field(default=None, min_length=1, max_length=100, examples=["US-MD"])
    valid_from: Instant | None = Field(default=None, description="Not before now, which is the default")
    free_until_s: int = Field(
        ge=0,
        le=LONGEST_LEAD_S,
        description="An accepted visit is free until so long before it",
        examples=[7200],
    )
    tiers: list[TierBody] = Field(
        max_length=40,
        description="Of those that hold, that of the shortest lead time counts; without one, free",
    )
    no_show_fee_bp: int = Field(ge=0, le=10_000, examples=[5000])
    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")


class TierView(View):
    """A fee in one state, perhaps only for short lead times."""

    state: State
    fee_bp: int
    lead_under_s: int | None


class TermsView(View):
    """What a policy says."""

    free_until_s: int
    tiers: list[TierView]
    no_show_fee_bp: int


class PolicyView(TermsView):
    """One version, its scope, and from when it holds."""

    version: int
    area_id: UUID | None
    jurisdiction: str | None
    valid_from: Instant
    made_at: Instant


class PoliciesView(View):
    """The version in force; for staff also a page of all of them, newest first."""

    in_force: PolicyView
    items: list[PolicyView]
    next_cursor: str | None


class CostView(View):
    """What cancelling costs now. `free_until`: null when that has passed, or the visit is under way."""

    fee: MoneyView
    free_until: Instant | None
    policy: TermsView
    policy_version: int


class PolicyQuery(Page):
    """Where."""

    area_id: UUID | None = Field(
        default=None, description="The area of the visit; without it, everywhere else"
    )


@ROUTES.get("/v1/cancellation-policies", answer=PoliciesView)
async def read(ask: Ask[Nothing, PolicyQuery]) -> Answer:
    """Read the cancellation policy that a visit asked for now is judged by.

    Staff also read all versions. A visit keeps the version that was in force when it was asked for.
    """
    query = ask.query
    return await cancellation.read(
        ask.stores, ask.context, area_id=query.area_id, limit=query.limit, cursor=query.cursor
    )


@ROUTES.put(
    "/v1/cancellation-policies", roles={Role.FOUNDER}, answer=PolicyView, refusals=("version_conflict",)
)
async def write(ask: Ask[PolicyBody]) -> Answer:
    """Write the next version of the cancellation policy.

    With If-Match, only if that version is still in force there.
    """
    body = ask.body
    tiers = tuple(Tier(State(each.state), each.fee_bp, each.lead_under_s) for each in body.tiers)
    return await cancellation.write(
        ask.stores,
        CancellationPolicy(0, body.free_until_s, tiers, body.no_show_fee_bp),
        ask.context,
        area_id=body.area_id,
        jurisdiction=body.jurisdiction,
        valid_from=body.valid_from,
        reason=body.reason,
    )


@ROUTES.get(
    "/v1/bookings/{booking_id}/cancellation",
    roles=roles_of("cancel"),
    answer=CostView,
    refusals=("booking_state",),
    visible=booking_visible,
)
async def cost(ask: Ask) -> Answer:
    """Tell what cancelling would cost the customer now, before anybody does it."""
    return await cancellation.cost(ask.stores, ask.id("booking_id"), ask.context)
