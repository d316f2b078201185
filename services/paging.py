"""Lists, a page at a time: short ones are read whole, and the cursor is the key of the last item that was shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.refusals import FieldError, Refusal
from services.reply import Answer, Reply


def foreign_cursor() -> Refusal:
    """Return the refusal of a cursor that no list of ours answered."""
    words = "The cursor is not one of ours."
    return Refusal("validation", words, (FieldError("query/cursor", "invalid", words),))


def paged(items: Sequence[Mapping[str, Any]], key: str, limit: int, cursor: str | None) -> Answer:
    """Return one page of a list that was read whole; its order may not change, and `key` tells its items apart."""
    keys = [str(item[key]) for item in items]
    if cursor is not None and cursor not in keys:
        return foreign_cursor()
    begin = 0 if cursor is None else keys.index(cursor) + 1
    end = begin + limit
    return Reply(200, {"items": items[begin:end], "next_cursor": keys[end - 1] if end < len(items) else None})
