"""Erasing oneself: personal fields and the key go in one commit, the truth stays under a pseudonym.

What others hold about the person within the day (answers kept for their Idempotency-Keys) is sealed anew without name
and address. Sessions end with the commit; what a phone still sent in that moment is deleted by a job a minute later.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from domain.context import Context, Role
from domain.erasure import PersonErased, erase
from domain.facts import JobWanted
from domain.refusals import Refusal
from services.auth import FROM_ONE_ADDRESS, tell_revoked
from services.reply import Answer, Reply
from services.stores import Stores
from storage import erasure, people
from storage.db import Database, Tx
from storage.journal import record

log = structlog.get_logger(__name__)

FRESH_FOR = timedelta(minutes=5)  # so long after signing in the password need not be given again
LATE_AFTER = timedelta(minutes=1)  # sockets end within 5 s, and what they brought is stored within seconds

GONE = Refusal("not_found", "This account is no more.")
PROVE = Refusal("forbidden", "Give your password, or sign in again and ask within five minutes.")


class Left(NamedTuple):
    """What somebody leaves behind in hot state: token families to be refused, GPS sessions to be forgotten."""

    families: list[UUID]
    sessions: list[UUID]


async def erase_me(stores: Stores, password: str | None, context: Context) -> Answer:
    """Erase the person who asks; 204. Refuses `open_bookings`, `unpaid`, `last_founder`; `forbidden` without proof."""
    person_id = context.actor.person_id
    if person_id is None:
        return GONE
    refused = await _unproven(stores, person_id, password, context)
    if refused is not None:
        return refused
    left = await erase_person(stores.db, person_id, context)
    if isinstance(left, Refusal):
        return left
    for family_id in left.families:
        await tell_revoked(stores, family_id)
    for session_id in left.sessions:
        await stores.hot.forget_position(session_id)
        claim = await stores.hot.claim_track(session_id)
        stores.hot.save_track(session_id, claim.token, b"")
    return Reply(204, {})


async def erase_person(db: Database, person_id: UUID, context: Context) -> Left | Refusal:
    """Erase a person in one transaction. Who serves learns within seconds that the sessions are over."""
    async with db.transaction() as tx:
        if context.actor.role in {Role.FOUNDER, Role.SYSTEM}:
            await erasure.lock_founders(tx)
        role = await erasure.lock(tx, person_id)
        if role is None:
            return GONE
        facts = erase(person_id, role, await erasure.standing(tx, person_id))
        if isinstance(facts, Refusal):
            return facts
        left = Left(await erasure.families(tx, person_id), await erasure.sessions(tx, person_id))
        await _seal_anew(tx, person_id, next(f.display_name for f in facts if isinstance(f, PersonErased)))
        later = JobWanted("forget_fixes", {"person_id": str(person_id)}, context.now + LATE_AFTER)
        await record(tx, [*facts, later] if left.sessions else facts, context)
    log.info("person_erased", person_id=str(person_id), role=role)
    return left


async def forget_fixes(stores: Stores, payload: Mapping[str, Any], context: Context) -> None:  # noqa: ARG001 - a Job's signature
    """Delete the fixes that were still on their way when their technician was erased."""
    async with stores.db.transaction() as tx:
        gone = await erasure.forget_fixes(tx, UUID(payload["person_id"]))
    if gone:
        log.info("late_fixes_forgotten", fixes=gone)


async def _unproven(
    stores: Stores, person_id: UUID, password: str | None, context: Context
) -> Refusal | None:
    """Refuse who holds a token but may not be the person: no password, and no sign-in a moment ago."""
    if password is None:
        async with stores.db.reading() as tx:
            since = context.now - FRESH_FOR
            fresh = await erasure.is_fresh(tx, context.actor.family_id, person_id, since)
        return None if fresh else PROVE
    burst, per_s = FROM_ONE_ADDRESS
    wait_s = await stores.hot.take(f"erase:{person_id}", burst=burst, per_s=per_s)
    if wait_s > 0:
        return Refusal("rate_limited", "Too many attempts.", extra={"retry_after_s": int(wait_s) + 1})
    async with stores.db.reading() as tx:
        person = await people.get(tx, person_id)
    good = await stores.passwords.verify(person.password_hash if person else None, password)
    if isinstance(good, Refusal):
        return good
    return None if good else PROVE


async def _seal_anew(tx: Tx, person_id: UUID, display_name: str) -> None:
    changed = []
    for kept in await erasure.kept_for_others(tx, person_id):
        body = without(kept.body, str(person_id), display_name)
        if body != kept.body:
            changed.append(kept._replace(body=body))
    if changed:
        await erasure.keep_instead(tx, changed)


def without(body: Any, person_id: str, display_name: str) -> Any:
    """Return a booking as it is answered once this person is gone: another name, no photo, no address."""
    if not isinstance(body, dict):
        return body
    after = dict(body)
    customer, technician = body.get("customer"), body.get("technician")
    if isinstance(customer, dict) and customer.get("customer_id") == person_id:
        after["customer"] = {**customer, "display_name": display_name}
        address = body.get("address") or {}
        after["address"] = {name: address[name] for name in ("area_id", "area") if name in address}
    if isinstance(technician, dict) and technician.get("technician_id") == person_id:
        after["technician"] = {**technician, "display_name": display_name, "photo_url": None}
    return after
