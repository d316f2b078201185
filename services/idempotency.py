"""One key, one effect: a claim is taken, and its answer kept, in the transaction of the work itself.

Kept for 24 h: good answers and refusals of the domain (402, 409, 422). Never kept: 401, 403, 404, 412, 429, 5xx; then
the claim goes away with the transaction, or is forgotten, and the next try starts anew.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from domain.context import Context
from domain.facts import Replied
from domain.refusals import Refusal, problem
from services.reply import Answer, Reply
from storage import idempotency, personal
from storage.booking_commands import Key
from storage.db import Tx
from storage.journal import record

KEPT = frozenset({402, 409, 422})
LEASE_S = 30.0
REUSED = Refusal("idempotency_key_reused", "This Idempotency-Key came with another body before.")
IN_PROGRESS = Refusal("idempotency_in_progress", "A request with this Idempotency-Key is still running.")


def known(key: Key | None, actor_key: bytes | None, context: Context) -> Answer | None:
    """Return what a key that was read says to this request: nothing to one that may go on, else the answer to give."""
    claim = context.claim
    if claim is None or key is None or key.claimed_at < context.now - idempotency.KEPT_FOR:
        return None
    if key.fingerprint != claim.fingerprint:
        return REUSED
    if key.status is None:
        return IN_PROGRESS if key.locked_until >= context.now else None
    return _opened(key.status, key.body, actor_key)


def again(key: Key | None, actor_key: bytes | None, context: Context) -> Reply | None:
    """Return the kept answer of this very request: its caller may ask again, though the booking is theirs no more."""
    answer = known(key, actor_key, context)
    return answer if isinstance(answer, Reply) else None


def replied(
    answer: Answer, context: Context, actor_key: bytes | None, booking_id: UUID | None = None
) -> tuple[Replied, ...]:
    """Return the fact that keeps an answer under its key; nothing for what must not be kept, or came without a key."""
    if context.claim is None:
        return ()
    if isinstance(answer, Refusal):
        if answer.status not in KEPT:
            return ()
        body: Mapping[str, Any] = problem(answer, context.correlation_id)
    else:
        body = answer.body
    sealed = None if actor_key is None else personal.seal(actor_key, body)
    return (Replied(answer.status, sealed, None if isinstance(answer, Refusal) else booking_id),)


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
        return REUSED
    if seen is None or seen["status"] is None:
        return IN_PROGRESS
    return _opened(seen["status"], seen["body"], await _key(tx, context))


def _opened(status: int, sealed: bytes | None, actor_key: bytes | None) -> Reply:
    body = personal.unseal(actor_key, sealed) or {}
    return Reply(status, body, version=body.get("version") if status < 400 else None, replayed=True)


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
