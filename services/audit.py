"""The audit chain: each decision's hash covers the one before it, so that a changed byte shows at its row.

A sealer of one process at a time adds seals a moment after the decisions, in commit-safe order; no booking waits for
it. The hash is SHA-256 over the previous hash and the event's canonical bytes, made from what the database gives back:
times in whole microseconds, `data` in jsonb's own text. The newest hash goes to the operational log, so that a chain
cut short, which looks whole, can be told.
"""

import asyncio
import hashlib
from datetime import UTC
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import orjson
import structlog

from domain.context import Context, Role
from domain.refusals import Refusal
from services.reply import Answer, Reply
from services.stores import Stores
from storage import audit
from storage.db import Database

log = structlog.get_logger(__name__)

GENESIS = bytes(32)
BATCH = 500
PAUSE_S = 1.0  # how long a decision may wait for its seal


class Verdict(NamedTuple):
    """What `verify` found. `head` is the newest hash; `broken` the first row that does not hold, and why."""

    ok: bool
    events: int
    head: str | None
    unsealed: int
    broken: dict[str, Any] | None

    def body(self) -> dict[str, Any]:
        """Return the answer of `GET /v1/audit/verify`."""
        return {**self._asdict()}


def canonical(event: asyncpg.Record) -> bytes:
    """Return the bytes that a hash covers: a JSON array of the row's values in a fixed order."""
    at = event["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return orjson.dumps(
        [
            str(event["audit_id"]),
            at,
            str(event["actor_id"]) if event["actor_id"] else None,
            event["actor_role"],
            event["action"],
            event["subject_kind"],
            event["subject_id"],
            event["reason"],
            event["data"],
            event["correlation_id"],
        ]
    )


def link(previous: bytes, event: asyncpg.Record) -> bytes:
    """Return the hash of an event that follows `previous`."""
    return hashlib.sha256(previous + canonical(event)).digest()


async def seal(db: Database) -> int:
    """Seal what waits, up to a batch; 0 also while another process is at it."""
    async with db.transaction() as tx:
        if not await audit.become_sealer(tx):
            return 0
        events = await audit.unsealed(tx, BATCH)
        if not events:
            return 0
        number, previous = await audit.head(tx) or (0, GENESIS)
        seals: list[tuple[int, UUID, bytes, bytes]] = []
        for number, event in enumerate(events, start=number + 1):  # noqa: B020 - goes on from the head's number
            hashed = link(previous, event)
            seals.append((number, event["audit_id"], previous, hashed))
            previous = hashed
        await audit.seal(tx, seals)
    log.info("audit_sealed", seal=number, head=previous.hex(), events=len(seals))
    return len(seals)


async def run(stores: Stores, stop: asyncio.Event) -> None:
    """Seal until `stop`. Any number of processes may run this; one of them works."""
    while not stop.is_set():
        if await seal(stores.db) == BATCH:
            continue
        try:
            await asyncio.wait_for(stop.wait(), PAUSE_S)
        except TimeoutError:
            continue


async def verify(db: Database) -> Verdict:
    """Walk the whole chain and look for events outside it. Reads in batches; changes nothing."""
    async with db.reading() as tx:
        previous, number = GENESIS, 0
        broken: dict[str, Any] | None = None
        while broken is None and (batch := await audit.chain(tx, number, BATCH)):
            for row in batch:
                broken = _flaw(row, number, previous)
                if broken is not None:
                    break
                number, previous = row["seal"], row["hash"]
        if broken is None and (stray := await audit.loose(tx)) is not None:
            broken = {"audit_id": str(stray), "seal": None, "reason": "not_in_chain"}
        events, unsealed = await audit.counts(tx)
    return Verdict(broken is None, events, previous.hex() if number else None, unsealed, broken)


def _flaw(row: asyncpg.Record, number: int, previous: bytes) -> dict[str, Any] | None:
    if row["audit_id"] is None:
        reason = "event_missing"
    elif row["seal"] != number + 1 or row["prev_hash"] != previous:
        reason = "link_missing"
    elif row["hash"] != link(previous, row):
        reason = "changed"
    else:
        return None
    return {"audit_id": str(row["sealed_id"]), "seal": row["seal"], "reason": reason}


def money_part(role: Role) -> bool | None:
    """Tell which decisions a role reads: finance those about money, support all others, the founder all (None)."""
    return {Role.FINANCE: True, Role.SUPPORT: False}.get(role)


async def list_(
    stores: Stores, actor: UUID | None, action: str | None, subject: str | None, before: UUID | None, limit: int,
    context: Context,
) -> Answer:  # fmt: skip
    """List decisions, newest first. `subject` is an id, or `kind:id`."""
    kind, _, subject_id = subject.rpartition(":") if subject else ("", "", "")
    async with stores.db.reading() as tx:
        records = await audit.list_(
            tx, actor=actor, action=action, subject_id=subject_id or None, subject_kind=kind or None,
            money=money_part(context.actor.role), before=before, limit=limit + 1,
        )  # fmt: skip
    items = [
        {
            "audit_id": str(r["audit_id"]),
            "at": r["at"],
            "actor_id": str(r["actor_id"]) if r["actor_id"] else None,
            "actor_role": r["actor_role"],
            "action": r["action"],
            "subject_kind": r["subject_kind"],
            "subject_id": r["subject_id"],
            "reason": r["reason"],
            "data": r["data"],
            "correlation_id": r["correlation_id"],
            "seal": r["seal"],
        }
        for r in records[:limit]
    ]
    more = items[-1]["audit_id"] if len(records) > limit else None
    return Reply(200, {"items": items, "next_cursor": more})


async def verified(stores: Stores) -> Answer | Refusal:
    """Answer `GET /v1/audit/verify`."""
    return Reply(200, (await verify(stores.db)).body())
