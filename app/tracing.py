"""Traces leave by OTLP/HTTP when an endpoint is set; nothing waits for them, and what nobody takes is not kept.

The queue is bounded: when the collector is away or slow, the oldest spans are lost. Where spans begin is decided in
`storage/tracing.py`, which knows only OpenTelemetry's API; headers, certificates, sampling and the name of the service
follow OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`).
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog

from app.settings import Settings
from services.vitals import NODE
from storage.tracing import PROCESS, beginning

log = structlog.get_logger(__name__)

PATH = "/v1/traces"
NAMED_BY = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
QUEUE = 4096  # spans; full: the oldest are lost, and the log says so
BATCH = 512
EVERY_MS = 1000
EXPORT_WITHIN_S = 5.0
END_WITHIN_S = 2.0  # what is not sent by then is lost


def endpoint_of(settings: Settings) -> str | None:
    """Return where traces go; empty: where OpenTelemetry's own variables say, None: nowhere."""
    if settings.otlp_endpoint is not None:
        url = settings.otlp_endpoint.get_secret_value().rstrip("/")
        return url if url.endswith(PATH) else url + PATH
    return "" if any(os.environ.get(name) for name in NAMED_BY) else None


@asynccontextmanager
async def open_tracing(settings: Settings) -> AsyncIterator[None]:
    """Trace while the block runs, if an endpoint is set."""
    endpoint = endpoint_of(settings)
    if endpoint is None:
        yield
        return
    # Slow to import, and most processes trace nothing.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only where it is on
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only where it is on
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - only where it is on
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - only where it is on
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415 - only where it is on

    class StoryIds(RandomIdGenerator):
        """Traces named by their stories."""

        def generate_trace_id(self) -> int:
            """Return the trace of the story that begins a span just now."""
            return beginning.get() or super().generate_trace_id()

    provider = TracerProvider(
        resource=Resource.create({
            "service.name": os.environ.get("OTEL_SERVICE_NAME") or "doorstep",
            "service.version": version("doorstep"),
            "service.instance.id": NODE,
        }),
        id_generator=StoryIds(),
        shutdown_on_exit=False,
    )  # fmt: skip
    exporter = OTLPSpanExporter(endpoint or None, timeout=EXPORT_WITHIN_S)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter, max_queue_size=QUEUE, schedule_delay_millis=EVERY_MS, max_export_batch_size=BATCH
        )
    )
    PROCESS.tracer = provider.get_tracer("doorstep", version("doorstep"))
    log.info("tracing")
    try:
        yield
    finally:
        PROCESS.tracer = None
        last = threading.Thread(target=provider.shutdown, name="doorstep-last-spans", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, END_WITHIN_S)
