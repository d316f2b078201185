"""Credentials: handed in by technicians, decided by the founder (support proposes), shown to everybody signed in."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field

from domain.context import Context, Role
from domain.refusals import Refusal
from rest.catalogue import Level
from rest.models import Body, Instant, ListView, Nothing, Page, Query, View
from rest.registry import Ask, PathValues, Routes
from rest.technicians import APPLICANTS, technician_visible
from services import credential_view, credentials
from services.reply import Answer
from services.stores import Stores

ROUTES = Routes("Credentials")

DECIDERS = frozenset({Role.FOUNDER, Role.SUPPORT})


class SubmitBody(Body):
    """A licence, permit or certificate. `expires_on` is its last good day; null: it does not expire."""

    type: str = Field(pattern=r"^[a-z][a-z0-9_]{1,63}$", examples=["cosmetologist_license"])
    jurisdiction: str = Field(min_length=1, max_length=64, examples=["US-MD"])
    number: str = Field(min_length=1, max_length=64, pattern=r"\S")
    issuer: str = Field(min_length=1, max_length=200, pattern=r"\S")
    issued_on: date
    expires_on: date | None = None
    upload_id: UUID | None = None


class DecideBody(Body):
    """Why, and for a verification how it was checked."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")
    how: str | None = Field(default=None, min_length=1, max_length=200, examples=["Looked up at the board"])


class CredentialView(View):
    """A credential, whole: for its holder and for those who decide."""

    credential_id: UUID
    technician_id: UUID
    type: str
    jurisdiction: str
    number: str
    issuer: str
    issued_on: date
    expires_on: date | None
    status: Literal["pending", "verified", "rejected", "suspended", "revoked"]
    standing: str = Field(
        description="`status`, where a verified one is active, expiring or expired by its dates"
    )
    verified_on: date | None
    verified_how: str | None
    next_check_on: date | None
    upload_id: UUID | None
    proposed: str | None = Field(default=None, description="What support proposed; the founder decides")


class HolderView(View):
    """Whose it is."""

    technician_id: UUID
    display_name: str


class ListedCredentialView(CredentialView):
    """A credential in the list of those who decide."""

    technician: HolderView
    submitted_at: Instant


class FaceView(View):
    """The person who will stand at the door."""

    technician_id: UUID
    display_name: str
    photo_url: str | None


class RuleStandingView(View):
    """How one rule stands for this person. Null: the rule does not let it be shown, or there is nothing to show."""

    credential_type: str
    title: str
    required: bool
    status: Literal["active", "expiring", "expired", "suspended", "revoked", "unverified", "not_required"]
    level: Level
    jurisdiction: str
    jurisdiction_name: str
    issuing_board: str
    lookup_url: str | None
    complaint_contact: str | None
    renewal_years: int | None
    notice: str | None
    number: str | None = Field(
        description="As the rule's `show` says: whole, its last four signs, or not at all"
    )
    issued_on: date | None
    expires_on: date | None
    verified_on: date | None
    verified_how: str | None
    next_check_on: date | None
    shown: list[str]
    source: str
    as_of: date


class CredentialsView(View):
    """How a technician stands by every rule that holds for a service at a place."""

    technician: FaceView
    jurisdiction: str
    jurisdiction_name: str
    service: str
    qualified: bool
    rules_known: bool = Field(description="False: nobody made rules here, so nobody may work here")
    services_allowed: list[str]
    complaint_contact: str | None
    rule_versions: dict[str, int]
    items: list[RuleStandingView]
    as_of: Instant


class ViewQuery(Query):
    """Where, and for what."""

    jurisdiction: str = Field(min_length=1, max_length=64, examples=["US-MD"])
    service: str = Field(min_length=1, max_length=64, examples=["haircut"])


class CredentialsQuery(Page):
    """Filters; `expiring` and `expired` are verified ones by their dates."""

    status: (
        Literal["pending", "verified", "rejected", "suspended", "revoked", "expiring", "expired"] | None
    ) = None


async def credential_visible(stores: Stores, path: PathValues, _context: Context) -> Refusal | None:
    """Refuse with 404 a credential that does not exist."""
    return await credentials.visible(stores, UUID(str(path["credential_id"])))


@ROUTES.post(
    "/v1/technicians/me/credentials",
    roles=APPLICANTS,
    answer=CredentialView,
    status=201,
    refusals=("not_found", "credential_state"),
    limit="costly",
)
async def submit(ask: Ask[SubmitBody]) -> Answer:
    """Hand in a credential; it counts once it is verified. At most 20 may wait for a decision."""
    body = ask.body
    wanted = credentials.Submission(
        credential_type=body.type,
        jurisdiction=body.jurisdiction,
        number=body.number.strip(),
        issuer=body.issuer.strip(),
        issued_on=body.issued_on,
        expires_on=body.expires_on,
        upload_id=body.upload_id,
    )
    return await credentials.submit(ask.stores, wanted, ask.context)


@ROUTES.get(
    "/v1/technicians/me/credentials",
    roles=APPLICANTS,
    answer=ListView[CredentialView],
    refusals=("not_found",),
)
async def own(ask: Ask[Nothing, Page]) -> Answer:
    """List your own credentials."""
    return await credentials.own(ask.stores, ask.query.limit, ask.query.cursor, ask.context)


@ROUTES.get(
    "/v1/technicians/{technician_id}/credentials",
    answer=CredentialsView,
    refusals=("unknown_service",),
    visible=technician_visible,
)
async def view(ask: Ask[Nothing, ViewQuery]) -> Answer:
    """Read the credential view: how this technician stands by the rules of a place, for a service."""
    return await credential_view.view(
        ask.stores, ask.id("technician_id"), ask.query.jurisdiction, ask.query.service, ask.context
    )


@ROUTES.get("/v1/credentials", roles=DECIDERS, answer=ListView[ListedCredentialView])
async def list_(ask: Ask[Nothing, CredentialsQuery]) -> Answer:
    """List credentials to be decided upon, newest first."""
    return await credentials.list_(
        ask.stores, ask.query.status, ask.query.limit, ask.query.cursor, ask.context
    )


def _deciding(decision: str, sentence: str) -> None:
    async def decide(ask: Ask[DecideBody]) -> Answer:
        return await credentials.decide(
            ask.stores, ask.id("credential_id"), decision, ask.body.reason, ask.body.how, ask.context
        )

    decide.__doc__ = f"{sentence}\n\nFrom support it is kept as a proposal (202): the founder decides."
    decide.__name__ = f"{decide.__name__}_{decision}_credential"
    ROUTES.post(
        f"/v1/credentials/{{credential_id}}/{decision}",
        roles=DECIDERS,
        answer=CredentialView,
        also=(202,),
        refusals=("credential_state",),
        visible=credential_visible,
    )(decide)


_deciding("verify", "Say that a credential was checked and is good.")
_deciding("reject", "Say that a credential was checked and is not good.")
_deciding("suspend", "Let a verified credential count for nothing until it is reinstated.")
_deciding("revoke", "End a credential for good.")
_deciding("reinstate", "Let a suspended credential count again.")
