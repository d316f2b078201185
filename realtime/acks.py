"""Answers to messages: every message gets one, typed, with the same codes as over HTTP."""

from collections.abc import Mapping
from typing import Any

import orjson

from domain.refusals import Refusal
from services.reply import Answer


def answer(result: Answer, correlation_id: str) -> dict[str, Any]:
    """Return the ack of a use case's answer."""
    if isinstance(result, Refusal):
        return {"ok": False, "error": error(result, correlation_id)}
    return {"ok": True, **result.body}


def error(refusal: Refusal, correlation_id: str) -> dict[str, Any]:
    """Return a refusal as clients see it."""
    body: dict[str, Any] = {
        "code": refusal.code,
        "title": refusal.title,
        "detail": refusal.detail,
        "correlation_id": correlation_id,
        **_plain(refusal.extra),
    }
    if refusal.errors:
        body["errors"] = [{"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in refusal.errors]
    return body


def _plain(extra: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = orjson.loads(orjson.dumps(dict(extra), option=orjson.OPT_UTC_Z))
    return plain
