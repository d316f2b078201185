"""Webhooks and their secrets: who is told of what, and the sealed keys that sign it, at most a few live at a time."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from domain.webhooks import AT_MOST, SECRETS_AT_MOST, Webhook
from storage.db import Tx

LOCK_ALL = 0x776562686F6F  # "webhoo" in ASCII: two registrations never take one lane

COLUMNS = "webhook_id, lane, url, topics, description, state, reason, created_at, changed_at, failing_since"
LOCK = "SELECT pg_advisory_xact_lock($1)"
FREE_LANE = """
SELECT min(n) FROM generate_series(0, $1 - 1) AS n
WHERE NOT EXISTS (SELECT FROM app.webhooks w WHERE w.lane = n AND w.state <> 'deleted')
"""
ADD = f"""
INSERT INTO app.webhooks ({COLUMNS}, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
GET = f"SELECT {COLUMNS} FROM app.webhooks WHERE webhook_id = $1 AND state <> 'deleted'"
GET_LOCKED = f"{GET} FOR NO KEY UPDATE"
ALL = f"SELECT {COLUMNS} FROM app.webhooks WHERE state <> 'deleted' ORDER BY webhook_id"
ACTIVE = f"SELECT {COLUMNS} FROM app.webhooks WHERE state = 'active' ORDER BY webhook_id"
ANY_EVER = "SELECT EXISTS (SELECT FROM app.webhooks)"
CHANGE = "UPDATE app.webhooks SET url = $2, topics = $3, description = $4 WHERE webhook_id = $1"
SET_STATE = """
UPDATE app.webhooks SET state = $2, reason = $3, changed_at = $4, failing_since = NULL
WHERE webhook_id = $1 AND state <> $2 AND state <> 'deleted'
"""
REMOVE = """
UPDATE app.webhooks SET state = 'deleted', reason = NULL, changed_at = $2, url = '', description = ''
WHERE webhook_id = $1
"""
FAILS = "UPDATE app.webhooks SET failing_since = $2 WHERE webhook_id = $1 AND failing_since IS NULL"
WELL_AGAIN = (
    "UPDATE app.webhooks SET failing_since = NULL WHERE webhook_id = $1 AND failing_since IS NOT NULL"
)

SIGN_WITH = "INSERT INTO app.webhook_secrets (webhook_id, box, made_at) VALUES ($1, $2, $3)"
END_SECRETS = "UPDATE app.webhook_secrets SET ends_at = least(ends_at, $2) WHERE webhook_id = $1"
FORGET_SECRETS = """
DELETE FROM app.webhook_secrets WHERE webhook_id = $1 AND secret_id NOT IN (
    SELECT secret_id FROM app.webhook_secrets WHERE webhook_id = $1 AND (ends_at IS NULL OR ends_at > $2)
    ORDER BY made_at DESC, secret_id DESC LIMIT $3)
"""
SECRETS = """
SELECT box FROM app.webhook_secrets WHERE webhook_id = $1 AND (ends_at IS NULL OR ends_at > $2)
ORDER BY made_at DESC, secret_id DESC
"""


async def add(tx: Tx, webhook: Webhook, created_by: UUID | None) -> None:
    """Write a new webhook; its lane is one of `free_lane`, in the same transaction."""
    w = webhook
    await tx.execute(ADD, w.webhook_id, w.lane, w.url, w.topics, w.description, w.state, w.reason, w.created_at,
                     w.changed_at, w.failing_since, created_by)  # fmt: skip


async def free_lane(tx: Tx) -> int | None:
    """Return a lane that no webhook has, for the rest of the transaction nobody else's; None when all are taken."""
    await tx.execute(LOCK, LOCK_ALL)
    lane: int | None = await tx.fetchval(FREE_LANE, AT_MOST)
    return lane


async def get(tx: Tx, webhook_id: UUID, *, lock: bool = False) -> Webhook | None:
    """Read a webhook that was not deleted."""
    record = await tx.fetchrow(GET_LOCKED if lock else GET, webhook_id)
    return _webhook(record) if record else None


async def every(tx: Tx) -> list[Webhook]:
    """List the webhooks, oldest first."""
    return [_webhook(record) for record in await tx.fetch(ALL)]


async def active(tx: Tx) -> list[Webhook]:
    """List those that are told of what happens."""
    return [_webhook(record) for record in await tx.fetch(ACTIVE)]


async def any_ever(tx: Tx) -> bool:
    """Tell whether there is, or was, a webhook."""
    found: bool = await tx.fetchval(ANY_EVER)
    return found


async def change(tx: Tx, webhook_id: UUID, url: str, topics: Sequence[str], description: str) -> None:
    """Point it elsewhere, or at other events."""
    await tx.execute(CHANGE, webhook_id, url, topics, description)


async def set_state(tx: Tx, webhook_id: UUID, state: str, reason: str | None, now: datetime) -> bool:
    """Move it to another state; False when it stands there already, or is deleted."""
    return await tx.execute(SET_STATE, webhook_id, state, reason, now) != "UPDATE 0"


async def remove(tx: Tx, webhook_id: UUID, now: datetime) -> None:
    """Delete a webhook: its address and secrets go, its row stays for the record of what was delivered."""
    await tx.execute(REMOVE, webhook_id, now)
    await tx.execute(FORGET_SECRETS, webhook_id, now, 0)


async def fails(tx: Tx, webhook_id: UUID, now: datetime) -> None:
    """Note that nothing goes well any more, unless that was noted."""
    await tx.execute(FAILS, webhook_id, now)


async def well_again(tx: Tx, webhook_id: UUID) -> None:
    """Note that something went well."""
    await tx.execute(WELL_AGAIN, webhook_id)


async def add_secret(tx: Tx, webhook_id: UUID, box: bytes, now: datetime, others_end_at: datetime) -> None:
    """Add a secret; the others end then, and those that ended, or are too many, are forgotten."""
    await tx.execute(END_SECRETS, webhook_id, others_end_at)
    await tx.execute(SIGN_WITH, webhook_id, box, now)
    await tx.execute(FORGET_SECRETS, webhook_id, now, SECRETS_AT_MOST)


async def secrets(tx: Tx, webhook_id: UUID, now: datetime) -> list[bytes]:
    """Return the sealed secrets that sign now, the newest first."""
    return [record["box"] for record in await tx.fetch(SECRETS, webhook_id, now)]


def _webhook(record: asyncpg.Record) -> Webhook:
    return Webhook(**{**record, "topics": tuple(record["topics"])})
