"""What reports read: `metrics.*` alone, by a role that reaches nothing else. docs/reports.md defines every number.

All statements take $1 and $2, the first and the last day, and $3, the areas (None: everywhere). A day begins and ends
by the clock of the area that it is about, summer time included; what belongs to no area goes by UTC, and only those who
see everywhere see it. What rows are grouped by is one of this file's expressions, never text from outside. Rows and
totals come from one statement, except where a thing is in several groups.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from storage.db import Database, Tx

WITHIN_S = 60.0  # a year's funnel of a large house takes seconds, and nobody's booking waits for it
ROOM = f"SET LOCAL work_mem = '32MB'; SET LOCAL statement_timeout = '{WITHIN_S:.0f}s'"

# No clock is more than a day from UTC: what an index may look at, before each row's own clock is asked.
WITHIN = """
    {0} >= ($1::date - 1)::timestamp AT TIME ZONE 'UTC' AND {0} < ($2::date + 2)::timestamp AT TIME ZONE 'UTC'
    AND ({0} AT TIME ZONE a.time_zone)::date BETWEEN $1::date AND $2::date"""
HERE = "($3::uuid[] IS NULL OR area_id = ANY ($3))"

# What each `group_by` means, over the columns `at` and `time_zone` and those of the same name.
KEYS: Mapping[str, str] = {
    "service": "service",
    "area": "area_id::text",
    "jurisdiction": "jurisdiction",
    "technician": "technician_id::text",
    "experience": "wished",
    "position": "position",
    "day": "to_char(at AT TIME ZONE time_zone, 'YYYY-MM-DD')",
    "month": "to_char(at AT TIME ZONE time_zone, 'YYYY-MM')",
}
WISHED = "LEFT JOIN LATERAL unnest(experience) AS wish(wished) ON true"

ASKED = f"""
asked AS (
    SELECT d.match_id, d.at, a.time_zone, d.service, d.area_id, d.jurisdiction, d.experience, d.reason
    FROM metrics.discoveries d LEFT JOIN metrics.areas z USING (area_id)
    CROSS JOIN LATERAL (SELECT coalesce(z.time_zone, 'UTC') AS time_zone) AS a
    WHERE {WITHIN.format("d.at")} AND {HERE.replace("area_id", "d.area_id")}
)"""
STEPS = f"""
WITH {ASKED}, viewed AS (
    SELECT w.match_id, bool_or(w.kind = 'opened') AS opened, bool_or(w.kind = 'credentials') AS credentials
    FROM metrics.card_views w JOIN asked USING (match_id) GROUP BY 1
), booked AS (
    SELECT v.match_id, bool_or(v.accepted_at IS NOT NULL) AS accepted, bool_or(v.state = 'completed') AS completed
    FROM metrics.visits v JOIN asked USING (match_id) GROUP BY 1
), steps AS (
    SELECT asked.*, asked.reason IS NULL AS offered, viewed.match_id IS NOT NULL AS seen, viewed.opened,
           viewed.credentials, booked.match_id IS NOT NULL AS requested, booked.accepted, booked.completed
    FROM asked LEFT JOIN viewed USING (match_id) LEFT JOIN booked USING (match_id)
)"""
CARD_STEPS = f"""
WITH {ASKED}, viewed AS (
    SELECT w.match_id, w.card_id, bool_or(w.kind = 'opened') AS opened, bool_or(w.kind = 'credentials') AS credentials
    FROM metrics.card_views w JOIN asked USING (match_id) GROUP BY 1, 2
), booked AS (
    SELECT v.match_id, o.technician_id, bool_or(o.answer = 'accepted') AS accepted,
           bool_or(v.state = 'completed' AND v.technician_id = o.technician_id) AS completed
    FROM metrics.visits v JOIN asked USING (match_id) JOIN metrics.offers o USING (booking_id)
    WHERE o.card_position IS NOT NULL GROUP BY 1, 2
), steps AS (
    SELECT c.position, true AS offered, viewed.match_id IS NOT NULL AS seen, viewed.opened, viewed.credentials,
           booked.match_id IS NOT NULL AS requested, booked.accepted, booked.completed
    FROM metrics.cards c JOIN asked USING (match_id) LEFT JOIN viewed USING (match_id, card_id)
    LEFT JOIN booked USING (match_id, technician_id)
)"""
FUNNEL = """
SELECT {key}, count(*) AS discovered, count(*) FILTER (WHERE offered) AS offered,
       count(*) FILTER (WHERE seen) AS seen, count(*) FILTER (WHERE opened) AS opened,
       count(*) FILTER (WHERE credentials) AS credentials, count(*) FILTER (WHERE requested) AS requested,
       count(*) FILTER (WHERE accepted) AS accepted, count(*) FILTER (WHERE completed) AS completed
