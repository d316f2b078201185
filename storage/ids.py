"""UUIDv7 ids: they sort by time, so that indexes stay warm and lists can page by them."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a fresh UUIDv7."""
    return uuid7()
