"""Alerts as dispatchers meet them: a list, a socket message, acknowledging, snoozing; and credentials that run out."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.alerts import AlertRaised, AlertsCleared, Kind
from domain.context import SYSTEM, Context, Role
from domain.credentials import Credential
from domain.facts import Fact
from domain.trust import CredentialWritten, TechnicianStatus, TechnicianWritten
from services import alerts, deadlines
from storage import people, technicians
from storage.ids import new_id
from storage.journal import record
from tests.integration.door import Door
from tests.integration.sockets import Exchange, open_exchange
from tests.integration.test_booking_commands import visit
from tests.integration.test_booking_deadlines import due
from tests.integration.world import AREA, World

HISTORY = "SELECT what, actor_role FROM app.alert_events WHERE alert_id = $1 ORDER BY event_id"


@pytest.fixture
async def exchange(world: World) -> AsyncIterator[Exchange]:
    """The realtime door of the world."""
    async with open_exchange(world) as opened:
        yield opened


async def write(world: World, *facts: Fact, now: datetime | None = None) -> None:
    """Record facts as the system."""
    async with world.stores.db.transaction() as tx:
        await record(tx, facts, Context(SYSTEM, now or datetime.now(UTC), f"test-{new_id().hex}"))


async def person(world: World, role: Role, areas: frozenset[UUID] = frozenset()) -> UUID:
    """Add somebody of that role."""
    person_id = new_id()
    async with world.stores.db.transaction() as tx:
        await people.add(tx, person_id, email=f"{person_id.hex}@test.example", password_hash="x",
                         display_name="Somebody", role=role, areas=areas)  # fmt: skip
    return person_id


async def overrun(world: World) -> UUID:
    """Let a visit overrun; returns the booking."""
    booking_id = await world.book()
    await visit(world, booking_id, until="start")
    await deadlines.fire_due(world.stores, await due(world, booking_id, "overrun"))
    return booking_id


async def test_a_dispatcher_lists_and_acknowledges_what_stands(door: Door) -> None:
    """Raised, then acknowledged by a person, then history once the visit is over; each step is kept with its actor."""
    world = door.world
    booking_id = await overrun(world)
    listed = (await door.ask("GET", "/v1/alerts", who=world.dispatcher)).body["items"]
    assert [(a["kind"], a["state"], a["booking_id"]) for a in listed] == [
        ("overrun", "raised", str(booking_id))
    ]
    path = f"/v1/alerts/{listed[0]['alert_id']}/acknowledge"
    for _ in range(2):
        said = await door.ask("POST", path, who=world.dispatcher)
        assert (said.status, said.body["state"]) == (200, "acknowledged")
    standing = await door.ask("GET", "/v1/alerts?state=raised", who=world.dispatcher)
    assert standing.body["items"] == []
    assert len((await door.ask("GET", "/v1/alerts", who=world.founder)).body["items"]) == 1
    token = await door.token(world.technicians[0])
    await door.ask("POST", f"/v1/bookings/{booking_id}/complete", who=token, key=True)
    assert (await door.ask("GET", "/v1/alerts", who=world.dispatcher)).body["items"] == []
    over = await door.ask("POST", path, who=world.dispatcher)
    assert (over.status, over.body["state"]) == (200, "cleared")
    async with world.stores.db.reading() as tx:
        history = await tx.fetch(HISTORY, UUID(listed[0]["alert_id"]))
    assert [tuple(row) for row in history] == [
        ("raised", "system"), ("acknowledged", "dispatcher"), ("cleared", "technician")
    ]  # fmt: skip


async def test_another_areas_dispatcher_sees_no_alert(door: Door) -> None:
    """For them it is not in the list and does not exist, whatever they send."""
    await overrun(door.world)
    mine = (await door.ask("GET", "/v1/alerts", who=door.world.dispatcher)).body["items"][0]["alert_id"]
    abroad = await person(door.world, Role.DISPATCHER, frozenset({new_id()}))
    assert (await door.ask("GET", "/v1/alerts", who=abroad)).body["items"] == []
    for command, body in (("acknowledge", None), ("snooze", {"minutes": 5}), ("snooze", {"minutes": "x"})):
        said = await door.ask("POST", f"/v1/alerts/{mine}/{command}", body, who=abroad)
        assert (said.status, said.code) == (404, "not_found")


async def test_pages_of_alerts_neither_repeat_nor_skip(door: Door) -> None:
    """Two a page, while another is raised between the pages; a foreign cursor is a 422."""
    world = door.world
    begin = datetime.now(UTC)
    ids = [new_id() for _ in range(5)]
    for n, subject in enumerate(ids):
        await write(
            world, AlertRaised(Kind.SILENT, subject, AREA, data={"n": n}), now=begin + timedelta(seconds=n)
        )
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await door.ask("GET", f"/v1/alerts?limit=2{cursor}", who=world.dispatcher)).body
        seen += [each["data"]["n"] for each in page["items"]]
        await write(
            world, AlertRaised(Kind.STOPPED, new_id(), AREA, data={"n": 99}), now=begin + timedelta(minutes=1)
        )
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [4, 3, 2, 1, 0]
    assert (await door.ask("GET", "/v1/alerts?cursor=x", who=world.dispatcher)).status == 422
    assert (await door.ask("GET", "/v1/alerts?state=gone", who=world.dispatcher)).status == 422


async def test_an_alert_stands_once_and_rearms_when_cleared(world: World) -> None:
    """Ten who raise it at once raise one; cleared and raised again it is another alert."""
    subject = new_id()
    silent = AlertRaised(Kind.SILENT, subject, AREA)
    await asyncio.gather(*(write(world, silent) for _ in range(10)))
    await write(world, AlertsCleared(frozenset({Kind.SILENT, Kind.STOPPED}), subject))
    await write(world, AlertsCleared(frozenset({Kind.SILENT}), subject))
    await write(world, silent)
    async with world.stores.db.reading() as tx:
        states = await tx.fetch("SELECT state FROM app.alerts ORDER BY raised_at")
        topics = await tx.fetch("SELECT topic FROM app.outbox WHERE topic LIKE 'alert.%' ORDER BY outbox_id")
    assert [row["state"] for row in states] == ["cleared", "raised"]
    assert [row["topic"] for row in topics] == ["alert.raised", "alert.cleared", "alert.raised"]


async def test_a_snoozed_alert_comes_back_unless_it_is_over(door: Door) -> None:
    """It is acknowledged until its time, then raised again once however many look; one that ended stays quiet."""
    world = door.world
    stays, ends = new_id(), new_id()
    await write(world, AlertRaised(Kind.SILENT, stays, AREA), AlertRaised(Kind.STOPPED, ends, AREA))
    for alert in (await door.ask("GET", "/v1/alerts", who=world.dispatcher)).body["items"]:
        path = f"/v1/alerts/{alert['alert_id']}/snooze"
        said = await door.ask("POST", path, {"minutes": 10}, who=world.dispatcher)
        assert (said.body["state"], said.body["snoozed_until"] is None) == ("acknowledged", False)
    await write(world, AlertsCleared(frozenset({Kind.STOPPED}), ends))
    assert await alerts.wake_due(world.stores, datetime.now(UTC) + timedelta(minutes=9)) == 0
    later = datetime.now(UTC) + timedelta(minutes=11)
    await asyncio.gather(*(alerts.wake_due(world.stores, later) for _ in range(5)))
    listed = (await door.ask("GET", "/v1/alerts", who=world.dispatcher)).body["items"]
    assert [(a["kind"], a["state"], a["snoozed_until"]) for a in listed] == [("silent", "raised", None)]
    async with world.stores.db.reading() as tx:
        woken = await tx.fetchval("SELECT count(*) FROM app.alert_events WHERE what = 'woken'")
    assert woken == 1


async def test_alerts_reach_dispatchers_of_the_area_alone(exchange: Exchange) -> None:
    """The dispatcher hears raised and cleared in the contract's shape; its customer and another area hear none."""
    world = exchange.world
    abroad = await person(world, Role.DISPATCHER, frozenset({new_id()}))
    lines = [
        await exchange.connect("/bookings", who) for who in (world.dispatcher, world.customers[0], abroad)
    ]
    for line in lines:
        await line.ask("sync", {"cursor": None})
    booking_id = await overrun(world)
    raised = await lines[0].hear("alert")
    assert raised.keys() == {"alert_id", "kind", "booking_id", "state", "at", "data"}
    assert (raised["kind"], raised["state"], raised["booking_id"]) == ("overrun", "raised", str(booking_id))
    await exchange.command(booking_id, "complete", world.technician())
    cleared = await lines[0].hear("alert")
    assert (cleared["state"], cleared["alert_id"]) == ("cleared", raised["alert_id"])
    heard = [name for line in lines[1:] for name, _ in line.said()]
    assert "event" in heard
    assert "alert" not in heard


