"""Alerts as they stand, and their history: raised, cleared and acknowledged as facts, through the journal.

What a booking event ends is decided in `domain/alerts.py`. The database tells only what changed (`app.write_alerts`),
since only it knows what stands; the outbox row that carries an alert to its dispatchers is written there as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from domain.alerts import (
    AlertAcknowledged,
    AlertRaised,
    AlertsCleared,
    AlertState,
    AlertWoken,
    Kind,
    ended_by,
)
from domain.booking import BookingEvent
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row

_COLUMNS = """alert_id, kind, subject_id, booking_id, technician_id, area_id, state, snoozed_until, raised_at,
    changed_at, data"""
GET = f"SELECT {_COLUMNS} FROM app.alerts WHERE alert_id = $1"
LIST = f"""
SELECT {_COLUMNS} FROM app.alerts
WHERE state = ANY ($1) AND ($2::uuid[] IS NULL OR area_id = ANY ($2))
  AND ($3::text IS NULL OR kind = $3) AND ($4::uuid IS NULL OR booking_id = $4)
  AND ($5::timestamptz IS NULL OR (raised_at, alert_id) < ($5, $6::uuid))
ORDER BY raised_at DESC, alert_id DESC LIMIT $7
"""
TO_WAKE = "SELECT alert_id FROM app.alerts WHERE snoozed_until <= $1 ORDER BY snoozed_until LIMIT $2"

# Of a technician who may work: verified, running out, and with no later one of the same kind and place to take over.
EXPIRING = """
SELECT c.credential_id, c.technician_id, c.credential_type, c.jurisdiction, c.expires_on, t.home_lat, t.home_lon
FROM app.credentials c JOIN app.technicians t USING (technician_id)
WHERE t.status = 'approved' AND c.status = 'verified' AND c.expires_on <= $1
  AND NOT EXISTS (SELECT 1 FROM app.credentials n
                  WHERE n.technician_id = c.technician_id AND n.credential_type = c.credential_type
                    AND n.jurisdiction = c.jurisdiction AND n.status = 'verified'
                    AND (n.expires_on IS NULL OR n.expires_on > c.expires_on))
"""
NOT_ALERTED = f"""{EXPIRING}
  AND NOT EXISTS (SELECT 1 FROM app.alerts a WHERE a.subject_id = c.credential_id
                  AND a.kind = 'credential_expiring' AND a.state <> 'cleared')
ORDER BY c.expires_on, c.credential_id LIMIT $2
"""
NO_LONGER = f"""
SELECT a.subject_id FROM app.alerts a
WHERE a.kind = 'credential_expiring' AND a.state <> 'cleared'
  AND a.subject_id NOT IN (SELECT credential_id FROM ({EXPIRING}) AS expiring)
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it stands."""

    alert_id: UUID
    kind: str
    subject_id: UUID
    booking_id: UUID | None
    technician_id: UUID | None
    area_id: UUID | None
    state: AlertState
    snoozed_until: datetime | None
    raised_at: datetime
    changed_at: datetime
    data: dict[str, Any]


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield what happens to alerts, by their own facts or since a booking moved on. An alert's id is its fact's."""
    match fact:
        case AlertRaised():
            yield _row(context, "raised", alert_id=event_id, kinds=[fact.kind], subject_id=fact.subject_id,
                       booking_id=fact.booking_id, technician_id=fact.technician_id, area_id=fact.area_id,
                       data=fact.data or {})  # fmt: skip
        case AlertsCleared():
            yield _cleared(context, fact.kinds, fact.subject_id)
        case AlertAcknowledged(alert_id=alert_id, until=None):
            yield _row(context, "acknowledged", alert_id=alert_id)
        case AlertAcknowledged(alert_id=alert_id, until=until):
            yield _row(context, "snoozed", alert_id=alert_id, snoozed_until=until)
        case AlertWoken(alert_id=alert_id):
            yield _row(context, "woken", alert_id=alert_id)
        case BookingEvent() if kinds := ended_by(fact.happened):
            yield _cleared(context, kinds, fact.booking.booking_id)


def _cleared(context: Context, kinds: frozenset[Kind], subject_id: UUID) -> Row:
    return _row(context, "cleared", kinds=sorted(kinds), subject_id=subject_id)


def _row(context: Context, what: str, **values: object) -> Row:
    return Row("alerts", {
        "what": what, "at": context.now, "actor_id": context.actor.person_id, "actor_role": context.actor.role,
        "correlation_id": context.correlation_id, "causation_id": context.causation_id, **values,
    })  # fmt: skip


def _alert(record: asyncpg.Record) -> Alert:
    return Alert(**{**record, "state": AlertState(record["state"])})


async def get(tx: Tx, alert_id: UUID) -> Alert | None:
    """Read one alert."""
    record = await tx.fetchrow(GET, alert_id)
    return _alert(record) if record else None


async def list_(
    tx: Tx,
    *,
    states: Sequence[str],
    area_ids: Sequence[UUID] | None = None,
    kind: str | None = None,
    booking_id: UUID | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[Alert]:
    """List alerts, newest first, from behind `after` (raised_at, alert_id)."""
    raised_at, alert_id = after or (None, None)
    return [
        _alert(record)
        for record in await tx.fetch(LIST, states, area_ids, kind, booking_id, raised_at, alert_id, limit)
    ]


async def to_wake(tx: Tx, now: datetime, limit: int) -> list[UUID]:
    """List snoozed alerts whose time has come."""
    return [record["alert_id"] for record in await tx.fetch(TO_WAKE, now, limit)]


async def expiring(tx: Tx, until: date, limit: int) -> list[asyncpg.Record]:
    """List credentials that run out until that day and that nobody was told of."""
    return await tx.fetch(NOT_ALERTED, until, limit)


async def no_longer_expiring(tx: Tx, until: date) -> list[UUID]:
    """List the credentials that are alerted and need not be: renewed, revoked, or their technician is off."""
    return [record["subject_id"] for record in await tx.fetch(NO_LONGER, until)]
