"""Matches: written whole, once, and never changed; read by the customer card by card, by staff in full."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from domain.booking import Price
from domain.context import Context
from domain.facts import Fact
from domain.matching import MatchMade
from storage.db import Tx
from storage.rows import Row

GET = """
SELECT match_id, customer_id, service, experience, asked_for, jurisdiction, area_id, ranking_version, reason, weights,
       seed, swaps, created_at, expires_at
FROM app.matches WHERE match_id = $1
"""
CANDIDATES = """
SELECT technician_id, card_id, position, base_rank, gate, gate_detail, features, contributions, score, card, quote,
       starts_at
FROM app.match_candidates WHERE match_id = $1 ORDER BY position NULLS LAST, gate, technician_id
"""
CARDS = """
SELECT c.technician_id, c.card_id, c.card, p.display_name, t.photo_url
FROM app.match_candidates c JOIN app.people p ON p.person_id = c.technician_id
JOIN app.technicians t ON t.technician_id = c.technician_id
WHERE c.match_id = $1 AND c.card IS NOT NULL ORDER BY c.position
"""
_CARD = """
SELECT m.match_id, c.card_id, c.position, m.customer_id, m.service, m.experience, c.technician_id, c.quote, c.starts_at,
       m.asked_for, m.expires_at, m.area_id, m.jurisdiction, s.duration_s
FROM app.matches m JOIN app.match_candidates c USING (match_id) JOIN app.services s USING (service)
"""
CARD_OF = _CARD + "WHERE m.match_id = $1 AND c.card_id = $2"
NEXT_CARD = (
    _CARD
    + """
WHERE m.match_id = $1 AND c.card_id IS NOT NULL AND c.position > $2 AND c.technician_id <> ALL ($3)
ORDER BY c.position LIMIT 1
"""
)
VIEWED = "INSERT INTO metrics.card_views (match_id, card_id, kind, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Match:
    """A match without its candidates; the place stays sealed."""

    match_id: UUID
    customer_id: UUID
    service: str
    experience: tuple[str, ...]
    asked_for: datetime | None
    jurisdiction: str | None
    area_id: UUID | None
    ranking_version: str
    reason: str | None
    weights: dict[str, int]
    seed: int
    swaps: list[dict[str, Any]]
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class MatchCard:
    """A card as it may be booked. `starts_at` is when the visit would begin, also for a match that asked for now."""

    match_id: UUID
    card_id: UUID
    position: int
    customer_id: UUID
    service: str
    experience: tuple[str, ...]
    technician_id: UUID
    quote: Price
    starts_at: datetime
    asked_for: datetime | None
    expires_at: datetime
    area_id: UUID
    jurisdiction: str
    duration_s: int


def rows(fact: Fact, _event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield the match and each of its candidates."""
    if isinstance(fact, MatchMade):
        yield Row(
            "matches", {**fact.match, "correlation_id": context.correlation_id, "created_at": context.now}
        )
        for candidate in fact.candidates:
            yield Row("match_candidates", dict(candidate))


def from_document(document: Mapping[str, Any]) -> MatchCard:
    """Read a card from its row as JSON."""
    asked_for = document["asked_for"]
    return MatchCard(
        match_id=UUID(document["match_id"]),
        card_id=UUID(document["card_id"]),
        position=document["position"],
        customer_id=UUID(document["customer_id"]),
        service=document["service"],
        experience=tuple(document["experience"]),
        technician_id=UUID(document["technician_id"]),
        quote=Price(**document["quote"]),
        starts_at=datetime.fromisoformat(document["starts_at"]),
        asked_for=datetime.fromisoformat(asked_for) if asked_for else None,
        expires_at=datetime.fromisoformat(document["expires_at"]),
        area_id=UUID(document["area_id"]),
        jurisdiction=document["jurisdiction"],
        duration_s=document["duration_s"],
    )


async def get(tx: Tx, match_id: UUID) -> Match | None:
    """Read a match."""
    record = await tx.fetchrow(GET, match_id)
    return Match(**{**record, "experience": tuple(record["experience"])}) if record else None


async def candidates(tx: Tx, match_id: UUID) -> list[asyncpg.Record]:
    """Read everybody who was considered: the shown first, then the left out by their gates."""
    return await tx.fetch(CANDIDATES, match_id)


async def cards(tx: Tx, match_id: UUID) -> list[asyncpg.Record]:
    """Read the cards as shown, with the names that people go by today."""
    return await tx.fetch(CARDS, match_id)


async def card_of(tx: Tx, match_id: UUID, card_id: UUID) -> MatchCard | None:
    """Read one card of a match; None when that card is not of that match."""
    record = await tx.fetchrow(CARD_OF, match_id, card_id)
    return _card(record) if record else None


async def next_card(
    tx: Tx, match_id: UUID, after_position: int, excluding: Sequence[UUID]
) -> MatchCard | None:
    """Read the next card below a position whose technician is not among `excluding`."""
    record = await tx.fetchrow(NEXT_CARD, match_id, after_position, list(excluding))
    return _card(record) if record else None


async def viewed(tx: Tx, match_id: UUID, card_id: UUID, kind: str, at: datetime) -> None:
    """Remember that a card was seen, opened, or had its credentials viewed; once each."""
    await tx.execute(VIEWED, match_id, card_id, kind, at)


def _card(record: asyncpg.Record) -> MatchCard:
    values = dict(record)
    values["experience"] = tuple(values["experience"])
    values["quote"] = Price(**values["quote"])
    return MatchCard(**values)
