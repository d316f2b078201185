"""Accounts and tokens over HTTP. No Idempotency-Key here: these answers carry secrets, which are never kept."""

from typing import Literal

from pydantic import Field

from rest.models import Body, View
from rest.registry import ANYBODY, Ask, Routes
from services import auth
from services.reply import Answer

ROUTES = Routes("Auth")

EMAIL = r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$"


class RegisterBody(Body):
    """A new customer."""

    email: str = Field(max_length=254, pattern=EMAIL, examples=["ada@example.com"])
    password: str = Field(min_length=10, max_length=200, description="At least 10 characters")
    display_name: str = Field(min_length=1, max_length=80, pattern=r"\S", examples=["Ada L."])
    phone: str | None = Field(default=None, max_length=32, pattern=r"^\+?[0-9 ()./-]{5,}$")


class TokenBody(Body):
    """An e-mail address and its password."""

    email: str = Field(min_length=3, max_length=254, examples=["customer@demo.doorstep.example"])
    password: str = Field(min_length=1, max_length=200, examples=["doorstep-demo"])


class RefreshBody(Body):
    """The newest refresh token of a family."""

    refresh_token: str = Field(min_length=1, max_length=200)


class LogoutBody(Body):
    """The refresh token may be sent along; the access token alone says which session ends."""

    refresh_token: str | None = Field(default=None, max_length=200)


class AcceptedView(View):
    """Something was taken in."""

    status: Literal["accepted"]


class TokensView(View):
    """A short access token, and the refresh token for the next one."""

    access_token: str
    expires_in: int = Field(description="Seconds")
    refresh_token: str
    token_type: Literal["Bearer"]


@ROUTES.post("/v1/auth/register", roles=ANYBODY, answer=AcceptedView, status=202, limit="sign_in")
async def register(ask: Ask[RegisterBody]) -> Answer:
    """Register as a customer.

    The answer is the same for an address that is registered already.
    """
    body = ask.body
    return await auth.register(
        ask.stores,
        email=body.email,
        password=body.password,
        display_name=body.display_name.strip(),
        phone=body.phone,
    )


@ROUTES.post(
    "/v1/auth/token", roles=ANYBODY, answer=TokensView, refusals=("unauthenticated",), limit="sign_in"
)
async def token(ask: Ask[TokenBody]) -> Answer:
    """Sign in: the first tokens of a new session."""
    return await auth.sign_in(
        ask.stores, email=ask.body.email, password=ask.body.password, client=ask.client, context=ask.context
    )


@ROUTES.post(
    "/v1/auth/refresh",
    roles=ANYBODY,
    answer=TokensView,
    refusals=("unauthenticated", "token_expired", "token_revoked"),
    limit="default",
)
async def refresh(ask: Ask[RefreshBody]) -> Answer:
    """Exchange a refresh token for new tokens.

    For 30 s the same refresh token is answered with the same successor, so that a lost answer can be asked for again.
    Using it later than that ends the session everywhere.
    """
    return await auth.refresh(ask.stores, ask.body.refresh_token, ask.context)


@ROUTES.post("/v1/auth/logout", status=204)
async def logout(ask: Ask[LogoutBody]) -> Answer:
    """Sign out: this session's tokens and live sockets end."""
    return await auth.sign_out(ask.stores, ask.context)
