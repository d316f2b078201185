"""Notifications: who was to be told what, the lease of whoever sends it, and each attempt. No address and no text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.notifying import USUAL_QUIET, QuietHours
from storage.db import Tx
from storage.rows import encode

BOOKINGS = """
SELECT b.booking_id, b.customer_id, b.starts_at, a.time_zone
FROM app.bookings b JOIN app.service_areas a USING (area_id) WHERE b.booking_id = ANY ($1)
"""
ADD = """
INSERT INTO app.notifications (notification_id, person_id, template, event_id, booking_id, technician_id,
                               correlation_id, at_once, wanted_at, due_at, useful_until, not_before, finished_at)
SELECT notification_id, person_id, template, event_id, booking_id, technician_id, correlation_id, at_once, wanted_at,
       due_at, useful_until, due_at, finished_at
FROM jsonb_populate_recordset(NULL::app.notifications, $1::text::jsonb)
ON CONFLICT (notification_id) DO NOTHING RETURNING notification_id
"""
ATTEMPTED = """
INSERT INTO app.notification_attempts (notification_id, channel, target_id, outcome, final, code, ms, at)
SELECT notification_id, channel, target_id, outcome, final, code, ms, at
FROM jsonb_populate_recordset(NULL::app.notification_attempts, $1::text::jsonb)
"""
LOCK = """
SELECT notification_id, person_id, template, technician_id, correlation_id, event_id, at_once, due_at, useful_until,
       not_before, sending_until, finished_at
FROM app.notifications WHERE notification_id = $1 FOR UPDATE
"""
LEASE = "UPDATE app.notifications SET sending_until = $2 WHERE notification_id = $1"
END_LEASE = """
UPDATE app.notifications SET sending_until = NULL, finished_at = $2 WHERE notification_id = $1 AND finished_at IS NULL
"""
HOLD_BACK = "UPDATE app.notifications SET not_before = $2 WHERE notification_id = $1"
TRIED = """
SELECT channel, target_id, count(*) AS tries, bool_or(final) AS settled
FROM app.notification_attempts WHERE notification_id = $1 AND channel <> 'none' GROUP BY channel, target_id
"""
STORIES = """
SELECT n.notification_id, n.template, n.booking_id, n.due_at, n.person_id, n.technician_id, e.data, b.number, b.state,
       b.starts_at, b.total_amount, b.currency, b.customer_id, b.technician_id AS present_technician_id,
       b.gps_session_id, b.expected_end_at, b.payment_status, s.name AS service_name, a.name AS area_name, a.time_zone,
       t.display_name AS technician_name, w.text AS note, w.author_id AS note_author_id
FROM app.notifications n JOIN app.booking_events e USING (event_id) JOIN app.bookings b ON b.booking_id = n.booking_id
JOIN app.services s ON s.service = b.service JOIN app.service_areas a ON a.area_id = b.area_id
LEFT JOIN app.people t ON t.person_id = n.technician_id AND t.erased_at IS NULL
LEFT JOIN app.booking_notes w ON w.event_id = n.event_id
WHERE {which}
"""
STORY = STORIES.format(which="n.notification_id = $1")
OWN = STORIES.format(
    which="""n.person_id = $1 AND n.due_at <= $2
  AND ($3::timestamptz IS NULL OR (n.due_at, n.notification_id) < ($3, $4::uuid))
ORDER BY n.due_at DESC, n.notification_id DESC LIMIT $5"""
)
SETTINGS = """
SELECT s.language, s.quiet_from_min, s.quiet_until_min, s.time_zone, s.channels, s.person_id IS NOT NULL AS kept,
       t.time_zone AS technicians_time_zone
FROM app.people p LEFT JOIN app.notification_settings s USING (person_id)
LEFT JOIN app.technicians t ON t.technician_id = p.person_id
WHERE p.person_id = $1
"""
KEEP_SETTINGS = """
INSERT INTO app.notification_settings (person_id, language, quiet_from_min, quiet_until_min, time_zone, channels)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (person_id) DO UPDATE
SET language = EXCLUDED.language, quiet_from_min = EXCLUDED.quiet_from_min, quiet_until_min = EXCLUDED.quiet_until_min,
    time_zone = EXCLUDED.time_zone, channels = EXCLUDED.channels
