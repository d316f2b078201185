"""A booking as its reader may see it: the one shape that REST answers and that socket events carry.

The full address is for the booking's own people (its customer, its present technician, dispatchers of its area);
everybody else sees the area only, and support sees initials instead of the customer's name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from domain.booking import TURNED_DOWN, Booking
from domain.context import Actor, Context, Role
from domain.refusals import Refusal
from services.paging import cursor_of, foreign_cursor, item_behind
from services.reply import Answer, Reply
from services.stores import Stores
from storage import booking_commands, bookings, catalogue, personal
from storage import credentials as credential_rows
from storage.db import Tx

STAFF = frozenset({Role.SUPPORT, Role.FINANCE, Role.FOUNDER, Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a set of bookings needs to be shown: names and photos, area names, and the opened addresses."""

    names: Mapping[UUID, tuple[str, str | None]]
    areas: Mapping[UUID, str]
    addresses: Mapping[UUID, dict[str, Any] | None]


async def surroundings(tx: Tx, found: Iterable[Booking]) -> Surroundings:
    """Read what these bookings need to be shown: three statements, however many there are."""
    found = list(found)
    people = {p for b in found for p in (b.customer_id, b.technician_id) if p is not None}
    keys = await personal.keys_of(tx, [b.customer_id for b in found])
    areas = await catalogue.area_names(tx, list({b.area_id for b in found}))
    return Surroundings(
        names=await bookings.names(tx, list(people)),
        areas=areas,
        addresses={b.booking_id: personal.unseal(keys.get(b.customer_id), b.address) for b in found},
    )


class Around(Protocol):
    """What was read around one booking."""

    @property
    def customer_name(self) -> str | None: ...
    @property
    def technician_name(self) -> str | None: ...
    @property
    def photo_url(self) -> str | None: ...
    @property
    def area_name(self) -> str | None: ...
    @property
    def customer_key(self) -> bytes | None: ...


def around_one(booking: Booking, read: Around) -> Surroundings:
    """Return what one booking needs to be shown from what was read with it."""
    names: dict[UUID, tuple[str, str | None]] = {booking.customer_id: (read.customer_name or "", None)}
    if booking.technician_id is not None:
        names[booking.technician_id] = (read.technician_name or "", read.photo_url)
    return Surroundings(
        names=names,
        areas={} if read.area_name is None else {booking.area_id: read.area_name},
        addresses={booking.booking_id: personal.unseal(read.customer_key, booking.address)},
    )


def is_own(booking: Booking, actor: Actor) -> bool:
    """Tell whether this is the caller's own: its customer, its present technician, or a dispatcher of its area."""
    match actor.role:
        case Role.CUSTOMER:
            return booking.customer_id == actor.person_id
        case Role.TECHNICIAN:
            return booking.technician_id == actor.person_id and booking.state not in TURNED_DOWN
        case Role.DISPATCHER:
            return actor.covers(booking.area_id)
        case _:
            return False


def may_read(booking: Booking, actor: Actor) -> bool:
    """Tell whether the caller may read this booking at all."""
    turned_down = actor.role == Role.TECHNICIAN and booking.technician_id == actor.person_id
    return is_own(booking, actor) or turned_down or actor.role in STAFF


def view(booking: Booking, around: Surroundings, *, full: bool, initials: bool = False) -> dict[str, Any]:
    """Return the contract's Booking. `full`: with the address; `initials`: instead of the customer's name."""
    b = booking
    customer_name = around.names.get(b.customer_id, ("", None))[0]
    technician = None
    if b.technician_id is not None:
        name, photo_url = around.names.get(b.technician_id, ("", None))
        technician = {"technician_id": str(b.technician_id), "display_name": name, "photo_url": photo_url}
    area = {"area_id": str(b.area_id), "area": around.areas.get(b.area_id)}
    address = around.addresses.get(b.booking_id)
    return {
        "booking_id": str(b.booking_id),
        "number": b.number,
        "state": str(b.state),
        "version": b.version,
        "service": b.service,
        "experience": list(b.experience),
        "customer": {
            "customer_id": str(b.customer_id),
            "display_name": _initials(customer_name) if initials else customer_name,
        },
        "technician": technician,
        "address": {**address, **area} if full and address is not None else area,
        "starts_at": stamp(b.starts_at),
        "ends_at": stamp(b.ends_at),
        "expected_end_at": stamp(b.expected_end_at),
        "deadline_at": stamp(b.deadline_at),
        "price": {
            part: {"amount": getattr(b.price, part), "currency": b.price.currency}
            for part in ("base", "travel", "tax", "total")
        },
        "payment": {"status": b.payment_status},
        "gps_session_id": None if b.gps_session_id is None else str(b.gps_session_id),
        "match_id": str(b.match_id),
        "card_id": str(b.card_id),
        "fallback": b.fallback,
        "created_at": stamp(b.created_at),
    }


def view_for(booking: Booking, around: Surroundings, actor: Actor) -> dict[str, Any]:
    """Return a booking as this caller may see it.

    A technician who declined it or was taken off sees that it lives on, and neither with whom nor for whom.
    """
    own = is_own(booking, actor)
    if actor.role == Role.TECHNICIAN and not own:
        return view(booking, around, full=False, initials=True) | {"technician": None, "gps_session_id": None}
    return view(booking, around, full=own, initials=actor.role == Role.SUPPORT)


