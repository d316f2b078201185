"""What is offered and where, and the rules that hold there. The shop window needs no token."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from domain.context import Context, Role
from domain.credentials import Requirement
from domain.refusals import Refusal
from rest.models import Body, Lat, ListView, Lon, MoneyView, Nothing, Page, Query, View
from rest.registry import ANYBODY, Ask, PathValues, Routes
from services import catalogue
from services.reply import Answer
from services.stores import Stores

ROUTES = Routes("Catalogue")

SHOP_WINDOW = "public, max-age=60"

type Shown = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
type Level = Literal["federal", "state", "county", "city"]


def _unique[T](values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise ValueError("each once")
    return values


type Url = Annotated[str, Field(max_length=500, pattern=r"^https?://[^\s]+$")]


class ServiceView(View):
    """Something that may be booked."""

    service: str
    name: str
    category: str
    description: str
    duration_s: int
    base_price: MoneyView


class ExperienceView(View):
    """A wish that a customer may name."""

    experience: str
    name: str
    description: str


class AreaPropertiesView(View):
    """What an area is."""

    area_id: UUID
    name: str
    jurisdiction: str
    time_zone: str


class AreaFeatureView(View):
    """One area."""

    type: Literal["Feature"]
    id: UUID
    properties: AreaPropertiesView
    geometry: dict[str, Any]


class AreasView(View):
    """A GeoJSON FeatureCollection."""

    type: Literal["FeatureCollection"]
    features: list[AreaFeatureView]


class PlaceView(View):
    """An address that was found."""

    label: str
    line1: str
    city: str
    postcode: str
    lat: Lat
    lon: Lon


class GeocodeQuery(Query):
    """A street, perhaps with a number."""

    q: str = Field(min_length=1, max_length=120)
    limit: int = Field(default=8, ge=1, le=200)


class RequirementBody(Body):
    """One rule. `level` is that of the jurisdiction; `show` names what the public may see of the licence."""

    credential_type: str = Field(pattern=r"^[a-z][a-z0-9_]{1,63}$")
    required: bool
    level: Level
    issuing_board: str = Field(min_length=1, max_length=200)
    lookup_url: Url | None = None
    source: str = Field(min_length=1, max_length=500)
    as_of: date
    show: Annotated[list[Shown], AfterValidator(_unique)] = Field(
        max_length=30,
        description="Fields of the credential view; `number_last4` instead of `number` masks all but four signs",
    )
    title: str | None = Field(default=None, min_length=1, max_length=120)
    renewal_years: int | None = Field(default=None, ge=1, le=20)
    notice: str | None = Field(default=None, max_length=500)


class RequirementsBody(Body):
    """The whole set for a service. An empty list says that nothing is required here."""

    requirements: list[RequirementBody] = Field(max_length=40)
    reason: str = Field(default="Rules changed", min_length=1, max_length=500)


class RequirementView(View):
    """One rule."""

    credential_type: str
    required: bool
    level: Level
    issuing_board: str
    lookup_url: str | None
    source: str
    as_of: date
    show: list[str]
    title: str | None
    renewal_years: int | None
    notice: str | None


class InheritedView(View):
    """The rules of a wider jurisdiction that hold here as well."""

    jurisdiction: str
    version: int
    requirements: list[RequirementView]


class RequirementsView(View):
    """A jurisdiction's own rules for a service (`version` null: it has none) and what it inherits."""

    jurisdiction: str
    service: str
    version: int | None
    requirements: list[RequirementView]
    inherited: list[InheritedView]


@ROUTES.get("/v1/services", roles=ANYBODY, answer=ListView[ServiceView], cache=SHOP_WINDOW)
async def services(ask: Ask[Nothing, Page]) -> Answer:
    """List what may be booked."""
    return await catalogue.services(ask.stores, ask.query.limit, ask.query.cursor)


@ROUTES.get("/v1/service-areas", roles=ANYBODY, answer=AreasView, cache=SHOP_WINDOW)
async def service_areas(ask: Ask) -> Answer:
    """List where it may be booked, as GeoJSON."""
    return await catalogue.service_areas(ask.stores)


@ROUTES.get("/v1/experiences", roles=ANYBODY, answer=ListView[ExperienceView], cache=SHOP_WINDOW)
async def experiences(ask: Ask[Nothing, Page]) -> Answer:
    """List the wishes that a customer may name."""
    return await catalogue.experiences(ask.stores, ask.query.limit, ask.query.cursor)


@ROUTES.get("/v1/geocode", answer=ListView[PlaceView])
async def geocode(ask: Ask[Nothing, GeocodeQuery]) -> Answer:
    """Find an address by its street and number."""
    return await catalogue.geocode(ask.stores, ask.query.q, ask.query.limit)


async def rules_visible(stores: Stores, path: PathValues, _context: Context) -> Refusal | None:
    """Refuse with 404 an unknown jurisdiction or service."""
    answer = await catalogue.requirements(stores, str(path["code"]), str(path["service"]))
    return answer if isinstance(answer, Refusal) else None


@ROUTES.get(
    "/v1/jurisdictions/{code}/requirements/{service}",
    roles={Role.FOUNDER, Role.SUPPORT, Role.TECHNICIAN},
    answer=RequirementsView,
    visible=rules_visible,
)
async def requirements(ask: Ask) -> Answer:
    """Read the rules of a jurisdiction for a service."""
    return await catalogue.requirements(ask.stores, ask.text("code"), ask.text("service"))


@ROUTES.put(
    "/v1/jurisdictions/{code}/requirements/{service}",
    roles={Role.FOUNDER},
    answer=RequirementsView,
    refusals=("version_conflict",),
    visible=rules_visible,
)
async def set_requirements(ask: Ask[RequirementsBody]) -> Answer:
    """Write the next version of a jurisdiction's rules for a service.

    Visits that were accepted keep the evidence of the version that held then; the gate asks the new one from now on.
    """
    wanted = tuple(
        Requirement(**(each.model_dump() | {"show": tuple(each.show)})) for each in ask.body.requirements
    )
    return await catalogue.set_requirements(
        ask.stores, ask.text("code"), ask.text("service"), wanted, ask.body.reason, ask.context
    )