"""

USUAL_LANGUAGE = "en"

type Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notification:
    """One person is to be told one thing about one event; `finished_at` when nothing is to be tried."""

    notification_id: UUID
    person_id: UUID
    template: str
    event_id: UUID
    booking_id: UUID
    technician_id: UUID | None
    correlation_id: str
    at_once: bool
    wanted_at: datetime
    due_at: datetime
    useful_until: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one try on one channel went (`none`: it never came to one). `final`: it is not tried again."""

    notification_id: UUID
    channel: str
    outcome: str
    code: str
    at: datetime
    final: bool = True
    target_id: UUID | None = None
    ms: int | None = None


class Tried(NamedTuple):
    """The tries of a notification on one channel."""

    tries: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """How a person wants to be told. `time_zone`: of the quiet hours; None takes the technician's, or the visit's."""

    language: str = USUAL_LANGUAGE
    quiet: QuietHours | None = USUAL_QUIET
    time_zone: str | None = None
    channels: tuple[str, ...] | None = None
    technicians_time_zone: str | None = None

    def zone(self, area_zone: str) -> str:
        """Return the time zone of the quiet hours, for a visit in an area of that zone."""
        return self.time_zone or self.technicians_time_zone or area_zone


async def surroundings(tx: Tx, booking_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Return customer, beginning and time zone of these bookings."""
    return {r["booking_id"]: dict(r) for r in await tx.fetch(BOOKINGS, booking_ids)}


async def add(tx: Tx, wanted: Sequence[Notification]) -> set[UUID]:
    """Write what is wanted; returns the ids of those that were not wanted before."""
    if not wanted:
        return set()
    rows = await tx.fetch(ADD, encode([asdict(each) for each in wanted]))
    return {row["notification_id"] for row in rows}


async def attempted(tx: Tx, attempts: Sequence[Attempt]) -> None:
    """Write down how tries went."""
    if attempts:
        await tx.execute(ATTEMPTED, encode([asdict(each) for each in attempts]))


async def lock(tx: Tx, notification_id: UUID) -> Row | None:
    """Read and lock a notification until the transaction ends."""
    record = await tx.fetchrow(LOCK, notification_id)
    return dict(record) if record else None


async def lease(tx: Tx, notification_id: UUID, until: datetime) -> None:
    """Keep others from sending it until then."""
    await tx.execute(LEASE, notification_id, until)


async def end_lease(tx: Tx, notification_id: UUID, finished_at: datetime | None) -> None:
    """Let others send it again, or finish it."""
    await tx.execute(END_LEASE, notification_id, finished_at)


async def hold_back(tx: Tx, notification_id: UUID, not_before: datetime) -> None:
    """Note until when quiet hours hold it back."""
    await tx.execute(HOLD_BACK, notification_id, not_before)


async def tried(tx: Tx, notification_id: UUID) -> dict[tuple[str, UUID | None], Tried]:
    """Return how often each channel (and target) was tried, and whether it is settled: sent, or failed for good."""
    found = await tx.fetch(TRIED, notification_id)
    return {(r["channel"], r["target_id"]): Tried(r["tries"], r["settled"]) for r in found}


async def story(tx: Tx, notification_id: UUID) -> Row:
    """Read what a notification speaks about, its note still sealed."""
    record = await tx.fetchrow(STORY, notification_id)
    if record is None:
        raise LookupError("a notification has its event and its booking")
    return dict(record)


async def own(
    tx: Tx, person_id: UUID, now: datetime, after: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """List what a person was to be told by now, newest first, from behind `after`, notes still sealed."""
    due_at, notification_id = after or (None, None)
    return [dict(r) for r in await tx.fetch(OWN, person_id, now, due_at, notification_id, limit)]


async def settings(tx: Tx, person_id: UUID) -> Settings:
    """Return how a person wants to be told, or the usual way."""
    record = await tx.fetchrow(SETTINGS, person_id)
    if record is None or not record["kept"]:
        return Settings(technicians_time_zone=record["technicians_time_zone"] if record else None)
    quiet = record["quiet_from_min"]
    return Settings(
        language=record["language"],
        quiet=None if quiet is None else QuietHours(quiet, record["quiet_until_min"]),
        time_zone=record["time_zone"],
        channels=None if record["channels"] is None else tuple(record["channels"]),
        technicians_time_zone=record["technicians_time_zone"],
    )


async def keep_settings(tx: Tx, person_id: UUID, wish: Settings) -> None:
    """Keep how a person wants to be told."""
    quiet = wish.quiet
    await tx.execute(
        KEEP_SETTINGS, person_id, wish.language, quiet.from_min if quiet else None, quiet.until_min if quiet else None,
        wish.time_zone, None if wish.channels is None else list(wish.channels),
    )  # fmt: skip
