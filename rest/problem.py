"""Refusals over HTTP: RFC 9457 problems.

`type` points into our own document of codes (/docs#problem-…). A problem never repeats what was sent.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web

from domain.refusals import Refusal
from domain.refusals import problem as document

CONTENT_TYPE = "application/problem+json"


def encode(body: Mapping[str, Any]) -> bytes:
    """Encode an answer: times in UTC with Z, ids as text (the driver's are a subclass that orjson leaves to us)."""
    return orjson.dumps(body, default=_default, option=orjson.OPT_UTC_Z)


def _default(value: object) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON-ready")


def response(refusal: Refusal, correlation_id: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer a refusal, with the headers that its status calls for."""
    sent = {"Cache-Control": "no-store", **(headers or {})}
    if refusal.status == 401:
        sent["WWW-Authenticate"] = f'Bearer realm="doorstep", error="{refusal.code}"'
    retry_after_s = refusal.extra.get("retry_after_s", 1 if refusal.status == 503 else None)
    if retry_after_s is not None:
        sent["Retry-After"] = str(retry_after_s)
    return web.Response(
        status=refusal.status,
        body=encode(document(refusal, correlation_id)),
        content_type=CONTENT_TYPE,
        headers=sent,
    )
