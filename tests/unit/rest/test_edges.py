"""The small readers at the edge: keys, fingerprints, versions, addresses of callers, buckets, stories."""

from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from pydantic import ValidationError

from domain.context import Actor, Claim, Role
from domain.refusals import CODES, Refusal, problem
from rest import alerts, bookings, etag, parsing
from rest.idempotency import claim_of, fingerprint
from rest.limits import BUCKETS_KEPT, Limit, Limiter
from rest.middleware import correlation_of
from rest.models import Body, Nothing, Page, Query
from rest.peer import client_of
from rest.problem import response
from rest.registry import Ask, Route, Routes
from services.field_errors import invalid
from services.reply import Answer, Reply


class Rates(Body):
    """A body."""

    stars: int
    comment: str | None = None


async def rate(ask: Ask[Rates, Page]) -> Answer:
    """Rate."""
    return Reply(200, {"stars": ask.body.stars})


def route() -> Route:
    """Return a route that requires a key."""
    routes = Routes("Things")
    routes.post("/v1/things/{thing_id}/rate", key=True)(rate)
    return next(iter(routes))


def test_white_space_order_and_defaults_make_no_other_request() -> None:
    """The fingerprint covers the meaning, not the bytes."""
    path = {"thing_id": UUID(int=1)}
    same = [b'{"stars":5}', b'{ "stars" : 5 }', b'{"comment":null,"stars":5}']
    bodies = [parsing.body_of(route(), raw, "application/json") for raw in same]
    assert len({fingerprint(path, body) for body in bodies if isinstance(body, Body)}) == 1
    assert fingerprint(path, Rates(stars=4)) != fingerprint(path, Rates(stars=5))
    assert fingerprint({"thing_id": UUID(int=2)}, Rates(stars=5)) != fingerprint(path, Rates(stars=5))


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "idempotency_key_required"),
        (" ", "idempotency_key_required"),
        ("a b", "validation"),
        ("k" * 256, "validation"),
    ],
)
def test_a_key_is_required_and_looks_like_one(header: str | None, code: str) -> None:
    """Absent is a 400, unusable a 422."""
    refused = claim_of(route(), Actor(uuid4(), Role.CUSTOMER), {}, Nothing(), header)
    assert isinstance(refused, Refusal)
    assert refused.code == code


def test_a_claims_scope_is_the_principal_and_the_route() -> None:
    """The route is its template: the ids are in the fingerprint."""
    actor = Actor(UUID(int=7), Role.CUSTOMER)
    claim = claim_of(route(), actor, {"thing_id": UUID(int=1)}, Nothing(), "key-1")
    assert isinstance(claim, Claim)
    assert (claim.principal, claim.route, claim.key) == (
        str(UUID(int=7)),
        "POST /v1/things/{thing_id}/rate",
        "key-1",
    )


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, None),
        ("*", None),
        ('"7"', 7),
        ('W/"7"', 7),
        ('"abc"', etag.NEVER),
        ("7", etag.NEVER),
        ('"1", "2"', etag.NEVER),
    ],
)
def test_if_match_reads_our_own_etags_and_nothing_else_matches(
    header: str | None, version: int | None
) -> None:
    """An ETag that is not ours is a version that nothing has."""
    assert etag.if_match(header) == version


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ([("limit", "0")], "query/limit", "out_of_range"),
        ([("limit", "many")], "query/limit", "malformed"),
        ([("limit", "1"), ("limit", "2")], "query/limit", "invalid"),
        ([("other", "1")], "query/other", "unknown_field"),
        ([("cursor", "a\x00")], "query/cursor", "malformed"),
    ],
)
def test_a_bad_query_is_told_like_a_bad_body(query: list[tuple[str, str]], pointer: str, code: str) -> None:
    """Each name once, known, and in its bounds."""
    refused = parsing.query_of(route(), MultiDict(query))
    assert isinstance(refused, Refusal)
    assert [(e.pointer, e.code) for e in refused.errors] == [(pointer, code)]


