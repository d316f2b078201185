"""Credentials: handed in by technicians, decided by the founder; what support says of them is kept as a proposal."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from domain.context import Context, Role
from domain.credentials import (
    EXPIRING_WITHIN,
    Credential,
)
from domain.facts import Decided
from domain.refusals import FieldError, Refusal
from domain.trust import (
    CREDENTIAL_DECISIONS,
    CredentialWritten,
    Technician,
    decide_credential,
)
from services.booking_view import stamp
from services.paging import cursor_of, foreign_cursor, item_behind, paged
from services.reply import Answer, Reply
from services.stores import Stores
from storage import catalogue, credentials, technicians
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record

PENDING_AT_MOST = 20  # of one technician; a decision of ours makes room


@dataclass(frozen=True, slots=True)
class Submission:
    """A licence as its holder describes it."""

    credential_type: str
    jurisdiction: str
    number: str
    issuer: str
    issued_on: date
    expires_on: date | None
    upload_id: UUID | None


async def submit(stores: Stores, wanted: Submission, context: Context) -> Answer:
    """Hand in one's own credential; it counts for nothing until somebody verified it.

    At most `PENDING_AT_MOST` wait at a time (`credential_state`): the gate reads all that a technician holds.
    """
    async with stores.db.transaction() as tx:
        person_id = context.actor.person_id
        technician = None if person_id is None else await technicians.lock(tx, person_id)
        if technician is None:
            return Refusal("not_found", "Apply first.")
        if await credentials.pending(tx, technician.technician_id) >= PENDING_AT_MOST:
            return Refusal("credential_state", f"{PENDING_AT_MOST} of yours wait for a decision already.")
        errors = []
        if not await catalogue.chain(tx, wanted.jurisdiction):
            errors.append(FieldError("/jurisdiction", "unknown", "There is no such jurisdiction."))
        if wanted.issued_on > context.now.date() + timedelta(days=1):
            errors.append(FieldError("/issued_on", "out_of_range", "It cannot be issued in the future."))
        if wanted.expires_on is not None and wanted.expires_on < wanted.issued_on:
            errors.append(FieldError("/expires_on", "out_of_range", "It cannot end before it was issued."))
        if errors:
            return Refusal("validation", "The credential is not well formed.", tuple(errors))
        credential = Credential(
            credential_id=new_id(),
            technician_id=technician.technician_id,
            credential_type=wanted.credential_type,
            jurisdiction=wanted.jurisdiction,
            number=wanted.number,
            issuer=wanted.issuer,
            issued_on=wanted.issued_on,
            expires_on=wanted.expires_on,
            state="pending",
            upload_id=wanted.upload_id,
        )
        await record(tx, [CredentialWritten(credential)], context)
    return Reply(201, shown(credential, context.now.date()))


async def own(stores: Stores, limit: int, cursor: str | None, context: Context) -> Answer:
    """List one's own credentials, whole."""
    async with stores.db.reading() as tx:
        technician = await _own(tx, context)
        if technician is None:
            return Refusal("not_found", "Apply first.")
        held = await credentials.of_technician(tx, technician.technician_id)
    items = [shown(each, context.now.date()) for each in held]
    return paged(items, "credential_id", limit, cursor)


async def list_(
    stores: Stores, status: str | None, limit: int, cursor: str | None, context: Context
) -> Answer:
    """List credentials for those who decide, newest first; `expiring` and `expired` are verified ones by date."""
    after = None if cursor is None else item_behind(cursor)
    if cursor is not None and after is None:
        return foreign_cursor()
    today = context.now.date()
    by_date = status in ("expiring", "expired")
    async with stores.db.reading() as tx:
        found = await credentials.list_(
            tx,
            state="verified" if by_date else status,
            expiring=(today, today + EXPIRING_WITHIN) if status == "expiring" else None,
            expired_before=today if status == "expired" else None,
            after=after,
            limit=limit + 1,
        )
    page = found[:limit]
    items = [
        shown(each.credential, today)
        | {"technician": {"technician_id": str(each.credential.technician_id), "display_name": each.display_name},
           "submitted_at": stamp(each.submitted_at)}
        for each in page
    ]  # fmt: skip
    last = page[-1] if len(found) > limit else None
    next_cursor = None if last is None else cursor_of(last.submitted_at, last.credential.credential_id)
    return Reply(200, {"items": items, "next_cursor": next_cursor})


async def decide(
    stores: Stores, credential_id: UUID, decision: str, reason: str, how: str | None, context: Context
) -> Answer:
    """Verify, reject, suspend, revoke or reinstate. The founder decides; what support says is kept as a proposal.

    The technician is locked first, and is at another version afterwards: what the gate let through is asked again.
    """
    async with stores.db.transaction() as tx:
        known = await credentials.get(tx, credential_id)
        if known is not None:
            await technicians.lock(tx, known.technician_id)
        credential = await credentials.lock(tx, credential_id)
        if credential is None:
            return Refusal("not_found", "There is no such credential.")
        facts = decide_credential(credential, decision, reason, how, context.now.date())
        if isinstance(facts, Refusal):
            return facts
        if context.actor.role == Role.SUPPORT:
            action = CREDENTIAL_DECISIONS[decision][2].replace("credential.", "credential.proposed_")
            await record(tx, [Decided(action, "credential", str(credential_id), reason)], context)
            return Reply(202, shown(credential, context.now.date()) | {"proposed": decision})
        await record(tx, facts, context)
        after = next(fact.credential for fact in facts if isinstance(fact, CredentialWritten))
    return Reply(200, shown(after, context.now.date()))


async def visible(stores: Stores, credential_id: UUID) -> Refusal | None:
    """Refuse with 404 a credential that does not exist."""
    async with stores.db.reading() as tx:
        found = await credentials.get(tx, credential_id)
    return None if found is not None else Refusal("not_found", "There is no such credential.")


def shown(credential: Credential, today: date) -> dict[str, Any]:
    """Show a credential whole: to its holder and to those who decide."""
    ends = credential.expires_on
    by_date = credential.state
    if credential.state == "verified":
        by_date = "expired" if ends and ends < today else "active"
        by_date = "expiring" if by_date == "active" and ends and ends - today <= EXPIRING_WITHIN else by_date
    return {
        "credential_id": str(credential.credential_id),
        "technician_id": str(credential.technician_id),
        "type": credential.credential_type,
        "jurisdiction": credential.jurisdiction,
        "number": credential.number,
        "issuer": credential.issuer,
        "issued_on": _iso(credential.issued_on),
        "expires_on": _iso(credential.expires_on),
        "status": credential.state,
        "standing": by_date,
        "verified_on": _iso(credential.verified_on),
        "verified_how": credential.verified_how,
        "next_check_on": _iso(credential.next_check_on),
        "upload_id": str(credential.upload_id) if credential.upload_id else None,
    }


async def _own(tx: Tx, context: Context) -> Technician | None:
    person_id = context.actor.person_id
    return None if person_id is None else await technicians.get(tx, person_id)


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
