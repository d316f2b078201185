"""What a process leaves behind when it dies between the two transactions of a request, and what is kept of words."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg

from domain import commands
from domain.commands import RequestBooking
from domain.context import Actor, Context, Role
from domain.payments import Authorized, Status
from domain.refusals import Refusal
from services import booking_offers, booking_request, booking_view
from services.booking_request import request
from services.payment_outcomes import settle
from services.payments import abandon_authorization, authorize
from services.reply import Reply
from storage import outbox
from storage.db import open_database
from storage.embedded import EmbeddedPostgres
from storage.ids import new_id
from tests.conftest import Database
from tests.integration.world import World, address


async def _died_after_the_gateway(
    world: World,
) -> tuple[RequestBooking, Context, booking_request.Asked, Authorized]:
    """Hold and authorise, and go no further, as a process does that is killed then."""
    match_id, cards = await world.match(datetime.now(UTC) + timedelta(hours=2), asked=(0,))
    command = RequestBooking(match_id, cards[0], address(), "sandbox_ok")
    context = world.context(world.customer(), key="once")
    async with world.stores.db.transaction() as tx:
        asked = await booking_request._hold(world.stores, tx, command, context)
    assert isinstance(asked, booking_request.Asked)
    outcome = await authorize(world.stores, asked.intent)
    assert isinstance(outcome, Authorized)
    return command, context, asked, outcome


async def test_a_retry_goes_on_with_the_same_booking(world: World) -> None:
    """The same key, half a minute later, makes the very booking that was begun, with one authorisation."""
    command, context, asked, _ = await _died_after_the_gateway(world)
    answer = await request(world.stores, command, replace(context, now=context.now + timedelta(seconds=35)))
    assert isinstance(answer, Reply), answer
    assert answer.body["booking_id"] == str(asked.booking.booking_id)


async def test_a_retry_goes_on_though_the_gateways_message_came_first(world: World) -> None:
    """That somebody else brought the gateway's answer does not turn the customer's own hold against them."""
    command, context, asked, outcome = await _died_after_the_gateway(world)
    await settle(world.stores, asked.intent.intent_id, Status.SUCCEEDED, outcome.gateway_ref, context)
    answer = await request(world.stores, command, replace(context, now=context.now + timedelta(seconds=35)))
    assert isinstance(answer, Reply), answer
    assert answer.body["booking_id"] == str(asked.booking.booking_id)
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM app.payment_intents") == 1


async def test_nothing_is_confirmed_on_a_hold_that_is_being_released(world: World) -> None:
    """Once the abandoned authorisation is being let go, the late process answers `not_ready` and books nothing."""
    _, context, asked, outcome = await _died_after_the_gateway(world)
    await abandon_authorization(world.stores, {"intent_id": str(asked.intent.intent_id)}, context)
    async with world.stores.db.transaction() as tx:
        answer = await booking_request._confirm(world.stores, tx, asked, outcome, context)
    assert isinstance(answer, Refusal)
    assert answer.code == "not_ready"
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM app.bookings") == 0
        assert await tx.fetchval("SELECT count(*) FROM app.reservations WHERE active") == 0


async def test_reasons_and_kept_answers_stand_sealed(world: World) -> None:
    """Why somebody cancelled is in no event, the address in no kept answer; its own people read the reason."""
    booking_id = await world.book(key="sealed")
    why = commands.Cancel("My mother Anna died")
    answer = await booking_offers.cancel(
        world.stores, booking_id, why, world.context(world.customer(), key="c")
    )
    assert isinstance(answer, Reply), answer
    owner = await asyncpg.connect(world.owner_url)
    events = await owner.fetch("SELECT data::text AS data FROM app.booking_events")
    kept = await owner.fetch("SELECT body FROM app.idempotency_keys WHERE body IS NOT NULL")
    await owner.close()
    assert not any("Anna" in row["data"] for row in events)
    assert len(kept) == 2
    assert not any(b"Harbor" in row["body"] for row in kept)
    listed = await booking_view.events(world.stores, booking_id, world.context(world.customer()))
    assert isinstance(listed, Reply)
    assert listed.body["items"][-1]["data"]["reason"] == "My mother Anna died"
    for_support = await booking_view.events(
        world.stores, booking_id, world.context(Actor(new_id(), Role.SUPPORT))
    )
    assert isinstance(for_support, Reply)
    assert "reason" not in for_support.body["items"][-1]["data"]


async def test_after_a_restore_old_events_are_no_news(world: World) -> None:
    """In another cluster, where transaction ids start anew, what happened before is never tailed as new."""
    await world.book(asked=(0,))
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute("UPDATE app.outbox SET xid = (pg_current_xact_id()::text::bigint + 20)::text::xid8")
    await owner.execute("UPDATE app.epoch SET life = 'another'")
    async with world.stores.db.reading() as tx:
        old = {row["outbox_id"] for row in await tx.fetch("SELECT outbox_id FROM app.outbox")}
        await outbox.epoch(tx)
        place = await outbox.head(tx)
    for _ in range(30):
        await owner.execute("SELECT pg_current_xact_id()")
    await owner.close()
    await world.book(datetime.now(UTC) + timedelta(hours=3), asked=(1,))
    async with world.stores.db.reading() as tx:
        rows = await outbox.read_after(tx, place, 50)
    assert rows
    assert not old & {row["outbox_id"] for row in rows}


async def test_a_copy_beside_is_another_life(database: Database, postgres: EmbeddedPostgres) -> None:
    """A database restored beside the old one, in the same cluster, has its own epoch, and keeps it."""
    async with open_database(database.app_url) as db, db.reading() as tx:
        first = await outbox.epoch(tx)
        assert await outbox.epoch(tx) == first
    name = urlsplit(database.app_url).path.removeprefix("/")
    admin = await asyncpg.connect(postgres.url("postgres", owner=True))
    await admin.execute(f'CREATE DATABASE "{name}_back" TEMPLATE "{name}"')
    async with open_database(postgres.url(f"{name}_back")) as db, db.reading() as tx:
        assert await outbox.epoch(tx) != first
    await admin.execute(f'DROP DATABASE "{name}_back" WITH (FORCE)')
    await admin.close()
