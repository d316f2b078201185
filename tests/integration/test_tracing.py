"""Traces: one booking is one trace, from the request over transaction and job to the relay, on any node."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from app import logging as app_logging
from storage import tracing
from storage.tracing import trace_id_of
from tests.integration.house import STEPS, House, open_house
from tests.integration.world import World

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
ABOVE = "00f067aa0ba902b7"
STORY = "a-story-by-its-name"
WHOLE = {
    "POST /v1/bookings", "transaction", "journal.record", "gateway authorize", "subscriber notifications",
    "subscriber metrics", "subscriber webhooks", "job notify", "relay",
}  # fmt: skip


@dataclass(slots=True)
class Collector:
    """A collector of traces outside: takes what comes by OTLP over HTTP, and reads it."""

    url: str = ""
    spans: list[dict[str, Any]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Take one batch."""
        told = ExportTraceServiceRequest.FromString(await request.read())
        for of_resource in told.resource_spans:
            self.resources.append({a.key: a.value.string_value for a in of_resource.resource.attributes})
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    attributes = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
                    self.spans.append({
                        "name": span.name, "trace": span.trace_id.hex(), "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(), "error": span.status.message,
                        "attributes": attributes,
                    })  # fmt: skip
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def trace(self, trace_id: str, *wanted: str) -> dict[str, dict[str, Any]]:
        """Wait until a trace has spans of all these names; returns one of each name."""
        async with asyncio.timeout(20):
            while True:
                found = {span["name"]: span for span in self.spans if span["trace"] == trace_id}
                if found.keys() >= set(wanted):
                    return found
                await asyncio.sleep(0.05)


@asynccontextmanager
async def open_collector() -> AsyncIterator[Collector]:
    """Collect while the block runs."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with TestServer(app) as server:
        collector.url = str(server.make_url("")).rstrip("/")
        yield collector


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector that is there."""
    async with open_collector() as opened:
        yield opened


@pytest.fixture
async def house(world: World, tmp_path: Path, collector: Collector) -> AsyncIterator[House]:
    """Everything that serves, traced."""
    async with open_house(world, tmp_path, otlp_endpoint=collector.url) as opened:
        yield opened


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What the process logs, with what every line is given."""
    with capture_logs(processors=[merge_contextvars, app_logging.traced]) as said:
        yield said


async def test_a_booking_is_one_trace(house: House, collector: Collector) -> None:
    """Request, transaction, gateway, subscribers, job and relay, though no trace came with the request."""
    line = await house.exchange.connect("/bookings", house.world.customers[0])
    await line.ask("sync", {"cursor": None})
    booking_id = await house.book(X_Correlation_ID=STORY)
    trace = await collector.trace(f"{trace_id_of(STORY):032x}", *WHOLE)
    assert {span["attributes"]["doorstep.correlation_id"] for span in trace.values()} == {STORY}
    request = trace["POST /v1/bookings"]
    assert (request["parent"], request["attributes"]["http.response.status_code"]) == ("", 201)
    assert trace["gateway authorize"]["parent"] == request["id"]
    assert collector.resources[0]["service.name"] == "doorstep"
    for step in STEPS:
        await house.step(booking_id, step, X_Correlation_ID="the-visit-itself")
    visit = await collector.trace(
        f"{trace_id_of('the-visit-itself'):032x}", "job capture_payment", "gateway capture"
    )
    assert visit["gateway capture"]["parent"] == visit["job capture_payment"]["id"]
    told = json.dumps(collector.spans)
    for private in (*map(str, (house.world.customers[0], booking_id)), "Harbor", "Bearer"):
        assert private not in told


async def test_a_trace_that_came_along_goes_on(house: House, collector: Collector) -> None:
    """Its id becomes the story's, so the jobs of all nodes are in it too; beside a story of its own name it is kept."""
    booking_id = await house.book(traceparent=f"00-{CALLER}-{ABOVE}-01")
    trace = await collector.trace(CALLER, "POST /v1/bookings", "journal.record", "job notify")
    assert trace["POST /v1/bookings"]["parent"] == ABOVE
    assert {span["attributes"]["doorstep.correlation_id"] for span in trace.values()} == {CALLER}
    other = CALLER[::-1]
    await house.step(
        booking_id, "accept", traceparent=f"00-{other}-{ABOVE}-01", X_Correlation_ID="named-by-its-caller"
    )
    request = await collector.trace(other, "POST /v1/bookings/{booking_id}/accept", "journal.record")
    assert {s["attributes"]["doorstep.correlation_id"] for s in request.values()} == {"named-by-its-caller"}
    await collector.trace(f"{trace_id_of('named-by-its-caller'):032x}", "subscriber notifications")


async def test_log_lines_name_their_trace(house: House, collector: Collector, lines: list[Any]) -> None:
    """The line of a request leads to its trace."""
    said = await house.door.ask("GET", "/v1/me", who=house.world.founder, X_Correlation_ID=STORY)
    assert said.status == 200
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["correlation_id"], line["trace_id"]) == (STORY, f"{trace_id_of(STORY):032x}")
    await collector.trace(line["trace_id"], "GET /v1/me")


async def test_nothing_waits_for_a_collector_that_is_away(world: World, tmp_path: Path) -> None:
    """Bookings go on, and the process ends as soon as it always does; then nothing is traced any more."""
    async with open_collector() as gone:
        url = gone.url
    async with open_house(world, tmp_path, otlp_endpoint=url) as house:
        await house.book()
        assert tracing.story("job", STORY, {}) is not tracing.NOTHING
    assert tracing.story("job", STORY, {}) is tracing.NOTHING
