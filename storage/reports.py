"""What reports read: `metrics.*` alone, by a role that reaches nothing else. docs/reports.md defines every number.

All statements take $1 and $2, the first and the last day, and $3, the areas (None: everywhere). A day begins and ends
by the clock of the area that it is about, summer time included; what belongs to no area goes by UTC, and only those who
see everywhere see it. What rows are grouped by is one of this file's expressions, never text from outside.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any
from uuid import UUID

from storage.db import Database, Tx

DAYS = """
days AS (
    SELECT area_id, time_zone, $1::date::timestamp AT TIME ZONE time_zone AS since,
           ($2::date + 1)::timestamp AT TIME ZONE time_zone AS until
    FROM metrics.areas WHERE $3::uuid[] IS NULL OR area_id = ANY ($3)
    UNION ALL
    SELECT NULL, 'UTC', $1::date::timestamp AT TIME ZONE 'UTC', ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
    WHERE $3::uuid[] IS NULL
)"""
# No clock is more than a day from UTC: what an index may look at first.
WIDE = """{0} >= ($1::date - 1)::timestamp AT TIME ZONE 'UTC' AND {0} < ($2::date + 2)::timestamp AT TIME ZONE 'UTC'"""

# What each `group_by` means, over the columns `at` and `time_zone` and those of the same name.
KEYS: Mapping[str, str] = {
    "none": "NULL::text",
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
GROUPED = 'GROUP BY 1 ORDER BY {key} COLLATE "C" NULLS LAST'
BY_NUMBER = "GROUP BY 1 ORDER BY {key}"

ASKED = f"""
asked AS (
    SELECT d.match_id, d.at, days.time_zone, d.service, d.area_id, d.jurisdiction, d.experience
    FROM metrics.discoveries d JOIN days ON d.area_id = days.area_id OR (d.area_id IS NULL AND days.area_id IS NULL)
    WHERE {WIDE.format("d.at")} AND d.at >= days.since AND d.at < days.until
)"""
VIEWED = """
    LEFT JOIN LATERAL (
        SELECT count(*) > 0 AS seen, coalesce(bool_or(w.kind = 'opened'), false) AS opened,
               coalesce(bool_or(w.kind = 'credentials'), false) AS credentials
        FROM metrics.card_views w WHERE w.match_id = {0}.match_id {1}
    ) AS viewed ON true"""
STEPS = f"""
WITH {DAYS}, {ASKED}, steps AS (
    SELECT asked.*, EXISTS (SELECT FROM metrics.cards c WHERE c.match_id = asked.match_id) AS offered, viewed.*,
           booked.*
    FROM asked {VIEWED.format("asked", "")}
    LEFT JOIN LATERAL (
        SELECT count(*) > 0 AS requested, coalesce(bool_or(v.accepted_at IS NOT NULL), false) AS accepted,
               coalesce(bool_or(v.state = 'completed'), false) AS completed
        FROM metrics.visits v WHERE v.match_id = asked.match_id
    ) AS booked ON true
)"""
CARD_STEPS = f"""
WITH {DAYS}, {ASKED}, steps AS (
    SELECT c.position, true AS offered, viewed.*, booked.*
    FROM asked JOIN metrics.cards c USING (match_id) {VIEWED.format("c", "AND w.card_id = c.card_id")}
    LEFT JOIN LATERAL (
        SELECT count(*) > 0 AS requested, coalesce(bool_or(o.answer = 'accepted'), false) AS accepted,
               coalesce(bool_or(v.state = 'completed' AND v.technician_id = c.technician_id), false) AS completed
        FROM metrics.visits v JOIN metrics.offers o USING (booking_id)
        WHERE v.match_id = c.match_id AND o.technician_id = c.technician_id AND o.card_position IS NOT NULL
    ) AS booked ON true
)"""
FUNNEL = """
SELECT {key} AS "group", count(*) AS discovered, count(*) FILTER (WHERE offered) AS offered,
       count(*) FILTER (WHERE seen) AS seen, count(*) FILTER (WHERE opened) AS opened,
       count(*) FILTER (WHERE credentials) AS credentials, count(*) FILTER (WHERE requested) AS requested,
       count(*) FILTER (WHERE accepted) AS accepted, count(*) FILTER (WHERE completed) AS completed
