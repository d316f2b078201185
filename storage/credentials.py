"""Credentials and rules as they were written, and one question that reads all a gate needs in a single round trip."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from domain.context import Context
from domain.credentials import Credential
from domain.facts import Fact
from domain.trust import CredentialWritten, RulesWritten
from storage.db import Tx
from storage.rows import Row

STANDING = """
SELECT credential_id, credential_type, jurisdiction, status, expires_on, verified_on
FROM app.credentials WHERE technician_id = $1 ORDER BY credential_type, credential_id
"""
_COLUMNS = """
c.credential_id, c.technician_id, c.credential_type, c.jurisdiction, c.number, c.issuer, c.issued_on, c.expires_on,
c.status, c.verified_on, c.verified_how, c.next_check_on, c.submitted_at, c.upload_id
"""
OF_TECHNICIAN = (
    f"SELECT {_COLUMNS} FROM app.credentials c WHERE c.technician_id = $1 ORDER BY c.credential_id"
)
PENDING = "SELECT count(*) FROM app.credentials WHERE technician_id = $1 AND status = 'pending'"
GET = f"SELECT {_COLUMNS} FROM app.credentials c WHERE c.credential_id = $1"
LOCK = f"SELECT {_COLUMNS} FROM app.credentials c WHERE c.credential_id = $1 FOR UPDATE"
GROUNDS = "SELECT app.gate_grounds($1, $2, $3)"
LIST = f"""
SELECT {_COLUMNS}, p.display_name
FROM app.credentials c JOIN app.people p ON p.person_id = c.technician_id
WHERE ($1::text IS NULL OR c.status = $1)
  AND ($2::date IS NULL OR (c.expires_on >= $2 AND c.expires_on <= $3::date))
  AND ($4::date IS NULL OR c.expires_on < $4)
  AND ($5::timestamptz IS NULL OR (c.submitted_at, c.credential_id) < ($5, $6::uuid))
ORDER BY c.submitted_at DESC, c.credential_id DESC LIMIT $7
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A credential in the list of those who decide."""

    credential: Credential
    submitted_at: datetime
    display_name: str


def rows(fact: Fact, _event_id: UUID, context: Context) -> Iterator[Row]:
    """Yield the row of a credential, or the next version of a jurisdiction's rules."""
    match fact:
        case CredentialWritten():
            yield Row("credentials", _values(fact.credential, context.now))
        case RulesWritten():
            yield Row(
                "requirement_sets",
                {
                    "jurisdiction": fact.rules.jurisdiction,
                    "service": fact.rules.service,
                    "version": fact.rules.version,
                    "requirements": [each.document() for each in fact.rules.requirements],
                    "created_at": context.now,
                    "created_by": fact.by,
                },
            )


def _values(c: Credential, now: datetime) -> dict[str, Any]:
    return {
        "credential_id": c.credential_id,
        "technician_id": c.technician_id,
        "credential_type": c.credential_type,
        "jurisdiction": c.jurisdiction,
        "number": c.number,
        "issuer": c.issuer,
        "issued_on": c.issued_on,
        "expires_on": c.expires_on,
        "status": c.state,
        "verified_on": c.verified_on,
        "verified_how": c.verified_how,
        "next_check_on": c.next_check_on,
        "submitted_at": now,
        "upload_id": c.upload_id,
    }


def from_record(record: asyncpg.Record) -> Credential:
    """Read a credential from a row of these queries."""
    return Credential(
        credential_id=record["credential_id"],
        technician_id=record["technician_id"],
        credential_type=record["credential_type"],
        jurisdiction=record["jurisdiction"],
        number=record["number"],
        issuer=record["issuer"],
        issued_on=record["issued_on"],
        expires_on=record["expires_on"],
        state=record["status"],
        verified_on=record["verified_on"],
        verified_how=record["verified_how"],
        next_check_on=record["next_check_on"],
        upload_id=record["upload_id"],
    )


def from_document(document: Mapping[str, Any]) -> Credential:
    """Read a credential from its row as JSON."""
    return Credential(
        credential_id=UUID(document["credential_id"]),
        technician_id=UUID(document["technician_id"]),
        credential_type=document["credential_type"],
        jurisdiction=document["jurisdiction"],
        number=document["number"],
        issuer=document["issuer"],
        issued_on=date.fromisoformat(document["issued_on"]),
        expires_on=_day(document["expires_on"]),
        state=document["status"],
        verified_on=_day(document["verified_on"]),
        verified_how=document["verified_how"],
        next_check_on=_day(document["next_check_on"]),
        upload_id=UUID(document["upload_id"]) if document["upload_id"] else None,
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


async def pending(tx: Tx, technician_id: UUID) -> int:
    """Count what a technician handed in and nobody decided yet. The technician is locked."""
    counted: int = await tx.fetchval(PENDING, technician_id)
    return counted


async def of_technician(tx: Tx, technician_id: UUID) -> list[Credential]:
    """List everything that a technician ever submitted."""
    return [from_record(record) for record in await tx.fetch(OF_TECHNICIAN, technician_id)]


async def grounds(tx: Tx, technician_id: UUID, jurisdiction: str, service: str) -> dict[str, Any]:
    """Read all that the gate looks at, at once: `technician`, `chain` with its rules, `credentials`, each as JSON."""
    found: dict[str, Any] = await tx.fetchval(GROUNDS, technician_id, jurisdiction, service)
    return found


async def get(tx: Tx, credential_id: UUID) -> Credential | None:
    """Read one credential."""
    record = await tx.fetchrow(GET, credential_id)
    return from_record(record) if record else None


async def lock(tx: Tx, credential_id: UUID) -> Credential | None:
    """Read one credential and hold it until the transaction ends."""
    record = await tx.fetchrow(LOCK, credential_id)
    return from_record(record) if record else None


async def list_(
    tx: Tx,
    *,
    state: str | None,
    expiring: tuple[date, date] | None = None,
    expired_before: date | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[Listed]:
    """List credentials, newest first, from behind `after` (submitted_at, credential_id)."""
    first, last = expiring or (None, None)
    submitted_at, credential_id = after or (None, None)
    found = await tx.fetch(LIST, state, first, last, expired_before, submitted_at, credential_id, limit)
    return [Listed(from_record(record), record["submitted_at"], record["display_name"]) for record in found]


async def standing(tx: Tx, technician_id: UUID) -> list[asyncpg.Record]:
    """List a technician's credentials as they stand now, without their numbers."""
    return await tx.fetch(STANDING, technician_id)
