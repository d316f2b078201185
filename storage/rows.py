"""What a fact becomes: rows of named tables, as JSON that `app.record` writes in one round trip.

Keys are column names. Values are JSON-ready: `bytes` become PostgreSQL's hex form, times RFC 3339, ids strings.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import orjson

from domain.context import Context
from domain.facts import Fact


class Row(NamedTuple):
    """One row for one table; the database function `app.write_<table>` knows how it is written."""

    table: str
    values: dict[str, Any]


class Writer(Protocol):
    """A table's `fact -> rows` function: yields nothing for a fact that is not its own. `event_id` is the fact's id."""

    def __call__(self, fact: Fact, event_id: UUID, context: Context) -> Iterator[Row]: ...


def encode(document: Any) -> str:
    """Encode rows for `jsonb`: bytes as PostgreSQL hex, datetimes with microseconds and Z."""
    return orjson.dumps(document, default=_default, option=orjson.OPT_UTC_Z).decode()


def _default(value: object) -> Any:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON-ready")


def during(start: datetime, end: datetime) -> str:
    """Return a half-open `tstzrange` literal."""
    return f"[{start.isoformat()},{end.isoformat()})"
