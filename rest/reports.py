"""Reports for those who steer: no names, no positions, days by the clock of each area."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from domain.context import Role
from rest.models import Nothing, Query, View
from rest.registry import Ask, Routes
from services import reports
from services.reply import Answer

ROUTES = Routes("Reports")

READERS = frozenset({Role.FOUNDER, Role.SUPPORT, Role.FINANCE, Role.DISPATCHER})
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _written_out(value: object) -> object:
    """Let no number pass for a day: pydantic would read it as seconds since the epoch."""
    if isinstance(value, str) and not DAY.fullmatch(value):
        raise ValueError("Write a day as YYYY-MM-DD")
    return value


type Day = Annotated[date, BeforeValidator(_written_out)]


class Period(Query):
    """A span of days, both included, at most 400."""

    since: Day | None = Field(
        default=None, alias="from", description="First day, local to each area (default: 30 days in all)"
    )
    to: Day | None = Field(default=None, description="Last day, local to each area (default: today by UTC)")


class FunnelQuery(Period):
    """A span of days, and what the rows are for."""

    group_by: Literal["none", "service", "area", "jurisdiction", "experience", "position", "day", "month"] = (
        Field(default="service", description="What the rows are for")
    )


class ResponseTimesQuery(Period):
    """A span of days, and what the rows are for."""

    group_by: Literal["none", "technician", "service", "area", "jurisdiction", "day", "month"] = Field(
        default="technician", description="What the rows are for"
    )


class CompletionQuery(Period):
    """A span of days, and what the rows are for."""

    group_by: Literal["none", "service", "area", "jurisdiction", "technician", "day", "month"] = Field(
        default="service", description="What the rows are for"
    )


class PayoutsQuery(Period):
    """A span of days, and what the rows are for."""

    group_by: Literal["none", "technician", "area", "service"] = Field(
        default="technician", description="What the rows are for"
    )


class ArrivalsQuery(Period):
    """A span of days, and what the rows are for."""

    group_by: Literal["none", "area", "service", "jurisdiction", "technician", "day", "month"] = Field(
        default="area", description="What the rows are for"
    )


class ReportView(View):
    """What was asked for, as it was understood."""

    since: date = Field(alias="from")
    to: date
    group_by: str


class FunnelCounts(View):
    """How many reached each step."""

    discovered: int
    offered: int
    seen: int
    opened: int
    credentials: int
    requested: int
    accepted: int
    completed: int


class FunnelRow(FunnelCounts):
    """The steps of one group; null: outside every area, or without a wish."""

    group: str | None


class FunnelView(ReportView):
    """Counts discoveries, or (by card position) the cards that were shown."""

    unit: Literal["discovery", "card"]
    rows: list[FunnelRow]
    totals: FunnelCounts


class ResponseTimes(View):
    """Offers by their answers; percentiles are of the seconds until a yes or a no, interpolated."""

    offers: int
    accepted: int
    declined: int
    expired: int
    withdrawn: int
    waiting: int
    p50_s: float | None
    p90_s: float | None


class ResponseTimesRow(ResponseTimes):
    """The answers of one group."""

    group: str | None


class ResponseTimesView(ReportView):
    """How technicians answered."""

    rows: list[ResponseTimesRow]
    totals: ResponseTimes


class VisitAmounts(View):
    """Minor units of one currency. `captured` has fees and tips in it."""

    currency: str = Field(pattern="^[A-Z]{3}$")
    quoted: int
    captured: int
    refunded: int
    fees: int


class Completion(View):
    """Requested visits by how they ended. `amounts`: for finance and the founder."""

    requested: int
    completed: int
    cancelled: int
    declined: int
    expired: int
    no_show: int
    open: int
    given_back: int
    completed_share: float | None
    amounts: list[VisitAmounts] | None = None


class CompletionRow(Completion):
    """The visits of one group; null: no technician has, or had, them."""

    group: str | None


class ReasonView(View):
    """Visits that did not take place: how, ended by whom, from which state, how long before the start, and why."""

    outcome: str
    by: str
    stage: str
    lead: Literal["over_24h", "2h_to_24h", "under_2h", "after_start"]
    reason_code: str | None
    visits: int


class CompletionView(ReportView):
    """How visits ended. `reasons` are about the whole span, the most frequent first."""

    rows: list[CompletionRow]
    totals: Completion
    reasons: list[ReasonView]


class AccountAmounts(View):
    """Minor units of one currency.

    Within the span: earned, tips, refunded, adjusted, sent, returned, paid. At the end of its last day: payable (the
    balance), reserved for payouts, in transit, and pending (quoted for completed visits, not taken yet).
    """

    currency: str = Field(pattern="^[A-Z]{3}$")
    earned: int
    tips: int
    refunded: int
    adjusted: int
    sent: int
    returned: int
    paid: int
    payable: int
    reserved: int
    in_transit: int
    pending: int


class Payouts(View):
    """What moved technicians' accounts, and how payouts stand. `amounts`: for finance and the founder."""

    movements: int
    visits: int
    technicians: int
    pending_visits: int
    payouts_reserved: int
    payouts_in_transit: int
    payouts_paid: int
    payouts_returned: int
    amounts: list[AccountAmounts] | None = None


