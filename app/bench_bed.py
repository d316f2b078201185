"""What `loadtest/booking` lies on: a cluster with the demo city and requested visits, and what only we can run there.

    python -m app.bench_bed --data-dir DIR      one JSON object a line: asks on stdin, answers on stdout

The simulators import nothing of ours, so this side makes the databases, captures the very statements that our commands
send (by giving each command once, through the same functions as REST), lays them down in a table that pgbench reads its
arguments from, and measures the journal alone. Every measured run gets a fresh copy of the same database.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
import structlog
import uvloop

from app.seed import PASSWORD, seed
from app.settings import Settings
from app.wiring import open_stores
from domain import booking_events as ev
from domain import commands
from domain.booking import Booking, BookingEvent, Price, State, apply
from domain.context import Actor, Claim, Context, Role
from domain.facts import Fact
from domain.gate import Passed
from domain.payments import Kind, PaymentIntended, PaymentIntent, PaymentSettled, Status
from services import booking
from services.qualification import qualify
from services.reply import Answer, Reply
from services.stores import Stores
from storage import booking_commands, bookings, journal, personal, reservations
from storage.db import Database, Tx, open_database
from storage.embedded import EmbeddedPostgres, embedded_postgres
from storage.embedded_binaries import locate
from storage.embedded_cluster import DATABASE
from storage.ids import new_id
from storage.journal import record_all
from storage.migrate import migrate

BED = "bench_bed"
SECRET = "a secret of the benchmark, of no use elsewhere"  # noqa: S105 - opens nothing that outlives the benchmark
NOTE = "The second door on the left, please ring twice"
STATEMENTS = 2
STEPS: tuple[tuple[str, Callable[[Stores, UUID, Context], Awaitable[Answer]]], ...] = (
    ("accept", lambda s, b, c: booking.accept(s, b, commands.Accept(), c)),
    ("depart", lambda s, b, c: booking.depart(s, b, commands.Depart(), c)),
    ("arrive", lambda s, b, c: booking.arrive(s, b, commands.Arrive(), c)),
    ("start", lambda s, b, c: booking.start(s, b, commands.Start(), c)),
    ("note", lambda s, b, c: booking.note(s, b, commands.Note(NOTE, "progress"), c)),
    ("complete", lambda s, b, c: booking.complete(s, b, commands.Complete(), c)),
)
CALLS = """
CREATE SCHEMA bench;
CREATE TABLE bench.calls (client integer, n integer, wanted uuid, actor uuid, principal text, route text, key text,
    grounds boolean, held boolean, technician uuid, version integer, technician_version integer, document text,
    PRIMARY KEY (client, n));
ALTER TABLE bench.calls ALTER COLUMN document SET STORAGE PLAIN;
GRANT USAGE ON SCHEMA bench TO PUBLIC;
GRANT SELECT ON bench.calls TO PUBLIC
"""
CALL_COLUMNS = (
    "client", "n", "wanted", "actor", "principal", "route", "key", "grounds", "held", "technician", "version",
    "technician_version", "document",
)  # fmt: skip
READ = (
    booking_commands.OPEN.strip()
    .replace("$1, $2, $3, $4, $5, $6, $7, $8, $9",
             "c.wanted, c.actor, c.principal, c.route, c.key, false, NULL, c.grounds, c.held")
    .replace("FROM ", "FROM bench.calls c CROSS JOIN LATERAL ", 1)
    + "\nWHERE c.client = :client_id AND c.n = :n;\n"
)  # fmt: skip
WRITE = (
    "SELECT app.record_command(c.wanted, c.technician, c.version, c.technician_version, c.document::jsonb)\n"
    "FROM bench.calls c WHERE c.client = :client_id AND c.n = :n;\n"
)
NEXT_CALL = "\\set n :n + 1\n"  # begins at -1
EVENTS = (
    ev.Accepted.type, ev.Departed.type, ev.Arrived.type, ev.Started.type, ev.Noted.type, ev.Completed.type,
)  # fmt: skip
WORKERS = """
SELECT t.technician_id, p.email::text AS email, t.services[1] AS service
FROM app.technicians t JOIN app.people p ON p.person_id = t.technician_id
WHERE t.status = 'approved' ORDER BY t.technician_id
"""
PLACE = "SELECT area_id, jurisdiction FROM app.service_areas ORDER BY area_id LIMIT 1"
CUSTOMER = "SELECT person_id FROM app.people WHERE role = 'customer' ORDER BY person_id LIMIT 1"
SETTINGS = (
    "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')"
)
DONE = "SELECT count(*) FROM app.booking_events WHERE type = ANY ($1)"
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True)
class Worker:
    """A technician of the city who passes the gate, and the visits that wait for their answer."""

    technician_id: UUID
    email: str
    bookings: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What one command decided: to be written again, alone, on a fresh copy."""

    seen: Booking
    technician_version: int | None
    facts: Sequence[Fact]
    context: Context


