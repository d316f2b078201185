"""Operational logs: one JSON line each on stdout (or in the demo's file), and nothing in them that must not be there.

Secrets, tokens, names, addresses and positions are masked twice: by the name of a field, and by the look of a value.
Libraries that log through the standard library go the same way.
"""

import logging
import logging.handlers
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog
from aiohttp.http_exceptions import HttpProcessingError

from storage.tracing import trace_of_line

MASK = "***"
SECRET_NAMES = re.compile(
    r"(\w+_)?(pass(word|wd)?(_hash)?|secret|token|authorization|cookie|api_?key|secret_key|dsn|credential_number|"
    r"e?mail|phone|display_name|first_name|line1|address|lat|lon|lng|latitude|longitude|position|place|notes?|text)",
    re.IGNORECASE,
)
SECRET_LOOKS = (
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MASK),  # a JWT
    (re.compile(r"(\w+://[^:/\s@]*:)[^@\s]+@"), rf"\1{MASK}@"),  # a password in a URL
    (re.compile(r"(?i)(bearer\s+)[\w.~+/=-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"(/track/|/shares/)[\w-]{16,}"), rf"\1{MASK}"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]+(\.[\w-]+)+"), MASK),  # an e-mail address
)
LOG_BYTES = 5_000_000  # the demo's file turns over at this size, and one older file is kept
AGAIN_AFTER_S = 10.0  # the same warning is written once in that time
REMEMBERED = 256  # different warnings
LOUD = {
    "aiohttp.access": "WARNING",
    "pgqueuer": "WARNING",
    "asyncio": "WARNING",
    "asyncpg.pool": "ERROR",
    "opentelemetry": "ERROR",  # a collector that is away is told once a batch, not at each try of it
}


class _Unparsed(logging.Filter):
    """What aiohttp could not parse is told by its kind alone: the line itself may hold a password."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the exception, and with it the line, out of the record."""
        raised = record.exc_info[1] if record.exc_info else None
        if isinstance(raised, HttpProcessingError):
            record.msg, record.args, record.exc_info = "http_not_parsed", (), None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


class _Again(logging.Filter):
    """Holds back a warning that repeats another of the last seconds to the letter; the next one tells how many.

    Whatever waits for a store that is away says so twice a second: in an hour that would bury what happened.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[
            int, tuple[float, int]
        ] = {}  # of each line its hash: when it was written, how often not since

    def filter(self, record: logging.LogRecord) -> bool:
        """Let it pass, with the number of those that did not; or count it."""
        if record.levelno < logging.WARNING:
            return True
        fields = record.msg if isinstance(record.msg, dict) else {"event": record.getMessage()}
        said = hash((record.name, *sorted((k, str(v)) for k, v in fields.items() if k != "timestamp")))
        told_at, held_back = self._told.get(said, (-AGAIN_AFTER_S, 0))
        if 0 <= record.created - told_at < AGAIN_AFTER_S:
            self._told[said] = told_at, held_back + 1
            return False
        if len(self._told) >= REMEMBERED:
            self._told.clear()
        self._told[said] = record.created, 0
        if held_back and isinstance(record.msg, dict):
            record.msg = {**record.msg, "held_back": held_back}
        elif held_back:
            record.msg, record.args = f"{record.getMessage()} (and {held_back} more)", ()
        return True


class _Lossy:
    """What makes a handler count the lines that it cannot write, on a full disk or a closed pipe, and go on.

    The first line that it can write again is followed by one that says how many are missing.
    """

    lost = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - the library's name
        """Count it: a trace for each would bury the screen."""
        self.lost += 1


class _Stream(_Lossy, logging.StreamHandler[TextIO]):
    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, and after a gap how long that was."""
        _emit(self, super().emit, record)


class _File(_Lossy, logging.handlers.RotatingFileHandler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, and after a gap how long that was."""
        _emit(self, super().emit, record)


def _emit(handler: _Lossy, write: Callable[[logging.LogRecord], None], record: logging.LogRecord) -> None:
    before = handler.lost
    write(record)
    if before and handler.lost == before:
        handler.lost = 0
        gap = {
            "name": __name__,
            "levelno": logging.ERROR,
            "levelname": "ERROR",
            "msg": f"log_lines_lost {before}",
        }
        write(logging.makeLogRecord(gap))


def configure(level: str = "info", file: Path | None = None, stream: TextIO | None = None) -> None:
    """Send everything to stdout (or `stream`), or to `file`, as JSON lines from `level` up."""
    handler: logging.Handler
    if file is None:
        handler = _Stream(stream or sys.stdout)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        handler = _File(file, maxBytes=LOG_BYTES, backupCount=1)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        traced,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, _render],
        )
    )
    handler.addFilter(_Again())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiohttp.server").addFilter(_Unparsed())
    for name, quiet in LOUD.items():
        logging.getLogger(name).setLevel(quiet)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def traced(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the trace that a line belongs to, while there are any."""
    trace_id = trace_of_line(event.get("correlation_id"))
    if trace_id is not None:
        event["trace_id"] = trace_id
    return event


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what must not stand in a log, at any depth."""
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: Any) -> Any:
    if SECRET_NAMES.fullmatch(key) and value is not None:
        return MASK
    if isinstance(value, Mapping):
        return {str(k): _masked(str(k), v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_masked("", item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return MASK
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    text = str(value)
    for look, mask in SECRET_LOOKS:
        text = look.sub(mask, text)
    return text


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return orjson.dumps({**first, **event}, default=str).decode()