async def expires_on(world: World, technician_id: UUID, day: date | None, **given: Any) -> UUID:
    """Write a verified credential; returns its id."""
    credential = Credential(
        credential_id=new_id(), technician_id=technician_id, credential_type="barber", jurisdiction="US-MD",
        number="B-1", issuer="Board", issued_on=date(2024, 1, 1), expires_on=day, state="verified",
        verified_on=date(2024, 1, 2), verified_how="register", next_check_on=None, upload_id=None,
    )  # fmt: skip
    credential = replace(credential, **given)
    await write(world, CredentialWritten(credential))
    return credential.credential_id


async def test_credentials_that_run_out_are_alerted_until_they_are_renewed(world: World) -> None:
    """Soon, past, renewed, revoked, or of somebody suspended: only what still counts is raised; renewal clears."""
    now = datetime.now(UTC)
    soon, far = now.date() + timedelta(days=20), now.date() + timedelta(days=400)
    first, second, third, fourth = world.technicians
    expiring = await expires_on(world, first, soon)
    await expires_on(world, second, soon)
    await expires_on(world, second, far)
    await expires_on(world, second, soon, credential_type="lapsed", state="revoked")
    await expires_on(world, third, far)
    await expires_on(world, fourth, soon)
    async with world.stores.db.reading() as tx:
        off = await technicians.get(tx, fourth)
    assert off is not None
    await write(world, TechnicianWritten(replace(off, status=TechnicianStatus.SUSPENDED)))
    await asyncio.gather(*(alerts.look_at_credentials(world.stores, now) for _ in range(4)))
    async with world.stores.db.reading() as tx:
        rows = await tx.fetch("SELECT subject_id, technician_id, area_id, data FROM app.alerts")
    assert [(r["subject_id"], r["technician_id"], r["area_id"]) for r in rows] == [(expiring, first, AREA)]
    assert rows[0]["data"]["days_left"] == 20
    await expires_on(world, first, far)
    await alerts.look_at_credentials(world.stores, now)
    assert await alerts.look_at_credentials(world.stores, now) == 0
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT state FROM app.alerts") == "cleared"
