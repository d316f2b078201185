"""Links for people without an account: made by the customer, dead with the visit."""

from typing import Literal

from pydantic import Field

from domain.context import Role
from domain.refusals import Refusal
from rest.bookings import booking_visible
from rest.models import Body, Instant, Nothing, Query, View
from rest.registry import ANYBODY, Ask, Routes
from services import sharing, watching
from services.reply import Answer, Reply

ROUTES = Routes("Shares")


class ShareBody(Body):
    """For whom the link is: one live link for each recipient."""

    recipient_label: str = Field(min_length=1, max_length=60, examples=["neighbour"])


class ShareQuery(Query):
    """Whose link."""

    recipient_label: str = Field(min_length=1, max_length=60)


class ShareView(View):
    """A link. The token is answered once and stored as a hash."""

    url: str
    token: str
    expires_at: Instant


class FirstNameView(View):
    """As much of the technician as a link tells."""

    first_name: str | None
    photo_url: str | None


class EtaView(View):
    """When somebody will be there: the likely time, and a range."""

    at: Instant
    low: Instant
    high: Instant
    method: str


class DestinationView(View):
    """Where the technician is going."""

    lat: float
    lon: float


class SharedVisitView(View):
    """What the holder of a link sees."""

    technician: FirstNameView | None
    phase: Literal["waiting", "en_route", "near", "arrived"]
    freshness: Literal["live", "delayed", "lost"] | None
    eta: EtaView | None = Field(description="Once the technician is on the way")
    destination: DestinationView | None = Field(description="As the disclosure policy says")
    ended: bool


@ROUTES.post(
    "/v1/bookings/{booking_id}/share",
    roles={Role.CUSTOMER},
    answer=ShareView,
    status=201,
    refusals=("booking_state",),
    visible=booking_visible,
)
async def share(ask: Ask[ShareBody]) -> Answer:
    """Make a link for one recipient; an older one of theirs ends."""
    return await sharing.create(ask.stores, ask.id("booking_id"), ask.body.recipient_label, ask.context)


@ROUTES.delete("/v1/bookings/{booking_id}/share", roles={Role.CUSTOMER}, status=204, visible=booking_visible)
async def unshare(ask: Ask[Nothing, ShareQuery]) -> Answer:
    """Take a recipient's link back."""
    return await sharing.revoke(ask.stores, ask.id("booking_id"), ask.query.recipient_label, ask.context)


@ROUTES.get(
    "/v1/shares/{token}",
    roles=ANYBODY,
    answer=SharedVisitView,
    refusals=("not_found", "ended"),
    limit="share",
)
async def shared(ask: Ask) -> Answer:
    """See a shared visit."""
    visit = await sharing.resolve(ask.stores, ask.text("token"), ask.context.now)
    if isinstance(visit, Refusal):
        return visit
    face = {"first_name": visit.technician_first_name, "photo_url": visit.photo_url}
    return Reply(
        200,
        {
            "technician": face if visit.booking.technician_id else None,
            **await watching.arrival(ask.stores, visit.booking.booking_id, ask.context.now),
            "destination": visit.destination,
            "ended": False,
        },
    )
