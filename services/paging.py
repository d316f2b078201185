"""Lists, a page at a time: the cursor tells the last item that was shown, by its key, or by its time and its id."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.refusals import FieldError, Refusal
from services.reply import Answer, Reply


def foreign_cursor() -> Refusal:
    """Return the refusal of a cursor that no list of ours answered."""
    words = "The cursor is not one of ours."
    return Refusal("validation", words, (FieldError("query/cursor", "invalid", words),))


def cursor_of(at: datetime, item_id: UUID) -> str:
    """Return the cursor behind an item of a list that is ordered by time, then by id."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{item_id}".encode()).decode()


def item_behind(cursor: str) -> tuple[datetime, UUID] | None:
    """Return time and id of the item that a cursor of `cursor_of` tells, or None when it is not one of ours."""
    try:
        at, _, item_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        moment = datetime.fromisoformat(at)
        return (moment.astimezone(UTC), UUID(item_id)) if moment.tzinfo else None
    except (ValueError, OverflowError, binascii.Error):
        return None


def paged(items: Sequence[Mapping[str, Any]], key: str, limit: int, cursor: str | None) -> Answer:
    """Return one page of a list that was read whole; its order may not change, and `key` tells its items apart."""
    keys = [str(item[key]) for item in items]
    if cursor is not None and cursor not in keys:
        return foreign_cursor()
    begin = 0 if cursor is None else keys.index(cursor) + 1
    end = begin + limit
    return Reply(200, {"items": items[begin:end], "next_cursor": keys[end - 1] if end < len(items) else None})
