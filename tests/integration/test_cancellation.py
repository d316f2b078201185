"""What cancelling costs, through the doors: versions that add up, and a visit that keeps the one it was asked under."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain import commands
from domain.cancellation import FIRST, terms
from services import booking
from storage import cancellation_policies as policies
from tests.integration.door import Door
from tests.integration.test_booking_commands import good, visit
from tests.integration.world import AREA, World

STRICT = {
    "free_until_s": 86400,
    "tiers": [{"state": "accepted", "fee_bp": 10_000}, {"state": "en_route", "fee_bp": 10_000}],
    "no_show_fee_bp": 10_000,
    "reason": "Too many cancel",
}


async def test_a_visit_keeps_the_policy_that_it_was_asked_under(door: Door) -> None:
    """A stricter version later changes nothing for it; the next visit is under the new one, and names it."""
    world = door.world
    soon = datetime.now(UTC) + timedelta(hours=1)
    before = await world.book(soon, asked=(0,))
    await visit(world, before, until="accept")
    put = await door.ask("PUT", "/v1/cancellation-policies", STRICT, who=world.founder)
    assert (put.status, put.body["version"]) == (200, 2)
    after = await world.book(soon, asked=(1,), customer=1)
    await good_accept(world, after, 1)
    costs = {}
    for booking_id, customer in ((before, 0), (after, 1)):
        said = await door.ask("GET", f"/v1/bookings/{booking_id}/cancellation", who=world.customers[customer])
        costs[booking_id] = (said.body["policy_version"], said.body["fee"], said.body["free_until"])
        told = await door.ask(
            "POST", f"/v1/bookings/{booking_id}/cancel", {"reason": "plans"}, who=world.customers[customer], key=True
        )  # fmt: skip
        assert told.body["state"] == "cancelled"
    usd = "USD"
    assert costs[before] == (1, {"amount": 1125, "currency": usd}, None)
    assert costs[after] == (2, {"amount": 4500, "currency": usd}, None)
    async with world.stores.db.reading() as tx:
        rows = await tx.fetch(
            "SELECT data FROM app.booking_events WHERE type = 'booking.cancelled' ORDER BY at"
        )
        audited = await tx.fetchval("SELECT data FROM audit.events WHERE action = 'cancellation_policy.set'")
    assert [(row["data"]["policy"], row["data"]["fee_amount"]) for row in rows] == [("1", 1125), ("2", 4500)]
    assert audited == {"area_id": None, "jurisdiction": None, "replaces": 1}


async def good_accept(world: World, booking_id: UUID, n: int) -> None:
    """Accept as that technician."""
    context = world.context(world.technician(n))
    good(await booking.accept(world.stores, booking_id, commands.Accept(), context))


async def test_the_cost_is_told_as_it_is_for_whom(door: Door) -> None:
    """Free while unanswered; then by state; nothing for the technician; 409 once it is over, 404 for strangers."""
    world = door.world
    starts_at = datetime.now(UTC) + timedelta(hours=3)
    booking_id = await world.book(starts_at)
    path = f"/v1/bookings/{booking_id}/cancellation"
    asked = (await door.ask("GET", path, who=world.customers[0])).body
    assert asked["fee"]["amount"] == 0
    until = datetime.fromisoformat(asked["free_until"])
    assert abs(until - (starts_at - timedelta(hours=2))) < timedelta(milliseconds=2)
    assert asked["policy"] == terms(FIRST)
    await visit(world, booking_id, until="depart")
    assert (await door.ask("GET", path, who=world.customers[0])).body["fee"]["amount"] == 2250
    assert (await door.ask("GET", path, who=world.dispatcher)).body["fee"]["amount"] == 2250
    assert (await door.ask("GET", path, who=world.technicians[0])).body["fee"]["amount"] == 0
    assert (await door.ask("GET", path, who=world.customers[1])).status == 404
    await visit_end(door, booking_id)
    over = await door.ask("GET", path, who=world.customers[0])
    assert (over.status, over.code) == (409, "booking_state")


async def visit_end(door: Door, booking_id: UUID) -> None:
    """Arrive, start and complete."""
    token = await door.token(door.world.technicians[0])
    for name in ("arrive", "start", "complete"):
        assert (
            await door.ask("POST", f"/v1/bookings/{booking_id}/{name}", who=token, key=True)
        ).status == 200


async def test_the_nearest_scope_and_then_the_newest_wins(door: Door) -> None:
    """Everywhere, country, state, area: each narrower one wins where it holds, and only from its time on."""
    world = door.world

    async def put(**given: Any) -> int:
        said = await door.ask("PUT", "/v1/cancellation-policies", STRICT | given, who=world.founder)
        assert said.status == 200, said.body
        return int(said.body["version"])

    async def held(in_s: int = 1) -> int:
        async with world.stores.db.reading() as tx:
            at = datetime.now(UTC) + timedelta(seconds=in_s)
            return (await policies.in_force(tx, AREA, "US-MD", at)).policy.version

    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    assert await held() == 1
    country = await put(jurisdiction="US")
    assert await held() == country
    state = await put(jurisdiction="US-MD")
    await put(jurisdiction="US")
    await put()
    assert await held() == state
    area = await put(area_id=str(AREA))
    to_come = await put(area_id=str(AREA), valid_from=later)
    assert await held() == area
    assert await held(3 * 86400) == to_come
    shown = (await door.ask("GET", f"/v1/cancellation-policies?area_id={AREA}", who=world.customers[0])).body
    assert (shown["in_force"]["version"], shown["items"]) == (area, [])
    staff = (await door.ask("GET", "/v1/cancellation-policies?limit=3", who=world.dispatcher)).body
    assert [each["version"] for each in staff["items"]] == [to_come, area, area - 1]
    rest = await door.ask(
        "GET", f"/v1/cancellation-policies?cursor={staff['next_cursor']}", who=world.dispatcher
    )
    assert [each["version"] for each in rest.body["items"]] == list(range(area - 2, 0, -1))


async def test_versions_follow_one_another(door: Door) -> None:
    """Ten founders at once write ten versions without a gap; a stale If-Match is refused."""
    world = door.world
    token = await door.token(world.founder)
    said = await asyncio.gather(
        *(door.ask("PUT", "/v1/cancellation-policies", STRICT, who=token) for _ in range(10))
    )
    assert sorted(each.body["version"] for each in said) == list(range(2, 12))
    shown = await door.ask("GET", "/v1/cancellation-policies", who=token)
    stale = await door.ask("PUT", "/v1/cancellation-policies", STRICT, who=token, If_Match='"1"')
    fresh = await door.ask(
        "PUT", "/v1/cancellation-policies", STRICT, who=token, If_Match=shown.headers["ETag"]
    )
    assert (stale.status, fresh.status) == (412, 200)


async def test_a_policy_that_does_not_say_what_is_meant_is_refused(door: Door) -> None:
    """Each wrong part is a 422 with its pointer, and nothing is written."""
    world = door.world
    tier = {"state": "accepted", "fee_bp": 100, "lead_under_s": 60}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"tiers": [tier, tier]}, "/tiers/1"),
        ({"free_until_s": 30, "tiers": [tier]}, "/tiers/0"),
        ({"tiers": [{"state": "requested", "fee_bp": 1}]}, "/tiers/0/state"),
        ({"tiers": [{"state": "accepted", "fee_bp": 10_001}]}, "/tiers/0/fee_bp"),
        ({"valid_from": "2020-01-01T00:00:00Z"}, "/valid_from"),
        ({"area_id": str(UUID(int=99))}, "/area_id"),
        ({"jurisdiction": "XX"}, "/jurisdiction"),
        ({"jurisdiction": "US", "area_id": str(AREA)}, "/jurisdiction"),
    ]
    for given, pointer in wrong:
        said = await door.ask("PUT", "/v1/cancellation-policies", STRICT | given, who=world.founder)
        assert (said.status, said.body["errors"][0]["pointer"]) == (422, pointer), given
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT max(version) FROM app.cancellation_policies") == 1
