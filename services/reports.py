"""Reports: how many, how long, how often and how much, for a span of days and by one thing at a time.

They are read through a pool that wears the role `doorstep_metrics`, which reaches no person, no address and no
position, whatever this code asks. A dispatcher sees the own areas; amounts are for finance and the founder.
docs/reports.md defines every number.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from domain.context import Actor, Context, Role
from domain.refusals import FieldError, Refusal
from services.field_errors import wrong
from services.reply import Answer, Reply
from services.stores import Stores
from storage import reports
from storage.db import Database
from storage.reports import Counted, Row, Scope

LONGEST = timedelta(days=400)
USUAL = timedelta(days=29)
MONEY_ROLES = frozenset({Role.FINANCE, Role.FOUNDER})


@dataclass(frozen=True, slots=True)
class Span:
    """The first and the last day, local to each area, and what the rows are grouped by."""

    since: date
    until: date
    group_by: str


@dataclass(frozen=True, slots=True)
class _Question:
    db: Database
    span: Span
    scope: Scope
    money: bool


async def funnel(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """From being asked who could come to a completed visit. By card position, cards are counted; else discoveries."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    async with reports.looking(question.db) as tx:
        counted = await reports.funnel(tx, question.scope, group_by)
    return _report(question, counted, unit="card" if group_by == "position" else "discovery")


async def response_times(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """How technicians answered requests, and how soon."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    async with reports.looking(question.db) as tx:
        counted = await reports.response_times(tx, question.scope, group_by)
    return _report(question, counted)


async def completion(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """How requested visits ended, and why those that did not take place did not."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    async with reports.looking(question.db) as tx:
        counted = await reports.completion(tx, question.scope, group_by)
        reasons = await reports.reasons(tx, question.scope)
        money = await reports.completion_money(tx, question.scope, group_by) if question.money else None
    _add_amounts(counted, money)
    for row in (*counted.rows, *counted.totals):
        row["completed_share"] = _share(row["completed"], row["requested"] - row["open"])
    return _report(question, counted, reasons=reasons)


async def payouts(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """What technicians earned, what was paid out, and what is owed at the end of the last day."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    async with reports.looking(question.db) as tx:
        counted = await reports.payouts(tx, question.scope, group_by)
        money = await reports.payouts_money(tx, question.scope, group_by) if question.money else None
    _add_amounts(counted, money)
    return _report(question, counted)


async def arrivals(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """How punctual technicians were: the promised start of the visit against the arrival."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    within_s = stores.policy.on_time_within_s
    async with reports.looking(question.db) as tx:
        counted = await reports.arrivals(tx, question.scope, group_by, within_s)
    for row in (*counted.rows, *counted.totals):
        row["on_time_share"] = _share(row["on_time"], row["arrivals"])
    return _report(question, counted, on_time_within_s=within_s)


def _question(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> _Question | Refusal:
    if stores.reports is None:
        return Refusal("not_ready", "This process keeps no connection for reports.")
    last = until or context.now.date()
    first = since or date.fromordinal(max(1, last.toordinal() - USUAL.days))
    if first > last:
        return _wrong("query/to", "The last day is not before the first.")
    if last - first >= LONGEST:
        return _wrong("query/from", f"A report spans at most {LONGEST.days} days.")
    scope = (first, last, _areas(context.actor))
    return _Question(stores.reports, Span(first, last, group_by), scope, context.actor.role in MONEY_ROLES)


def _areas(actor: Actor) -> list[Any] | None:
    if actor.role != Role.DISPATCHER or actor.areas == "all":
        return None
    return sorted(actor.areas)


def _wrong(pointer: str, detail: str) -> Refusal:
    return wrong(FieldError(pointer, "out_of_range", detail))


def _add_amounts(counted: Counted, money: Counted | None) -> None:
    """Hang the sums of each currency at the row of their group; None where the reader may know none."""
    for rows, sums in zip(counted, money or ((), ()), strict=True):
        by_group: dict[Any, list[Row]] = {}
        for each in sums:
            by_group.setdefault(each["group"], []).append({k: v for k, v in each.items() if k != "group"})
        for row in rows:
            row["amounts"] = by_group.get(row["group"], []) if money else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _report(question: _Question, counted: Counted, **more: Any) -> Reply:
    span = question.span
    (totals,) = counted.totals
    body = {
        "from": span.since.isoformat(),
        "to": span.until.isoformat(),
        "group_by": span.group_by,
        **more,
        "rows": [{"group": _text(row["group"]), **_told(row)} for row in counted.rows],
        "totals": _told(totals),
    }
    return Reply(200, body)


def _told(row: Row) -> Row:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in row.items()
        if name != "group"
    }


def _text(group: str | int | None) -> str | None:
    return None if group is None else str(group)
