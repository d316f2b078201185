"""What pydantic finds wrong, told alike by every door: RFC 6901 pointers, and a few codes that clients may rely on.

A finding never repeats what was sent.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from domain.refusals import FieldError, Refusal

# pydantic's error types, told as a few codes that clients may rely on; what is not here is "invalid".
FIELD_CODES: Mapping[str, str] = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "json_invalid": "malformed",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "too_short": "too_short",
    "too_long": "too_long",
    "bytes_too_long": "too_long",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
    "int_parsing_size": "out_of_range",
    "literal_error": "not_allowed",
    "enum": "not_allowed",
    "string_pattern_mismatch": "malformed",
    "uuid_parsing": "malformed",
    "datetime_parsing": "malformed",
    "datetime_from_date_parsing": "malformed",
    "timezone_aware": "malformed",
    "date_parsing": "malformed",
    "date_from_datetime_parsing": "malformed",
    "int_parsing": "malformed",
    "float_parsing": "malformed",
    "bool_parsing": "malformed",
}


def invalid(error: ValidationError, prefix: str = "") -> Refusal:
    """Tell pydantic's findings as one refusal; `prefix` is "query" for the query string."""
    return wrong(
        *(_field_error(item, prefix) for item in error.errors(include_url=False, include_input=False))
    )


def wrong(*errors: FieldError) -> Refusal:
    """Refuse with the fields that are wrong."""
    words = "; ".join(f"{e.pointer or 'the body'}: {e.detail}" for e in errors[:3])
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    return Refusal("validation", f"{words}{more}", errors[:50])


def pointer(loc: tuple[int | str, ...], prefix: str = "") -> str:
    """Return the RFC 6901 pointer of a place in a body, or `query/name` in a query string."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in loc]
    if prefix:
        return "/".join((prefix, *steps))
    return "".join(f"/{step}" for step in steps)


def _field_error(item: Any, prefix: str) -> FieldError:
    kind: str = item["type"]
    code = FIELD_CODES.get(kind, "wrong_type" if kind.endswith("_type") else "invalid")
    loc = () if kind == "json_invalid" else tuple(item["loc"])
    return FieldError(pointer(loc, prefix), code, str(item["msg"]).removeprefix("Value error, "))
