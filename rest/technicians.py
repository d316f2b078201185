"""Technicians: applying, one's own profile and week, the card, and who may work at all."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from domain.availability import Window, window
from domain.context import Context, Role
from domain.refusals import FieldError, Refusal
from rest.discovery import ReputationView
from rest.models import Body, Lat, Lon, View
from rest.registry import Ask, PathValues, Routes
from services import technicians
from services.reply import Answer
from services.stores import Stores

ROUTES = Routes("Technicians")

# An applicant keeps the customer's role until the founder approves.
APPLICANTS = frozenset({Role.CUSTOMER, Role.TECHNICIAN})
FOUNDER = frozenset({Role.FOUNDER})
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"

type Slug = Annotated[str, Field(min_length=1, max_length=64)]


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


type Slugs = Annotated[list[Slug], AfterValidator(_unique)]


class PointBody(Body):
    """A place."""

    lat: Lat
    lon: Lon


class ApplyBody(Body):
    """What somebody says who wants to work with us."""

    bio: str = Field(default="", max_length=2000)
    services: Slugs = Field(min_length=1, max_length=20)
    experiences: Slugs = Field(default=[], max_length=20)
    home_base: PointBody
    radius_m: int = Field(default=10_000, ge=500, le=100_000)
    time_zone: str | None = Field(default=None, max_length=64, description="Default: that of the area")


class ProfileBody(Body):
    """What you may change; what is absent stays."""

    bio: str | None = Field(default=None, max_length=2000)
    services: Slugs | None = Field(default=None, min_length=1, max_length=20)
    experiences: Slugs | None = Field(default=None, max_length=20)
    home_base: PointBody | None = None
    radius_m: int | None = Field(default=None, ge=500, le=100_000)
    time_zone: str | None = Field(default=None, max_length=64)


class WindowBody(Body):
    """Working time on a weekday (Monday 0), in local clock times; a night is two windows."""

    weekday: int = Field(ge=0, le=6)
    from_: str = Field(alias="from", pattern=CLOCK, examples=["08:00"])
    to: str = Field(pattern=CLOCK, examples=["20:00", "24:00"])


class AvailabilityBody(Body):
    """The whole working week."""

    availability: list[WindowBody] = Field(max_length=56)


class DecisionBody(Body):
    """Why."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")


class PointView(View):
    """A place."""

    lat: float
    lon: float


class WindowView(View):
    """Working time on a weekday."""

    weekday: int
    from_: str = Field(alias="from")
    to: str


class TechnicianView(View):
    """A technician's own profile."""

    technician_id: UUID
    display_name: str
    photo_url: str | None
    bio: str
    status: Literal["applied", "approved", "suspended"]
    services: list[str]
    experiences: list[str]
    home_base: PointView
    radius_m: int
    time_zone: str
    availability: list[WindowView]


class ServiceStandingView(View):
    """A service, and whether every licence for it is good today where the technician is based."""

    service: str
    qualified: bool


class TechnicianCardView(View):
    """A technician as customers see one: no price, no distance, no place."""

    technician: ReputationView
    bio: str
    services: list[ServiceStandingView]
    experiences: list[str]
    jurisdiction: str | None
    available_to_book: bool


async def technician_visible(stores: Stores, path: PathValues, context: Context) -> Refusal | None:
    """Refuse with 404 a technician whom the caller may not see."""
    return await technicians.visible(stores, UUID(str(path["technician_id"])), context)


@ROUTES.post(
    "/v1/technicians/apply",
    roles=APPLICANTS,
    answer=TechnicianView,
    status=201,
    also=(200,),
    refusals=("unknown_service", "unknown_experience"),
)
async def apply(ask: Ask[ApplyBody]) -> Answer:
    """Apply as a technician; the founder approves. Applying again shows how it stands."""
    return await technicians.apply(ask.stores, _profile(ask.body), ask.context)


@ROUTES.get("/v1/technicians/me", roles=APPLICANTS, answer=TechnicianView, refusals=("not_found",))
async def me(ask: Ask) -> Answer:
    """Read your own profile."""
    return await technicians.me(ask.stores, ask.context)


@ROUTES.patch(
    "/v1/technicians/me",
    roles=APPLICANTS,
    answer=TechnicianView,
    refusals=("not_found", "unknown_service", "unknown_experience", "version_conflict"),
)
async def change(ask: Ask[ProfileBody]) -> Answer:
    """Change your own profile."""
    return await technicians.change(ask.stores, _profile(ask.body), ask.context)


@ROUTES.put(
    "/v1/technicians/me/availability",
    roles=APPLICANTS,
    answer=TechnicianView,
    refusals=("not_found", "version_conflict"),
)
async def set_availability(ask: Ask[AvailabilityBody]) -> Answer:
    """Set your working week, in your own time zone; visits that you accepted stay."""
    windows: list[Window] = []
    wrong: list[FieldError] = []
    for index, each in enumerate(ask.body.availability):
        try:
            windows.append(window(each.model_dump(by_alias=True)))
        except ValueError:
            wrong.append(FieldError(f"/availability/{index}", "invalid", "It must end after it begins."))
    if wrong:
        return Refusal(
            "validation", "A window must end after it begins; a night is two windows.", tuple(wrong)
        )
    return await technicians.set_availability(ask.stores, tuple(windows), ask.context)


@ROUTES.get("/v1/technicians/{technician_id}/card", answer=TechnicianCardView, visible=technician_visible)
async def card(ask: Ask) -> Answer:
    """Read a technician's card."""
    return await technicians.card(ask.stores, ask.id("technician_id"), ask.context)


def _deciding(decision: str, sentence: str) -> None:
    async def decide(ask: Ask[DecisionBody]) -> Answer:
        return await technicians.decide(
            ask.stores, ask.id("technician_id"), decision, ask.body.reason, ask.context
        )

    decide.__doc__ = sentence
    decide.__name__ = f"{decide.__name__}_{decision}_technician"
    ROUTES.post(
        f"/v1/technicians/{{technician_id}}/{decision}",
        roles=FOUNDER,
        answer=TechnicianView,
        refusals=("credential_state",),
        visible=technician_visible,
    )(decide)


_deciding("approve", "Let an applicant work.")
_deciding("suspend", "Stop a technician: the gate is shut from now on.")
_deciding("reinstate", "Let a suspended technician work again.")


def _profile(body: ApplyBody | ProfileBody) -> technicians.Profile:
    return technicians.Profile(
        bio=body.bio,
        services=None if body.services is None else tuple(body.services),
        experiences=None if body.experiences is None else tuple(body.experiences),
        home=None if body.home_base is None else (body.home_base.lat, body.home_base.lon),
        radius_m=body.radius_m,
        time_zone=body.time_zone,
    )
