"""The signed-in person's own profile."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from domain.context import Role
from domain.refusals import Refusal
from rest.models import Body, Instant, View
from rest.registry import Ask, Routes
from services import erasure
from services.reply import Answer, Reply
from storage import people
from storage.people import Person

ROUTES = Routes("Me")

GONE = Refusal("not_found", "This account is no more.")


class MeView(View):
    """Who you are to Doorstep."""

    person_id: UUID
    email: str
    display_name: str
    phone: str | None
    role: Role
    areas: Literal["all"] | list[UUID] = Field(description="A dispatcher's areas; empty for others")
    created_at: Instant


class MeBody(Body):
    """What you may change of yourself; what is absent stays."""

    display_name: str | None = Field(default=None, min_length=1, max_length=80, pattern=r"\S")
    phone: str | None = Field(default=None, max_length=32, pattern=r"^\+?[0-9 ()./-]{5,}$")


class EraseBody(Body):
    """Proof that it is you who leaves."""

    password: str | None = Field(
        default=None, max_length=200, description="May be left out within five minutes of signing in"
    )


@ROUTES.get("/v1/me", answer=MeView)
async def me(ask: Ask) -> Answer:
    """Read your own profile."""
    async with ask.stores.db.reading() as tx:
        person = await people.get(tx, ask.person_id)
    return _reply(person)


@ROUTES.patch("/v1/me", answer=MeView)
async def change_me(ask: Ask[MeBody]) -> Answer:
    """Change your name or phone number."""
    given = ask.body.model_fields_set
    async with ask.stores.db.transaction() as tx:
        person = await people.get(tx, ask.person_id)
        if person is None:
            return GONE
        person = await people.update_profile(
            tx,
            ask.person_id,
            display_name=(ask.body.display_name or person.display_name).strip(),
            phone=ask.body.phone if "phone" in given else person.phone,
        )
    return _reply(person)


@ROUTES.delete(
    "/v1/me", status=204, refusals=("forbidden", "open_bookings", "unpaid", "last_founder"), limit="sign_in"
)
async def erase_me(ask: Ask[EraseBody]) -> Answer:
    """Leave for good: your name, address, phone number, words and places are destroyed.

    What happened stays true under a pseudonym: visits, money and decisions. All your sessions end, and the e-mail
    address may be registered again. Refused while visits are open (`open_bookings`) or unpaid (`unpaid`), and for the
    only founder (`last_founder`).
    """
    return await erasure.erase_me(ask.stores, ask.body.password, ask.context)


def _reply(person: Person | None) -> Answer:
    if person is None:
        return GONE
    return Reply(
        200,
        {
            "person_id": person.person_id,
            "email": person.email,
            "display_name": person.display_name,
            "phone": person.phone,
            "role": person.role,
            "areas": "all" if person.areas == "all" else sorted(person.areas),
            "created_at": person.created_at,
        },
    )