FROM steps {wished} {grouped}
"""

RESPONSE_TIMES = f"""
WITH offers AS (
    SELECT o.technician_id, o.answer, o.offered_at AS at, a.time_zone, v.service, v.area_id, v.jurisdiction,
           extract(epoch FROM o.answered_at - o.offered_at)::double precision AS took_s,
           o.answer IN ('accepted', 'declined') AS answered
    FROM metrics.offers o JOIN metrics.visits v USING (booking_id) JOIN metrics.areas a USING (area_id)
    WHERE {WITHIN.format("o.offered_at")} AND {HERE}
)
SELECT {{key}}, count(*) AS offers, count(*) FILTER (WHERE answer = 'accepted') AS accepted,
       count(*) FILTER (WHERE answer = 'declined') AS declined, count(*) FILTER (WHERE answer = 'expired') AS expired,
       count(*) FILTER (WHERE answer = 'withdrawn') AS withdrawn, count(*) FILTER (WHERE answer IS NULL) AS waiting,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE answered) AS p50_s,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE answered) AS p90_s
FROM offers {{grouped}}
"""

ENDS = f"""
WITH visits AS (
    SELECT v.service, v.area_id, v.jurisdiction, v.technician_id, v.state, v.starts_at, v.ended_at, v.ended_by,
           v.ended_from, v.reason_code, v.releases, v.currency, v.quoted_amount, v.captured_amount, v.refunded_amount,
           v.fee_amount, v.requested_at AS at, a.time_zone
    FROM metrics.visits v JOIN metrics.areas a USING (area_id)
    WHERE {WITHIN.format("v.requested_at")} AND {HERE}
)"""
COMPLETION = """
SELECT {key}, count(*) AS requested, count(*) FILTER (WHERE state = 'completed') AS completed,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled, count(*) FILTER (WHERE state = 'declined') AS declined,
       count(*) FILTER (WHERE state = 'expired') AS expired, count(*) FILTER (WHERE state = 'no_show') AS no_show,
       count(*) FILTER (WHERE ended_at IS NULL) AS open, count(*) FILTER (WHERE releases > 0) AS given_back
FROM visits {grouped}
"""
COMPLETION_MONEY = """
SELECT {key}, currency, sum(quoted_amount)::bigint AS quoted, sum(captured_amount)::bigint AS captured,
       sum(refunded_amount)::bigint AS refunded, sum(fee_amount)::bigint AS fees
FROM visits {grouped}
"""
REASONS = """
SELECT state AS outcome, ended_by AS by, ended_from AS stage,
       CASE WHEN starts_at - ended_at >= interval '24 hours' THEN 'over_24h'
            WHEN starts_at - ended_at >= interval '2 hours' THEN '2h_to_24h'
            WHEN starts_at >= ended_at THEN 'under_2h' ELSE 'after_start' END AS lead,
       reason_code, count(*) AS visits
FROM visits WHERE ended_at IS NOT NULL AND state <> 'completed'
GROUP BY 1, 2, 3, 4, 5 ORDER BY visits DESC, 1, 2, 3, 4, 5 NULLS LAST
"""

ARRIVALS = f"""
WITH arrivals AS (
    SELECT v.service, v.area_id, v.jurisdiction, v.technician_id, v.arrived_at AS at, a.time_zone, v.arrived_by,
           extract(epoch FROM v.arrived_at - v.starts_at)::double precision AS late_s
    FROM metrics.visits v JOIN metrics.areas a USING (area_id)
    WHERE {WITHIN.format("v.arrived_at")} AND {HERE} AND v.arrived_by <> 'override'
)
SELECT {{key}}, count(*) AS arrivals, count(*) FILTER (WHERE late_s < -$4::integer) AS early,
       count(*) FILTER (WHERE late_s BETWEEN -$4::integer AND $4::integer) AS on_time,
       count(*) FILTER (WHERE late_s > $4::integer) AS late,
       count(*) FILTER (WHERE arrived_by = 'detector') AS detected,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY late_s) AS p50_late_s,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY late_s) AS p90_late_s
