"""What came over the wire becomes frozen models here, once; everything behind the door trusts them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from multidict import MultiMapping
from pydantic import ValidationError

from domain.refusals import FieldError, Refusal
from rest.models import Body, Query, Raw
from rest.registry import PathValues, Route
from services.field_errors import invalid, pointer, wrong

JSON_TYPES = frozenset({"application/json", "application/octet-stream", ""})


def path_values(route: Route, match: Mapping[str, str]) -> PathValues | None:
    """Read the path's variables; None when an id is none (so that it does not exist)."""
    values: dict[str, UUID | str] = {}
    for name in route.variables:
        text = match[name]
        if name.endswith("_id"):
            try:
                values[name] = UUID(text)
            except ValueError:
                return None
        elif "\x00" in text or len(text) > 256:
            return None
        else:
            values[name] = text
    return values


def body_of(route: Route, raw: bytes, content_type: str) -> Body | Refusal:
    """Parse the body by the route's model. No body at all counts as an empty object."""
    if route.body is Raw:
        return Raw()
    if raw and content_type not in JSON_TYPES and not content_type.endswith("+json"):
        return Refusal("unsupported_media_type", "The body must be application/json.")
    try:
        parsed = route.body.model_validate_json(raw or b"{}")
    except ValidationError as error:
        return invalid(error)
    if b"\\u0000" in raw and (where := _nul(orjson.loads(raw), ())) is not None:
        return wrong(FieldError(pointer(where), "malformed", "NUL characters are not allowed"))
    return parsed


def query_of(route: Route, query: MultiMapping[str]) -> Query | Refusal:
    """Parse the query string by the route's model. A name that comes twice is an error."""
    values: dict[str, str] = {}
    for name, value in query.items():
        if name in values:
            return wrong(FieldError(pointer((name,), "query"), "invalid", "Give it once"))
        if "\x00" in value:
            return wrong(FieldError(pointer((name,), "query"), "malformed", "NUL characters are not allowed"))
        values[name] = value
    try:
        return route.query.model_validate(values)
    except ValidationError as error:
        return invalid(error, "query")


def _nul(value: Any, at: tuple[int | str, ...]) -> tuple[int | str, ...] | None:
    """Return the place of the first text with a NUL (PostgreSQL stores none), depth first."""
    if isinstance(value, str):
        return at if "\x00" in value else None
    items: Any = ()
    if isinstance(value, dict):
        if any("\x00" in key for key in value):
            return at
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return next((found for key, item in items if (found := _nul(item, (*at, key))) is not None), None)
