"""A declaration is what is served and documented; what is read from it is read here."""

from typing import Any

import pytest
from pydantic import Field

from domain.context import Role
from domain.refusals import Refusal
from rest import parsing
from rest.models import Body, Nothing, Page, Query, Raw
from rest.registry import ANYBODY, SIGNED_IN, Ask, Route, Routes
from services.reply import Answer, Reply


class Inner(Body):
    """A nested body."""

    lat: float = Field(ge=-90, le=90)


class Outer(Body):
    """A body with a list of others."""

    name: str = Field(min_length=1, max_length=5)
    count: int = 1
    places: list[Inner] = Field(default_factory=list)


def declared(handler: Any, path: str = "/v1/things/{thing_id}/{word}", **declaration: Any) -> Route:
    """Declare one handler and return its route."""
    routes = Routes("Things")
    routes.post(path, **declaration)(handler)
    return next(iter(routes))


async def plain(ask: Ask) -> Answer:
    """Do a thing.

    With more
    words.
    """
    return Reply(200, {"id": ask.path})


async def with_body(ask: Ask[Outer]) -> Answer:
    """Take a body."""
    return Reply(200, {"name": ask.body.name})


async def with_query(ask: Ask[Nothing, Page]) -> Answer:
    """Take a query."""
    return Reply(200, {"limit": ask.query.limit})


def test_models_come_from_the_handlers_own_annotation() -> None:
    """What mypy checks inside the handler is what the door validates."""
    assert (declared(plain).body, declared(plain).query) == (Nothing, Query)
    assert (declared(with_body).body, declared(with_body).query) == (Outer, Query)
    assert (declared(with_query).body, declared(with_query).query) == (Nothing, Page)


def test_words_come_from_the_docstring() -> None:
    """The first line is the summary, the rest the description."""
    route = declared(plain)
    assert (route.summary, route.description) == ("Do a thing", "With more words.")


def test_signed_in_is_the_default_and_never_the_system() -> None:
    """A route says so when it is open; nobody can be the system over HTTP."""
    assert declared(plain).roles == SIGNED_IN
    assert not declared(plain).open
    assert declared(plain, roles=ANYBODY).open
    assert not {Role.SYSTEM, Role.ANONYMOUS} & SIGNED_IN


def test_ids_in_the_path_are_read_and_what_is_none_does_not_exist() -> None:
    """A malformed id is a thing that is not there; other words are taken as they are."""
    route = declared(plain)
    good = parsing.path_values(route, {"thing_id": "018f3c1e-0000-7000-8000-000000000001", "word": "x"})
    assert good is not None
    assert str(good["thing_id"]) == "018f3c1e-0000-7000-8000-000000000001"
    assert parsing.path_values(route, {"thing_id": "7", "word": "x"}) is None
    assert (
        parsing.path_values(route, {"thing_id": "018f3c1e-0000-7000-8000-000000000001", "word": "a\x00"})
        is None
    )


BAD_BODIES: list[tuple[bytes, str, str]] = [
    (b"{", "", "malformed"),
    (b"[]", "", "wrong_type"),
    (b"{}", "/name", "required"),
    (b'{"name": "a", "more": 1}', "/more", "unknown_field"),
    (b'{"name": ""}', "/name", "too_short"),
    (b'{"name": "abcdef"}', "/name", "too_long"),
    (b'{"name": 7}', "/name", "wrong_type"),
    (b'{"name": "a", "count": "1"}', "/count", "wrong_type"),
    (b'{"name": "a", "places": [{"lat": 1}, {"lat": 91}]}', "/places/1/lat", "out_of_range"),
    (b'{"name": "a", "places": [{"lat": NaN}]}', "/places/0/lat", "out_of_range"),
    (b'{"name": "a\\u0000"}', "/name", "malformed"),
    (b'{"name": "a", "a/b~c": 1}', "/a~1b~0c", "unknown_field"),
    (b'{"name": "\\ud800"}', "", "malformed"),
    (b"[" * 100_000, "", "malformed"),
]


@pytest.mark.parametrize(("raw", "pointer", "code"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_bad_body_is_told_by_pointer_and_code(raw: bytes, pointer: str, code: str) -> None:
    """RFC 6901 pointers and codes that stay, whatever the validator calls its findings."""
    refused = parsing.body_of(declared(with_body), raw, "application/json")
    assert isinstance(refused, Refusal)
    assert refused.code == "validation"
    assert (refused.errors[0].pointer, refused.errors[0].code) == (pointer, code)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    """The text of an escape is text."""
    parsed = parsing.body_of(declared(with_body), rb'{"name": "\\u0"}', "application/json")
    assert isinstance(parsed, Outer)


def test_no_body_is_an_empty_object_and_other_types_are_refused() -> None:
    """A command without fields may come bare; a form is not JSON."""
    assert isinstance(parsing.body_of(declared(plain), b"", "application/octet-stream"), Nothing)
    refused = parsing.body_of(declared(with_body), b"name=a", "application/x-www-form-urlencoded")
    assert isinstance(refused, Refusal)
    assert refused.code == "unsupported_media_type"


def test_a_raw_body_stays_unread() -> None:
    """A webhook's signature is checked over the bytes before anybody parses them."""

    async def hook(ask: Ask[Raw]) -> Answer:
        """Take bytes."""
        return Reply(200, {"bytes": len(ask.raw)})

    assert isinstance(parsing.body_of(declared(hook), b"\xff\x00", "text/plain"), Raw)
