"""Sharing an arrival with somebody who has no account: a link that dies with the visit.

The token has 256 bits, is answered once and stored as a hash; whoever holds it sees one visit, its phase and what the
disclosure policy allows, and nothing else.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.booking import FINAL, Booking, State
from domain.context import Context, Role
from domain.refusals import Refusal
from services.booking_view import is_own, not_found, stamp
from services.reply import Answer, Reply
from services.stores import Stores
from storage import bookings, personal, shares
from storage.ids import new_id
from storage.journal import record

TOKEN_BYTES = 32
LIVES_AFTER_END = timedelta(hours=24)
SHARED_STATES = frozenset({State.REQUESTED, State.ACCEPTED, State.EN_ROUTE, State.ARRIVED, State.IN_SERVICE})


@dataclass(frozen=True, slots=True)
class Visit:
    """What a live link stands for."""

    share_id: UUID
    booking: Booking
    technician_first_name: str | None
    photo_url: str | None
    destination: dict[str, float] | None


def token_hash(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


async def create(stores: Stores, booking_id: UUID, recipient_label: str, context: Context) -> Answer:
    """Make a link for one recipient; an older one of theirs ends. Answers `{url, token, expires_at}` once."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    async with stores.db.transaction() as tx:
        booking = await bookings.lock(tx, booking_id)
        if booking is None or not _may_share(booking, context):
            return not_found()
        if booking.state not in SHARED_STATES:
            return Refusal("booking_state", "This visit is over.")
        expires_at = max(booking.ends_at, context.now) + LIVES_AFTER_END
        fact = shares.Shared(new_id(), booking_id, recipient_label, token_hash(token), expires_at)
        await record(tx, [fact], context)
    return Reply(201, {"url": f"/track/{token}", "token": token, "expires_at": stamp(expires_at)})


async def revoke(stores: Stores, booking_id: UUID, recipient_label: str, context: Context) -> Answer:
    """Take a recipient's link back."""
    async with stores.db.transaction() as tx:
        booking = await bookings.lock(tx, booking_id)
        if booking is None or not _may_share(booking, context):
            return not_found()
        live = await shares.live_of(tx, booking_id)
        if not any(share.recipient_label == recipient_label for share in live):
            return Refusal("not_found", "There is no live link for that recipient.")
        await record(tx, [shares.Unshared(booking_id, recipient_label)], context)
    return Reply(204, {})


async def resolve(stores: Stores, token: str, now: datetime) -> Visit | Refusal:
    """Find the visit of a live link: `not_found` for an unknown token, `ended` for one that is over."""
    async with stores.db.reading() as tx:
        share = await shares.by_token(tx, token_hash(token))
        if share is None:
            return Refusal("not_found", "There is no such link.")
        booking = await bookings.get(tx, share.booking_id)
        over = share.ended_at is not None or now > share.expires_at
        if booking is None or over or booking.state in FINAL:
            return Refusal("ended", "This visit is over, or the link was taken back.")
        names = await bookings.names(tx, [booking.technician_id] if booking.technician_id else [])
        key = await personal.key_of(tx, booking.customer_id)
    address = personal.unseal(key, booking.address)
    name, photo_url = (
        names.get(booking.technician_id, (None, None)) if booking.technician_id else (None, None)
    )
    return Visit(
        share_id=share.share_id,
        booking=booking,
        technician_first_name=name.split()[0] if name else None,
        photo_url=photo_url,
        destination={"lat": address["lat"], "lon": address["lon"]} if address else None,
    )


def _may_share(booking: Booking, context: Context) -> bool:
    return context.actor.role == Role.CUSTOMER and is_own(booking, context.actor)
