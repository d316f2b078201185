"""Reading a booking's history back: every event survives the way through JSON, and the fold of a life is its row."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.booking import Booking
from domain.booking_events import HAPPENED, Accepted, Happened, Overridden, Requested
from domain.booking_history import AT_BIRTH, FIXED, INITIAL, Unreadable, allowed, differences, fold, happened
from storage.rows import encode
from tests.unit.bookings import NOON as NOW
from tests.unit.bookings import TECHNICIANS, blank

TECHNICIAN = TECHNICIANS[0]
MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is given beside


def test_every_field_of_a_booking_is_of_birth_or_of_events() -> None:
    """A field that is added must be put on one side, or the fold would take its last value for granted."""
    names = {f.name for f in fields(Booking)}
    assert names == FIXED | INITIAL.keys() | set(AT_BIRTH)
    assert not FIXED & INITIAL.keys()


VALUES: dict[object, st.SearchStrategy[object]] = {
    UUID: st.uuids(),
    datetime: MOMENTS,
    str: st.text(max_size=8),
    int: st.integers(-(2**40), 2**40),
    bool: st.booleans(),
    dict[str, Any]: st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2),
}


def values(hint: object) -> st.SearchStrategy[object]:
    """Draw a value of a field's type."""
    return VALUES[hint] if hint in VALUES else st.one_of(*map(values, get_args(hint)))


VALUES[type(None)] = st.none()
EVENTS = st.one_of(
    *(
        st.builds(kind, **{f.name: values(get_type_hints(kind)[f.name]) for f in fields(kind)})
        for kind in HAPPENED
    )
)


@settings(deadline=None)
@given(what=EVENTS)
def test_an_event_is_read_back_as_it_was(what: Happened) -> None:
    """What was written as JSON is the very event again, whatever its kind."""
    assert happened(what.type, json.loads(encode(what.data()))) == what


def test_what_no_release_wrote_is_unreadable() -> None:
    """An unknown type, a missing field, or one of another kind is named."""
    with pytest.raises(Unreadable, match="no event"):
        happened("booking.teleported", {})
    with pytest.raises(Unreadable, match="deadline_at"):
        happened("booking.requested", {"technician_id": str(TECHNICIAN)})
    with pytest.raises(Unreadable, match="minutes"):
        happened("booking.extended", {"minutes": "ten", "expected_end_at": NOW.isoformat()})


def test_a_newer_releases_field_is_passed_over() -> None:
    """The last release reads what the next one writes."""
    what = Requested(TECHNICIAN, NOW)
    assert happened(what.type, {**json.loads(encode(what.data())), "colour": "blue"}) == what


def test_the_fold_names_what_differs() -> None:
    """A row that says more than its events is told by field."""
    row = fold(blank(), [(Requested(TECHNICIAN, NOW + timedelta(minutes=5)), NOW)])
    assert differences(row, fold(row, [(Requested(TECHNICIAN, NOW + timedelta(minutes=5)), NOW)])) == []
    assert differences(row, fold(row, [])) == ["version", "technician_id", "deadline_at", "offered"]


def test_the_table_says_what_may_happen() -> None:
    """A visit that nobody accepted is not accepted twice, and an override says from where."""
    asked = fold(blank(), [(Requested(TECHNICIAN, NOW), NOW)])
    accepted = fold(blank(), [(Requested(TECHNICIAN, NOW), NOW), (Accepted(TECHNICIAN, {}), NOW)])
    assert allowed(asked, Accepted(TECHNICIAN, {}))
    assert not allowed(accepted, Accepted(TECHNICIAN, {}))
    assert allowed(accepted, Overridden("accepted", "cancelled"))
    assert not allowed(accepted, Overridden("requested", "cancelled"))