FROM steps {wished} {grouped}
"""

RESPONSE_TIMES = f"""
WITH {DAYS}, offers AS (
    SELECT o.technician_id, o.answer, o.offered_at AS at, days.time_zone, v.service, v.area_id, v.jurisdiction,
           extract(epoch FROM o.answered_at - o.offered_at)::double precision AS took_s,
           o.answer IN ('accepted', 'declined') AS answered
    FROM metrics.offers o JOIN metrics.visits v USING (booking_id) JOIN days USING (area_id)
    WHERE {WIDE.format("o.offered_at")} AND o.offered_at >= days.since AND o.offered_at < days.until
)
SELECT {{key}} AS "group", count(*) AS offers, count(*) FILTER (WHERE answer = 'accepted') AS accepted,
       count(*) FILTER (WHERE answer = 'declined') AS declined, count(*) FILTER (WHERE answer = 'expired') AS expired,
       count(*) FILTER (WHERE answer = 'withdrawn') AS withdrawn, count(*) FILTER (WHERE answer IS NULL) AS waiting,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE answered) AS p50_s,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY took_s) FILTER (WHERE answered) AS p90_s
FROM offers {{grouped}}
"""

ENDS = f"""
WITH {DAYS}, visits AS (
    SELECT v.*, v.requested_at AS at, days.time_zone
    FROM metrics.visits v JOIN days USING (area_id)
    WHERE v.requested_at >= days.since AND v.requested_at < days.until
)"""
COMPLETION = """
SELECT {key} AS "group", count(*) AS requested, count(*) FILTER (WHERE state = 'completed') AS completed,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled, count(*) FILTER (WHERE state = 'declined') AS declined,
       count(*) FILTER (WHERE state = 'expired') AS expired, count(*) FILTER (WHERE state = 'no_show') AS no_show,
       count(*) FILTER (WHERE ended_at IS NULL) AS open, count(*) FILTER (WHERE releases > 0) AS given_back
FROM visits {grouped}
"""
COMPLETION_MONEY = """
SELECT {key} AS "group", currency, sum(quoted_amount)::bigint AS quoted, sum(captured_amount)::bigint AS captured,
       sum(refunded_amount)::bigint AS refunded, sum(fee_amount)::bigint AS fees
FROM visits GROUP BY 1, currency ORDER BY currency
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
WITH {DAYS}, arrivals AS (
    SELECT v.service, v.area_id, v.jurisdiction, v.technician_id, v.arrived_at AS at, days.time_zone, v.arrived_by,
           extract(epoch FROM v.arrived_at - v.starts_at)::double precision AS late_s
    FROM metrics.visits v JOIN days USING (area_id)
    WHERE v.arrived_at >= days.since AND v.arrived_at < days.until AND v.arrived_by <> 'override'
)
SELECT {{key}} AS "group", count(*) AS arrivals, count(*) FILTER (WHERE late_s < -$4::integer) AS early,
       count(*) FILTER (WHERE late_s BETWEEN -$4::integer AND $4::integer) AS on_time,
       count(*) FILTER (WHERE late_s > $4::integer) AS late,
       count(*) FILTER (WHERE arrived_by = 'detector') AS detected,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY late_s) AS p50_late_s,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY late_s) AS p90_late_s