def stamp(at: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with `Z` and milliseconds."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _initials(name: str) -> str:
    return " ".join(f"{word[0]}." for word in name.split() if word)


def not_found() -> Refusal:
    """Return the one refusal for what does not exist and for what a caller may not see."""
    return Refusal("not_found", "There is no such booking.")


async def visible(stores: Stores, booking_id: UUID, actor: Actor) -> Refusal | None:
    """Refuse with 404 what the caller may not see."""
    async with stores.db.reading() as tx:
        booking = await bookings.get(tx, booking_id)
    return None if booking is not None and may_read(booking, actor) else not_found()


async def read(stores: Stores, booking_id: UUID, context: Context) -> Answer:
    """Read one booking."""
    async with stores.db.reading() as tx:
        opened = await booking_commands.read(tx, booking_id, context)
    if opened is None or not may_read(opened.booking, context.actor):
        return not_found()
    shown = view_for(opened.booking, around_one(opened.booking, opened), context.actor)
    return Reply(200, shown, version=opened.booking.version)


async def list_(  # noqa: PLR0913 - each is one filter of the contract
    stores: Stores,
    context: Context,
    *,
    states: Sequence[str] | None = None,
    since: datetime | None = None,
    technician_id: UUID | None = None,
    customer_id: UUID | None = None,
    area_id: UUID | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Answer:
    """List the bookings that the caller may read, newest first."""
    actor = context.actor
    areas: list[UUID] | None = None if area_id is None else [area_id]
    if actor.role == Role.CUSTOMER:
        customer_id = _only(customer_id, actor.person_id)
    elif actor.role == Role.TECHNICIAN:
        technician_id = _only(technician_id, actor.person_id)
    elif actor.role == Role.DISPATCHER and actor.areas != "all":
        areas = [a for a in actor.areas if area_id in (None, a)]
    after = None if cursor is None else item_behind(cursor)
    if cursor is not None and after is None:
        return foreign_cursor()
    async with stores.db.reading() as tx:
        found = await bookings.list_(
            tx, customer_id=customer_id, technician_id=technician_id, area_ids=areas, states=states, since=since,
            after=after, limit=limit + 1,
        )  # fmt: skip
        page = found[:limit]
        around = await surroundings(tx, page)
    next_cursor = cursor_of(page[-1].created_at, page[-1].booking_id) if len(found) > limit else None
    return Reply(200, {"items": [view_for(b, around, actor) for b in page], "next_cursor": next_cursor})


def _only(asked: UUID | None, own: UUID | None) -> UUID | None:
    """Narrow a filter to the caller's own; somebody else's id finds nothing (the nil id owns nothing)."""
    return own if asked in (None, own) else UUID(int=0)


def event_view(
    row: Mapping[str, Any], booking: Mapping[str, Any], *, cursor: str, note: str | None
) -> dict[str, Any]:
    """Return the contract's Event for an outbox or event row and the booking as its reader sees it."""
    data = dict(row["data"])
    data.pop("evidence", None)
    if note is not None:
        data["text" if "author_role" in data else "reason"] = note
    return {
        "cursor": cursor,
        "event_id": str(row["event_id"]),
        "booking_id": str(row["booking_id"]),
        "seq": row["seq"],
        "type": row.get("topic") or row["type"],
        "at": stamp(row["at"]),
        "correlation_id": row["correlation_id"],
        "booking": booking,
        "data": data,
    }


async def note_texts(tx: Tx, rows: Iterable[Mapping[str, Any]]) -> dict[UUID, str]:
    """Open the notes of these rows: `event_id -> text`; what was erased is absent."""
    sealed = [row for row in rows if row["note"] is not None]
    if not sealed:
        return {}
    keys = await personal.keys_of(tx, [row["note_author_id"] for row in sealed])
    opened = {
        row["event_id"]: personal.unseal(keys.get(row["note_author_id"]), row["note"]) for row in sealed
    }
    return {event_id: text for event_id, text in opened.items() if isinstance(text, str)}


async def events(
    stores: Stores, booking_id: UUID, context: Context, *, limit: int = 50, cursor: str | None = None
) -> Answer:
    """List a booking's events by `seq`; the cursor is the last seq seen."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        return foreign_cursor()
    async with stores.db.reading() as tx:
        booking = await bookings.get(tx, booking_id)
        if booking is None or not may_read(booking, context.actor):
            return not_found()
        rows = [dict(r) for r in await bookings.events(tx, booking_id, int(cursor or 0), limit + 1)]
        around = await surroundings(tx, [booking])
        own = is_own(booking, context.actor)
        texts = await note_texts(tx, rows[:limit]) if own else {}
    shown = view_for(booking, around, context.actor)
    items = [
        event_view(row, shown, cursor=str(row["seq"]), note=texts.get(row["event_id"]))
        | {"actor_role": row["actor_role"]}
        for row in rows[:limit]
    ]
    return Reply(200, {"items": items, "next_cursor": items[-1]["cursor"] if len(rows) > limit else None})


async def credentials(stores: Stores, booking_id: UUID, context: Context) -> Answer:
    """Show what the licence gate relied on when the visit was accepted, and how those credentials stand now."""
    async with stores.db.reading() as tx:
        booking = await bookings.get(tx, booking_id)
        if booking is None or not may_read(booking, context.actor):
            return not_found()
        then = await bookings.evidence_at_acceptance(tx, booking_id)
        rows = (
            [] if booking.technician_id is None else await credential_rows.standing(tx, booking.technician_id)
        )
    now = [
        {
            "credential_id": str(r["credential_id"]),
            "credential_type": r["credential_type"],
            "jurisdiction": r["jurisdiction"],
            "status": r["status"],
            "expires_on": r["expires_on"].isoformat() if r["expires_on"] else None,
            "verified_on": r["verified_on"].isoformat() if r["verified_on"] else None,
        }
        for r in rows
    ]
    at_acceptance = None if then is None else {"at": stamp(then[1]), "evidence": then[0]}
    return Reply(200, {"booking_id": str(booking_id), "at_acceptance": at_acceptance, "now": now})
