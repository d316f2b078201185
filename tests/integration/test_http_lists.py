"""What every list and every 422 has in common, and what a technician is told who gives a visit away."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.integration.door import Door

TODAY = datetime.now(UTC).date()
LICENCE = {
    "type": "cosmetologist_license", "jurisdiction": "US-MD", "issuer": "Board",
    "issued_on": str(TODAY - timedelta(days=300)), "expires_on": str(TODAY + timedelta(days=400)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/v1/services", "service"),
        ("/v1/experiences", "experience"),
        ("/v1/technicians/me/credentials", "credential_id"),
    ],
)
async def test_short_lists_come_in_pages_too(door: Door, path: str, key: str) -> None:
    """One at a time gives the same items in the same order as all at once; a foreign cursor is a 422."""
    who = door.world.technicians[0]
    for number in ("MD-1001", "MD-1002"):
        await door.ask("POST", "/v1/technicians/me/credentials", LICENCE | {"number": number}, who=who)
    whole = await door.ask("GET", f"{path}?limit=200", who=who)
    assert whole.status == 200
    assert whole.body["next_cursor"] is None
    found: list[dict[str, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await door.ask("GET", f"{path}?limit=1{cursor and f'&cursor={cursor}'}", who=who)
        assert len(page.body["items"]) == 1
        found += page.body["items"]
        cursor = page.body["next_cursor"]
    assert [each[key] for each in found] == [each[key] for each in whole.body["items"]]
    for wrong in ("limit=0", "limit=201", "cursor=nothing-of-ours"):
        assert (await door.ask("GET", f"{path}?{wrong}", who=who)).code == "validation"


async def test_every_422_tells_its_errors(door: Door) -> None:
    """Whatever the code, a 422 has the list, empty when no single field is to blame."""
    customer = door.world.customers[0]
    cursor = await door.ask("GET", "/v1/bookings?cursor=!", who=customer)
    assert cursor.body["errors"][0]["pointer"] == "query/cursor"
    path = f"/v1/bookings/{await door.world.book()}/cancel"
    for reason in ("first", "second"):
        said = await door.ask("POST", path, {"reason": reason}, who=customer, key="one-key")
    assert (said.code, said.body["errors"]) == ("idempotency_key_reused", [])


@pytest.mark.parametrize("command", ["decline", "cancel"])
async def test_who_gives_a_visit_away_learns_nothing_more_and_may_ask_again(door: Door, command: str) -> None:
    """The answer names neither the next technician nor the door; with the same key it is given again, else 404."""
    world = door.world
    booking_id = await world.book(fallback="next_card")
    path, mine = f"/v1/bookings/{booking_id}", world.technicians[0]
    if command == "cancel":
        assert (await door.ask("POST", f"{path}/accept", who=mine, key=True)).status == 200
    key = uuid4().hex
    said = await door.ask("POST", f"{path}/{command}", {"reason": "no time"}, who=mine, key=key)
    assert said.status == 200
    assert said.body["technician"] is None
    assert "line1" not in said.body["address"]
    now = await door.ask("GET", path, who=world.customers[0])
    assert now.body["technician"]["technician_id"] == str(world.technicians[1])
    again = await door.ask("POST", f"{path}/{command}", {"reason": "no time"}, who=mine, key=key)
    assert (again.status, again.body) == (200, said.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    for other in ({"reason": "no time"}, {"reason": "another"}):
        fresh = key if other["reason"] == "another" else True
        assert (await door.ask("POST", f"{path}/{command}", other, who=mine, key=fresh)).code == "not_found"
    assert (await door.ask("GET", path, who=mine)).code == "not_found"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("path", ["/v1/dead-letters", "/v1/alerts", "/v1/bookings", "/v1/credentials"])
async def test_a_cursor_from_beyond_every_calendar_is_foreign(door: Door, path: str, moment: str) -> None:
    """Who writes a cursor by hand is told so, whatever moment it names."""
    cursor = base64.urlsafe_b64encode(f"{moment}|{uuid4()}".encode()).decode()
    said = await door.ask("GET", f"{path}?cursor={cursor}", who=door.world.founder)
    assert (said.status, said.code) == (422, "validation")
