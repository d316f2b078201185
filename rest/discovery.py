"""Who could come, at which price and why: discovery, the match that it leaves, and what was looked at."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from domain.context import Context, Role
from domain.refusals import Refusal
from rest.bookings import PriceView
from rest.models import Body, Instant, Lat, Lon, View
from rest.registry import Ask, PathValues, Routes
from services import discovery
from services.considering import Wish
from services.reply import Answer
from services.stores import Stores

ROUTES = Routes("Discovery")

CUSTOMER = frozenset({Role.CUSTOMER})


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


class DiscoveryBody(Body):
    """What is wished, where and when."""

    service: str = Field(min_length=1, max_length=64)
    lat: Lat
    lon: Lon
    when: Literal["now"] | Instant
    experience: Annotated[list[Annotated[str, Field(max_length=64)]], AfterValidator(_unique)] = Field(
        default=[], max_length=10
    )
    limit: int = Field(default=10, ge=1, le=50)


class ReputationView(View):
    """A technician, and what customers say."""

    technician_id: UUID
    display_name: str
    photo_url: str | None
    rating: float | None
    rating_count: int
    jobs_completed: int
    member_since: str


class FitView(View):
    """Which of the wishes this technician fulfils."""

    matched: list[str]
    score: float


class TrustView(View):
    """How the licences stand for this visit."""

    status: Literal["active", "expiring"]
    expires_on: str | None
    verified_on: str | None
    signals: list[str]


class CardView(View):
    """One technician on offer. `distance_m` is rounded up to 500, `eta_s` up to 300."""

    card_id: UUID
    position: int
    technician: ReputationView
    experience_fit: FitView
    trust: TrustView
    distance_m: int
    eta_s: int
    earliest_start: Instant
    price: PriceView
    why: list[str]


class CandidateView(View):
    """Somebody who was considered: ranked with features and contributions, or left out by a gate."""

    technician_id: UUID
    card_id: UUID | None
    position: int | None
    base_rank: int | None
    gate: str | None
    missing: list[str]
    features: dict[str, float]
    contributions: dict[str, float]
    score: float | None
    starts_at: Instant | None


class MatchView(View):
    """A match. What follows `reason` is for staff only."""

    match_id: UUID
    service: str
    experience: list[str]
    asked_for: Instant | None
    jurisdiction: str | None
    area_id: UUID | None
    ranking_version: str
    expires_at: Instant
    cards: list[CardView]
    reason: Literal["outside_service_area", "nobody_qualified", "nobody_free"] | None
    customer_id: UUID | None = None
    weights: dict[str, float] | None = None
    seed: str | None = None
    swaps: list[dict[str, Any]] | None = None
    candidates: list[CandidateView] | None = None


class CardViewedBody(Body):
    """Which card was looked at, and how."""

    card_id: UUID
    kind: Literal["seen", "opened", "credentials"]


async def match_visible(stores: Stores, path: PathValues, context: Context) -> Refusal | None:
    """Refuse with 404 a match that the caller may not see."""
    return await discovery.visible(stores, UUID(str(path["match_id"])), context)


@ROUTES.post(
    "/v1/discovery",
    roles=CUSTOMER,
    answer=MatchView,
    refusals=("unknown_service", "unknown_experience"),
    limit="costly",
)
async def discover(ask: Ask[DiscoveryBody]) -> Answer:
    """Ask who could come.

    No cards is a good answer: its `reason` says why. The whole run is kept as a match, which never changes.
    """
    body = ask.body
    wish = Wish(
        service=body.service,
        lat=body.lat,
        lon=body.lon,
        when=None if body.when == "now" else body.when,
        experience=tuple(body.experience),
        limit=body.limit,
    )
    return await discovery.discover(ask.stores, wish, ask.context)


@ROUTES.get(
    "/v1/matches/{match_id}",
    roles={Role.CUSTOMER, Role.FOUNDER, Role.SUPPORT},
    answer=MatchView,
    visible=match_visible,
)
async def match(ask: Ask) -> Answer:
    """Read a match: one's own cards and why they were shown; staff see everybody who was considered."""
    return await discovery.read(ask.stores, ask.id("match_id"), ask.context)


@ROUTES.post(
    "/v1/matches/{match_id}/views",
    roles=CUSTOMER,
    status=204,
    refusals=("card_mismatch",),
    visible=match_visible,
)
async def viewed(ask: Ask[CardViewedBody]) -> Answer:
    """Say that a card was seen, opened, or had its credentials looked at."""
    return await discovery.viewed(
        ask.stores, ask.id("match_id"), ask.body.card_id, ask.body.kind, ask.context
    )
