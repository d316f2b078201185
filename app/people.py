"""What the command line does with people: add one, erase one."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from app.reach import reached
from app.settings import Settings, SettingsError
from domain.context import SYSTEM, Context, Role
from domain.refusals import Refusal
from rest.auth import EMAIL
from rest.registry import SIGNED_IN
from services.erasure import Left, erase_person
from services.passwords import Passwords
from storage import people
from storage.db import open_database
from storage.ids import new_id

SHORTEST_PASSWORD = 10


def add(settings: Settings, *, email: str, role: str, name: str, areas: str, password: str) -> UUID:
    """Add a person. Raises SettingsError with a sentence for what cannot be."""
    if not re.fullmatch(EMAIL.strip("^$"), email):
        raise SettingsError(f"{email!r} is no e-mail address.")
    if role not in SIGNED_IN:
        raise SettingsError(f"There is no role {role!r}: choose one of {', '.join(sorted(SIGNED_IN))}.")
    if len(password) < SHORTEST_PASSWORD:
        raise SettingsError(f"A password has at least {SHORTEST_PASSWORD} characters.")
    covered, person_id = _areas(areas), new_id()

    async def work(url: str) -> bool:
        async with open_database(url, min_size=1, max_size=2) as db, db.transaction() as tx:
            return await people.add(
                tx,
                person_id,
                email=email,
                password_hash=Passwords().hash_now(password),
                display_name=name,
                role=Role(role),
                areas=covered,
            )

    with reached(settings, beside=True) as database:
        if not asyncio.run(work(database.app_url)):
            raise SettingsError("Somebody has that e-mail address already.")
    return person_id


def erase(settings: Settings, person_id: str) -> None:
    """Erase a person, as they could themselves. Raises SettingsError with a sentence for what cannot be."""
    try:
        wanted = UUID(person_id)
    except ValueError:
        raise SettingsError(f"{person_id!r} is no id of a person.") from None

    async def work(url: str) -> Left | Refusal:
        async with open_database(url, min_size=1, max_size=2) as db:
            return await erase_person(db, wanted, Context(SYSTEM, datetime.now(UTC), f"erase-{new_id().hex}"))

    with reached(settings, beside=True) as database:
        left = asyncio.run(work(database.app_url))
    if isinstance(left, Refusal):
        raise SettingsError(left.detail)


def _areas(text: str) -> Literal["all"] | frozenset[UUID]:
    if text == "all":
        return "all"
    try:
        return frozenset(UUID(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise SettingsError("Areas are ids with commas between, or `all`.") from None
