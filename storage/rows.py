"""What a fact becomes: rows of named tables, as JSON that `app.record` writes in one round trip.

Keys are column names. Values are JSON-ready: `bytes` become PostgreSQL's hex form, times RFC 3339, ids strings.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from domain.context import Context
from domain.facts import Fact


class Row(NamedTuple):
    """One row for one table; the database function `app.write_<table>` knows how it is written."""

    table: str
    values: dict[str, Any]


# A table's `fact -> rows` function: (fact, the fact's id, context); it yields nothing for a fact that is not its own.
type Writer = Callable[[Fact, UUID, Context], Iterator[Row]]


def encode(document: Any) -> str:
    """Encode rows for `jsonb`: bytes as PostgreSQL hex, datetimes with microseconds and Z."""
    return orjson.dumps(document, default=_default, option=orjson.OPT_UTC_Z).decode()


def _default(value: object) -> Any:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, UUID):  # asyncpg's own subclass, which orjson does not take for a UUID
        return str(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON-ready")


def during(start: datetime, end: datetime) -> str:
    """Return a half-open `tstzrange` literal."""
    return f"[{start.isoformat()},{end.isoformat()})"
