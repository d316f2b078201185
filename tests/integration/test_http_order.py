"""The order of checks, as the contract words it: 401, 403, 404, 422, idempotency (400, 409, 422), 412, 409."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from domain import commands
from services import booking
from services.reply import Reply
from storage.ids import new_id
from tests.integration.door import Door

# Each row does everything wrong from its check on; the earliest wrong thing is what the answer says.
ROWS: list[tuple[str, dict[str, Any], int, str]] = [
    ("no token", {}, 401, "unauthenticated"),
    ("a customer", {"who": "customer"}, 403, "forbidden"),
    ("another technician, a bad body", {"who": "stranger"}, 404, "not_found"),
    ("no booking, a bad body", {"who": "technician", "booking": "unknown"}, 404, "not_found"),
    ("no id at all", {"who": "technician", "booking": "malformed"}, 404, "not_found"),
    ("a bad body without a key", {"who": "technician"}, 422, "validation"),
    ("no key", {"who": "technician", "body": "good"}, 400, "idempotency_key_required"),
    ("a used key", {"who": "technician", "body": "good", "key": "used"}, 422, "idempotency_key_reused"),
    ("a stale version", {"who": "technician", "body": "good", "key": "fresh"}, 412, "version_conflict"),
    (
        "the wrong state",
        {"who": "technician", "body": "good", "key": "fresh", "match": "now"},
        409,
        "booking_state",
    ),
]


@pytest.mark.parametrize(("case", "how", "status", "code"), ROWS, ids=[row[0] for row in ROWS])
async def test_the_earliest_wrong_thing_is_what_is_said(
    door: Door, case: str, how: dict[str, Any], status: int, code: str
) -> None:
    """Declining a completed visit, with more and more of the request put right."""
    world = door.world
    booking_id = await world.book()
    await complete(door, booking_id)
    people = {
        "customer": world.customers[0],
        "technician": world.technicians[0],
        "stranger": world.technicians[1],
    }
    who = people.get(how.get("who", ""))
    named = {"unknown": str(new_id()), "malformed": "nothing"}.get(how.get("booking", ""), str(booking_id))
    body = {"reason": "no time"} if how.get("body") == "good" else {"reason": 7, "more": True}
    path = f"/v1/bookings/{named}/decline"
    keys: dict[str, str | bool] = {"used": "used-key", "fresh": True}
    key = keys.get(how.get("key", ""), False)
    if how.get("key") == "used":
        await door.ask("POST", path, {"reason": "first"}, who=who, key="used-key")
    version = (await door.ask("GET", f"/v1/bookings/{booking_id}", who=world.customers[0])).headers["ETag"]
    said = await door.ask(
        "POST", path, body, who=who, key=key, If_Match=version if how.get("match") == "now" else '"1"'
    )
    assert (said.status, said.code) == (status, code), case
    assert said.headers["Content-Type"] == "application/problem+json"
    assert said.body["correlation_id"] == said.headers["X-Correlation-ID"]


async def complete(door: Door, booking_id: UUID) -> None:
    """Drive a booking to its end."""
    steps: tuple[tuple[Any, object], ...] = (
        (booking.accept, commands.Accept()),
        (booking.depart, commands.Depart()),
        (booking.arrive, commands.Arrive()),
        (booking.start, commands.Start()),
        (booking.complete, commands.Complete()),
    )
    for step, command in steps:
        context = door.world.context(door.world.technician())
        answer = await step(door.world.stores, booking_id, command, context)
        assert isinstance(answer, Reply), answer


async def test_what_a_caller_may_not_see_and_what_is_not_there_read_alike(door: Door) -> None:
    """Another customer's booking and no booking at all give the same problem."""
    booking_id = await door.world.book()
    other = door.world.customers[1]
    hidden = await door.ask("GET", f"/v1/bookings/{booking_id}", who=other)
    absent = await door.ask("GET", f"/v1/bookings/{new_id()}", who=other)
    assert hidden.status == absent.status == 404
    assert {**hidden.body, "correlation_id": ""} == {**absent.body, "correlation_id": ""}


async def test_a_command_twice_under_one_key_happens_once(door: Door) -> None:
    """The second answer is the first, word for word, and says that it is a replay."""
    world = door.world
    booking_id = await world.book()
    path = f"/v1/bookings/{booking_id}/accept"
    first = await door.ask("POST", path, {}, who=world.technicians[0], key="one-key")
    second = await door.ask("POST", path, {}, who=world.technicians[0], key="one-key")
    assert first.status == second.status == 200
    assert first.body == second.body
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["ETag"] == first.headers["ETag"]


