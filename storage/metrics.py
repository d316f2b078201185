"""Projections: what is read of the truth to count it, and the rows that reports read.

Whoever writes rows holds one lock until its transaction ends and reads the events after it, so that rows of two writers
follow each other and none is older than the one before. Transactions are short: one that lasts would hold back the
horizon of the outbox, and with it everybody's news.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.measuring import Origin, Told, Visit
from storage.db import Tx
from storage.rows import encode

LOCK = "SELECT pg_advisory_xact_lock(7266183210)"
PATIENTLY = "SET LOCAL lock_timeout = '14s'"  # just under the limit of a statement
REBUILDER = 7266183211
CLAIM_REBUILD = "SELECT pg_try_advisory_lock($1)"
RELEASE_REBUILD = "SELECT pg_advisory_unlock($1)"

GENERATIONS = "SELECT generation FROM metrics.generations"
BEGIN = "INSERT INTO metrics.generations (live) VALUES (false) RETURNING generation"
FORGET_UNFINISHED = "DELETE FROM metrics.generations WHERE NOT live"
FORGET_LIVE = "DELETE FROM metrics.generations WHERE live"
GO_LIVE = "UPDATE metrics.generations SET live = true WHERE generation = $1"
SWEEP = """
DELETE FROM metrics.{0} AS r USING (
    SELECT ctid FROM metrics.{0}
    WHERE generation < (SELECT generation FROM metrics.generations WHERE live) ORDER BY generation LIMIT $1) AS old
WHERE r.ctid = old.ctid
"""

ORIGINS = """
SELECT b.booking_id, b.match_id, b.service, b.experience, b.area_id, b.jurisdiction, b.starts_at, b.currency,
       b.total_amount AS quoted_amount,
       (SELECT jsonb_object_agg(c.technician_id, c.position) FROM metrics.cards c WHERE c.match_id = b.match_id)
           AS positions