@pytest.mark.parametrize("filters", [bookings.Filters, alerts.Filters])
def test_an_unknown_state_is_told_without_what_was_sent(filters: type[Query]) -> None:
    """One of several states that is none: `not_allowed`, with those that are, and none of the library's words."""
    with pytest.raises(ValidationError) as caught:
        filters.model_validate({"state": "accepted,nonsense"})
    [error] = invalid(caught.value, "query").errors
    assert (error.pointer, error.code) == ("query/state", "not_allowed")
    assert error.detail.startswith("Each is one of ")
    assert "nonsense" not in error.detail


def test_our_own_sentence_about_a_value_stands_alone() -> None:
    """What a validator of ours says is the detail, without pydantic's "Value error"."""
    with pytest.raises(ValidationError) as caught:
        bookings.Filters.model_validate({"since": "1"})
    [error] = invalid(caught.value, "query").errors
    assert error.detail == "Write a time as 2026-11-24T12:00:00Z"


PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        (None, [], "unknown"),
    ],
)
def test_only_named_proxies_say_who_calls(remote: str | None, forwarded: list[str], client: str) -> None:
    """A caller cannot choose its own address."""
    assert client_of(remote, forwarded, PROXIES) == client


def test_a_bucket_gives_a_burst_then_a_rate_then_says_how_long() -> None:
    """Three at once, one a second, and the waiting time is true."""
    limiter = Limiter({"default": Limit("default", 3, 1.0)})
    assert [limiter.take("default", "a", 100.0).refusal for _ in range(3)] == [None] * 3
    over = limiter.take("default", "a", 100.0)
    assert over.refusal is not None
    assert over.refusal.extra["retry_after_s"] == 1
    assert limiter.take("default", "b", 100.0).refusal is None
    assert limiter.take("default", "a", 101.0).refusal is None
    assert over.headers() == {"RateLimit-Policy": '"default";q=3;w=3', "RateLimit": '"default";r=0;t=3'}
    refused = response(over.refusal, "story-123")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")


def test_buckets_do_not_grow_without_bound() -> None:
    """The caller heard of longest ago is forgotten."""
    limiter = Limiter({"default": Limit("default", 1, 0.001)})
    for caller in range(BUCKETS_KEPT + 10):
        limiter.take("default", str(caller), 0.0)
    assert len(limiter._levels) == BUCKETS_KEPT
    assert limiter.take("default", "0", 0.0).refusal is None


@given(st.lists(st.floats(0, 5), max_size=60))
def test_a_caller_never_gets_more_than_burst_and_rate(pauses: list[float]) -> None:
    """Whatever the rhythm, what is let through stays under the policy's line."""
    limit = Limit("default", 4, 0.5)
    limiter = Limiter({"default": limit})
    now, let_through = 0.0, 0
    for pause in pauses:
        now += pause
        let_through += limiter.take("default", "a", now).refusal is None
    assert let_through <= limit.burst + now * limit.per_s + 1e-6


@pytest.mark.parametrize("good", ["abcdefgh", "A-b_9" * 5, "x" * 64])
def test_a_well_formed_story_is_carried_on(good: str) -> None:
    """The caller's own id wins."""
    assert correlation_of(good, None) == good


@pytest.mark.parametrize("bad", [None, "", "short", "x" * 65, "has space!", "line\nfeed0", "ünïcödé-id"])
def test_another_story_begins_afresh(bad: str | None) -> None:
    """What could break a log or a header is replaced, not repaired."""
    fresh = correlation_of(bad, None)
    assert fresh != bad
    assert len(fresh) == 32


def test_a_trace_of_the_callers_becomes_the_story() -> None:
    """`traceparent` is honoured where no id was sent; an all-zero trace is none."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert correlation_of(None, f"00-{trace}-00f067aa0ba902b7-01") == trace
    assert correlation_of(None, f"00-{'0' * 32}-00f067aa0ba902b7-01") != "0" * 32


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_makes_a_whole_problem(code: str) -> None:
    """Each refusal has the members of RFC 9457 and ours, and cannot be overwritten by its own extras."""
    made = problem(Refusal(code, "Because.", extra={"status": 200, "missing": []}), "story-123")
    assert (made["status"], made["title"]) == CODES[code]
    assert {"type", "title", "status", "detail", "code", "correlation_id", "missing"} <= made.keys()
