"""Attaches the HTTP door to a web application: middleware, every declared operation, the documents, the metrics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_network

from aiohttp import web
from prometheus_client import CollectorRegistry

from rest import openapi
from rest.api import routes as declared
from rest.dispatch import Door, serve
from rest.docs import Docs
from rest.limits import Limit, Limiter
from rest.metrics import metrics_in
from rest.middleware import dress, middleware
from rest.registry import Route

BODY_LIMIT_BYTES = 256 * 1024
COSTLY = 20  # so many times slower than others is refilled what costs work, words to people, or rows for ever


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """What the composition root tells this door."""

    requests_per_s: float = 20.0
    requests_burst: int = 120
    sign_ins_per_minute: float = 20.0
    sign_ins_burst: int = 20
    trusted_proxies: Sequence[str] = ()
    check_answers: bool = False

    def limits(self) -> dict[str, Limit]:
        """Return the buckets by the name that a declaration uses."""
        return {
            "default": Limit("default", self.requests_burst, self.requests_per_s),
            "sign_in": Limit("sign_in", self.sign_ins_burst, self.sign_ins_per_minute / 60),
            "costly": Limit("costly", self.requests_burst, self.requests_per_s / COSTLY),
            "share": Limit("share", self.requests_burst, self.requests_per_s),
            "health": Limit("health", 200, 50.0),
        }


def attach(
    app: web.Application,
    settings: DoorSettings,
    registry: CollectorRegistry,
    routes: Iterable[Route] | None = None,
) -> None:
    """Add this door to an application whose STORES will be set by the time that it serves."""
    routes = list(declared() if routes is None else routes)
    metrics = metrics_in(registry)
    door = Door(
        limiter=Limiter(settings.limits()),
        trusted=[ip_network(proxy, strict=False) for proxy in settings.trusted_proxies],
        check_answers=settings.check_answers,
    )
    app.middlewares.append(middleware(metrics))
    app.on_response_prepare.append(dress)
    for route in routes:
        app.router.add_route(route.method, route.path, serve(route, door))
    docs = Docs(openapi.document(routes, version("doorstep")))
    app.router.add_get("/openapi.json", docs.openapi)
    app.router.add_get("/docs", docs.page)
    app.router.add_get("/metrics", metrics.page)
