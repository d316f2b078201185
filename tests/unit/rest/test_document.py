"""The OpenAPI document: valid 3.1, complete, and true to what is served."""

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import validate
from prometheus_client import CollectorRegistry

from domain.refusals import CODES
from rest.api import routes
from rest.docs import Docs
from rest.models import Body, Query
from rest.openapi import codes_of, document, operation_id
from rest.registry import SIGNED_IN
from rest.server import DoorSettings, attach

SOURCES = ("rest", "services", "domain", "realtime", "storage", "pages")
REFUSED = re.compile(r"""Refusal\(\s*"([a-z_]+)\"""")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The document of everything that is declared."""
    return document(routes(), "0.0")


def test_it_is_valid(made: dict[str, Any]) -> None:
    """The official validator has nothing to say."""
    validate(made)


def test_what_is_served_is_in_it_and_what_is_in_it_is_served(made: dict[str, Any]) -> None:
    """There is one list."""
    app = web.Application()
    attach(app, DoorSettings(), CollectorRegistry())
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    documented = {(m.upper(), path) for path, operations in made["paths"].items() for m in operations}
    assert served - documented == {("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/metrics")}
    assert documented <= served


def test_operation_ids_are_unique() -> None:
    """Generated clients need one name for each."""
    ids = [operation_id(route) for route in routes()]
    assert len(ids) == len(set(ids))


def test_every_code_that_the_code_uses_is_in_the_table() -> None:
    """Nobody invents a code: each `Refusal("…")` in the source is known."""
    root = Path(__file__).parents[3]
    used = {
        code
        for folder in SOURCES
        for file in (root / folder).rglob("*.py")
        for code in REFUSED.findall(file.read_text())
    }
    assert used
    assert used <= set(CODES)


def test_every_operation_documents_its_refusals(made: dict[str, Any]) -> None:
    """Each documented code has a status among the responses, as a problem."""
    for route in routes():
        responses = made["paths"][route.path][route.method.lower()]["responses"]
        for code in codes_of(route):
            assert code in CODES
            answer = responses[str(CODES[code].status)]
            assert "application/problem+json" in answer["content"]


def test_what_may_be_stale_takes_if_match(made: dict[str, Any]) -> None:
    """An operation that answers 412 documents the header that asks for it, and no other does."""
    header = {"$ref": "#/components/parameters/IfMatch"}
    for path, operations in made["paths"].items():
        for operation in operations.values():
            assert (header in operation["parameters"]) == ("412" in operation["responses"]), path


def test_commands_of_a_booking_require_a_key_and_auth_takes_none() -> None:
    """As the contract marks them."""
    for route in routes():
        if route.method == "POST" and re.fullmatch(
            r"/v1/bookings(/\{booking_id\}/(?!share|track|override).*)?", route.path
        ):
            assert route.key, route.path
        if route.path.startswith("/v1/auth"):
            assert not route.key


def test_every_model_at_the_door_is_closed() -> None:
    """Unknown fields are errors in bodies and in query strings."""
    for base in (Body, Query):
        for model in base.__subclasses__():
            assert model.model_config["extra"] == "forbid", model


def test_every_operation_says_what_it_is_for() -> None:
    """A summary in words, and roles that exist."""
    for route in routes():
        assert route.summary, route.path
        assert route.roles <= SIGNED_IN


def test_the_page_needs_nobody_else_and_escapes_what_it_shows(made: dict[str, Any]) -> None:
    """No script, no foreign address, and an anchor for each code that a problem's type points to."""
    page = Docs(made)._html
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"https?:", page)
    for code in CODES:
        assert f'id="problem-{code}"' in page
