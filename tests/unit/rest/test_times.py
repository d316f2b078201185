"""Times at the edge of the calendar are refused like any other bad input."""

import base64
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from rest.models import Instant
from services import paging

EDGE = "9999-12-31T23:59:59-23:59"


def test_a_time_beyond_the_calendar_is_no_time() -> None:
    """An offset that pushes a time out of range is a validation error, not a fault of ours."""
    for text in (EDGE, "0001-01-01T00:00:00+23:59"):
        with pytest.raises(ValidationError):
            TypeAdapter(Instant).validate_python(text)


def test_a_cursor_beyond_the_calendar_is_not_ours() -> None:
    """So are cursors that somebody made up."""
    cursor = base64.urlsafe_b64encode(f"{EDGE}|{UUID(int=1)}".encode()).decode()
    assert paging.item_behind(cursor) is None
