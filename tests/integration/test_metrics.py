"""Projections: rebuilt they are what they were live, under traffic too; and their reader reaches nothing else."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from app.metrics import rebuild as at_the_shell
from app.settings import Settings, SettingsError
from domain import booking_events as ev
from domain import booking_rules as rules
from domain import commands
from domain.booking import BookingEvent
from domain.context import Actor, Role
from domain.refusals import Refusal
from services import metrics
from services.metrics import METRICS
from services.subscriber import Happened
from services.subscribers import one_pass
from storage import metrics as tables
from storage.ids import new_id
from tests.integration.measured import BEHIND, Story, asked, count_all, discovered, rows, utc
from tests.integration.world import World

DAY = utc("2026-03-02T15:00:00")
REACHED = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, array_agg(p.privilege ORDER BY p.privilege) AS may
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
     unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p(privilege)
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (has_table_privilege('doorstep_metrics', c.oid, p.privilege)
       OR p.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
          AND has_any_column_privilege('doorstep_metrics', c.oid, p.privilege))
GROUP BY 1 ORDER BY 1
"""
SCHEMAS = """
SELECT nspname FROM pg_namespace
WHERE has_schema_privilege('doorstep_metrics', oid, 'USAGE') AND nspname !~ '^pg_' ORDER BY 1
"""
MAKES = """
SELECT nspname FROM pg_namespace WHERE has_schema_privilege('doorstep_metrics', oid, 'CREATE')
"""
BELONGS = "SELECT count(*) FROM pg_auth_members WHERE member = 'doorstep_metrics'::regrole"
CALLS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND has_function_privilege('doorstep_metrics', p.oid, 'EXECUTE')
  AND has_schema_privilege('doorstep_metrics', n.oid, 'USAGE')
"""
COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'metrics'
"""
BEHIND_VIEWS = """
SELECT DISTINCT table_schema || '.' || table_name || '.' || column_name AS name
FROM information_schema.view_column_usage WHERE view_schema = 'metrics' AND table_schema <> 'metrics'
"""
OF_THE_TRUTH = {
    "app.service_areas": {"area_id", "jurisdiction", "time_zone"},
    "app.accounts": {"account_id", "owner_id"},
    "app.ledger_entries": {"entry_id", "account_id", "transaction_id", "currency", "credit", "debit"},
    "app.ledger_transactions": {"transaction_id", "kind", "booking_id", "at"},
    "app.payouts": {"payout_id", "status", "made_at", "submitted_at", "ended_at"},
    "app.payout_items": {
        "item_id",
        "payout_id",
        "technician_id",
        "amount",
        "currency",
        "status",
        "settled_at",
    },
}
HARMLESS = {"uuid", "integer", "bigint", "text", "ARRAY", "boolean", "timestamp with time zone"}
PERSONAL = ("name", "mail", "phone", "address", "line1", "city", "postcode", "lat", "lon", "place", "note", "comment",
            "customer", "number", "photo", "words", "label")  # fmt: skip


