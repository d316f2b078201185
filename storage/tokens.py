"""Families of refresh tokens: hashes only, each used once, and the row locks that make a race of two refreshes one."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from storage.db import Tx

# The lock waits for an erasure that is under way, and then finds nobody.
OPEN_FAMILY = """
INSERT INTO app.token_families (family_id, person_id, created_at, expires_at)
SELECT $1, person_id, $3, $4 FROM app.people WHERE person_id = $2 AND erased_at IS NULL FOR KEY SHARE
RETURNING family_id
"""
ADD = """
INSERT INTO app.refresh_tokens (token_hash, family_id, issued_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
LOCK = """
SELECT t.used_at, f.family_id, f.person_id, f.expires_at, f.revoked_at
FROM app.refresh_tokens t JOIN app.token_families f USING (family_id)
WHERE t.token_hash = $1
FOR UPDATE
"""
USE = "UPDATE app.refresh_tokens SET used_at = $2 WHERE token_hash = $1"
REVOKE = """
UPDATE app.token_families SET revoked_at = $2, revoked_reason = $3
WHERE family_id = $1 AND revoked_at IS NULL
RETURNING family_id
"""
REVOKED_SINCE = "SELECT family_id, revoked_at FROM app.token_families WHERE revoked_at >= $1"
SWEEP = "DELETE FROM app.token_families WHERE expires_at < $1"


async def open_family(
    tx: Tx, family_id: UUID, person_id: UUID, token_hash: bytes, *, now: datetime, expires_at: datetime
) -> bool:
    """Begin a family with its first token; False, and nothing is kept, for a person who was erased meanwhile."""
    if await tx.fetchval(OPEN_FAMILY, family_id, person_id, now, expires_at) is None:
        return False
    await tx.execute(ADD, token_hash, family_id, now)
    return True


async def lock(tx: Tx, token_hash: bytes) -> asyncpg.Record | None:
    """Lock a token and its family: used_at, family_id, person_id, expires_at, revoked_at."""
    return await tx.fetchrow(LOCK, token_hash)


async def rotate(tx: Tx, token_hash: bytes, successor_hash: bytes, family_id: UUID, now: datetime) -> None:
    """Use a token up and add its successor."""
    await tx.execute(USE, token_hash, now)
    await tx.execute(ADD, successor_hash, family_id, now)


async def revoke(tx: Tx, family_id: UUID, now: datetime, reason: str) -> bool:
    """Revoke a family; False when it was revoked before."""
    return await tx.fetchval(REVOKE, family_id, now, reason) is not None


async def revoked_since(tx: Tx, since: datetime) -> Sequence[asyncpg.Record]:
    """Return family_id and revoked_at of what was revoked since."""
    return await tx.fetch(REVOKED_SINCE, since)


async def sweep(tx: Tx, before: datetime) -> str:
    """Delete families whose last token ran out."""
    return await tx.execute(SWEEP, before)
