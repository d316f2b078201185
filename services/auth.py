"""Who somebody is: short access tokens that need no store, and refresh tokens that are used once.

An access token is a JWT (HS256, key id in the header) with `sub`, `role`, `fam` and a dispatcher's `areas`. A refresh
token's successor is derived from it by HMAC: for 30 s the same successor is answered again, so a lost answer is no
theft; a later reuse revokes the whole family. Revocations are rows; hot state carries them to every process, and each
process reads the rows as well, so that they hold with hot state gone.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

import jwt
import structlog

from domain.context import Actor, Context, Role
from domain.refusals import Refusal
from services.reply import Answer, Reply
from services.stores import Stores
from storage import people, tokens
from storage.ids import new_id
from storage.people import Person

log = structlog.get_logger(__name__)

ALGORITHM = "HS256"
AUDIENCE = "doorstep"
SKEW_S = 5  # clocks of two machines that issue and check
REVOCATIONS_EVERY_S = 2.0


class Attempts(NamedTuple):
    """How many passwords may be tried for one account: at once, and then in the long run."""

    burst: float
    per_s: float


FROM_ONE_ADDRESS = Attempts(10, 1 / 20)
FROM_ANYWHERE = Attempts(100, 1 / 5)

NO_SUCH_ACCOUNT = Refusal("unauthenticated", "That e-mail address and password do not go together.")
NO_SUCH_TOKEN = Refusal("unauthenticated", "That is no token of ours.")
REVOKED = Refusal("token_revoked", "This session was ended. Sign in again.")
EXPIRED = Refusal("token_expired", "This token has run out.")


async def authenticate(stores: Stores, token: str, now: datetime) -> Actor | Refusal:
    """Return who presents this access token, or `unauthenticated`, `token_expired`, `token_revoked`."""
    try:
        actor, ends_at_s = _verified(stores.secret_key, token)
    except (jwt.PyJWTError, ValueError, KeyError, TypeError):
        return NO_SUCH_TOKEN
    if ends_at_s <= now.timestamp():
        return EXPIRED
    if actor.family_id is not None and stores.hot.is_revoked(actor.family_id):
        return REVOKED
    return actor


@lru_cache(maxsize=4096)  # what is over is verified again; what does not verify raises, and is not kept
def _verified(secret_key: bytes, token: str) -> tuple[Actor, float]:
    """Verify a token's signature once for its life of minutes; whether it ran out or was revoked is asked each time."""
    key = _access_key(secret_key)
    if jwt.get_unverified_header(token).get("kid") != _key_id(key):
        raise jwt.InvalidKeyError("signed with another key")
    claims = jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, options=_CHECKED)
    return _actor(claims), float(claims["exp"])


def expires_at(token: str) -> datetime:
    """Return when an access token that was authenticated runs out."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return datetime.fromtimestamp(claims["exp"], UTC)


async def register(
    stores: Stores, *, email: str, password: str, display_name: str, phone: str | None
) -> Answer:
    """Make a customer's account. The answer, and the time it takes, say nothing about whether the address was known."""
    password_hash = await stores.passwords.hash(password)
    if isinstance(password_hash, Refusal):
        return password_hash
    person_id = new_id()
    async with stores.db.transaction() as tx:
        added = await people.add(
            tx,
            person_id,
            email=email,
            password_hash=password_hash,
            display_name=display_name,
            role=Role.CUSTOMER,
            phone=phone,
        )
    log.info("registered", added=added)
    return Reply(202, {"status": "accepted"})


async def sign_in(stores: Stores, *, email: str, password: str, client: str, context: Context) -> Answer:
    """Exchange an e-mail address and a password for the first tokens of a new family.

    `client` is the caller's address: one that guesses is stopped long before it can keep the account's owner out.
    """
    account = hashlib.sha256(email.lower().encode()).hexdigest()
    for bucket, limit in ((f"{account}:{client}", FROM_ONE_ADDRESS), (account, FROM_ANYWHERE)):
        wait_s = await stores.hot.take(f"sign-in:{bucket}", burst=limit.burst, per_s=limit.per_s)
        if wait_s > 0:
            return Refusal("rate_limited", "Too many attempts.", extra={"retry_after_s": int(wait_s) + 1})
    async with stores.db.reading() as tx:
        person = await people.by_email(tx, email)
    good = await stores.passwords.verify(person.password_hash if person else None, password)
    if isinstance(good, Refusal):
        return good
    if person is None or not good:
        log.info("sign_in_refused")
        return NO_SUCH_ACCOUNT
    family_id, refresh = new_id(), secrets.token_urlsafe(32)
    ends = context.now + timedelta(seconds=stores.policy.refresh_token_ttl_s)
    async with stores.db.transaction() as tx:
        opened = await tokens.open_family(
            tx, family_id, person.person_id, _hash(refresh), now=context.now, expires_at=ends
        )
    if not opened:
        return NO_SUCH_ACCOUNT
    log.info("signed_in", person_id=str(person.person_id), role=person.role)
    return Reply(200, _tokens(stores, person, family_id, refresh, context.now))


