"""One key, one effect: a claim is taken, and its answer kept, in the transaction of the work itself.

Kept for 24 h: good answers and refusals of the domain (402, 409, 422). Never kept: 401, 403, 404, 412, 429, 5xx; then
the claim goes away with the transaction, or is forgotten, and the next try starts anew.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.facts import Replied
from domain.refusals import Refusal, problem
from services.reply import Answer, Reply
from storage import idempotency, personal
from storage.db import Tx
from storage.journal import record

KEPT = frozenset({402, 409, 422})
LEASE_S = 30.0


async def begin(tx: Tx, context: Context) -> Answer | UUID | None:
    """Claim this request's key, if it has one.

    Returns None to go on, a booking's id to go on with what a dead predecessor began, or the answer to give now: the
    kept one (`replayed`), or a refusal `idempotency_key_reused` or `idempotency_in_progress`.
    """
    if context.claim is None:
        return None
    claimed, booking_id = await idempotency.claim(tx, context.claim, context.now, LEASE_S)
    if claimed:
        return booking_id
    seen = await idempotency.seen(tx, context.claim)
    if seen is not None and seen["fingerprint"] != context.claim.fingerprint:
        return Refusal("idempotency_key_reused", "This Idempotency-Key came with another body before.")
    if seen is None or seen["status"] is None:
        return Refusal("idempotency_in_progress", "A request with this Idempotency-Key is still running.")
    return await _again(tx, seen, context)


async def earlier(tx: Tx, context: Context) -> Reply | None:
    """Return the kept answer of this very request: its caller may ask again, though the booking is theirs no more."""
    if context.claim is None:
        return None
    seen = await idempotency.seen(tx, context.claim)
    if seen is None or seen["status"] is None or seen["fingerprint"] != context.claim.fingerprint:
        return None
    return await _again(tx, seen, context)


async def _again(tx: Tx, seen: asyncpg.Record, context: Context) -> Reply:
    body = personal.unseal(await _key(tx, context), seen["body"]) or {}
    version = body.get("version") if seen["status"] < 400 else None
    return Reply(seen["status"], body, version=version, replayed=True)


async def kept(tx: Tx, reply: Reply, context: Context, booking_id: UUID | None = None) -> tuple[Replied, ...]:
    """Return the fact that keeps a good answer, to be recorded with the work; nothing for a request without a key."""
    if context.claim is None:
        return ()
    return (Replied(reply.status, await _sealed(tx, reply.body, context), booking_id),)


async def _sealed(tx: Tx, body: Mapping[str, Any], context: Context) -> bytes | None:
    """Seal an answer under its caller's key; nothing is kept in clear, and nothing of who was erased."""
    key = await _key(tx, context)
    return None if key is None else personal.seal(key, body)


async def _key(tx: Tx, context: Context) -> bytes | None:
    return None if context.actor.person_id is None else await personal.key_of(tx, context.actor.person_id)


async def refuse(tx: Tx, refusal: Refusal, context: Context) -> Refusal:
    """Keep a refusal of the domain, or forget the claim when this one must not be kept."""
    if context.claim is None:
        return refusal
    if refusal.status in KEPT:
        sealed = await _sealed(tx, problem(refusal, context.correlation_id), context)
        await record(tx, [Replied(refusal.status, sealed)], context)
    else:
        await idempotency.forget(tx, context.claim)
    return refusal
