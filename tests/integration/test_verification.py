"""`doorstep verify`: a house as it is holds, and each kind of damage is found by the rule that it breaks."""

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from app.seed import PASSWORD, seed
from domain import commands
from domain.context import SYSTEM, Context
from domain.money import Money
from domain.refusals import Refusal
from services import audit, booking, booking_offers, finance, payments, verification
from services.reply import Answer
from services.verification import Finding
from storage import db as pools
from storage.db import open_database
from storage.ids import new_id
from tests.conftest import Database
from tests.integration.world import World

ONE = "(SELECT booking_id FROM app.bookings WHERE state = '{}' ORDER BY booking_id LIMIT 1)"
REQUESTED, ACCEPTED, EN_ROUTE = ONE.format("requested"), ONE.format("accepted"), ONE.format("en_route")
IN_SERVICE, COMPLETED, CANCELLED = ONE.format("in_service"), ONE.format("completed"), ONE.format("cancelled")

# What somebody with the owner's rights and the triggers off may do, and the rule that finds it.
DAMAGE: tuple[tuple[str, str], ...] = (
    (verification.FOLD, f"UPDATE app.bookings SET state = 'accepted' WHERE booking_id = {COMPLETED}"),
    (verification.FOLD, f"UPDATE app.bookings SET fee_amount = 1 WHERE booking_id = {REQUESTED}"),
    (verification.FOLD, f"UPDATE app.booking_events SET data = data - 'technician_id' WHERE booking_id = {ACCEPTED}"),
    (verification.FOLD, f"UPDATE app.booking_events SET type = 'booking.teleported' WHERE booking_id = {ACCEPTED}"),
    (verification.FOLD, ("UPDATE app.booking_events SET type = 'booking.arrived', data = '{\"by\": \"x\", "
                        f"\"gps_session_id\": null}}' WHERE booking_id = {CANCELLED} AND type = 'booking.cancelled'")),
    ("events without a gap", f"DELETE FROM app.booking_events WHERE booking_id = {COMPLETED} AND seq = 3"),
    ("events without a gap", f"UPDATE app.booking_events SET seq = seq + 1 WHERE booking_id = {REQUESTED} AND seq = 2"),
    ("events without a gap", f"UPDATE app.bookings SET version = version + 1 WHERE booking_id = {REQUESTED}"),
    ("events without a gap", f"DELETE FROM app.bookings WHERE booking_id = {CANCELLED}"),
    ("events in the outbox", f"DELETE FROM app.outbox WHERE booking_id = {COMPLETED} AND topic = 'booking.completed'"),
    ("events in the outbox", "UPDATE app.outbox SET event_id = uuidv7() WHERE topic = 'booking.rated'"),
    ("events in the outbox", "UPDATE app.outbox SET correlation_id = 'another' WHERE topic = 'booking.rated'"),
    ("events in the outbox", ("INSERT INTO app.outbox (event_id, topic, booking_id, audience, correlation_id, at) "
                             "SELECT event_id, topic, booking_id, audience, correlation_id, at FROM app.outbox "
                             "WHERE topic = 'booking.rated'")),
    ("time held", f"UPDATE app.reservations SET active = false WHERE booking_id = {ACCEPTED}"),
    ("time held", f"UPDATE app.reservations SET during = during + interval '9 h' WHERE booking_id = {ACCEPTED}"
                  .replace("during + interval '9 h'",
                           "tstzrange(lower(during) + interval '9 h', upper(during) + interval '9 h')")),
    ("time held", f"UPDATE app.reservations SET active = true WHERE booking_id = {CANCELLED}"),
    ("time held", f"UPDATE app.reservations SET booking_id = uuidv7() WHERE booking_id = {ACCEPTED}"),
    ("one visit at a time", ("ALTER TABLE app.reservations DROP CONSTRAINT one_visit_at_a_time; "
                            "INSERT INTO app.reservations (booking_id, technician_id, during) "
                            "SELECT uuidv7(), technician_id, during FROM app.reservations WHERE active LIMIT 1")),
    ("deadlines", f"DELETE FROM app.deadlines WHERE booking_id = {REQUESTED}"),
    ("deadlines", f"UPDATE app.deadlines SET fired_at = now() WHERE booking_id = {REQUESTED}"),
    ("deadlines", f"DELETE FROM app.deadlines WHERE booking_id = {IN_SERVICE}"),
    ("deadlines", ("INSERT INTO app.deadlines (booking_id, kind, due_at) "
                  f"SELECT {CANCELLED}, 'unanswered', now() + interval '1 h'")),
    ("deadlines", ("INSERT INTO app.deadlines (booking_id, kind, due_at) "
                  f"SELECT {ACCEPTED}, 'no_show', now() + interval '1 h'")),
    ("alerts", ("INSERT INTO app.alerts (alert_id, kind, subject_id, booking_id, state, raised_at, changed_at, data) "
                f"SELECT uuidv7(), 'silent', {CANCELLED}, {CANCELLED}, 'raised', now(), now(), '{{}}'")),
    ("alerts", ("INSERT INTO app.alerts (alert_id, kind, subject_id, booking_id, state, raised_at, changed_at, data) "
                f"SELECT uuidv7(), 'silent', {EN_ROUTE}, {EN_ROUTE}, 'raised', now(), now(), '{{}}'")),
    ("alerts", ("INSERT INTO app.alert_events (event_id, alert_id, what, at, actor_role, correlation_id) "
                "SELECT uuidv7(), uuidv7(), 'raised', now(), 'system', 'x'")),
    ("GPS sessions", f"UPDATE app.gps_sessions SET closed_at = now() WHERE booking_id = {EN_ROUTE}"),
    ("GPS sessions", f"UPDATE app.gps_sessions SET closed_at = NULL WHERE booking_id = {COMPLETED}"),
    ("notes and ratings", ("DELETE FROM app.booking_notes WHERE event_id IN "
                          "(SELECT event_id FROM app.booking_events WHERE type = 'booking.noted')")),
    ("notes and ratings", "UPDATE app.ratings SET stars = 1"),
    ("notes and ratings", "DELETE FROM app.ratings"),
    ("technicians' counters", "UPDATE app.technicians SET rating_sum = rating_sum + 1"),
    ("share links", ("INSERT INTO app.shares "
                     "(share_id, booking_id, recipient_label, token_hash, created_at, expires_at) "
                    f"SELECT uuidv7(), {CANCELLED}, 'Anna', 'x', now(), now()")),
    ("ledger transactions", "UPDATE app.ledger_entries SET debit = debit + 1 WHERE debit > 0"),
    ("ledger transactions", ("DELETE FROM app.ledger_entries WHERE transaction_id = "
                            "(SELECT transaction_id FROM app.ledger_transactions LIMIT 1)")),
    ("trial balance", "UPDATE app.ledger_entries SET credit = credit + 1 WHERE credit > 0"),
    ("trial balance", "UPDATE app.accounts SET currency = 'EUR' WHERE code = 'customer_funds'"),
    ("holds resolved once", ("DROP INDEX app.payment_intents_one_resolution; INSERT INTO app.payment_intents "
                            "SELECT (jsonb_populate_record(i, jsonb_build_object('intent_id', uuidv7()))).* "
                            "FROM app.payment_intents i WHERE kind = 'capture'")),
    ("amounts", "UPDATE app.payment_intents SET amount = amount + 1 WHERE kind = 'capture'"),
    ("amounts", "UPDATE app.payment_intents SET amount = 999999 WHERE kind = 'refund'"),
    ("amounts", "UPDATE app.payment_intents SET currency = 'EUR' WHERE kind = 'capture'"),
    ("payments in the ledger", "UPDATE app.payment_intents SET amount = amount - 1 WHERE kind = 'capture'"),
    ("payments in the ledger", "UPDATE app.payment_intents SET status = 'failed' WHERE kind = 'charge'"),
    ("payments told", "UPDATE app.payment_intents SET status = 'failed' WHERE kind = 'charge'"),
    ("payments told", ("UPDATE app.booking_events SET data = jsonb_set(data, '{intent_id}', to_jsonb(uuidv7())) "
                      "WHERE type = 'payment.refunded'")),
    ("payments told", "UPDATE app.payment_intents SET status = 'pending' WHERE kind = 'authorize'"),
    ("payment status", "DELETE FROM app.payment_intents WHERE kind = 'capture'"),
    ("payment status", f"UPDATE app.bookings SET payment_status = 'captured' WHERE booking_id = {REQUESTED}"),
    ("payments under way", ("UPDATE app.payment_intents SET status = 'pending' WHERE kind = 'charge'; "
                           "DELETE FROM jobs.pgqueuer")),
    ("kept answers", "UPDATE app.idempotency_keys SET status = 503 WHERE status = 201"),
    ("kept answers", "UPDATE app.idempotency_keys SET booking_id = uuidv7() WHERE status = 201"),
    ("kept answers", "UPDATE app.idempotency_keys SET status = NULL WHERE status = 201"),
    ("kept answers", "UPDATE app.requests SET booking_id = uuidv7() WHERE status = 200"),
    ("subscribers' cursors", ("INSERT INTO app.subscriptions (subscriber, xid, outbox_id) "
                             "SELECT 'metrics', pg_snapshot_xmax(pg_current_snapshot()), 1")),
)  # fmt: skip


