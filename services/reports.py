"""Reports: how many, how long, how often and how much, for a span of days and by one thing at a time.

They are read through a pool that wears the role `doorstep_metrics`, which reaches no person, no address and no
position, whatever this code asks. A dispatcher sees the own areas; amounts are for finance and the founder.
docs/reports.md defines every number.
"""

from collections.abc import Iterable, Mapping
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
from storage.reports import Rows, Scope

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
    cards = group_by == "position"
    async with reports.looking(question.db) as tx:
        rows = await reports.funnel(tx, question.scope, group_by, cards=cards)
        totals = await reports.funnel(tx, question.scope, "none", cards=cards)
    return _report(question, rows, totals, unit="card" if cards else "discovery")


async def response_times(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """How technicians answered requests, and how soon."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    async with reports.looking(question.db) as tx:
        rows = await reports.response_times(tx, question.scope, group_by)
        totals = await reports.response_times(tx, question.scope, "none")
    return _report(question, rows, totals)


async def completion(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """How requested visits ended, and why those that did not take place did not."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    scope = question.scope
    async with reports.looking(question.db) as tx:
        rows = await reports.completion(tx, scope, group_by)
        totals = await reports.completion(tx, scope, "none")
        reasons = await reports.reasons(tx, scope)
        if question.money:
            _with_amounts(rows, await reports.completion_money(tx, scope, group_by))
            _with_amounts(totals, await reports.completion_money(tx, scope, "none"))
    for row in (*rows, *totals):
        row.setdefault("amounts", None)
        row["completed_share"] = _share(row["completed"], row["requested"] - row["open"])
    return _report(question, rows, totals, reasons=reasons)


async def payouts(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """What technicians earned, what was paid out, and what is owed at the end of the last day."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    scope = question.scope
    async with reports.looking(question.db) as tx:
        rows = await reports.payouts(tx, scope, group_by)
        totals = await reports.payouts(tx, scope, "none")
        if question.money:
            _with_amounts(rows, await reports.payouts_money(tx, scope, group_by))
            _with_amounts(totals, await reports.payouts_money(tx, scope, "none"))
    for row in (*rows, *totals):
        row.setdefault("amounts", None)
    return _report(question, rows, totals)


async def arrivals(
    stores: Stores, since: date | None, until: date | None, group_by: str, context: Context
) -> Answer:
    """How punctual technicians were: the promised start of the visit against the arrival."""
    question = _question(stores, since, until, group_by, context)
    if isinstance(question, Refusal):
        return question
    within_s = stores.policy.on_time_within_s
    async with reports.looking(question.db) as tx:
        rows = await reports.arrivals(tx, question.scope, group_by, within_s)
        totals = await reports.arrivals(tx, question.scope, "none", within_s)
    for row in (*rows, *totals):
        row["on_time_share"] = _share(row["on_time"], row["arrivals"])
    return _report(question, rows, totals, on_time_within_s=within_s)


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


def _with_amounts(rows: Rows, sums: Iterable[Mapping[str, Any]]) -> None:
    """Hang the sums of each currency at the row of their group."""
    by_group: dict[Any, list[dict[str, Any]]] = {}
    for each in sums:
        amounts = {name: value for name, value in each.items() if name != "group"}
        by_group.setdefault(each["group"], []).append(amounts)
    for row in rows:
        row["amounts"] = by_group.get(row["group"], [])


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _report(question: _Question, rows: Rows, totals: Rows, **more: Any) -> Reply:
    span = question.span
    body = {
        "from": span.since.isoformat(),
        "to": span.until.isoformat(),
        "group_by": span.group_by,
        **more,
        "rows": [] if span.group_by == "none" else [_row(row) for row in rows],
        "totals": {name: value for name, value in _row(totals[0]).items() if name != "group"},
    }
    return Reply(200, body)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
    group = told["group"]
    return told | {"group": None if group is None else str(group)}
