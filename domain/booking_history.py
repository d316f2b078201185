"""A booking's history read back: stored events become what happened again, and folding them must give the row.

What an event cannot say (the price, the address, who asked) is fixed at birth; everything else begins blank and is the
work of the events alone. `INITIAL` names each such field, and a test proves that none is forgotten.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, replace
from datetime import datetime
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from domain.booking import TRANSITIONS, Booking, State, apply
from domain.booking_events import HAPPENED, Happened, Overridden

FIXED = frozenset({
    "booking_id", "number", "service", "experience", "customer_id", "match_id", "card_id", "area_id", "jurisdiction",
    "starts_at", "ends_at", "price", "fallback", "address", "created_at",
})  # fmt: skip
INITIAL: Mapping[str, Any] = {
    "state": State.REQUESTED, "version": 0, "technician_id": None, "expected_end_at": None, "deadline_at": None,
    "payment_status": "pending", "gps_session_id": None, "offered": (), "near_at": None, "arrived_at": None,
    "fee_amount": 0, "rated": False,
}  # fmt: skip
AT_BIRTH = ("updated_at",)  # begins as `created_at`

MOVES = frozenset(row.event for row in TRANSITIONS)


class Unreadable(ValueError):
    """An event that no release ever wrote: an unknown type, a field missing or of another kind."""


def happened(event_type: str, data: Mapping[str, Any]) -> Happened:
    """Read an event back. Fields that a newer release added are passed over. Raises Unreadable."""
    if event_type not in SHAPES:
        raise Unreadable(f"there is no event {event_type}")
    kind, readers, required = SHAPES[event_type]
    given = {}
    for name, read in readers.items():
        try:
            if name in data:
                given[name] = read(data[name])
        except (TypeError, AttributeError, ValueError) as error:
            raise Unreadable(f"{event_type}: {name} cannot be read") from error
        if name in required and name not in data:
            raise Unreadable(f"{event_type} has no {name}")
    return kind(**given)


def blank(row: Booking) -> Booking:
    """Return the booking as it was before its first event."""
    return replace(row, **INITIAL, updated_at=row.created_at)


def fold(row: Booking, history: Iterable[tuple[Happened, datetime]]) -> Booking:
    """Return what the events make of the booking that `row` was at birth."""
    booking = blank(row)
    for what, at in history:
        booking = apply(booking, what, at).booking
    return booking


def allowed(booking: Booking, what: Happened) -> bool:
    """Tell whether the transition table lets this happen to a booking in its state; the role is not asked."""
    if isinstance(what, Overridden):
        return what.from_state == booking.state
    if what.type not in MOVES:
        return True
    return any(row.event == what.type and booking.state in row.sources for row in TRANSITIONS)


def differences(row: Booking, folded: Booking) -> list[str]:
    """Name the fields in which a row is not the fold of its events."""
    return [f.name for f in fields(Booking) if getattr(row, f.name) != getattr(folded, f.name)]


def _reader(hint: Any) -> Callable[[Any], Any]:
    if get_origin(hint) in (Union, UnionType):
        inner = [each for each in get_args(hint) if each is not type(None)]
        read = _reader(inner[0])
        return lambda value: None if value is None else read(value)
    if hint is UUID:
        return UUID
    if hint is datetime:
        return datetime.fromisoformat
    if get_origin(hint) is tuple:
        read = _reader(get_args(hint)[0])
        return lambda value: tuple(read(each) for each in value)
    plain = get_origin(hint) or hint
    return lambda value: _exactly(plain, value)


def _exactly(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{type(value).__name__} is no {kind.__name__}")
    return value


class Shape(NamedTuple):
    """How an event's `data` becomes its fields, and which of them it must have."""

    kind: type[Happened]
    readers: Mapping[str, Callable[[Any], Any]]
    required: frozenset[str]


def _shape(kind: type[Happened]) -> Shape:
    hints = get_type_hints(kind)
    needed = frozenset(f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    return Shape(kind, {f.name: _reader(hints[f.name]) for f in fields(kind)}, needed)


SHAPES: Mapping[str, Shape] = {kind.type: _shape(kind) for kind in HAPPENED}
