"""Bookings and their commands. Every command answers the booking; who may call it comes from the transition table."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from domain import commands
from domain.booking import TRANSITIONS, State
from domain.booking_rules import NOTE_BY
from domain.commands import ReasonCode
from domain.context import Context, Role
from domain.refusals import Refusal
from rest.models import Body, Instant, Lat, ListView, Lon, Money, MoneyView, Nothing, Page, View, each_of
from rest.registry import SIGNED_IN, Ask, PathValues, Routes
from services import booking, booking_offers, booking_request, booking_view
from services.reply import Answer
from services.stores import Stores

ROUTES = Routes("Bookings")

REFUSED = ("booking_state",)


def roles_of(command: str) -> frozenset[Role]:
    """Read from the transition table who may give a command."""
    return frozenset(role for t in TRANSITIONS if t.command == command for role in t.by) & SIGNED_IN


async def booking_visible(stores: Stores, path: PathValues, context: Context) -> Refusal | None:
    """Refuse with 404 a booking that the caller may not see."""
    return await booking_view.visible(stores, UUID(str(path["booking_id"])), context.actor)


class PersonView(View):
    """The customer, as the reader may know it."""

    customer_id: UUID
    display_name: str


class TechnicianFaceView(View):
    """The technician of a visit."""

    technician_id: UUID
    display_name: str
    photo_url: str | None


class AddressView(View):
    """The full address for the visit's own people; the area alone for everybody else."""

    area_id: UUID
    area: str | None
    line1: str | None = None
    city: str | None = None
    postcode: str | None = None
    lat: float | None = None
    lon: float | None = None
    notes: str | None = None


class PriceView(View):
    """A frozen quote: `total` is the sum of the others."""

    base: MoneyView
    travel: MoneyView
    tax: MoneyView
    total: MoneyView


class PaymentView(View):
    """How the payment stands."""

    status: str


class BookingView(View):
    """A booking, as its reader may see it."""

    booking_id: UUID
    number: str
    state: State
    version: int
    service: str
    experience: list[str]
    customer: PersonView
    technician: TechnicianFaceView | None
    address: AddressView
    starts_at: Instant
    ends_at: Instant
    expected_end_at: Instant | None
    deadline_at: Instant | None = Field(
        description="Until when the technician may answer; once arrived, from when a no-show may be said"
    )
    price: PriceView
    payment: PaymentView
    gps_session_id: UUID | None
    match_id: UUID
    card_id: UUID
    fallback: Literal["none", "next_card"]
    created_at: Instant


class EventView(View):
    """One event of a booking, with the booking as it is now."""

    cursor: str
    event_id: UUID
    booking_id: UUID
    seq: int
    type: str
    at: Instant
    correlation_id: str
    booking: BookingView
    data: dict[str, Any]
    actor_role: Role


class AcceptanceView(View):
    """What the licence gate relied on when the visit was accepted."""

    at: Instant
    evidence: dict[str, Any]


class CredentialNowView(View):
    """How a credential of the visit's technician stands now."""

    credential_id: UUID
    credential_type: str
    jurisdiction: str
    status: str
    expires_on: str | None
    verified_on: str | None


class BookingCredentialsView(View):
    """The credentials behind a visit: at acceptance, and now."""

    booking_id: UUID
    at_acceptance: AcceptanceView | None
    now: list[CredentialNowView]


class AddressBody(Body):
    """Where the visit takes place."""

    line1: str = Field(min_length=1, max_length=200, examples=["2219 Eastern Avenue"])
    city: str = Field(min_length=1, max_length=100, examples=["Baltimore"])
    postcode: str = Field(min_length=1, max_length=20, examples=["21231"])
    lat: Lat = Field(examples=[39.2857])
    lon: Lon = Field(examples=[-76.5867])
    notes: str | None = Field(default=None, max_length=500)


class RequestBody(Body):
    """A card of a match, an address, and how it is paid."""

    match_id: UUID
    card_id: UUID
    address: AddressBody
    starts_at: Instant | None = None
    payment_method: str = Field(min_length=1, max_length=100, examples=["sandbox_ok"])
    fallback: Literal["none", "next_card"] = "none"


