"""The signed-in person's own profile."""

from typing import Annotated, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from domain.context import Role
from domain.refusals import Refusal
from rest.models import Body, Instant, View
from rest.registry import Ask, Routes
from services import erasure, notification_inbox
from services.reply import Answer, Reply
from storage import notifications, people
from storage.notifications import Settings
from storage.people import Person

ROUTES = Routes("Me")

GONE = Refusal("not_found", "This account is no more.")


CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("There is no such time zone") from None
    return name


class QuietHoursView(View):
    """When you want peace, by your clocks."""

    from_: str = Field(alias="from", examples=["21:00"])
    until: str = Field(examples=["08:00"])


class QuietHoursBody(Body):
    """When you want peace, by your clocks: what can wait is told afterwards."""

    from_: str = Field(alias="from", pattern=CLOCK, examples=["21:00"])
    until: str = Field(pattern=CLOCK, examples=["08:00"])


class MeView(View):
    """Who you are to Doorstep."""

    person_id: UUID
    email: str
    display_name: str
    phone: str | None
    role: Role
    areas: Literal["all"] | list[UUID] = Field(description="A dispatcher's areas; empty for others")
    language: str = Field(description="What you are told is in this language")
    quiet_hours: QuietHoursView | None = Field(description="Null: you may be told anything at any hour")
    time_zone: str | None = Field(description="Of the quiet hours; null: that of the visit")
    channels: list[str] | None = Field(description="Null: the usual ones")
    created_at: Instant


class MeBody(Body):
    """What you may change of yourself; what is absent stays."""

    display_name: str | None = Field(default=None, min_length=1, max_length=80, pattern=r"\S")
    phone: str | None = Field(default=None, max_length=32, pattern=r"^\+?[0-9 ()./-]{5,}$")
    language: Literal["en", "de", "es"] | None = Field(default=None, description="Of what you are told")
    quiet_hours: QuietHoursBody | None = Field(default=None, description="Null: none")
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] | None = Field(
        default=None, description="Of the quiet hours; null: that of the visit", examples=["America/New_York"]
    )
    channels: list[Literal["web_push", "sms", "email"]] | None = Field(
        default=None, max_length=3, description="By which you may be told; null: the usual ones"
    )


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
        settings = await notifications.settings(tx, ask.person_id)
    return _reply(person, settings)


@ROUTES.patch("/v1/me", answer=MeView)
async def change_me(ask: Ask[MeBody]) -> Answer:
    """Change your name, your phone number, or how you want to be told."""
    given = ask.body.model_fields_set
    wanted = ask.body.quiet_hours
    quiet = None if wanted is None else notification_inbox.quiet_hours(wanted.from_, wanted.until)
    if isinstance(quiet, Refusal):
        return quiet
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
        if person is None:  # erased in between
            return GONE
        wish = await notifications.settings(tx, ask.person_id)
        if given & {"language", "quiet_hours", "time_zone", "channels"}:
            channels = ask.body.channels
            wish = Settings(
                language=ask.body.language or wish.language,
                quiet=quiet if "quiet_hours" in given else wish.quiet,
                time_zone=ask.body.time_zone if "time_zone" in given else wish.time_zone,
                channels=wish.channels
                if "channels" not in given
                else None
                if channels is None
                else tuple(channels),
            )
            await notifications.keep_settings(tx, ask.person_id, wish)
    return _reply(person, wish)


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


def _reply(person: Person | None, settings: Settings) -> Answer:
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
            **notification_inbox.settings_view(settings),
            "created_at": person.created_at,
        },
    )