async def furnish(world: World) -> None:
    """Live a small day: one booking in each of six states, with notes, stars, a tip, a refund and a fee."""
    soon = datetime.now(UTC) + timedelta(minutes=30)
    await world.book(soon, asked=(0,), key="requested")
    for hours, stop in ((3, "accept"), (6, "depart"), (9, "start"), (12, "complete"), (15, "cancel")):
        booking_id = await world.book(soon + timedelta(hours=hours), asked=(0,), key=f"until {stop}")
        now = soon + timedelta(hours=hours)
        await live(world, booking_id, stop, now)


async def live(world: World, booking_id: UUID, until: str, now: datetime) -> None:
    """Lead a booking through its life until a command; a completed one is paid, rated and partly refunded."""
    stores, technician = world.stores, world.technician(0)

    def context() -> Context:
        return world.context(technician, key=new_id().hex, now=now)

    steps: tuple[tuple[str, Callable[[], Awaitable[Answer]]], ...] = (
        (
            "accept",
            lambda: booking.accept(
                stores, booking_id, commands.Accept(), world.context(technician, key=f"{booking_id}")
            ),
        ),
        ("depart", lambda: booking.depart(stores, booking_id, commands.Depart(), context())),
        ("note", lambda: booking.note(stores, booking_id, commands.Note("Late", "late"), context())),
        ("arrive", lambda: booking.arrive(stores, booking_id, commands.Arrive(), context())),
        ("start", lambda: booking.start(stores, booking_id, commands.Start(), context())),
        ("complete", lambda: booking.complete(stores, booking_id, commands.Complete(), context())),
    )
    for name, step in steps:
        answer = await step()
        assert not isinstance(answer, Refusal), answer
        if until == "cancel" and name == "accept":
            why = commands.Cancel("Ill")
            await booking_offers.cancel(stores, booking_id, why, world.context(world.customer(), now=now))
            break
        if name == until:
            break
    if until == "complete":
        await ask_all(world)
        rate = commands.Rate(5, "Good", 300, "USD")
        await booking.rate(stores, booking_id, rate, world.context(world.customer(), key="rate", now=now))
        await finance.refund(
            stores, booking_id, Money(500, "USD"), "Sorry", world.context(world.dispatch(), key="refund")
        )
    await ask_all(world)