class Life:
    """Bookings that live at random by the rules of the house."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)

    async def booking(self) -> None:
        """One booking, from the question who could come to wherever it gets."""
        shown = await discovered(
            self.world, DAY + timedelta(minutes=self.chance.randrange(600)), technicians=(0, 1, 2)
        )
        now = shown.at + timedelta(minutes=1)
        story = await asked(self.world, shown, now, technician=self.chance.choice((0, 1, 2)))
        for _ in range(self.chance.randrange(12)):
            now += timedelta(minutes=self.chance.choice((0, 1, 5, 30)))
            outcome = self._something(story, now)
            if not isinstance(outcome, Refusal):
                for fact in outcome:
                    if isinstance(fact, BookingEvent):
                        await story.tell(fact.happened, now)

    def _something(self, story: Story, now: datetime) -> Any:
        b, other = story.booking, self.world.technicians[self.chance.randrange(4)]
        by = Actor(b.technician_id, Role.TECHNICIAN)
        customer, dispatcher = self.world.customer(), self.world.dispatch()
        return self.chance.choice((
            lambda: rules.accept(b, by, now, {}),
            lambda: rules.accept(b, by, now, {}),
            lambda: rules.decline(b, by, now, sealed=b"x", final=self.chance.random() < 0.5),
            lambda: rules.expire(b, now, final=self.chance.random() < 0.5),
            lambda: rules.reassign(b, other, now, cause="dispatcher", deadline_at=now, role=Role.DISPATCHER),
            lambda: rules.depart(b, by, now, session_id=new_id(), opens_before_s=10**6),
            lambda: rules.arrive(b, commands.Arrive(), by, now, wait_s=600),
            lambda: rules.start(b, by, now),
            lambda: rules.complete(b, by, now),
            lambda: rules.cancel(b, commands.Cancel("x"), self.chance.choice((by, customer, dispatcher)), now,
                                 sealed=b"x", fee_amount=5, policy="1", deadline_at=now),
            lambda: rules.override(b, commands.Override("arrived", "x"), dispatcher, now, wait_s=600),
        ))()  # fmt: skip


async def damage(world: World, *statements: str) -> None:
    """Do to the tables what the owner alone can, triggers put aside."""
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute("SET session_replication_role = replica")
    for statement in statements:
        await owner.execute(statement)
    await owner.close()


async def generations(world: World) -> set[int]:
    """Return the generations that have rows."""
    async with world.stores.db.reading() as tx:
        found = await tx.fetch(
            "SELECT generation FROM metrics.visit_rows UNION SELECT generation FROM metrics.offer_rows"
        )
    return {record["generation"] for record in found}


async def test_rebuilt_is_what_was_live(world: World) -> None:
    """After random lives, damage and loss: counted again from the events, every row is as it was counted live."""
    life = Life(world, 1)
    for _ in range(25):
        await life.booking()
    await count_all(world)
    live = await rows(world)
    assert len(live["visits"]) == 25
    assert len({visit["state"] for visit in live["visits"]}) > 4
    assert await metrics.rebuild(world.stores.db, bookings_at_once=7) == metrics.Rebuilt(25, 25)
    assert await rows(world) == live
    await damage(
        world,
        "UPDATE metrics.visit_rows SET state = 'lost', seq = 1000 WHERE releases = 0",
        "DELETE FROM metrics.offer_rows", "DELETE FROM metrics.discoveries", "UPDATE metrics.cards SET position = 9",
        "DELETE FROM app.outbox",
    )  # fmt: skip
    assert await rows(world) != live
    await metrics.rebuild(world.stores.db)
    assert await rows(world) == live
    assert len(await generations(world)) == 1


async def test_rebuilt_under_traffic(world: World) -> None:
    """Bookings live, the subscriber counts and somebody rebuilds, all at once; at the end nothing is missing."""
    ended = asyncio.Event()

    async def live(seed: int) -> None:
        life = Life(world, seed)
        for _ in range(8):
            await life.booking()

    async def count() -> None:
        while not ended.is_set():
            await one_pass(world.stores, METRICS)
            await asyncio.sleep(0)

    async def rebuild() -> int:
        rebuilt = 0
        while not ended.is_set():
            await metrics.rebuild(world.stores.db, bookings_at_once=2)
            rebuilt += 1
        return rebuilt

    counting, rebuilding = asyncio.create_task(count()), asyncio.create_task(rebuild())
    await asyncio.gather(*(live(seed) for seed in range(3)))
    ended.set()
    await counting
    assert await rebuilding > 0
    await count_all(world)
    counted = await rows(world)
    assert len(counted["visits"]) == 24
    await metrics.rebuild(world.stores.db)
    assert await rows(world) == counted


async def test_a_rebuild_that_died_disturbs_nobody(world: World) -> None:
    """What it left is counted along, swept by the next one, and never read."""
    life = Life(world, 3)
    await life.booking()
    async with world.stores.db.transaction() as tx:
        left = await tables.begin(tx)
    await life.booking()
    await count_all(world)
    live = await rows(world)
    assert len(live["visits"]) == 2
    assert left in await generations(world)
    await metrics.rebuild(world.stores.db)
    assert await rows(world) == live
    found = await generations(world)
    assert len(found) == 1
    assert left not in found


async def test_one_rebuilds_at_a_time(world: World) -> None:
    """The second one is told so, in a sentence at the shell; when the first is done it may."""
    await Life(world, 4).booking()
    settings = Settings(database_url=SecretStr(world.stores.db.url))
    async with world.stores.db.reading() as guard:
        assert await tables.claim_rebuild(guard)
        with pytest.raises(metrics.RebuildRunningError):
            await metrics.rebuild(world.stores.db)
        with pytest.raises(SettingsError, match="rebuilds already"):
            await asyncio.to_thread(at_the_shell, settings)
        await tables.release_rebuild(guard)
    assert await asyncio.to_thread(at_the_shell, settings) == metrics.Rebuilt(1, 1)


async def test_one_writes_at_a_time(world: World) -> None:
    """Who counts waits until the other has committed, and reads the events after that: no older row comes last."""
    await Life(world, 6).booking()
    async with world.stores.db.transaction() as first, world.stores.db.transaction() as second:
        await tables.lock(first)
        booking_id = await second.fetchval("SELECT booking_id FROM app.bookings")
        batch = [Happened(9, 9, new_id(), "", booking_id, None, (), None, "", DAY, 1, {}, None, "system")]
        await second.execute("SET LOCAL lock_timeout = '20ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await METRICS.handle(world.stores, second, batch)


async def test_heard_twice_or_late_it_counts_once(world: World) -> None:
    """A batch that comes again changes nothing; a row that never came is made good by the next of its booking."""
    shown = await discovered(world, DAY)
    story = await asked(world, shown, DAY)
    await count_all(world)
    await damage(world, "DELETE FROM metrics.visit_rows", "DELETE FROM metrics.offer_rows")
    await story.tell(ev.Accepted(world.technicians[0], {}), DAY + timedelta(minutes=1), Role.TECHNICIAN)
    await count_all(world)
    live = await rows(world)
    assert [(v["seq"], v["state"], v["card_position"]) for v in live["visits"]] == [(2, "accepted", 1)]
    async with world.stores.db.transaction() as tx:
        await tx.execute("UPDATE app.subscriptions SET xid = '3', outbox_id = 0")
    while (await one_pass(world.stores, METRICS)).rows == 0:
        await asyncio.sleep(0.01)
    assert await rows(world) == live


async def test_what_was_shown_outlives_its_candidates(world: World) -> None:
    """Old candidates may be dropped by policy; the funnel of their days stays, also after a rebuild."""
    await Life(world, 5).booking()
    await count_all(world)
    live = await rows(world)
    assert len(live["cards"]) == 3
    await damage(world, "DELETE FROM app.match_candidates", "DELETE FROM app.matches")
    await metrics.rebuild(world.stores.db)
    assert await rows(world) == live


async def test_counting_waits_for_no_booking(world: World) -> None:
    """Neither a batch nor a rebuild locks a row of the truth: both go on while a command holds its booking."""
    booking_id = await world.book()
    async with world.stores.db.transaction() as tx:
        await tx.execute("SELECT FROM app.bookings WHERE booking_id = $1 FOR UPDATE", booking_id)
        await metrics.rebuild(world.stores.db)
        assert await tx.fetchval(BEHIND) == 0


async def test_the_role_of_reports_reaches_metrics_alone(world: World) -> None:
    """By the catalogue: eight relations to read, nothing to write, no other schema, no powers of somebody else."""
    owner = await asyncpg.connect(world.owner_url)
    reached = {record["name"]: record["may"] for record in await owner.fetch(REACHED)}
    assert set(reached) == {
        "metrics.areas", "metrics.card_views", "metrics.cards", "metrics.discoveries", "metrics.offers",
        "metrics.payout_items", "metrics.technician_money", "metrics.visits",
    }  # fmt: skip
    assert all(may == ["SELECT"] for may in reached.values())
    assert {record["nspname"] for record in await owner.fetch(SCHEMAS)} == {
        "information_schema",
        "metrics",
        "public",
    }
    assert await owner.fetch(MAKES) == []
    assert await owner.fetch(CALLS) == []
    assert await owner.fetchval(BELONGS) == 0
    await owner.close()


async def test_metrics_hold_no_name_and_no_place(world: World) -> None:
    """By the catalogue: no column is a name, an address or a position, and no view is made of one."""
    owner = await asyncpg.connect(world.owner_url)
    columns = await owner.fetch(COLUMNS)
    assert {record["data_type"] for record in columns} <= HARMLESS
    suspects = {r["column_name"] for r in columns for word in r["column_name"].split("_") if word in PERSONAL}
    assert suspects == set()
    allowed = {f"{table}.{column}" for table, kept in OF_THE_TRUTH.items() for column in kept}
    assert {record["name"] for record in await owner.fetch(BEHIND_VIEWS)} == allowed
    await owner.close()


async def test_the_pool_of_reports_is_refused_what_is_not_its_own(world: World) -> None:
    """In fact, too: people, addresses, books, positions and decisions are refused, and so is every change."""
    assert world.stores.reports is not None
    forbidden = (
        "SELECT display_name FROM app.people", "SELECT address FROM app.bookings", "SELECT * FROM app.accounts",
        "SELECT lat FROM telemetry.fixes", "SELECT * FROM audit.events", "SELECT * FROM metrics.visit_rows",
        "DELETE FROM metrics.card_views", "UPDATE metrics.cards SET position = 1",
        f"INSERT INTO metrics.card_views (match_id, card_id, kind) VALUES ('{UUID(int=1)}', '{UUID(int=1)}', 'seen')",
        "SET ROLE doorstep_owner",
    )  # fmt: skip
    for statement in forbidden:
        async with world.stores.reports.reading() as tx:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await tx.execute(statement)
