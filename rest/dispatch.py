"""From a request to a declared operation and back, in the contract's order of checks.

401, 403, 404, 422, idempotency, 412, 409: the first four and the key's presence are decided here, the rest by the
service, in its transaction. A wrong body of something that the caller may not see is a 404: so `visible` is asked
before a 400, 415 or 422 leaves, and only then, because on the good path the service looks anyway.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiohttp import web

from domain.context import ANONYMOUS, Actor, Claim, Context
from domain.refusals import Refusal
from rest import etag, idempotency, parsing, problem
from rest.keys import CORRELATION_ID, STORES
from rest.limits import Limiter
from rest.models import Body, Query
from rest.peer import Network, client_of
from rest.registry import Ask, PathValues, Route
from services import auth
from services.reply import Answer
from services.stores import Stores

log = structlog.get_logger("rest")

BODY_TIMEOUT_S = 20.0  # a caller that stalls inside a body loses its connection
NOT_FOUND = Refusal("not_found", "It does not exist, or it is not yours to see.")


@dataclass(frozen=True, slots=True)
class Door:
    """What every operation of this door shares."""

    limiter: Limiter
    trusted: Sequence[Network]
    check_answers: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """The parts of a request that are read after its caller is known."""

    body: Body
    query: Query
    claim: Claim | None


def serve(route: Route, door: Door) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Make the aiohttp handler of a declared operation."""

    async def handle(request: web.Request) -> web.StreamResponse:
        stores = request.app[STORES]
        correlation_id = request[CORRELATION_ID]
        now = datetime.now(UTC)
        actor = ANONYMOUS if route.open else await _actor(request, stores, now)
        client = client_of(request.remote, request.headers.getall("X-Forwarded-For", ()), door.trusted)
        caller = str(actor.person_id) if isinstance(actor, Actor) and actor.person_id is not None else client
        taken = door.limiter.take(route.limit, caller, time.monotonic())
        if taken.refusal is not None:
            return problem.response(taken.refusal, correlation_id, taken.headers())
        if isinstance(actor, Refusal):
            return problem.response(actor, correlation_id, taken.headers())
        context = Context(actor, now, correlation_id, if_match=etag.if_match(request.headers.get("If-Match")))
        answer = await _answer(route, request, context, client)
        return _render(route, door, answer, correlation_id, taken.headers())

    return handle


async def _actor(request: web.Request, stores: Stores, now: datetime) -> Actor | Refusal:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return Refusal("unauthenticated", "Send Authorization: Bearer with an access token.")
    return await auth.authenticate(stores, token.strip(), now)


async def _answer(route: Route, request: web.Request, context: Context, client: str) -> Answer:
    if not route.open and context.actor.role not in route.roles:
        return Refusal("forbidden", f"A {context.actor.role} may not do this.")
    path = parsing.path_values(route, request.match_info)
    if path is None:
        return NOT_FOUND
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            raw = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    stores = request.app[STORES]
    parsed = _parse(route, request, raw, path, context.actor)
    if isinstance(parsed, Refusal):
        hidden = await route.visible(stores, path, context) if route.visible else None
        return hidden or parsed
    context = Context(
        context.actor, context.now, context.correlation_id, claim=parsed.claim, if_match=context.if_match
    )
    return await route.handler(
        Ask(
            stores=stores,
            context=context,
            body=parsed.body,
            query=parsed.query,
            path=path,
            client=client,
            raw=raw,
            headers=request.headers,
        )
    )


def _parse(
    route: Route, request: web.Request, raw: bytes, path: PathValues, actor: Actor
) -> Parsed | Refusal:
    body = parsing.body_of(route, raw, request.content_type)
    if isinstance(body, Refusal):
        return body
    query = parsing.query_of(route, request.query)
    if isinstance(query, Refusal):
        return query
    if not route.key:
        return Parsed(body, query, None)
    claim = idempotency.claim_of(route, actor, path, body, request.headers.get(idempotency.HEADER))
    return claim if isinstance(claim, Refusal) else Parsed(body, query, claim)


def _render(
    route: Route, door: Door, answer: Answer, correlation_id: str, headers: dict[str, str]
) -> web.StreamResponse:
    if isinstance(answer, Refusal):
        return problem.response(answer, correlation_id, headers)
    headers["Cache-Control"] = route.cache
    if answer.version is not None:
        headers["ETag"] = etag.etag(answer.version)
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    if answer.status == 204 or route.answer is None:
        return web.Response(status=answer.status, headers=headers)
    payload = problem.encode(answer.body)
    if door.check_answers and answer.status < 400:
        route.answer.model_validate_json(payload)
    if answer.status >= 400:  # a refusal that was saved under an Idempotency-Key, answered word for word
        return web.Response(
            status=answer.status, body=payload, content_type=problem.CONTENT_TYPE, headers=headers
        )
    return web.Response(status=answer.status, body=payload, content_type="application/json", headers=headers)
