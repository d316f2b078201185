"""The context of what nobody asked for: a deadline that fires, a technician who is there, a gateway that calls.

Such a consequence joins the story of its cause, so that one correlation id tells it from the request to its end.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from domain.context import SYSTEM, Context
from services.stores import Stores
from storage import causes
from storage.ids import new_id

# Which events set a deadline of each kind; an override may set those of the state that it leads to.
SET_BY: Mapping[str, tuple[str, ...]] = {
    "unanswered": ("booking.requested", "booking.reassigned", "booking.released"),
    "unnoticed": ("booking.requested", "booking.reassigned", "booking.released"),
    "not_there": ("booking.accepted", "booking.departed", "booking.overridden"),
    "no_show": ("booking.arrived", "booking.overridden"),
    "overrun": ("booking.started", "booking.extended", "booking.overridden"),
}


async def of_deadline(stores: Stores, booking_id: UUID, kind: str, now: datetime) -> Context:
    """Return the context of a deadline that fires now: caused by the event that set it."""
    return await _after(stores, booking_id, SET_BY.get(kind, SET_BY["unanswered"]), now, "deadline")


async def of_leg(stores: Stores, booking_id: UUID, now: datetime) -> Context:
    """Return the context of what the detector saw on a leg: caused by the departure."""
    return await _after(stores, booking_id, ("booking.departed",), now, "gps")


async def _after(
    stores: Stores, booking_id: UUID, types: tuple[str, ...], now: datetime, otherwise: str
) -> Context:
    async with stores.db.reading() as tx:
        cause = await causes.newest_event(tx, booking_id, types)
    if cause is None:
        return Context(SYSTEM, now, f"{otherwise}-{new_id().hex}")
    return Context(SYSTEM, now, cause.correlation_id, causation_id=cause.id)