async def refresh(stores: Stores, presented: str, context: Context) -> Answer:
    """Exchange a refresh token for its successor. A second use after the grace time ends the family."""
    async with stores.db.transaction() as tx:
        found = await tokens.lock(tx, _hash(presented))
        if found is None:
            return NO_SUCH_TOKEN
        family_id: UUID = found["family_id"]
        if found["revoked_at"] is not None:
            return REVOKED
        if found["expires_at"] <= context.now:
            return EXPIRED
        successor = _successor(stores.secret_key, presented)
        grace = timedelta(seconds=stores.policy.refresh_grace_s)
        stolen = found["used_at"] is not None and context.now - found["used_at"] > grace
        person = await people.get(tx, found["person_id"])
        if stolen or person is None:
            await tokens.revoke(tx, family_id, context.now, "reuse" if stolen else "erased")
        elif found["used_at"] is None:
            await tokens.rotate(tx, _hash(presented), _hash(successor), family_id, context.now)
    if stolen or person is None:
        log.warning("refresh_token_reused", family_id=str(family_id))
        await tell_revoked(stores, family_id)
        return REVOKED
    return Reply(200, _tokens(stores, person, family_id, successor, context.now))


async def sign_out(stores: Stores, context: Context) -> Answer:
    """End the family of the access token that asks: its refresh tokens and its sockets too."""
    family_id = context.actor.family_id
    if family_id is not None:
        async with stores.db.transaction() as tx:
            await tokens.revoke(tx, family_id, context.now, "logout")
        await tell_revoked(stores, family_id)
    return Reply(204, {})


async def follow_revocations(stores: Stores, stop: asyncio.Event) -> None:
    """Bring revoked families from PostgreSQL into this process until `stop`: the guarantee behind hot state."""
    reach = timedelta(seconds=stores.policy.access_token_ttl_s + SKEW_S)
    since = datetime.now(UTC) - reach
    while not stop.is_set():
        async with stores.db.reading() as tx:
            revoked = await tokens.revoked_since(tx, since)
        for record in revoked:
            if not stores.hot.is_revoked(record["family_id"]):
                await tell_revoked(stores, record["family_id"])
        # A little overlap: a transaction may commit after another one that began later.
        since = max([since, *(r["revoked_at"] - timedelta(seconds=30) for r in revoked)])
        since = max(since, datetime.now(UTC) - reach)
        try:
            async with asyncio.timeout(REVOCATIONS_EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue


async def tell_revoked(stores: Stores, family_id: UUID) -> None:
    """Tell every process that a family is over, so that its tokens and sockets end now."""
    await stores.hot.revoke_family(family_id, stores.policy.access_token_ttl_s + SKEW_S)


_CHECKED: Any = {"verify_exp": False, "verify_iat": False, "require": ["sub", "role", "exp", "aud"]}


def _actor(claims: dict[str, Any]) -> Actor:
    listed = claims.get("areas", [])
    areas: Literal["all"] | frozenset[UUID] = (
        "all" if listed == "all" else frozenset(UUID(area) for area in listed)
    )
    family = claims.get("fam")
    return Actor(UUID(claims["sub"]), Role(claims["role"]), areas, UUID(family) if family else None)


def _tokens(stores: Stores, person: Person, family_id: UUID, refresh: str, now: datetime) -> dict[str, Any]:
    return {
        "access_token": access_token(stores, person, family_id, now),
        "expires_in": stores.policy.access_token_ttl_s,
        "refresh_token": refresh,
        "token_type": "Bearer",
    }


def access_token(stores: Stores, person: Person, family_id: UUID, now: datetime) -> str:
    """Sign an access token of a family."""
    key = _access_key(stores.secret_key)
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "sub": str(person.person_id),
        "role": str(person.role),
        "fam": str(family_id),
        "aud": AUDIENCE,
        "iat": issued,
        "exp": issued + stores.policy.access_token_ttl_s,
        "jti": secrets.token_hex(8),
    }
    if person.role == Role.DISPATCHER:
        claims["areas"] = "all" if person.areas == "all" else sorted(str(area) for area in person.areas)
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": _key_id(key)})


def _access_key(secret_key: bytes) -> bytes:
    return hmac.digest(secret_key, b"doorstep/access-token/1", "sha256")


def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def _successor(secret_key: bytes, presented: str) -> str:
    key = hmac.digest(secret_key, b"doorstep/refresh-successor/1", "sha256")
    return base64.urlsafe_b64encode(hmac.digest(key, presented.encode(), "sha256")).decode().rstrip("=")


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