class ReasonBody(Body):
    """Why."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")


class TurnDownBody(ReasonBody):
    """Why: in words for the people of this visit, and as a code for reports."""

    reason_code: ReasonCode | None = Field(default=None, strict=False)


class StartBody(Body):
    """The code that the customer was told to ask for, if there is one."""

    code: str | None = Field(default=None, max_length=20)


class NoteBody(Body):
    """Words to the others of this visit."""

    text: str = Field(min_length=1, max_length=1000, pattern=r"\S")
    kind: Literal["late", "access", "progress", "message"]


class ExtendBody(Body):
    """How much longer the visit takes."""

    minutes: int = Field(ge=1, le=480)


class ReassignBody(ReasonBody):
    """Whom to ask instead, and why."""

    technician_id: UUID


class RateBody(Body):
    """Stars, words, and a tip."""

    stars: int = Field(ge=1, le=5)
    comment: str | None = Field(default=None, max_length=1000)
    tip: Money | None = None


class OverrideBody(ReasonBody):
    """The state to set, and why."""

    state: State = Field(strict=False)


class Filters(Page):
    """Which bookings."""

    state: Annotated[str, each_of(State)] | None = Field(
        default=None,
        max_length=200,
        description="One state, or several with commas between",
        examples=["accepted"],
    )
    since: Instant | None = Field(default=None, description="Changed at or after")
    technician_id: UUID | None = None
    customer_id: UUID | None = None
    area_id: UUID | None = None


@ROUTES.post(
    "/v1/bookings",
    roles={Role.CUSTOMER, Role.SUPPORT, Role.DISPATCHER},
    answer=BookingView,
    status=201,
    key=True,
    refusals=(
        "not_found", "card_mismatch", "outside_service_area", "slot_taken", "match_expired", "quote_expired",
        "not_qualified", "payment_declined", "not_ready",
    ),
)  # fmt: skip
async def request(ask: Ask[RequestBody]) -> Answer:
    """Request a visit from the technician of a card.

    The price is the card's quote. The payment is authorised before the answer; for visits more than six days ahead the
    method is only verified.
    """
    body = ask.body
    command = commands.RequestBooking(
        match_id=body.match_id,
        card_id=body.card_id,
        address=commands.Address(**body.address.model_dump()),
        payment_method=body.payment_method,
        starts_at=body.starts_at,
        fallback=body.fallback,
    )
    return await booking_request.request(ask.stores, command, ask.context)


@ROUTES.get("/v1/bookings", answer=ListView[BookingView])
async def list_(ask: Ask[Nothing, Filters]) -> Answer:
    """List the bookings that you may see, newest first."""
    query = ask.query
    return await booking_view.list_(
        ask.stores,
        ask.context,
        states=query.state.split(",") if query.state else None,
        since=query.since,
        technician_id=query.technician_id,
        customer_id=query.customer_id,
        area_id=query.area_id,
        limit=query.limit,
        cursor=query.cursor,
    )


@ROUTES.get("/v1/bookings/{booking_id}", answer=BookingView, visible=booking_visible)
async def read(ask: Ask) -> Answer:
    """Read a booking. The ETag is its version."""
    return await booking_view.read(ask.stores, ask.id("booking_id"), ask.context)


@ROUTES.get("/v1/bookings/{booking_id}/events", answer=ListView[EventView], visible=booking_visible)
async def events(ask: Ask[Nothing, Page]) -> Answer:
    """List what happened to a booking, in order."""
    return await booking_view.events(
        ask.stores, ask.id("booking_id"), ask.context, limit=ask.query.limit, cursor=ask.query.cursor
    )


@ROUTES.get("/v1/bookings/{booking_id}/credentials", answer=BookingCredentialsView, visible=booking_visible)
async def credentials(ask: Ask) -> Answer:
    """Show the credentials that were relied on at acceptance, and as they are now."""
    return await booking_view.credentials(ask.stores, ask.id("booking_id"), ask.context)


def _command[H: Callable[..., Awaitable[Answer]]](
    name: str, *refusals: str, roles: frozenset[Role] | None = None, limit: str = "default"
) -> Callable[[H], H]:
    return ROUTES.post(
        f"/v1/bookings/{{booking_id}}/{name}",
        roles=roles_of(name) if roles is None else roles,
        answer=BookingView,
        key=True,
        refusals=(*REFUSED, *refusals, "version_conflict"),
        visible=booking_visible,
        limit=limit,
    )


@_command("accept", "slot_taken", "not_qualified")
async def accept(ask: Ask) -> Answer:
    """Accept a request."""
    return await booking.accept(ask.stores, ask.id("booking_id"), commands.Accept(), ask.context)


@_command("decline")
async def decline(ask: Ask[TurnDownBody]) -> Answer:
    """Decline a request; with `fallback` the next card is asked."""
    command = commands.Decline(ask.body.reason, ask.body.reason_code)
    return await booking_offers.decline(ask.stores, ask.id("booking_id"), command, ask.context)


@_command("depart", "not_qualified")
async def depart(ask: Ask) -> Answer:
    """Set off: opens the GPS session, from 4 h before the start."""
    return await booking.depart(ask.stores, ask.id("booking_id"), commands.Depart(), ask.context)


@_command("arrive")
async def arrive(ask: Ask) -> Answer:
    """Say that you are at the door. When the detector said so already, the answer is the booking."""
    return await booking.arrive(ask.stores, ask.id("booking_id"), commands.Arrive(), ask.context)


@_command("start", "not_qualified")
async def start(ask: Ask[StartBody]) -> Answer:
    """Begin the visit."""
    return await booking.start(ask.stores, ask.id("booking_id"), commands.Start(ask.body.code), ask.context)


@_command("note", roles=NOTE_BY, limit="costly")
async def note(ask: Ask[NoteBody]) -> Answer:
    """Write to the others of this visit."""
    command = commands.Note(ask.body.text, ask.body.kind)
    return await booking.note(ask.stores, ask.id("booking_id"), command, ask.context)


@_command("extend", limit="costly")
async def extend(ask: Ask[ExtendBody]) -> Answer:
    """Say that the visit takes longer; the customer hears of it."""
    return await booking.extend(
        ask.stores, ask.id("booking_id"), commands.Extend(ask.body.minutes), ask.context
    )


@_command("complete")
async def complete(ask: Ask) -> Answer:
    """Finish the visit; the capture of the price follows."""
    return await booking.complete(ask.stores, ask.id("booking_id"), commands.Complete(), ask.context)


@_command("cancel")
async def cancel(ask: Ask[TurnDownBody]) -> Answer:
    """Cancel, with the fee that the policy names. From its technician: give the visit back."""
    command = commands.Cancel(ask.body.reason, ask.body.reason_code)
    return await booking_offers.cancel(ask.stores, ask.id("booking_id"), command, ask.context)


@_command("no-show")
async def no_show(ask: Ask[ReasonBody]) -> Answer:
    """Say that nobody opened, after the waiting time."""
    return await booking.no_show(
        ask.stores, ask.id("booking_id"), commands.NoShow(ask.body.reason), ask.context
    )


@_command("reassign", "slot_taken", "not_qualified")
async def reassign(ask: Ask[ReassignBody]) -> Answer:
    """Ask another technician; the quoted total stays."""
    command = commands.Reassign(ask.body.technician_id, ask.body.reason)
    return await booking_offers.reassign(ask.stores, ask.id("booking_id"), command, ask.context)


@_command("rate", "already_rated", roles=frozenset({Role.CUSTOMER}))
async def rate(ask: Ask[RateBody]) -> Answer:
    """Rate a completed visit, once."""
    body = ask.body
    tip = (body.tip.amount, body.tip.currency) if body.tip else (0, None)
    command = commands.Rate(body.stars, body.comment, *tip)
    return await booking.rate(ask.stores, ask.id("booking_id"), command, ask.context)


@_command("override", roles=frozenset({Role.DISPATCHER, Role.FOUNDER}))
async def override(ask: Ask[OverrideBody]) -> Answer:
    """Set the state by hand, with a reason that is kept."""
    command = commands.Override(str(ask.body.state), ask.body.reason)
    return await booking.override(ask.stores, ask.id("booking_id"), command, ask.context)