FROM app.bookings b WHERE b.booking_id = ANY ($1)
"""
EVENTS = """
SELECT booking_id, seq, type, at, actor_role, data - 'evidence' AS data
FROM app.booking_events WHERE booking_id = ANY ($1) ORDER BY booking_id, seq
"""
NEXT_BOOKINGS = "SELECT booking_id FROM app.bookings WHERE booking_id > $1 ORDER BY booking_id LIMIT $2"

VISIT = (
    "seq", "match_id", "service", "experience", "area_id", "jurisdiction", "card_position", "technician_id", "state",
    "starts_at", "requested_at", "accepted_at", "departed_at", "arrived_at", "arrived_by", "started_at", "ended_at",
    "ended_by", "ended_from", "reason_code", "releases", "extended_s", "stars", "payment_status", "currency",
    "quoted_amount", "fee_amount", "captured_amount", "refunded_amount",
)  # fmt: skip
OFFER = (
    "technician_id", "cause", "card_position", "offered_at", "answered_at", "answer", "released_at", "reason_code",
)  # fmt: skip
OF_ORIGIN = frozenset(Origin.__slots__)
PUT_VISITS = """
INSERT INTO metrics.visit_rows AS old (generation, booking_id, {0})
SELECT g.generation, r.booking_id, {1}
FROM unnest($1::integer[]) AS g(generation), jsonb_populate_recordset(NULL::metrics.visit_rows, $2::text::jsonb) AS r
ON CONFLICT (generation, booking_id) DO UPDATE SET ({0}) = ROW ({2}) WHERE old.seq < EXCLUDED.seq
""".format(*(", ".join(f"{of}{name}" for name in VISIT) for of in ("", "r.", "EXCLUDED.")))
PUT_OFFERS = """
INSERT INTO metrics.offer_rows AS old (generation, booking_id, seq, {0})
SELECT g.generation, r.booking_id, r.seq, {1}
FROM unnest($1::integer[]) AS g(generation), jsonb_populate_recordset(NULL::metrics.offer_rows, $2::text::jsonb) AS r
ON CONFLICT (generation, booking_id, seq) DO UPDATE SET ({0}) = ROW ({2}) WHERE ({3}) IS DISTINCT FROM ({2})
""".format(*(", ".join(f"{of}{name}" for name in OFFER) for of in ("", "r.", "EXCLUDED.", "old.")))

COPY_MATCHES = """
WITH part AS (
    SELECT match_id, created_at, service, experience, area_id, jurisdiction, reason, ranking_version
    FROM app.matches WHERE match_id > $1 ORDER BY match_id LIMIT $2
), asked AS (
    INSERT INTO metrics.discoveries AS old
        (match_id, at, service, experience, area_id, jurisdiction, reason, ranking_version)
    SELECT match_id, created_at, service, experience, area_id, jurisdiction, reason, ranking_version FROM part
    ON CONFLICT (match_id) DO UPDATE SET
        at = EXCLUDED.at, service = EXCLUDED.service, experience = EXCLUDED.experience, area_id = EXCLUDED.area_id,
        jurisdiction = EXCLUDED.jurisdiction, reason = EXCLUDED.reason, ranking_version = EXCLUDED.ranking_version
    WHERE old IS DISTINCT FROM EXCLUDED
), shown AS (
    INSERT INTO metrics.cards AS old (match_id, technician_id, card_id, position)
    SELECT match_id, technician_id, card_id, position FROM app.match_candidates JOIN part USING (match_id)
    WHERE card_id IS NOT NULL
    ON CONFLICT (match_id, technician_id) DO UPDATE SET card_id = EXCLUDED.card_id, position = EXCLUDED.position
    WHERE old IS DISTINCT FROM EXCLUDED
)
SELECT count(*) AS matches, (SELECT match_id FROM part ORDER BY match_id DESC LIMIT 1) AS last FROM part
"""

NOWHERE = UUID(int=0)


class Copied(NamedTuple):
    """How many matches a part had, and the last of them."""

    matches: int
    last: UUID | None


async def lock(tx: Tx, *, patiently: bool = False) -> list[int]:
    """Wait until nobody else counts; return the generations that there are until this transaction ends."""
    if patiently:
        await tx.execute(PATIENTLY)
    await tx.execute(LOCK)
    return [record["generation"] for record in await tx.fetch(GENERATIONS)]


async def stories(tx: Tx, booking_ids: Sequence[UUID]) -> list[tuple[Origin, list[Told]]]:
    """Read what never changes about these bookings, and all their events in order. The lock is held."""
    told: dict[UUID, list[Told]] = {}
    origins = await tx.fetch(ORIGINS, booking_ids)
    for r in await tx.fetch(EVENTS, booking_ids):
        event = Told(r["seq"], r["type"], r["at"], r["actor_role"], r["data"])
        told.setdefault(r["booking_id"], []).append(event)
    return [
        (
            Origin(**{**r, "experience": tuple(r["experience"]), "positions": _positions(r["positions"])}),
            told.get(r["booking_id"], []),
        )
        for r in origins
    ]


def _positions(found: dict[str, int] | None) -> dict[UUID, int]:
    return {UUID(technician_id): position for technician_id, position in (found or {}).items()}


async def put(tx: Tx, visits: Iterable[Visit], generations: Sequence[int]) -> None:
    """Write visits with their offers into these generations; a row that is newer stays. The lock is held."""
    visits = list(visits)
    rows = [{"booking_id": v.origin.booking_id, **{name: _value(v, name) for name in VISIT}} for v in visits]
    offers = [
        {"booking_id": v.origin.booking_id, "seq": o.seq, **{name: getattr(o, name) for name in OFFER}}
        for v in visits
        for o in v.offers
    ]
    await tx.execute(PUT_VISITS, generations, encode(rows))
    await tx.execute(PUT_OFFERS, generations, encode(offers))


def _value(visit: Visit, name: str) -> Any:
    return getattr(visit.origin if name in OF_ORIGIN else visit, name)


async def claim_rebuild(connection: Tx) -> bool:
    """Become the one who rebuilds, until `release_rebuild` or the connection's end."""
    return await connection.fetchval(CLAIM_REBUILD, REBUILDER) is True


async def release_rebuild(connection: Tx) -> None:
    """Let others rebuild."""
    await connection.execute(RELEASE_REBUILD, REBUILDER)


async def begin(tx: Tx) -> int:
    """Open a generation beside the live one; what an earlier rebuild left unfinished is forgotten."""
    await lock(tx, patiently=True)
    await tx.execute(FORGET_UNFINISHED)
    generation: int = await tx.fetchval(BEGIN)
    return generation


async def go_live(tx: Tx, generation: int) -> None:
    """Let reports read this generation and no other."""
    await lock(tx, patiently=True)
    await tx.execute(FORGET_LIVE)
    await tx.execute(GO_LIVE, generation)


async def sweep(tx: Tx, limit: int) -> bool:
    """Delete some rows of generations that are gone; False when none was left."""
    gone = [await tx.execute(SWEEP.format(table), limit) for table in ("visit_rows", "offer_rows")]
    return any(status != "DELETE 0" for status in gone)


async def next_bookings(tx: Tx, after: UUID, limit: int) -> list[UUID]:
    """Return the next bookings by id, behind `after`."""
    return [record["booking_id"] for record in await tx.fetch(NEXT_BOOKINGS, after, limit)]


async def copy_matches(tx: Tx, after: UUID, limit: int) -> Copied:
    """Copy what the next matches asked and showed. Rows whose match is no longer kept stay as they are."""
    record = await tx.fetchrow(COPY_MATCHES, after, limit)
    if record is None:
        raise RuntimeError("an aggregate is always one row")
    return Copied(record["matches"], record["last"])
