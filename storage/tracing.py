"""Spans of a story, through OpenTelemetry's API alone: off, which is the rule, each costs a function call.

A story's trace follows from its correlation id (`trace_id_of`), so requests, jobs, subscribers and relays of all nodes
meet in one trace though nothing of it is stored. A span carries names, ids and numbers; of an error, its kind.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry.context import Context, attach, detach, get_value, set_value
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

type Attributes = Mapping[str, str | int | bool]
type Opened = AbstractContextManager[Span | None]

STORY = "doorstep.correlation_id"
STORIES_AT_MOST = 100  # spans of one batch: what is beyond is done all the same
TRACE_ID = re.compile(r"[0-9a-f]{32}")
NOTHING: Opened = nullcontext()
PROPAGATOR = TraceContextTextMapPropagator()

# The trace of the span that begins a trace just now: the SDK's generator of ids asks for it.
beginning: ContextVar[int | None] = ContextVar("doorstep_trace_beginning", default=None)


@dataclass(slots=True)
class Tracing:
    """What this process traces with, as it logs: one for the process, since spans reach where no store does."""

    tracer: Tracer | None = None


PROCESS = Tracing()


def trace_id_of(correlation_id: str) -> int:
    """Return the trace of a story: the id itself where it has the form of one, else 16 bytes of its SHA-256."""
    if TRACE_ID.fullmatch(correlation_id) and (trace_id := int(correlation_id, 16)):
        return trace_id
    return int.from_bytes(hashlib.sha256(correlation_id.encode()).digest()[:16])


def trace_of_line(correlation_id: object) -> str | None:
    """Return the trace that a log line belongs to; None when tracing is off, or for a line of no story."""
    if PROCESS.tracer is None:
        return None
    now = get_current_span().get_span_context()
    if now.is_valid:
        return format_trace_id(now.trace_id)
    return format_trace_id(trace_id_of(correlation_id)) if isinstance(correlation_id, str) else None


def request(name: str, correlation_id: str, headers: Mapping[str, str]) -> Opened:
    """Open the span of a request: in its caller's trace when it came with one, else in its story's."""
    tracer = PROCESS.tracer
    if tracer is None:
        return NOTHING
    context = PROPAGATOR.extract(headers, Context())
    return _opened(tracer, name, correlation_id, SpanKind.SERVER, {}, context)


def answered(span: Span, method: str, route: str, status: int) -> None:
    """Say on a request's span what came of it."""
    span.set_attributes(
        {"http.request.method": method, "http.route": route, "http.response.status_code": status}
    )
    if status >= 500:
        span.set_status(StatusCode.ERROR)


def story(
    name: str, correlation_id: str, attributes: Attributes, kind: SpanKind = SpanKind.CONSUMER
) -> Opened:
    """Open a span in the trace of a story."""
    tracer = PROCESS.tracer
    return NOTHING if tracer is None else _opened(tracer, name, correlation_id, kind, attributes, Context())


def stories(name: str, correlation_ids: Iterable[str], attributes: Attributes) -> Opened:
    """Open a span in each of the stories that a batch is about; what is done inside hangs below it where it is one."""
    tracer = PROCESS.tracer
    if tracer is None:
        return NOTHING
    distinct = list(dict.fromkeys(correlation_ids))
    if len(distinct) == 1:
        return _opened(tracer, name, distinct[0], SpanKind.CONSUMER, attributes, Context())
    return _side_by_side(tracer, name, distinct[:STORIES_AT_MOST], attributes)


def step(name: str, attributes: Attributes | None = None, *, outside: bool = False) -> Opened:
    """Open a span below the present one; without one (a loop that looks whether there is work) there is none.

    `outside`: it is another program that is waited for.
    """
    tracer = PROCESS.tracer
    if tracer is None or not get_current_span().get_span_context().is_valid:
        return NOTHING
    kind = SpanKind.CLIENT if outside else SpanKind.INTERNAL
    return _opened(tracer, name, str(get_value(STORY)), kind, attributes or {}, None)


def within(name: str, correlation_ids: Iterable[str]) -> Opened:
    """Open a span below the present one, or, where nobody asked (a deadline fires), in the stories themselves."""
    if PROCESS.tracer is None:
        return NOTHING
    return (
        step(name) if get_current_span().get_span_context().is_valid else stories(name, correlation_ids, {})
    )


@contextmanager
def _opened(
    tracer: Tracer,
    name: str,
    correlation_id: str,
    kind: SpanKind,
    attributes: Attributes,
    context: Context | None,
) -> Iterator[Span]:
    """Open a span and make it the present one. With no context it hangs below the present one."""
    span = _begun(tracer, name, correlation_id, kind, attributes, context)
    token = attach(set_value(STORY, correlation_id, set_span_in_context(span)))
    try:
        yield span
    except BaseException as error:
        span.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        detach(token)
        span.end()


@contextmanager
def _side_by_side(
    tracer: Tracer, name: str, correlation_ids: Sequence[str], attributes: Attributes
) -> Iterator[None]:
    with ExitStack() as stack:
        for correlation_id in correlation_ids:
            span = _begun(tracer, name, correlation_id, SpanKind.CONSUMER, attributes, Context())
            stack.callback(span.end)
        yield


def _begun(
    tracer: Tracer,
    name: str,
    correlation_id: str,
    kind: SpanKind,
    attributes: Attributes,
    context: Context | None,
) -> Span:
    marked = beginning.set(trace_id_of(correlation_id))
    try:
        return tracer.start_span(name, context, kind, {**attributes, STORY: correlation_id})
    finally:
        beginning.reset(marked)