class PayoutsRow(Payouts):
    """The accounts of one group; null: what belongs to no visit, such as a payout."""

    group: str | None


class PayoutsView(ReportView):
    """What technicians earned, were paid, and are owed."""

    rows: list[PayoutsRow]
    totals: Payouts


class Arrivals(View):
    """Arrivals against the promised start; percentiles are of the seconds late (early: less than 0), interpolated."""

    arrivals: int
    early: int
    on_time: int
    late: int
    detected: int
    on_time_share: float | None
    p50_late_s: float | None
    p90_late_s: float | None


class ArrivalsRow(Arrivals):
    """The arrivals of one group."""

    group: str | None


class ArrivalsView(ReportView):
    """How punctual technicians were. On time: at most `on_time_within_s` before or after the promised start."""

    on_time_within_s: int
    rows: list[ArrivalsRow]
    totals: Arrivals


@ROUTES.get("/v1/reports/funnel", roles=READERS, answer=FunnelView)
async def funnel(ask: Ask[Nothing, FunnelQuery]) -> Answer:
    """Read how many discoveries became completed visits.

    A discovery counts on its own day, whenever the rest followed. Grouped by experience it counts under each of its
    wishes; grouped by position, the cards that were shown are counted.
    """
    q = ask.query
    return await reports.funnel(ask.stores, q.since, q.to, q.group_by, ask.context)


@ROUTES.get("/v1/reports/response-times", roles=READERS, answer=ResponseTimesView)
async def response_times(ask: Ask[Nothing, ResponseTimesQuery]) -> Answer:
    """Read how soon technicians answered requests."""
    q = ask.query
    return await reports.response_times(ask.stores, q.since, q.to, q.group_by, ask.context)


@ROUTES.get("/v1/reports/completion", roles=READERS, answer=CompletionView)
async def completion(ask: Ask[Nothing, CompletionQuery]) -> Answer:
    """Read how visits ended, and why some did not take place. A visit counts on the day that it was requested."""
    q = ask.query
    return await reports.completion(ask.stores, q.since, q.to, q.group_by, ask.context)


@ROUTES.get("/v1/reports/payouts", roles=READERS, answer=PayoutsView)
async def payouts(ask: Ask[Nothing, PayoutsQuery]) -> Answer:
    """Read what technicians earned, what was paid out and what is owed, from the books."""
    q = ask.query
    return await reports.payouts(ask.stores, q.since, q.to, q.group_by, ask.context)


@ROUTES.get("/v1/reports/arrivals", roles=READERS, answer=ArrivalsView)
async def arrivals(ask: Ask[Nothing, ArrivalsQuery]) -> Answer:
    """Read how punctual arrivals were, by the day of the arrival."""
    q = ask.query
    return await reports.arrivals(ask.stores, q.since, q.to, q.group_by, ask.context)