class Bed:
    """One cluster, its template, and what was captured on it."""

    def __init__(self, cluster: EmbeddedPostgres, data_dir: Path, technicians: int, visits: int) -> None:
        self._cluster = cluster
        self._bin = locate(data_dir).bin_dir
        self._count = technicians
        self._visits = visits
        self._made = 0
        self._workers: list[Worker] = []
        self._journal: list[list[Written]] = []
        self._settings: dict[str, str] = {}
        self._told = 0

    async def make(self) -> None:
        """Migrate, seed, lay out the visits, capture."""
        await migrate(self._cluster.owner_url)
        await self._copy(DATABASE, BED)
        async with open_database(self._cluster.url(BED)) as db:
            await seed(db, technicians=self._count, sim_password=PASSWORD)
            self._workers = await _workers(db, self._count, self._visits)
        calls: list[tuple[object, ...]] = []
        name = await self.fresh()
        async with open_stores(Settings(), self._cluster.url(name), SECRET.encode()) as stores:
            for client, worker in enumerate(self._workers):
                captured, written = await _capture(stores, client, worker)
                calls += captured
                self._journal.append(written)
        await self.drop(name)
        async with self._owner(BED) as owner:
            await owner.execute(CALLS)
            await owner.copy_records_to_table(
                "calls", schema_name="bench", columns=CALL_COLUMNS, records=calls
            )
            await owner.execute("ANALYZE")
            self._told = await owner.fetchval(DONE, list(EVENTS))
            self._settings = {row["name"]: row["setting"] for row in await owner.fetch(SETTINGS)}
        if set(self._settings.values()) != {"on"}:
            raise SystemExit(f"the cluster does not keep its promises: {self._settings}")

    async def about(self) -> dict[str, Any]:
        """Say who is there, what they are to do, and how pgbench does the same."""
        return {
            "settings": self._settings,
            "technicians": [worker.email for worker in self._workers],
            "password": PASSWORD,
            "secret_key": SECRET,
            "steps": [step for step, _ in STEPS],
            "note": NOTE,
            "commands": self._visits * len(STEPS),
            "pgbench": str(self._bin / "pgbench"),
            "scripts": {"command": NEXT_CALL + READ + WRITE, "journal": NEXT_CALL + WRITE},
        }

    async def fresh(self) -> str:
        """Copy the template; return the name of the copy."""
        self._made += 1
        name = f"bench_{self._made}"
        await self._copy(BED, name)
        async with self._owner("postgres") as owner:
            await owner.execute("CHECKPOINT")  # no run pays for the copy
        return name

    def reached(self, name: str) -> dict[str, Any]:
        """Say how a copy is reached by a serving process, and by pgbench."""
        url = self._cluster.url(name)
        at = urlsplit(url)
        login = {"PGHOST": at.hostname, "PGPORT": str(at.port), "PGDATABASE": name, "PGUSER": at.username,
                 "PGPASSWORD": unquote(at.password or ""), "PGOPTIONS": "-c role=doorstep_app"}  # fmt: skip
        return {"database": name, "url": url, "login": login}

    async def drop(self, name: str) -> dict[str, Any]:
        """Remove a copy; say how many commits it saw, and how many commands were done on it."""
        async with self._owner(name) as owner:
            commits = await owner.fetchval(COMMITS)
            done = await owner.fetchval(DONE, list(EVENTS)) - self._told
        await self._admin(f'DROP DATABASE "{name}" WITH (FORCE)')
        return {"commits": commits, "commands": done}

    async def write_alone(self, technicians: int) -> dict[str, Any]:
        """Write what was captured through the journal, so many technicians at once, each in order."""
        name = await self.fresh()
        async with open_database(self._cluster.url(name), max_size=max(2, technicians)) as db:

            async def one(stories: list[Written]) -> None:
                async with db.reading() as tx:
                    for each in stories:
                        rows = journal.document(each.facts, each.context)
                        if rows is None or not await booking_commands.write(
                            tx, each.seen, each.technician_version, rows
                        ):
                            raise SystemExit("a captured command was not written")

            began = time.perf_counter()
            await asyncio.gather(*(one(stories) for stories in self._journal[:technicians]))
            seconds = time.perf_counter() - began
        return {"seconds": seconds, **await self.drop(name)}

    async def _copy(self, source: str, name: str) -> None:
        await self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')

    async def _admin(self, statement: str) -> None:
        async with self._owner("postgres") as owner:
            await owner.execute(statement)

    @asynccontextmanager
    async def _owner(self, name: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        owner = await asyncpg.connect(self._cluster.url(name, owner=True))
        try:
            yield owner
        finally:
            await owner.close()


async def _workers(db: Database, count: int, visits: int) -> list[Worker]:
    """Choose technicians whom the gate lets pass, and ask each for so many visits."""
    now = datetime.now(UTC)
    chosen: list[Worker] = []
    async with db.transaction() as tx:
        place, customer_id = await tx.fetchrow(PLACE), await tx.fetchval(CUSTOMER)
        key = await personal.key_of(tx, customer_id)
        if place is None or key is None:
            raise SystemExit("the seeded city has no area or no customer")
        for row in await tx.fetch(WORKERS):
            starts_at = now + timedelta(hours=2)
            passed = await qualify(
                tx, row["technician_id"], service=row["service"], jurisdiction=place["jurisdiction"],
                starts_at=starts_at, ends_at=starts_at + timedelta(hours=1), now=now,
            )  # fmt: skip
            if not isinstance(passed, Passed):
                continue
            blank = Booking(
                booking_id=new_id(), number="", state=State.REQUESTED, version=0, service=row["service"],
                experience=("quiet_visit",), customer_id=customer_id, technician_id=None, match_id=new_id(),
                card_id=new_id(), area_id=place["area_id"], jurisdiction=place["jurisdiction"], starts_at=starts_at,
                ends_at=starts_at + timedelta(hours=1), expected_end_at=None, deadline_at=None,
                price=Price(4000, 500, 270, 4770, "USD", 600), payment_status="pending", gps_session_id=None,
                fallback="none",
                address=personal.seal(key, {"line1": "2219 Eastern Avenue", "city": "Baltimore", "postcode": "21231",
                                            "lat": 39.2857, "lon": -76.5867, "notes": None}),
                offered=(), near_at=None, arrived_at=None, fee_amount=0, rated=False, created_at=now, updated_at=now,
            )  # fmt: skip
            made = await _ask(tx, blank, row["technician_id"], f"B-{len(chosen)}", visits, now)
            chosen.append(Worker(row["technician_id"], row["email"], made))
            if len(chosen) == count:
                return chosen
    raise SystemExit(f"only {len(chosen)} technicians of the city pass the gate")


async def _ask(
    tx: Tx, blank: Booking, technician_id: UUID, name: str, visits: int, now: datetime
) -> tuple[UUID, ...]:
    """Request visits as `services/booking_request` records them; their hours lie side by side, each a second long."""
    context = Context(Actor(blank.customer_id, Role.CUSTOMER), now, f"bench-{name}")
    stories: list[tuple[list[Fact], Context]] = []
    for n in range(visits):
        booking_id = new_id()
        intent = PaymentIntent(new_id(), booking_id, Kind.AUTHORIZE, "sandbox_ok", 4770, "USD")
        asked = apply(
            replace(blank, booking_id=booking_id, number=f"{name}-{n}"),
            ev.Requested(technician_id, now + timedelta(days=1)),
            now,
        )
        paid = apply(
            asked.booking, ev.PaymentAuthorized(intent.intent_id, 4770, "USD", verified_only=False), now
        )
        at = now + timedelta(days=30, seconds=2 * n)
        held = reservations.Held(booking_id, technician_id, at, at + timedelta(seconds=1))
        settled = PaymentSettled(
            intent.intent_id, Status.SUCCEEDED, f"sb_authorize_{intent.intent_id.hex[-12:]}"
        )
        stories.append(([asked, paid, held, PaymentIntended(intent), settled], context))
    await record_all(tx, stories)
    return tuple(facts[0].booking.booking_id for facts, _ in stories if isinstance(facts[0], BookingEvent))


class _Watched(Database):
    """A database that keeps the arguments of the two statements of a command."""

    heard: ClassVar[list[tuple[object, ...]]] = []

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        async with super().reading() as tx:
            yield _Ear(tx, self.heard)  # type: ignore[misc]  # it has what a command on a booking calls


class _Ear:
    def __init__(self, tx: Tx, heard: list[tuple[object, ...]]) -> None:
        self._tx = tx
        self._heard = heard

    async def fetchrow(self, query: str, *arguments: object) -> object:
        self._heard.append(arguments)
        return await self._tx.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> object:
        self._heard.append(arguments)
        return await self._tx.fetchval(query, *arguments)


async def _capture(
    stores: Stores, client: int, worker: Worker
) -> tuple[list[tuple[object, ...]], list[Written]]:
    """Give every command once, as REST does, and keep what was sent to the database and what was decided."""
    calls: list[tuple[object, ...]] = []
    written: list[Written] = []
    decided: list[tuple[Sequence[Fact], Context]] = []
    encode = journal.document

    def listen(facts: Sequence[Fact], context: Context) -> str | None:
        decided.append((facts, context))
        return encode(facts, context)

    db = _Watched(stores.db.pool, stores.db.url, stores.db.role)
    stores = replace(stores, db=db)
    journal.document = listen
    try:
        for booking_id in worker.bookings:
            for step, give in STEPS:
                claim = Claim(
                    str(worker.technician_id),
                    f"POST /v1/bookings/{{booking_id}}/{step}",
                    new_id().hex,
                    bytes(32),
                )
                actor = Actor(worker.technician_id, Role.TECHNICIAN)
                context = Context(actor, datetime.now(UTC), new_id().hex, claim)
                db.heard.clear()
                async with stores.db.reading() as tx:
                    seen = await bookings.get(tx, booking_id)
                db.heard.clear()
                answer = await give(stores, booking_id, context)
                if not isinstance(answer, Reply) or seen is None or len(db.heard) != STATEMENTS:
                    raise SystemExit(f"{step} was not done in two statements: {answer}")
                (wanted, who, *names, _, _, grounds, held), (_, technician, version, theirs, rows) = db.heard
                calls.append(
                    (
                        client,
                        len(calls),
                        wanted,
                        who,
                        *names,
                        grounds,
                        held,
                        technician,
                        version,
                        theirs,
                        rows,
                    )
                )
                written.append(Written(seen, cast("int | None", theirs), *decided.pop()))
    finally:
        journal.document = encode
    return calls, written


async def serve(bed: Bed) -> None:
    """Answer what the simulator asks, a line at a time, until it closes our stdin."""
    loop = asyncio.get_running_loop()
    say(await bed.about())
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        match asked.pop("do"):
            case "fresh":
                say(bed.reached(await bed.fresh()))
            case "drop":
                say(await bed.drop(asked["database"]))
            case "journal":
                say(await bed.write_alone(asked["technicians"]))


def say(answer: dict[str, Any]) -> None:
    """Print one line."""
    print(json.dumps(answer), flush=True)  # noqa: T201 - this program's output


def main() -> None:
    """Make the bed and serve it."""
    parser = argparse.ArgumentParser(prog="python -m app.bench_bed", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--technicians", type=int, default=16)
    parser.add_argument("--visits", type=int, default=40)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    async def run(cluster: EmbeddedPostgres) -> None:
        bed = Bed(cluster, asked.data_dir, asked.technicians, asked.visits)
        await bed.make()
        await serve(bed)

    with embedded_postgres(asked.data_dir) as cluster:
        uvloop.run(run(cluster))


if __name__ == "__main__":
    main()