async def test_one_key_from_many_at_once_has_one_effect(door: Door) -> None:
    """Twelve sendings of one acceptance: each is the same 200, or a word that one is still running."""
    world = door.world
    booking_id = await world.book()
    path = f"/v1/bookings/{booking_id}/accept"
    said = await asyncio.gather(
        *(door.ask("POST", path, {}, who=world.technicians[0], key="one-key") for _ in range(12))
    )
    counts = Counter(answer.status if answer.status == 200 else answer.code for answer in said)
    assert set(counts) <= {200, "idempotency_in_progress"}, counts
    assert counts[200] >= 1
    events = await door.ask("GET", f"/v1/bookings/{booking_id}/events", who=world.customers[0])
    assert [e["type"] for e in events.body["items"]].count("booking.accepted") == 1


async def test_a_refusal_is_kept_under_its_key(door: Door) -> None:
    """A domain refusal is answered again, even when it would be granted by now."""
    world = door.world
    booking_id = await world.book()
    path = f"/v1/bookings/{booking_id}/depart"
    first = await door.ask("POST", path, {}, who=world.technicians[0], key="early")
    await door.ask("POST", f"/v1/bookings/{booking_id}/accept", {}, who=world.technicians[0], key=True)
    again = await door.ask("POST", path, {}, who=world.technicians[0], key="early")
    assert first.code == again.code == "booking_state"
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.body == first.body


async def test_keys_of_two_people_do_not_meet(door: Door) -> None:
    """The scope of a key is its principal and route."""
    world = door.world
    for technician in (0, 1):
        booking_id = await world.book(asked=(technician,))
        said = await door.ask(
            "POST", f"/v1/bookings/{booking_id}/accept", {}, who=world.technicians[technician], key="shared"
        )
        assert said.status == 200


async def test_a_whole_visit_over_http(door: Door) -> None:
    """Every command of the straight way, by the people who may give it, with answers in the contract's shape."""
    world = door.world
    booking_id = await world.book()
    technician, customer = world.technicians[0], world.customers[0]
    path = f"/v1/bookings/{booking_id}"
    for command, body in (("accept", {}), ("depart", {}), ("arrive", None), ("start", {"code": None})):
        said = await door.ask("POST", f"{path}/{command}", body, who=technician, key=True)
        assert said.status == 200, said.body
    note = {"text": "Running on time.", "kind": "progress"}
    assert (await door.ask("POST", f"{path}/note", note, who=technician, key=True)).status == 200
    assert (await door.ask("POST", f"{path}/extend", {"minutes": 15}, who=technician, key=True)).status == 200
    done = await door.ask("POST", f"{path}/complete", {}, who=technician, key=True)
    assert done.body["state"] == "completed"
    yen = {"stars": 5, "tip": {"amount": 500, "currency": "JPY"}}
    foreign = await door.ask("POST", f"{path}/rate", yen, who=customer, key=True)
    assert [error["pointer"] for error in foreign.body["errors"]] == ["/tip/currency"]
    tip = {"amount": 500, "currency": "USD"}
    rated = await door.ask("POST", f"{path}/rate", {"stars": 5, "tip": tip}, who=customer, key=True)
    assert rated.status == 200
    again = await door.ask("POST", f"{path}/rate", {"stars": 1}, who=customer, key=True)
    assert again.code == "already_rated"
    listed = await door.ask("GET", "/v1/bookings?state=completed,cancelled&limit=1", who=customer)
    assert [item["booking_id"] for item in listed.body["items"]] == [str(booking_id)]
    shown = await door.ask("GET", f"{path}/credentials", who=customer)
    assert shown.body["at_acceptance"] is not None


async def test_a_share_shows_a_visit_and_ends(door: Door) -> None:
    """A link is made once, read without an account, taken back, and then it is over."""
    world = door.world
    booking_id = await world.book()
    path, customer = f"/v1/bookings/{booking_id}/share", world.customers[0]
    made = await door.ask("POST", path, {"recipient_label": "neighbour"}, who=customer)
    assert made.status == 201
    seen = await door.ask("GET", f"/v1/shares/{made.body['token']}")
    assert (seen.status, seen.body["phase"], seen.body["ended"]) == (200, "waiting", False)
    assert (await door.ask("DELETE", f"{path}?recipient_label=neighbour", who=customer)).status == 204
    over = await door.ask("GET", f"/v1/shares/{made.body['token']}")
    assert (over.status, over.code) == (410, "ended")
    assert (await door.ask("GET", "/v1/shares/nothing")).status == 404
