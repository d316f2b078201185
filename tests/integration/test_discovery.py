"""Discovery over HTTP: who is offered, who is left out and why, what is kept, and what nobody may learn."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain.matching import MILLION, replay
from services.match_replay import replayed
from storage.hot import Said as Word
from tests.integration.door import Door
from tests.integration.world import AREA, HOME, address

WISH: dict[str, Any] = {"service": "haircut", "lat": HOME[0] + 0.004, "lon": HOME[1], "when": "now"}


async def discover(door: Door, customer: int = 0, **changes: Any) -> dict[str, Any]:
    """Ask as a customer; return the good answer."""
    said = await door.ask("POST", "/v1/discovery", WISH | changes, who=door.world.customers[customer])
    assert said.status == 200, said.body
    return dict(said.body)


async def full(door: Door, match_id: str) -> dict[str, Any]:
    """Read a match as the founder."""
    said = await door.ask("GET", f"/v1/matches/{match_id}", who=door.world.founder)
    assert said.status == 200, said.body
    return dict(said.body)


async def owner(door: Door, statement: str, *values: object) -> None:
    """Change the world behind the product's back, to set a scene."""
    connection = await asyncpg.connect(door.world.owner_url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def available(door: Door, n: int, state: str = "available") -> None:
    """Let a technician say something of itself."""
    now = datetime.now(UTC).timestamp()
    hot, technician = door.world.stores.hot, door.world.technicians[n]
    await hot.say(technician, Word(state, now))
    await hot.hold([(technician, f"phone-{n}")], 60.0)


async def test_cards_are_rounded_priced_and_explained(door: Door) -> None:
    """A card tells no exact way, its price adds up with tax on each line, and it says why it is there."""
    found = await discover(door, experience=["quiet_visit"])
    assert found["jurisdiction"] == "US-MD"
    assert found["area_id"] == str(AREA)
    assert [card["position"] for card in found["cards"]] == [1, 2, 3, 4]
    for card in found["cards"]:
        assert card["distance_m"] % 500 == 0 < card["distance_m"]
        assert card["eta_s"] % 300 == 0 < card["eta_s"]
        price = {part: money["amount"] for part, money in card["price"].items()}
        assert price["total"] == price["base"] + price["travel"] + price["tax"]
        assert price["base"] == 4000
        assert price["tax"] == 240 + (price["travel"] * 600 + 5000) // 10_000
        assert card["experience_fit"] == {"matched": ["quiet_visit"], "score": 1.0}
        assert card["why"]
        assert card["trust"]["status"] == "active"
    assert found["reason"] is None


async def test_a_match_is_kept_whole_and_replays_to_the_same_order(door: Door) -> None:
    """Contributions sum to the score, everybody is in it, and the stored features rank the same again."""
    await available(door, 0, "busy")
    found = await discover(door, limit=2)
    match = await full(door, found["match_id"])
    assert len(match["candidates"]) == 4
    gates = {each["technician_id"]: each["gate"] for each in match["candidates"]}
    assert gates[str(door.world.technicians[0])] == "busy"
    assert sorted(gate or "" for gate in gates.values()) == ["", "", "busy", "limit"]
    ranked = [each for each in match["candidates"] if each["position"] is not None]
    for each in ranked:
        assert sum(each["contributions"].values()) == pytest.approx(each["score"], abs=1e-9)
    weights = {name: round(share * MILLION) for name, share in match["weights"].items()}
    again = replay(match["ranking_version"], ranked, weights, int(match["seed"]))
    assert [str(each.technician_id) for each in again.order] == [each["technician_id"] for each in ranked]


async def test_a_customer_sees_only_its_own_match_and_only_the_cards(door: Door) -> None:
    """Somebody else's match does not exist; one's own shows cards, never the others or the weights."""
    found = await discover(door)
    path = f"/v1/matches/{found['match_id']}"
    own = await door.ask("GET", path, who=door.world.customers[0])
    assert own.body["cards"] == found["cards"]
    assert "candidates" not in own.body
    assert "weights" not in own.body
    assert (await door.ask("GET", path, who=door.world.customers[1])).status == 404
    assert (await door.ask("GET", path, who=door.world.technicians[0])).status == 403


async def test_a_match_can_be_changed_by_nobody(door: Door) -> None:
    """Not even the owner of the database edits or deletes a match or its candidates."""
    found = await discover(door)
    for statement in (
        "UPDATE app.matches SET reason = 'nobody_free' WHERE match_id = $1",
        "DELETE FROM app.matches WHERE match_id = $1",
        "UPDATE app.match_candidates SET score = 1 WHERE match_id = $1",
        "DELETE FROM app.match_candidates WHERE match_id = $1",
    ):
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await owner(door, statement, UUID(found["match_id"]))


async def test_the_place_is_sealed_and_no_candidate_tells_it(door: Door) -> None:
    """The coordinates asked for stand nowhere in clear."""
    found = await discover(door)
    connection = await asyncpg.connect(door.world.owner_url)
    try:
        row = await connection.fetchrow(
            "SELECT * FROM app.matches WHERE match_id = $1", UUID(found["match_id"])
        )
        rows = await connection.fetch(
            "SELECT * FROM app.match_candidates WHERE match_id = $1", UUID(found["match_id"])
        )
    finally:
        await connection.close()
    assert str(WISH["lat"]) not in f"{row}{rows}"
    assert "display_name" not in f"{rows}"


async def test_nobody_is_found_outside_the_areas_and_it_says_so(door: Door) -> None:
    """Outside the areas there are no cards, and the reason is not an error."""
    found = await discover(door, lat=48.2, lon=16.4)
    assert found["cards"] == []
    assert found["reason"] == "outside_service_area"
    assert found["area_id"] is None


async def test_without_rules_nobody_is_qualified(door: Door) -> None:
    """A service for which no jurisdiction made rules fails closed."""
    await owner(
        door, "INSERT INTO app.services VALUES ('tattoo', 'Tattoo', 'beauty', 'Ink', 3600, 9000, 'USD', 9)"
    )
    await owner(door, "UPDATE app.technicians SET services = services || '{tattoo}'")
    found = await discover(door, service="tattoo")
    assert found["reason"] == "nobody_qualified"
    match = await full(door, found["match_id"])
    assert {each["gate"] for each in match["candidates"]} == {"no_rules"}


async def test_a_licence_that_ends_before_the_visit_does_is_not_enough(door: Door) -> None:
    """The gate looks at the end of the visit, in the technician's own days, and says what is missing."""
    technician = door.world.technicians[0]
    rule = {"credential_type": "cosmetologist_license", "required": True, "level": "state", "issuing_board": "Board",
            "lookup_url": None, "source": "test", "as_of": "2026-01-01", "show": []}  # fmt: skip
    said = await door.ask("PUT", "/v1/jurisdictions/US-MD/requirements/haircut", {"requirements": [rule]},
                          who=door.world.founder)  # fmt: skip
    assert said.status == 200, said.body
    assert (await discover(door))["reason"] == "nobody_qualified"
    today = datetime.now(UTC).date()
    await owner(
        door,
        "INSERT INTO app.credentials (credential_id, technician_id, credential_type, jurisdiction, number, issuer,"
        " issued_on, expires_on, status, verified_on) VALUES (uuidv7(), $1, 'cosmetologist_license', 'US-MD', 'X-1',"
        " 'Board', $2, $3, 'verified', $2)",
        technician, today - timedelta(days=400), today + timedelta(days=3),
    )  # fmt: skip
    found = await discover(door)
    assert [card["technician"]["technician_id"] for card in found["cards"]] == [str(technician)]
    assert found["cards"][0]["trust"]["status"] == "expiring"
    later = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    after = await discover(door, when=later)
    assert after["reason"] == "nobody_qualified"
    match = await full(door, after["match_id"])
    missing = next(
        each["missing"] for each in match["candidates"] if each["technician_id"] == str(technician)
    )
    assert missing == ["cosmetologist_license@US-MD:expired"]


async def test_presence_and_held_time_decide_who_is_free_now(door: Door) -> None:
    """Busy is left out, offline is offered lower than online, and a booked hour is nobody's."""
    await available(door, 3)
    found = await discover(door)
    assert found["cards"][0]["technician"]["technician_id"] == str(door.world.technicians[3])
    assert "Online now" in found["cards"][0]["why"]
    await door.world.book(datetime.now(UTC) + timedelta(minutes=10))
    again = await discover(door)
    match = await full(door, again["match_id"])
    gates = {each["technician_id"]: each["gate"] for each in match["candidates"]}
    card = next(
        c for c in again["cards"] if c["technician"]["technician_id"] == str(door.world.technicians[0])
    )
    first = next(
        c for c in found["cards"] if c["technician"]["technician_id"] == str(door.world.technicians[0])
    )
    assert gates[str(door.world.technicians[0])] is None
    assert card["earliest_start"] > first["earliest_start"]


async def test_a_card_becomes_a_booking_at_its_own_price(door: Door) -> None:
    """What the card quoted is what the booking costs, and it begins when the card said."""
    found = await discover(door)
    card = found["cards"][0]
    place = address()
    body = {
        "match_id": found["match_id"], "card_id": card["card_id"], "payment_method": "sandbox_ok",
        "address": {"line1": place.line1, "city": place.city, "postcode": place.postcode, "lat": WISH["lat"],
                    "lon": WISH["lon"]},
    }  # fmt: skip
    said = await door.ask("POST", "/v1/bookings", body, who=door.world.customers[0], key=True)
    assert said.status == 201, said.body
    assert said.body["price"] == card["price"]
    assert datetime.fromisoformat(said.body["starts_at"]) == datetime.fromisoformat(card["earliest_start"])
    accepted = await door.ask("POST", f"/v1/bookings/{said.body['booking_id']}/accept", {},
                              who=UUID(card["technician"]["technician_id"]), key=True)  # fmt: skip
    assert accepted.status == 200, accepted.body


async def test_views_are_counted_once_and_only_for_ones_own_cards(door: Door) -> None:
    """Seeing a card twice is one view; a card of another match is a mismatch; another's match does not exist."""
    found, other = await discover(door), await discover(door)
    path = f"/v1/matches/{found['match_id']}/views"
    card = {"card_id": found["cards"][0]["card_id"], "kind": "seen"}
    for _ in range(2):
        assert (await door.ask("POST", path, card, who=door.world.customers[0])).status == 204
    wrong = {"card_id": other["cards"][0]["card_id"], "kind": "seen"}
    assert (await door.ask("POST", path, wrong, who=door.world.customers[0])).code == "card_mismatch"
    assert (await door.ask("POST", path, card, who=door.world.customers[1])).status == 404
    async with door.world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM metrics.card_views") == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"service": "surgery"}, "unknown_service"),
        ({"experience": ["champagne"]}, "unknown_experience"),
        ({"when": "2020-01-01T00:00:00Z"}, "validation"),
        ({"when": "2126-01-01T00:00:00Z"}, "validation"),
        ({"when": "soon"}, "validation"),
        ({"lat": 91.0}, "validation"),
        ({"limit": 51}, "validation"),
        ({"colour": "red"}, "validation"),
    ],
)
async def test_a_wrong_question_is_refused_with_its_code(
    door: Door, changes: dict[str, Any], code: str
) -> None:
    """Unknown names, times that cannot be booked and unknown fields have each their code."""
    said = await door.ask("POST", "/v1/discovery", WISH | changes, who=door.world.customers[0])
    assert said.status == 422
    assert said.code == code


