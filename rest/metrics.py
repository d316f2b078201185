"""What the HTTP door counts: requests and seconds by route template, never by address, person or id."""

from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The process's own registry and what this door writes into it."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)

    async def page(self, _request: web.Request) -> web.Response:
        """Answer GET /metrics in Prometheus' text form."""
        return web.Response(
            body=generate_latest(self.registry),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"},
        )


def metrics_in(registry: CollectorRegistry) -> Metrics:
    """Make this door's metrics in the process's registry."""
    return Metrics(
        registry,
        Counter(
            "doorstep_http_requests", "Requests answered", ("method", "route", "status"), registry=registry
        ),
        Histogram(
            "doorstep_http_request_seconds",
            "Seconds until the answer was ready",
            ("method", "route"),
            buckets=SECONDS,
            registry=registry,
        ),
    )
