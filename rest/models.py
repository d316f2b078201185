"""What every model at the HTTP door shares: bodies are strict and closed, queries are read from text, views are shapes.

A view describes an answer for the document; services build answers as JSON-ready dictionaries, and the tests check that
each of them fits its view.
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

NUMBER = re.compile(r"\s*[+-]?[0-9_.]+\s*")


class Body(BaseModel):
    """A JSON body. Unknown fields, wrong types, NaN and naive times are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Nothing(Body):
    """No body, or an empty object."""


class Raw(Body):
    """A body that the door leaves unread: its handler checks a signature over `ask.raw` first."""


class Query(BaseModel):
    """The query string. Each name once; unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Page(Query):
    """A page of a list. Subclass it to add filters."""

    limit: int = Field(default=50, ge=1, le=200, description="How many items at most")
    cursor: str | None = Field(default=None, max_length=512, description="`next_cursor` of the page before")


class View(BaseModel):
    """The shape of an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListView[Item](View):
    """One page: `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None


def _written_out(value: Any) -> Any:
    """Let no number pass for a time, in digits or not: pydantic would read it as seconds since the epoch."""
    if isinstance(value, int | float) or (isinstance(value, str) and NUMBER.fullmatch(value)):
        raise ValueError("Write a time as 2026-11-24T12:00:00Z")
    return value


type Instant = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_written_out), AfterValidator(_utc)
]
"""RFC 3339 with an offset, read into UTC."""


def each_of(kind: type[StrEnum]) -> AfterValidator:
    """Return the check of a filter that takes several members of `kind`, with commas between."""
    known = frozenset(member.value for member in kind)

    def check(text: str) -> str:
        if not known.issuperset(text.split(",")):
            raise PydanticCustomError("enum", f"Each is one of {', '.join(kind)}")
        return text

    return AfterValidator(check)


type Json = dict[str, Any]

type Lat = Annotated[float, Field(ge=-90, le=90)]
type Lon = Annotated[float, Field(ge=-180, le=180)]


class MoneyView(View):
    """Integer minor units and a currency."""

    amount: int
    currency: str = Field(pattern="^[A-Z]{3}$")


class Money(Body):
    """Integer minor units and a currency."""

    amount: int = Field(ge=0, le=100_000_000)
    currency: str = Field(pattern="^[A-Z]{3}$")