FROM arrivals {{grouped}}
"""

LINES = f"""
WITH {DAYS}, lines AS (
    SELECT m.technician_id, v.area_id, v.service, m.booking_id, m.currency, m.kind, m.amount, true AS booked,
           m.at >= days.since AS inside
    FROM metrics.technician_money m LEFT JOIN metrics.visits v USING (booking_id)
    JOIN days ON v.area_id = days.area_id OR (v.area_id IS NULL AND days.area_id IS NULL)
    WHERE m.at < days.until
    UNION ALL
    SELECT v.technician_id, v.area_id, v.service, v.booking_id, v.currency, 'pending', v.quoted_amount, false, true
    FROM metrics.visits v JOIN days USING (area_id)
    WHERE v.state = 'completed' AND v.payment_status NOT IN ('captured', 'refunded') AND v.ended_at < days.until
    UNION ALL
    SELECT i.technician_id, NULL, NULL, NULL, i.currency, stage.kind, i.amount, false, true
    FROM metrics.payout_items i JOIN days ON days.area_id IS NULL, LATERAL (VALUES
        ('reserved', i.made_at < until
                     AND (i.submitted_at < until) IS NOT TRUE AND (i.cancelled_at < until) IS NOT TRUE),
        ('in_transit', i.submitted_at < until AND (i.settled_at < until) IS NOT TRUE),
        ('paid', i.status = 'paid' AND i.settled_at >= since AND i.settled_at < until)
    ) AS stage(kind, holds) WHERE stage.holds
)"""
PAYOUTS = """
SELECT {key} AS "group", count(*) FILTER (WHERE booked AND inside) AS movements,
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
SELECT {{key}} AS "group", currency,
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
FROM lines GROUP BY 1, currency ORDER BY currency
"""


type Scope = tuple[date, date, Sequence[UUID] | None]
type Rows = list[dict[str, Any]]


@asynccontextmanager
async def looking(db: Database) -> AsyncIterator[Tx]:
    """Read in one snapshot, so that rows and totals are about the same moment; nothing can be written."""
    async with db.reading() as tx, tx.transaction(isolation="repeatable_read", readonly=True):
        yield tx


async def funnel(tx: Tx, scope: Scope, group_by: str, *, cards: bool) -> Rows:
    """Count discoveries by the steps that they reached; `cards`: count the cards that were shown instead."""
    steps = CARD_STEPS if cards else STEPS
    return await _rows(tx, steps + FUNNEL, scope, group_by)


async def response_times(tx: Tx, scope: Scope, group_by: str) -> Rows:
    """Count offers by their answers, with percentiles of the seconds that an answer took."""
    return await _rows(tx, RESPONSE_TIMES, scope, group_by)


async def completion(tx: Tx, scope: Scope, group_by: str) -> Rows:
    """Count requested visits by how they ended."""
    return await _rows(tx, ENDS + COMPLETION, scope, group_by)


async def completion_money(tx: Tx, scope: Scope, group_by: str) -> Rows:
    """Sum what these visits cost, in minor units of each currency."""
    return await _rows(tx, ENDS + COMPLETION_MONEY, scope, group_by)


async def reasons(tx: Tx, scope: Scope) -> Rows:
    """Count the visits that did not take place by who ended them, when and why; the most frequent first."""
    return await _rows(tx, ENDS + REASONS, scope, "none")


async def arrivals(tx: Tx, scope: Scope, group_by: str, within_s: int) -> Rows:
    """Count arrivals by punctuality, with percentiles of the seconds by which they were late (early: less than 0)."""
    return await _rows(tx, ARRIVALS, scope, group_by, within_s)


async def payouts(tx: Tx, scope: Scope, group_by: str) -> Rows:
    """Count what moved technicians' accounts, and the completed visits whose money has not come yet."""
    return await _rows(tx, LINES + PAYOUTS, scope, group_by)


async def payouts_money(tx: Tx, scope: Scope, group_by: str) -> Rows:
    """Sum technicians' accounts in minor units of each currency; `payable`: the balance when the last day ends."""
    return await _rows(tx, LINES + PAYOUTS_MONEY, scope, group_by)


async def _rows(tx: Tx, statement: str, scope: Scope, group_by: str, *more: object) -> Rows:
    grouped = {"none": "", "position": BY_NUMBER}.get(group_by, GROUPED)
    key, wished = KEYS[group_by], WISHED if group_by == "experience" else ""
    sql = statement.format(key=key, wished=wished, grouped=grouped.format(key=key))
    return [dict(record) for record in await tx.fetch(sql, *scope, *more)]
