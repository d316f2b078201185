"""The Idempotency-Key header and the fingerprint of what was asked; services do the rest, in their transaction.

The scope is the principal and the route. The fingerprint covers the ids in the path and the parsed body in canonical
form, so neither white space nor the order of fields makes another request of it.
"""

import hashlib
import re

import orjson

from domain.context import Actor, Claim
from domain.refusals import FieldError, Refusal
from rest.models import Body
from rest.registry import PathValues, Route
from services.field_errors import wrong

HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x21-\x7e]{1,255}")


def claim_of(route: Route, actor: Actor, path: PathValues, body: Body, header: str | None) -> Claim | Refusal:
    """Read the claim of a request on a route that requires a key."""
    if header is None or not header.strip():
        return Refusal(
            "idempotency_key_required", "Send an Idempotency-Key header: a fresh UUID for each intent."
        )
    key = header.strip()
    if not KEY.fullmatch(key):
        return wrong(
            FieldError("header/Idempotency-Key", "malformed", "1 to 255 visible ASCII characters, no spaces")
        )
    return Claim(
        principal=str(actor.person_id),
        route=f"{route.method} {route.path}",
        key=key,
        fingerprint=fingerprint(path, body),
    )


def fingerprint(path: PathValues, body: Body) -> bytes:
    """Return the SHA-256 of the canonical request: ids of the path and fields of the body, keys sorted."""
    canonical = {
        "path": {name: str(value) for name, value in path.items()},
        "body": body.model_dump(mode="json"),
    }
    return hashlib.sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).digest()
