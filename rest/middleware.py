"""What every request gets: a story to belong to, one log line, counted seconds, safe headers, and no stack trace.

The story is `X-Correlation-ID` if it is well formed, else the trace id of `traceparent`, else fresh; where no trace
came along, one follows from the story (`storage/tracing.py`). Log line and span name the route's template, so that no
id, token, position or query string ever reaches them.
"""

import re
import time
import uuid

import asyncpg
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bound_contextvars

from domain.refusals import Refusal
from rest import problem
from rest.keys import CORRELATION_ID
from rest.metrics import Metrics
from storage import tracing
from storage.personal import ErasedError

log = structlog.get_logger("rest")

CORRELATION = re.compile(r"[A-Za-z0-9_-]{8,64}")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
SOCKETS = "/socket.io/"

AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionError,
    TimeoutError,
)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(self), camera=(), microphone=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def correlation_of(header: str | None, traceparent: str | None) -> str:
    """Choose the story that a request belongs to."""
    if header is not None and CORRELATION.fullmatch(header):
        return header
    trace = TRACEPARENT.fullmatch(traceparent or "")
    if trace and trace[1].strip("0"):
        return trace[1]
    return uuid.uuid4().hex


def middleware(metrics: Metrics) -> Middleware:
    """Make the one middleware of this door."""

    @web.middleware
    async def story(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CORRELATION_ID] = correlation_of(
            request.headers.get("X-Correlation-ID"), request.headers.get("traceparent")
        )
        if request.path.startswith(SOCKETS):
            return await handler(request)
        began = time.perf_counter()
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "unknown"
        with bound_contextvars(correlation_id=request[CORRELATION_ID]), _span(request, route) as span:
            response = await _answered(request, handler)
            seconds = time.perf_counter() - began
            metrics.count(_method(request), route, response.status, seconds)
            if span is not None:
                tracing.answered(span, _method(request), route, response.status)
            if route not in QUIET:
                log.info(
                    "request",
                    method=request.method,
                    route=route,
                    status=response.status,
                    ms=round(seconds * 1000, 1),
                )
        return response

    return story


async def dress(request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on that every answer wears, those of sockets and files too."""
    response.headers["Server"] = "doorstep"
    if CORRELATION_ID in request:
        response.headers["X-Correlation-ID"] = request[CORRELATION_ID]
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    correlation_id = request[CORRELATION_ID]
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return problem.response(Refusal("not_found", "There is nothing at this address."), correlation_id)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        refusal = Refusal("method_not_allowed", f"This address takes {allowed}.")
        return problem.response(refusal, correlation_id, {"Allow": allowed})
    except web.HTTPRequestEntityTooLarge:
        return problem.response(
            Refusal("too_large", "A body may have 256 KiB."), correlation_id, {"Connection": "close"}
        )
    except web.HTTPException as error:
        if error.status < 400:
            raise  # a redirect
        return problem.response(Refusal("validation", "The request could not be read."), correlation_id)
    except ErasedError:  # the revocation of their sessions is on its way to this process
        return problem.response(Refusal("token_revoked", "This account is no more."), correlation_id)
    except AWAY as error:
        log.warning("store_away", error=type(error).__name__)
        return problem.response(
            Refusal(
                "not_ready",
                "A store does not answer now. It may or may not have been done: send it again with the same key.",
            ),
            correlation_id,
        )
    except Exception:
        log.exception("request_failed", method=request.method)
        return problem.response(
            Refusal("internal", f"Tell us this number and we find it: {correlation_id}."), correlation_id
        )


def _span(request: web.Request, route: str) -> tracing.Opened:
    if route in QUIET:
        return tracing.NOTHING
    return tracing.request(f"{_method(request)} {route}", request[CORRELATION_ID], request.headers)


def _method(request: web.Request) -> str:
    known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    return request.method if request.method in known else "OTHER"
