"""Share links of a visit: one live link for each recipient, its token stored as a hash only.

A link ends with the visit, and at once when the booking gets another technician, whoever asked for that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain import booking_events as ev
from domain.booking import FINAL, BookingEvent
from domain.context import Context
from domain.facts import Fact
from storage.db import Tx
from storage.rows import Row

BY_HASH = """
SELECT share_id, booking_id, recipient_label, created_at, expires_at, ended_at, end_reason
FROM app.shares WHERE token_hash = $1
"""
LIVE_OF_BOOKING = """
SELECT share_id, booking_id, recipient_label, created_at, expires_at, ended_at, end_reason
FROM app.shares WHERE booking_id = $1 AND ended_at IS NULL
"""

ENDED_SHARES = """
SELECT share_id FROM app.shares WHERE share_id = ANY ($1) AND (ended_at IS NOT NULL OR expires_at <= $2)
"""


@dataclass(frozen=True, slots=True)
class Shared(Fact):
    """A link was made; an older one of the same recipient ends in the same commit."""

    share_id: UUID
    booking_id: UUID
    recipient_label: str
    token_hash: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Unshared(Fact):
    """A recipient's link was taken back."""

    booking_id: UUID
    recipient_label: str


@dataclass(frozen=True, slots=True)
class Share:
    """A link as stored."""

    share_id: UUID
    booking_id: UUID
    recipient_label: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: str | None


def rows(fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]:  # noqa: ARG001 - a Writer's signature
    """Yield a new link, or the end of links: taken back, another technician, or the visit's end."""
    match fact:
        case Shared():
            yield Row("shares", {"booking_id": fact.booking_id, "recipient_label": fact.recipient_label,
                                 "ended_at": context.now, "end_reason": "replaced"})  # fmt: skip
            yield Row("shares", {
                "share_id": fact.share_id, "booking_id": fact.booking_id, "recipient_label": fact.recipient_label,
                "token_hash": fact.token_hash, "created_at": context.now, "expires_at": fact.expires_at,
            })  # fmt: skip
        case Unshared():
            yield Row("shares", {"booking_id": fact.booking_id, "recipient_label": fact.recipient_label,
                                 "ended_at": context.now, "end_reason": "revoked"})  # fmt: skip
        case BookingEvent() if fact.removed_id is not None or isinstance(
            fact.happened, ev.Reassigned | ev.Released
        ):
            yield _end(fact, "reassigned", context)
        case BookingEvent() if fact.booking.state in FINAL:
            yield _end(fact, "ended", context)


def _end(fact: BookingEvent, reason: str, context: Context) -> Row:
    return Row(
        "shares", {"booking_id": fact.booking.booking_id, "ended_at": context.now, "end_reason": reason}
    )


async def by_token(tx: Tx, token_hash: bytes) -> Share | None:
    """Find a link, live or ended."""
    record = await tx.fetchrow(BY_HASH, token_hash)
    return Share(**record) if record else None


async def live_of(tx: Tx, booking_id: UUID) -> list[Share]:
    """List a booking's live links."""
    return [Share(**record) for record in await tx.fetch(LIVE_OF_BOOKING, booking_id)]


async def ended(tx: Tx, share_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Tell which of these links are over."""
    return [r["share_id"] for r in await tx.fetch(ENDED_SHARES, share_ids, now)]
