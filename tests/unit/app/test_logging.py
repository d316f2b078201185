"""What must not stand in a log does not, whichever way it tries to get in."""

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage

from app.logging import MASK, configure, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SECRETS = [
    ("password", "hunter2hunter2"),
    ("access_token", JWT),
    ("email", "ada@example.com"),
    ("display_name", "Ada Lovelace"),
    ("lat", 39.2857),
    ("address", {"line1": "12 Harbor Street"}),
    ("detail", f"the header was Bearer {JWT}"),
    ("url", "postgresql://doorstep:s3cret-word@db:5432/doorstep"),
    ("error", "duplicate key (email)=(ada@example.com) exists"),
    ("path", "/track/Zk3vJ9qLx8nM2bV5cX7a"),
    ("inner", {"list": [{"refresh_token": "r3fr3sh-r3fr3sh"}]}),
    ("raw", b"\x00\x01secret"),
]
TELLING = (
    "hunter2",
    JWT,
    "ada@example",
    "Lovelace",
    "39.28",
    "Harbor",
    "s3cret",
    "Zk3vJ9",
    "r3fr3sh",
    "secret\\",
)


@pytest.mark.parametrize(("name", "value"), SECRETS, ids=[name for name, _ in SECRETS])
def test_a_secret_is_masked_by_its_name_or_by_its_look(name: str, value: Any) -> None:
    """At any depth, in fields and inside sentences."""
    shown = json.dumps(redact(None, "info", {"event": "happened", name: value}))
    assert MASK in shown
    assert not [word for word in TELLING if word in shown]


def test_what_may_stand_stays_as_it_is() -> None:
    """Ids, numbers, routes and codes are what logs are for."""
    event = {
        "event": "request",
        "route": "/v1/bookings/{booking_id}",
        "status": 200,
        "ms": 1.5,
        "ok": True,
        "x": None,
    }
    assert redact(None, "info", dict(event)) == event


def test_both_ways_of_logging_end_in_one_redacted_json_line(tmp_path: Path) -> None:
    """Structlog's events and the standard library's records look alike in the file."""
    file = tmp_path / "log" / "doorstep.log"
    before = logging.getLogger().handlers
    configure("info", file)
    try:
        structlog.get_logger("ours").info("fix_rejected", reason="teleport", token=JWT)
        logging.getLogger("theirs").warning("cannot reach %s", "redis://:pw-pw-pw@host/0")
        try:
            raise ValueError(f"bad {JWT}")
        except ValueError:
            structlog.get_logger("ours").exception("broke")
        logging.getLogger("ours").debug("too quiet")
    finally:
        for handler in logging.getLogger().handlers:
            handler.close()
        logging.getLogger().handlers = before
        structlog.reset_defaults()
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines] == [
        "fix_rejected",
        f"cannot reach redis://:{MASK}@host/0",
        "broke",
    ]
    assert lines[0] == {**lines[0], "level": "info", "logger": "ours", "reason": "teleport", "token": MASK}
    assert "ValueError" in lines[2]["exception"]
    assert JWT not in text
    assert "pw-pw-pw" not in text


def test_a_line_that_could_not_be_parsed_is_not_logged(tmp_path: Path) -> None:
    """Aiohttp's complaint about malformed HTTP keeps its kind and loses the line, which may hold a password."""
    file = tmp_path / "log.json"
    configure("info", file)
    try:
        raise BadHttpMessage("Cookie: doorstep=COOKIESECRET")
    except BadHttpMessage:
        logging.getLogger("aiohttp.server").exception("Error handling request: COOKIESECRET")
    told = file.read_text()
    assert "http_not_parsed" in told
    assert "COOKIESECRET" not in told
    assert file.stat().st_mode & 0o077 == 0


def test_a_log_on_a_full_disk_counts_what_it_loses_and_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No trace on the screen; when there is room again, the log says how much is missing."""
    file = tmp_path / "doorstep.log"
    before = logging.getLogger().handlers
    configure("info", file)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.FileHandler)
    room = handler.stream
    try:
        with Path("/dev/full").open("w") as full:
            handler.stream = full
            for number in range(3):
                logging.getLogger("theirs").warning("lost %s", number)
            handler.stream = room
            with suppress(OSError):
                full.close()
        logging.getLogger("theirs").warning("again")
        logging.getLogger("theirs").warning("and on")
    finally:
        handler.close()
        logging.getLogger().handlers = before
        structlog.reset_defaults()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["again", "log_lines_lost 3", "and on"]
    assert capfd.readouterr().err == ""


def test_a_warning_is_not_repeated_within_seconds(tmp_path: Path) -> None:
    """The first is written, those right behind it are counted; what differs in anything, or is no warning, stays."""
    file = tmp_path / "doorstep.log"
    before = logging.getLogger().handlers
    configure("info", file)
    times = [1_000.0]
    make = logging.getLogRecordFactory()

    def at_that_time(*args: Any, **given: Any) -> logging.LogRecord:
        record = make(*args, **given)
        record.created = times[-1]
        return record

    logging.setLogRecordFactory(at_that_time)
    ours, theirs = structlog.get_logger("ours"), logging.getLogger("theirs")
    try:
        for now in (1_000.0, 1_000.5, 1_009.9, 1_010.0):
            times.append(now)
            ours.warning("store_away", error="ConnectionRefusedError")
            theirs.error("flush failed, %d left", 1)
        ours.warning("store_away", error="ConnectionRefusedError", correlation_id="another")
        for _ in range(2):
            ours.info("request", status=503)
    finally:
        logging.setLogRecordFactory(make)
        for handler in logging.getLogger().handlers:
            handler.close()
        logging.getLogger().handlers = before
        structlog.reset_defaults()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["event"], line.get("held_back"), line.get("correlation_id")) for line in lines] == [
        ("store_away", None, None),
        ("flush failed, 1 left", None, None),
        ("store_away", 2, None),
        ("flush failed, 1 left (and 2 more)", None, None),
        ("store_away", None, "another"),
        ("request", None, None),
        ("request", None, None),
    ]
