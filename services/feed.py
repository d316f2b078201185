"""What happened, as each reader may see it: recovery by cursor, and the same shape for what happens now.

A cursor is a place in the outbox and the epoch of the database it was read in; whoever presents one of another life, or
one whose row is gone, is told to start over (`cursor_expired`), never left with a silent gap. Places and live events
come from the same rows in the same order, so at least once is all that a reader must cope with.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from domain.booking import Booking
from domain.context import Actor, Role
from domain.refusals import Refusal
from services.booking_view import Surroundings, event_view, is_own, note_texts, surroundings, view_for
from services.stores import Stores
from storage import bookings, outbox
from storage.db import Tx
from storage.outbox import Place

log = structlog.get_logger(__name__)

PAGE = 100
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
NOT_ON_THE_WIRE = frozenset({"payment.voided"})
STAFF = frozenset({Role.DISPATCHER, Role.SUPPORT, Role.FINANCE, Role.FOUNDER})
EXPIRED = Refusal(
    "cursor_expired", "The cursor is unknown or too old: fetch GET /v1/bookings, then sync with null."
)


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, the place behind them, and whether there is more."""

    events: list[dict[str, Any]]
    place: Place
    more: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of the outbox with everything that is needed to show them to anybody."""

    rows: Sequence[Mapping[str, Any]]
    found: Mapping[UUID, Booking]
    around: Surroundings
    texts: Mapping[UUID, str]
    epoch: str

    def event(self, row: Mapping[str, Any], actor: Actor) -> dict[str, Any] | None:
        """Return the contract's Event as this reader may see it now; None when its booking is gone."""
        booking = self.found.get(row["booking_id"])
        if booking is None:
            return None
        own = is_own(booking, actor)
        taken_off = actor.role == Role.TECHNICIAN and not own
        shown = view_for(booking, self.around, actor)
        text = self.texts.get(row["event_id"]) if own else None
        event = event_view(
            row, shown, cursor=encode_cursor(self.epoch, Place(row["xid"], row["outbox_id"])), note=text
        )
        if taken_off and event["data"].get("technician_id") != str(actor.person_id):
            event["data"].pop("technician_id", None)
        return event


def concerns(row: Mapping[str, Any], actor: Actor) -> bool:
    """Tell whether a row is for this reader."""
    if row["seq"] is None or row["topic"] in NOT_ON_THE_WIRE:
        return False
    if actor.role == Role.DISPATCHER:
        return actor.covers(row["area_id"])
    return actor.role in STAFF or actor.person_id in row["audience"]


async def batch(tx: Tx, rows: Iterable[Any], epoch: str) -> Batch:
    """Read what is needed to show these rows; what is of no booking shows itself."""
    listed = [dict(row) for row in rows]
    found = await bookings.many(tx, list({row["booking_id"] for row in listed if row["seq"] is not None}))
    return Batch(listed, found, await surroundings(tx, found.values()), await note_texts(tx, listed), epoch)


async def page(stores: Stores, actor: Actor, place: Place, epoch: str, limit: int = PAGE) -> Page | Refusal:
    """Return what this reader missed since `place`, oldest first; `cursor_expired` when a row of it cannot be shown."""
    async with stores.db.reading() as tx:
        if actor.role == Role.DISPATCHER and actor.areas != "all":
            rows = await outbox.bookings_after_for(tx, place, limit + 1, [], list(actor.areas))
        elif actor.role in STAFF:
            rows = await outbox.bookings_after(tx, place, limit + 1)
        else:
            own = [actor.person_id] if actor.person_id is not None else []
            rows = await outbox.bookings_after_for(tx, place, limit + 1, own, [])
        try:
            shown = await batch(tx, rows[:limit], epoch)
            events = [
                event
                for row in shown.rows
                if concerns(row, actor) and (event := shown.event(row, actor)) is not None
            ]
        except AWAY:
            raise
        except Exception:  # a reader that asked again and again for the same page would never get past it
            log.exception("feed_unreadable", xid=place.xid, outbox_id=place.outbox_id)
            return EXPIRED
    if shown.rows:
        place = Place(shown.rows[-1]["xid"], shown.rows[-1]["outbox_id"])
    return Page(events, place, more=len(rows) > limit)


async def head(stores: Stores) -> Place:
    """Return the place of now."""
    async with stores.db.reading() as tx:
        return await outbox.head(tx)


async def epoch(stores: Stores) -> str:
    """Return the name of this life of the database."""
    async with stores.db.reading() as tx:
        return await outbox.epoch(tx)


async def place_of(stores: Stores, cursor: str) -> Place | Refusal:
    """Return the place of a cursor, or `cursor_expired`: not ours, of another life, ahead of us, or its row is gone."""
    decoded = decode_cursor(cursor)
    if decoded is None:
        return EXPIRED
    of_epoch, place = decoded
    async with stores.db.reading() as tx:
        ahead = await outbox.next_xid(tx)
        if of_epoch != await outbox.epoch(tx) or place.xid > ahead or place < await outbox.floor(tx):
            return EXPIRED
    return place


def encode_cursor(of_epoch: str, place: Place) -> str:
    """Return the opaque form of a place."""
    raw = f"{of_epoch}|{place.xid}|{place.outbox_id}"
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[str, Place] | None:
    """Return epoch and place of a cursor, or None when it is not one of ours."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
        of_epoch, xid, outbox_id = raw.rsplit("|", 2)
        if not (xid.isascii() and xid.isdigit() and outbox_id.isascii() and outbox_id.isdigit()):
            return None
        place = Place(int(xid), int(outbox_id))
    except (ValueError, binascii.Error):
        return None
    return (of_epoch, place) if place.xid < 1 << 62 and place.outbox_id < 1 << 62 else None
