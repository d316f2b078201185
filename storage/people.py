"""People: who they are to the house. Personal text stands here and nowhere else in clear."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg

from domain.context import Role
from storage import personal
from storage.db import Tx

INSERT = """
INSERT INTO app.people (person_id, email, password_hash, display_name, phone, role, areas)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (email) DO NOTHING
RETURNING person_id
"""
BY_ID = """
SELECT person_id, email::text AS email, password_hash, display_name, phone, role, areas, created_at
FROM app.people WHERE person_id = $1 AND erased_at IS NULL
"""
BY_EMAIL = """
SELECT person_id, email::text AS email, password_hash, display_name, phone, role, areas, created_at
FROM app.people WHERE email = $1 AND erased_at IS NULL
"""
UPDATE_PROFILE = """
UPDATE app.people SET display_name = $2, phone = $3 WHERE person_id = $1 AND erased_at IS NULL
RETURNING person_id, email::text AS email, password_hash, display_name, phone, role, areas, created_at
"""


@dataclass(frozen=True, slots=True)
class Person:
    """A person. `areas` matters for dispatchers only; `password_hash` never leaves the services."""

    person_id: UUID
    email: str
    password_hash: str | None
    display_name: str
    phone: str | None
    role: Role
    areas: Literal["all"] | frozenset[UUID]
    created_at: datetime


async def add(
    tx: Tx,
    person_id: UUID,
    *,
    email: str,
    password_hash: str,
    display_name: str,
    role: Role,
    phone: str | None = None,
    areas: Literal["all"] | frozenset[UUID] = frozenset(),
) -> bool:
    """Add a person and its key. Returns False, and adds nothing, when the e-mail address is known already."""
    kept = None if areas == "all" else sorted(areas)
    added = await tx.fetchval(INSERT, person_id, email, password_hash, display_name, phone, role, kept)
    if added is None:
        return False
    await personal.create_key(tx, person_id)
    return True


async def get(tx: Tx, person_id: UUID) -> Person | None:
    """Read a person who was not erased."""
    return _person(await tx.fetchrow(BY_ID, person_id))


async def by_email(tx: Tx, email: str) -> Person | None:
    """Read a person by e-mail address, in any case of letters."""
    return _person(await tx.fetchrow(BY_EMAIL, email))


async def update_profile(tx: Tx, person_id: UUID, *, display_name: str, phone: str | None) -> Person | None:
    """Set what a person may change of itself."""
    return _person(await tx.fetchrow(UPDATE_PROFILE, person_id, display_name, phone))


def _person(record: asyncpg.Record | None) -> Person | None:
    if record is None:
        return None
    return Person(
        person_id=record["person_id"],
        email=record["email"],
        password_hash=record["password_hash"],
        display_name=record["display_name"],
        phone=record["phone"],
        role=Role(record["role"]),
        areas="all" if record["areas"] is None else frozenset(record["areas"]),
        created_at=record["created_at"],
    )
