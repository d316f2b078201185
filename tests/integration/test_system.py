"""`GET /v1/system`: what those who look after the house see, and the gauges that tell the same to Prometheus."""

import base64

import asyncpg
from prometheus_client import CollectorRegistry

from services import gauging
from services.measures import Measures
from services.subscriber import Subscriber
from services.subscribers import Patience, one_pass
from tests.integration.door import Door
from tests.integration.following import noting

HURRIED = Patience(attempts=1, first_s=0.0, longest_s=0.0)
POISON = """
INSERT INTO app.outbox (event_id, topic, audience, correlation_id, at, payload)
VALUES (uuidv7(), 'test.poison', '{}', 'test-system', now() - interval '1 minute', '{}')
"""


async def choke(_stores: object, _tx: object, _events: object) -> None:
    """Fail."""
    raise ValueError


async def test_the_house_shows_who_is_behind_and_who_gave_up(door: Door) -> None:
    """Lag, cursor, epoch and dead letters of each subscriber, and everything else fits its model."""
    stores = door.world.stores
    owner = await asyncpg.connect(door.world.owner_url)
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')  # as a careful house does
    await owner.close()
    async with stores.db.transaction() as tx:
        await tx.execute(POISON)
    slow, choking = noting("slow"), Subscriber("choking", choke, begins="oldest")
    await one_pass(stores, slow)  # enters and reads nothing yet
    for _ in range(4):
        await one_pass(stores, choking, HURRIED)
    said = await door.ask("GET", "/v1/system", who=await door.token(door.world.founder))
    assert said.status == 200
    found = {subscriber["name"]: subscriber for subscriber in said.body["subscribers"]}
    assert (found["slow"]["lag_rows"], found["slow"]["lag_s"] >= 60) == (1, True)
    assert (found["choking"]["lag_rows"], found["choking"]["dead_letters"]) == (0, 1)
    assert found["choking"]["epoch"] == said.body["outbox"]["epoch"]
    assert {"name", "bytes", "rows"} == set(said.body["tables"][0])
    letters = await door.ask("GET", "/v1/dead-letters", who=await door.token(door.world.founder))
    assert [(item["name"], item["error"]) for item in letters.body["items"]] == [("choking", "ValueError")]
    letter_id = letters.body["items"][0]["dead_letter_id"]
    beyond = base64.urlsafe_b64encode(f"0001-01-01T00:00:00+14:00|{letter_id}".encode()).decode()
    refused = await door.ask(
        "GET", f"/v1/dead-letters?cursor={beyond}", who=await door.token(door.world.founder)
    )
    assert refused.code == "validation"
    again = await door.ask(
        "POST", f"/v1/dead-letters/{letter_id}/replay", who=await door.token(door.world.founder)
    )
    assert (again.status, again.code) == (409, "dead_letter_state")  # nobody of that name in this release


async def test_the_gauges_tell_lag_letters_and_jobs(door: Door) -> None:
    """One reading fills them, and a job's booking shows in its name's depth."""
    stores = door.world.stores
    async with stores.db.transaction() as tx:
        await tx.execute(POISON)
    await one_pass(stores, noting("slow"))
    await door.world.book()
    registry = CollectorRegistry()
    measures = Measures(registry)
    await gauging.gauge(stores, measures)
    assert (registry.get_sample_value("doorstep_subscriber_lag_rows", {"subscriber": "slow"}) or 0) >= 1
    assert (registry.get_sample_value("doorstep_subscriber_lag_seconds", {"subscriber": "slow"}) or 0) >= 60
    assert registry.get_sample_value("doorstep_dead_letters", {"subscriber": "slow"}) == 0
    assert measures.fixes_so_far() == 0
    measures.fixes.labels("live").inc(3)
    assert measures.fixes_so_far() == 3