async def ask_all(world: World) -> None:
    """Do the work of the payment jobs."""
    async with world.stores.db.reading() as tx:
        pending = await tx.fetch("SELECT intent_id FROM app.payment_intents WHERE status = 'pending'")
    for row in pending:
        told = Context(SYSTEM, datetime.now(UTC), f"test-{new_id().hex}")
        await payments.ask_gateway(world.stores, {"intent_id": str(row["intent_id"])}, told)


def broken(findings: Iterable[Finding]) -> dict[str, tuple[str, ...]]:
    """Return what does not hold."""
    return {finding.name: finding.first for finding in findings if finding.broken}


async def test_a_house_as_it_is_holds(world: World) -> None:
    """After a day with every kind of ending, every rule looked at something and found nothing."""
    await furnish(world)
    await audit.seal(world.stores.db)
    found = await verification.verify(world.stores.db)
    assert broken(found) == {}
    unseen = {f.name for f in found if f.counted == 0}
    assert unseen <= {"share links", "alerts", "subscribers' cursors", "payments under way"}


async def test_each_damage_is_found_by_its_rule(world: World) -> None:
    """As the owner with triggers off, one damage at a time: the rule names it, with the row's id."""
    await furnish(world)
    owner = await asyncpg.connect(world.owner_url)
    await pools._prepare(owner)
    await owner.execute("SET session_replication_role = replica")
    missed = []
    for name, damage in DAMAGE:
        change = owner.transaction()
        await change.start()
        await owner.execute(damage)
        after = broken([finding async for finding in verification.check(owner)])
        await change.rollback()
        if name not in after or not after[name]:
            missed.append((name, damage, after))
    await owner.close()
    assert missed == []


async def test_a_changed_decision_breaks_the_chain(world: World) -> None:
    """The chain of decisions is one of the things that are verified."""
    booking_id = await world.book()
    why = commands.Override("cancelled", "Storm")
    await booking.override(world.stores, booking_id, why, world.context(world.dispatch()))
    await audit.seal(world.stores.db)
    assert broken(await verification.verify(world.stores.db)) == {}
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute("SET session_replication_role = replica; UPDATE audit.events SET reason = 'storm'")
    await owner.close()
    assert list(broken(await verification.verify(world.stores.db))) == [verification.CHAIN]


async def test_the_command_line_says_so(world: World) -> None:
    """`doorstep verify` ends well on a whole database; on a damaged one with 1, a sentence and the booking's id."""
    booking_id = await world.book()
    environment = {**os.environ, "DOORSTEP_DATABASE_URL": world.stores.db.url}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "app.cli", "verify"], env=environment, check=False,
                              capture_output=True, text=True)  # fmt: skip

    whole = run()
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "Everything holds." in whole.stdout
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute("UPDATE app.bookings SET rated = true")
    await owner.close()
    damaged = run()
    assert damaged.returncode == 1
    assert f"{booking_id}: its events make something else of rated" in damaged.stdout
    assert "It does not all hold: bookings are their events." in damaged.stderr


async def test_the_demo_city_holds(database: Database) -> None:
    """What is seeded is told by the same rules as what is lived."""
    async with open_database(database.app_url) as db:
        await seed(db, technicians=40, sim_password=PASSWORD)
        await audit.seal(db)
        assert broken(await verification.verify(db)) == {}
