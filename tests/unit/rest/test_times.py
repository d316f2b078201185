"""Times at the edge of the calendar are refused like any other bad input."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from rest.discovery import DiscoveryBody
from rest.models import Instant
from rest.payouts import PayoutBody
from rest.webhooks import ReplayBody
from services import paging

EDGE = "9999-12-31T23:59:59-23:59"


def test_a_time_beyond_the_calendar_is_no_time() -> None:
    """An offset that pushes a time out of range is a validation error, not a fault of ours."""
    for text in (EDGE, "0001-01-01T00:00:00+23:59"):
        with pytest.raises(ValidationError):
            TypeAdapter(Instant).validate_python(text)


def test_a_number_is_no_time() -> None:
    """Nobody meant the first second of 1970 by `since=1`: neither a number nor digits are read as seconds."""
    for sent in ("1", "1795485914", "-1", "1.5", 1, 1795485914.5):
        with pytest.raises(ValidationError):
            TypeAdapter(Instant).validate_python(sent)
        with pytest.raises(ValidationError):
            PayoutBody.model_validate_json(json.dumps({"until": sent}))
    assert TypeAdapter(Instant).validate_python("2026-11-24T02:00:00.5+02:00").isoformat() == (
        "2026-11-24T00:00:00.500000+00:00"
    )


def test_a_body_takes_a_time_that_is_written_out() -> None:
    """Bodies are strict, and a time in them is text all the same."""
    body = PayoutBody.model_validate_json(json.dumps({"until": "2026-11-24T02:00:00+02:00"}))
    assert body.until is not None
    assert body.until.isoformat() == "2026-11-24T00:00:00+00:00"


def test_a_written_time_is_one_in_a_strict_body() -> None:
    """Bodies are strict, and JSON has no times but written ones."""
    read = ReplayBody.model_validate_json('{"since": "2026-11-24T02:00:00.5+02:00"}')
    assert read.since is not None
    assert read.since.isoformat() == "2026-11-24T00:00:00.500000+00:00"


def test_a_written_time_is_one_in_a_body_too() -> None:
    """A body is strict, and a time in it is text: with any offset, alone or beside a word."""
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    for sent in ("2026-11-24T12:00:00Z", "2026-11-24T14:00:00.000+02:00"):
        assert PayoutBody.model_validate_json(json.dumps({"until": sent})).until == noon
        wish = {"service": "haircut", "lat": 39.28, "lon": -76.59, "when": sent}
        assert DiscoveryBody.model_validate_json(json.dumps(wish)).when == noon


def test_a_cursor_beyond_the_calendar_is_not_ours() -> None:
    """So are cursors that somebody made up."""
    cursor = base64.urlsafe_b64encode(f"{EDGE}|{UUID(int=1)}".encode()).decode()
    assert paging.item_behind(cursor) is None