async def test_only_customers_ask_and_a_token_is_needed(door: Door) -> None:
    """Discovery is the customer's; a technician is forbidden, a stranger unauthenticated."""
    assert (await door.ask("POST", "/v1/discovery", WISH, who=door.world.technicians[0])).status == 403
    assert (await door.ask("POST", "/v1/discovery", WISH)).status == 401


async def test_ways_are_measured_from_a_cell_not_from_a_door(door: Door) -> None:
    """Two technicians in one cell of a kilometre look alike from everywhere, however often one asks."""
    await owner(door, "UPDATE app.technicians SET home_lat = home_lat + 0.0004 WHERE technician_id = $1",
                door.world.technicians[1])  # fmt: skip
    questions = [discover(door, lat=HOME[0] + step / 3000) for step in range(8)]
    for found in await asyncio.gather(*questions):
        ways = {
            card["technician"]["technician_id"]: (card["distance_m"], card["eta_s"], card["price"])
            for card in found["cards"]
        }
        assert ways[str(door.world.technicians[0])] == ways[str(door.world.technicians[1])]


async def test_the_command_line_replays_a_match(door: Door) -> None:
    """What `doorstep match replay` does finds the same order, scores and swaps, and nothing for an unknown id."""
    found = await discover(door, experience=["quiet_visit"])
    async with door.world.stores.db.reading() as tx:
        again = await replayed(tx, UUID(found["match_id"]))
        assert again is not None
        assert again.same
        assert len(again.lines) == 4
        assert await replayed(tx, UUID(int=5)) is None