FROM arrivals {{grouped}}
"""

LINES = f"""
WITH money AS (
    SELECT m.technician_id, v.area_id, v.service, m.booking_id, m.currency, m.kind, m.amount,
           (m.at AT TIME ZONE coalesce(a.time_zone, 'UTC'))::date AS day
    FROM metrics.technician_money m LEFT JOIN metrics.visits v USING (booking_id)
    LEFT JOIN metrics.areas a USING (area_id)
    WHERE m.at < ($2::date + 2)::timestamp AT TIME ZONE 'UTC'
), lines AS (
    SELECT technician_id, area_id, service, booking_id, currency, kind, amount, true AS booked,
           day >= $1::date AS inside
    FROM money WHERE day <= $2::date AND {HERE}
    UNION ALL
    SELECT technician_id, area_id, service, booking_id, currency, 'pending', quoted_amount, false, true
    FROM metrics.visits JOIN metrics.areas a USING (area_id)
    WHERE state = 'completed' AND payment_status NOT IN ('captured', 'refunded', 'voided')
      AND (ended_at AT TIME ZONE a.time_zone)::date <= $2::date AND {HERE}
    UNION ALL
    SELECT i.technician_id, NULL, NULL, NULL, i.currency, stage.kind, i.amount, false, true
    FROM metrics.payout_items i,
    LATERAL (SELECT ($2::date + 1)::timestamp AT TIME ZONE 'UTC' AS until) AS span,
    LATERAL (VALUES
        ('reserved', i.made_at < until
                     AND (i.submitted_at < until) IS NOT TRUE AND (i.cancelled_at < until) IS NOT TRUE),
        ('in_transit', i.submitted_at < until AND (i.settled_at < until) IS NOT TRUE),
        ('paid', i.status = 'paid' AND i.settled_at >= $1::date::timestamp AT TIME ZONE 'UTC' AND i.settled_at < until)
    ) AS stage(kind, holds) WHERE stage.holds AND $3::uuid[] IS NULL
)"""
PAYOUTS = """
SELECT {key}, count(*) FILTER (WHERE booked AND inside) AS movements,
       count(DISTINCT booking_id) FILTER (WHERE booked AND inside) AS visits,
       count(DISTINCT technician_id) AS technicians,
       count(*) FILTER (WHERE kind = 'pending') AS pending_visits,
       count(*) FILTER (WHERE kind = 'reserved') AS payouts_reserved,
       count(*) FILTER (WHERE kind = 'in_transit') AS payouts_in_transit,
       count(*) FILTER (WHERE kind = 'paid') AS payouts_paid,
       count(*) FILTER (WHERE booked AND inside AND kind = 'payout_returned') AS payouts_returned
FROM lines {grouped}
"""
OWN_KINDS = "'capture', 'cancellation_fee', 'no_show_fee', 'tip', 'refund', 'payout', 'payout_returned'"


def _sum(of: str) -> str:
    return f"coalesce(sum(amount) FILTER (WHERE {of}), 0)::bigint"


PAYOUTS_MONEY = f"""
SELECT {{key}}, currency,
       {_sum("booked AND inside AND kind IN ('capture', 'cancellation_fee', 'no_show_fee')")} AS earned,
       {_sum("booked AND inside AND kind = 'tip'")} AS tips,
       -{_sum("booked AND inside AND kind = 'refund'")} AS refunded,
       {_sum(f"booked AND inside AND kind NOT IN ({OWN_KINDS})")} AS adjusted,
       -{_sum("booked AND inside AND kind = 'payout'")} AS sent,
       {_sum("booked AND inside AND kind = 'payout_returned'")} AS returned,
       {_sum("kind = 'paid'")} AS paid,
       {_sum("booked")} AS payable,
       {_sum("kind = 'reserved'")} AS reserved,
       {_sum("kind = 'in_transit'")} AS in_transit,
       {_sum("kind = 'pending'")} AS pending
