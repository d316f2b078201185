"""Ids that are the same at every start: UUIDv7 by their form, drawn from a name instead of from chance."""

from datetime import UTC, datetime
from hashlib import blake2b
from uuid import UUID

FOUNDED = datetime(2026, 1, 5, 14, 0, tzinfo=UTC)


def seeded_id(kind: str, name: str, at: datetime = FOUNDED) -> UUID:
    """Return the id of a seeded thing; `at` gives its place among other ids."""
    chance = int.from_bytes(blake2b(f"{kind}:{name}".encode(), digest_size=10).digest())
    value = (int(at.timestamp() * 1000) & (1 << 48) - 1) << 80
    value |= 0x7 << 76
    value |= (chance >> 62 & 0xFFF) << 64
    value |= 0b10 << 62
    return UUID(int=value | chance & (1 << 62) - 1)
