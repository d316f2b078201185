"""The audit chain: each decision's hash covers the one before it, so that a changed byte shows at its row.

A sealer of one process at a time adds seals a moment after the decisions, in commit-safe order; no booking waits for
it. The hash is SHA-256 over the previous hash and the event's canonical bytes, made from what the database gives back:
times in whole microseconds, `data` in jsonb's own text. A chain that was cut short or written anew looks whole, so its
newest hash is told outside: with each batch to the operational log, and as a signed head to whoever keeps one.
"""

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime
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


class Head(NamedTuple):
    """A place of the chain to be kept elsewhere: its number and hash, and when it was decided.

    `signature` is an HMAC under the house's key: a kept head is ours, not somebody's idea of one.
    """

    seal: int | None
    hash: str
    at: datetime | None = None
    signature: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the answer of `GET /v1/audit/head`, which is also what a file of it holds."""
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


async def verify(db: Database, kept: Head | None = None) -> Verdict:
    """Walk the whole chain and look for events outside it. Reads in batches; changes nothing.

    With a head that was kept elsewhere the chain must also hold that very hash (at its number, if it has one): one that
    was cut short or written anew does not (`head_missing`).
    """
    async with db.reading() as tx:
        previous, number = GENESIS, 0
        met = kept is None
        broken: dict[str, Any] | None = None
        while broken is None and (batch := await audit.chain(tx, number, BATCH)):
            for row in batch:
                broken = _flaw(row, number, previous)
                if broken is not None:
                    break
                number, previous = row["seal"], row["hash"]
                met = met or _is(kept, number, previous)
        if broken is None and not met:
            broken = {"audit_id": None, "seal": kept.seal if kept else None, "reason": "head_missing"}
        if broken is None and (stray := await audit.loose(tx)) is not None:
            broken = {"audit_id": str(stray), "seal": None, "reason": "not_in_chain"}
        events, unsealed = await audit.counts(tx)
    return Verdict(broken is None, events, previous.hex() if number else None, unsealed, broken)


def _is(kept: Head | None, number: int, hashed: bytes) -> bool:
    return kept is not None and kept.hash == hashed.hex() and kept.seal in {None, number}


async def head(db: Database, secret_key: bytes | None = None) -> Head | None:
    """Return the newest place of the chain, signed where there is a key; None before the first seal."""
    async with db.reading() as tx:
        newest = await audit.newest(tx)
    if newest is None:
        return None
    at = newest["at"].astimezone(UTC)
    unsigned = Head(newest["seal"], newest["hash"].hex(), at)
    return unsigned._replace(signature=None if secret_key is None else signature(unsigned, secret_key))


def signature(of: Head, secret_key: bytes) -> str:
    """Sign a head's number and hash, in hex."""
    key = hmac.digest(secret_key, b"doorstep/audit-head/1", "sha256")
    return hmac.digest(key, f"{of.seal}:{of.hash}".encode(), "sha256").hex()


def is_ours(kept: Head, secret_key: bytes) -> bool:
    """Tell whether the signature of a kept head is ours; one without any is not."""
    return kept.signature is not None and hmac.compare_digest(kept.signature, signature(kept, secret_key))


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


async def verified(stores: Stores, kept: str | None) -> Answer | Refusal:
    """Answer `GET /v1/audit/verify`, against the hash of a kept head if one is given."""
    return Reply(200, (await verify(stores.db, None if kept is None else Head(None, kept))).body())


async def newest(stores: Stores) -> Answer | Refusal:
    """Answer `GET /v1/audit/head`; 404 before the first decision was sealed."""
    found = await head(stores.db, stores.secret_key)
    return Refusal("not_found", "Nothing is sealed yet.") if found is None else Reply(200, found.body())