FROM lines {{grouped}}
"""


type Scope = tuple[date, date, Sequence[UUID] | None]
type Row = dict[str, Any]


class Counted(NamedTuple):
    """A row for each group, in order, and one over everything; money: one more for each currency."""

    rows: list[Row]
    totals: list[Row]


@asynccontextmanager
async def looking(db: Database) -> AsyncIterator[Tx]:
    """Read in one snapshot, so that rows and totals are about the same moment; nothing can be written."""
    async with db.reading() as tx, tx.transaction(isolation="repeatable_read", readonly=True):
        await tx.execute(ROOM)
        yield tx


async def funnel(tx: Tx, scope: Scope, group_by: str) -> Counted:
    """Count discoveries by the steps that they reached; by `position`: the cards that were shown."""
    if group_by != "experience":
        steps = CARD_STEPS if group_by == "position" else STEPS
        return await _counted(tx, steps + FUNNEL, scope, group_by)
    rows = (await _counted(tx, STEPS + FUNNEL, scope, group_by)).rows
    return Counted(rows, (await _counted(tx, STEPS + FUNNEL, scope, "none")).totals)


async def response_times(tx: Tx, scope: Scope, group_by: str) -> Counted:
    """Count offers by their answers, with percentiles of the seconds that an answer took."""
    return await _counted(tx, RESPONSE_TIMES, scope, group_by)


async def completion(tx: Tx, scope: Scope, group_by: str) -> Counted:
    """Count requested visits by how they ended."""
    return await _counted(tx, ENDS + COMPLETION, scope, group_by)


async def completion_money(tx: Tx, scope: Scope, group_by: str) -> Counted:
    """Sum what these visits cost, in minor units of each currency."""
    return await _counted(tx, ENDS + COMPLETION_MONEY, scope, group_by, beside="currency")


async def reasons(tx: Tx, scope: Scope) -> list[Row]:
    """Count the visits that did not take place by who ended them, when and why; the most frequent first."""
    return [dict(record) for record in await tx.fetch(ENDS + REASONS, *scope, timeout=WITHIN_S)]


async def arrivals(tx: Tx, scope: Scope, group_by: str, within_s: int) -> Counted:
    """Count arrivals by punctuality, with percentiles of the seconds by which they were late (early: less than 0)."""
    return await _counted(tx, ARRIVALS, scope, group_by, within_s)


async def payouts(tx: Tx, scope: Scope, group_by: str) -> Counted:
    """Count what moved technicians' accounts, and the completed visits whose money has not come yet."""
    return await _counted(tx, LINES + PAYOUTS, scope, group_by)


async def payouts_money(tx: Tx, scope: Scope, group_by: str) -> Counted:
    """Sum technicians' accounts in minor units of each currency; `payable`: the balance when the last day ends."""
    return await _counted(tx, LINES + PAYOUTS_MONEY, scope, group_by, beside="currency")


async def _counted(
    tx: Tx, statement: str, scope: Scope, group_by: str, *more: object, beside: str | None = None
) -> Counted:
    """Run a statement for the groups and for everything; `beside`: a column by which both are split further."""
    key = KEYS.get(group_by)
    total = f"({beside})" if beside else "()"
    if key is None:  # no groups
        shown, grouped = 'NULL AS "group", 1 AS total', f"GROUP BY {total}"
        order = beside or ""
    else:
        by_group = f"({key}, {beside})" if beside else f"({key})"
        shown, grouped = (
            f'{key} AS "group", grouping({key}) AS total',
            f"GROUP BY GROUPING SETS ({by_group}, {total})",
        )
        text = key if group_by == "position" else f'{key} COLLATE "C"'
        order = f"{text} NULLS LAST" + (f", {beside}" if beside else "")
    wished = WISHED if group_by == "experience" else ""
    sql = statement.format(
        key=shown, wished=wished, grouped=grouped + (f" ORDER BY {order}" if order else "")
    )
    told: tuple[list[Row], list[Row]] = ([], [])
    for record in await tx.fetch(sql, *scope, *more, timeout=WITHIN_S):
        row = dict(record)
        told[row.pop("total")].append(row)
    return Counted(*told)
