"""The audit chain against a real database: sealed once by any number of processes, and a changed byte shows."""

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import orjson
import pytest
from pydantic import SecretStr

from app import audit as at_the_shell
from app.settings import Settings, SettingsError
from domain.context import Actor, Role
from domain.facts import Decided
from services import audit
from storage import audit as rows
from storage.ids import new_id
from storage.journal import record
from tests.integration.money.conftest import World

SEALER = """
import asyncio, os
from services.audit import seal
from storage.db import open_database

async def main():
    async with open_database(os.environ["URL"], min_size=1, max_size=2) as db:
        print("ready", flush=True)
        done = 0
        for _ in range(400):
            done += await seal(db)
            await asyncio.sleep(0.005)
        print(done, flush=True)

asyncio.run(main())
"""


DYING = SEALER.replace(
    "async def main",
    """
from storage import audit
sealed, real = [], audit.seal

async def half(tx, seals):
    await real(tx, seals)
    sealed.extend(seals)
    if len(sealed) > 40:
        os.kill(os.getpid(), 9)

audit.seal = half

async def main""",
)

# One byte more or less in each column that a hash covers; `xid` says only in which order the sealer takes a row.
BYTES = {
    ("audit.events", "audit_id"): "overlay(audit_id::text placing 'f' from 36)::uuid",
    ("audit.events", "at"): "at - interval '1 microsecond'",
    ("audit.events", "actor_id"): "overlay(actor_id::text placing 'e' from 1)::uuid",
    ("audit.events", "actor_role"): "actor_role || ' '",
    ("audit.events", "action"): "action || 'x'",
    ("audit.events", "subject_kind"): "upper(left(subject_kind, 1)) || substr(subject_kind, 2)",
    ("audit.events", "subject_id"): "subject_id || '0'",
    ("audit.events", "reason"): "reason || '.'",
    ("audit.events", "data"): "'{\"number\": 5}'::jsonb",
    ("audit.events", "correlation_id"): "correlation_id || '-'",
    ("audit.seals", "seal"): "seal + 1000",
    ("audit.seals", "audit_id"): "overlay(audit_id::text placing 'f' from 36)::uuid",
    ("audit.seals", "prev_hash"): "set_byte(prev_hash, 31, get_byte(prev_hash, 31) # 1)",
    ("audit.seals", "hash"): "set_byte(hash, 0, get_byte(hash, 0) # 1)",
}
COLUMNS = """
SELECT table_schema || '.' || table_name AS name, column_name FROM information_schema.columns
WHERE table_schema = 'audit' AND table_name IN ('events', 'seals')
"""
FIFTH = "SELECT audit_id FROM audit.seals ORDER BY seal OFFSET 4 LIMIT 1"


async def decide(world: World, count: int, *, reason: str = "because") -> None:
    """Write some decisions."""
    for n in range(count):
        await world.record(Decided("credential.verified", "credential", str(n), reason, {"number": n}))


async def seal_all(world: World) -> None:
    """Seal until nothing waits."""
    while await world.one("SELECT count(*) FROM audit.unsealed"):
        await audit.seal(world.stores.db)


async def test_an_empty_chain_is_whole(world: World) -> None:
    """Nothing decided, nothing wrong."""
    assert await audit.verify(world.stores.db) == (True, 0, None, 0, None)


async def test_a_sealed_chain_verifies(world: World) -> None:
    """Every decision is sealed in order, and the head is the newest hash."""
    await decide(world, 7)
    assert (await audit.verify(world.stores.db)).unsealed == 7
    await seal_all(world)
    verdict = await audit.verify(world.stores.db)
    head = await world.one("SELECT hash FROM audit.seals ORDER BY seal DESC LIMIT 1")
    assert verdict == (True, 7, head.hex(), 0, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE audit.events SET reason = 'becausf' WHERE audit_id = $1", "changed"),
        ("UPDATE audit.events SET at = at + interval '1 microsecond' WHERE audit_id = $1", "changed"),
        ("UPDATE audit.events SET data = '{\"number\": 4.0}' WHERE audit_id = $1", "changed"),
        ("UPDATE audit.events SET actor_id = uuidv7() WHERE audit_id = $1", "changed"),
        ("DELETE FROM audit.events WHERE audit_id = $1", "event_missing"),
        ("DELETE FROM audit.seals WHERE audit_id = $1", "link_missing"),
    ],
)
async def test_a_change_shows_at_its_row(world: World, change: str, reason: str) -> None:
    """Even the owner, with every trigger off, cannot change a byte unseen: verify names the row."""
    await decide(world, 9)
    await seal_all(world)
    victim = await world.one("SELECT audit_id FROM audit.events WHERE subject_id = '4'")
    await world.owner.execute("SET session_replication_role = replica")
    await world.owner.execute(change, victim)
    verdict = await audit.verify(world.stores.db)
    assert not verdict.ok
    assert verdict.broken is not None
    assert verdict.broken["reason"] == reason
    assert verdict.broken["seal"] == (6 if reason == "link_missing" else 5)


async def test_a_row_slipped_in_shows(world: World) -> None:
    """An event that came around the trigger stands outside the chain, and verify says so."""
    await decide(world, 2)
    await seal_all(world)
    await world.owner.execute("SET session_replication_role = replica")
    stray = new_id()
    await world.owner.execute(
        "INSERT INTO audit.events (audit_id, at, actor_role, action, subject_kind, subject_id, data, correlation_id) "
        "VALUES ($1, now(), 'founder', 'a', 'b', 'c', '{}', 'd')", stray
    )  # fmt: skip
    assert (await audit.verify(world.stores.db)).broken == {
        "audit_id": str(stray), "seal": None, "reason": "not_in_chain",
    }  # fmt: skip


async def test_an_open_transaction_holds_the_order(world: World) -> None:
    """What could still come before is waited for: the seals follow the order of the transactions."""
    first = await asyncpg.connect(world.stores.db.url, server_settings={"role": "doorstep_app"})
    begun = first.transaction()
    await begun.start()
    await first.execute(
        "INSERT INTO audit.events (audit_id, at, actor_role, action, subject_kind, subject_id, data, correlation_id) "
        "VALUES (uuidv7(), now(), 'founder', 'first', 'b', 'c', '{}', 'd')"
    )
    await decide(world, 3)
    assert await audit.seal(world.stores.db) == 0
    await begun.commit()
    await first.close()
    assert await audit.seal(world.stores.db) == 4
    assert (
        await world.one("SELECT action FROM audit.events JOIN audit.seals USING (audit_id) WHERE seal = 1")
        == "first"
    )


async def test_two_processes_seal_one_chain(world: World) -> None:
    """Two sealers in two processes while decisions arrive: each decision has one seal, and the chain holds."""
    env = {**os.environ, "URL": world.stores.db.url, "PYTHONPATH": os.getcwd()}  # noqa: PTH109 - an environment holds text
    sealers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", SEALER, env=env, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    for sealer in sealers:
        assert sealer.stdout is not None
        assert b"ready" in await sealer.stdout.readline()
    await asyncio.gather(*(decide(world, 25) for _ in range(8)))
    done = []
    for sealer in sealers:
        out, _ = await sealer.communicate()
        assert sealer.returncode == 0
        done.append(int(out.splitlines()[-1]))
    await seal_all(world)
    verdict = await audit.verify(world.stores.db)
    assert (verdict.ok, verdict.events, verdict.unsealed) == (True, 200, 0)
    assert sum(done) <= 200


async def test_rows_of_a_former_life_are_sealed(world: World) -> None:
    """After a restore into a new cluster rows carry transaction ids from far ahead, where nothing runs."""
    await world.owner.execute(
        "INSERT INTO audit.events "
        "(audit_id, at, actor_role, action, subject_kind, subject_id, data, correlation_id, xid) "
        "VALUES (uuidv7(), now(), 'founder', 'a', 'b', 'c', '{}', 'd', '999999999999')"
    )
    await decide(world, 2)
    assert await audit.seal(world.stores.db) == 3
    assert (await audit.verify(world.stores.db)).ok


async def test_every_column_is_covered(world: World) -> None:
    """No column of a decision or of its seal is outside the hash, but the transaction's number."""
    columns = {(r["name"], r["column_name"]) for r in await world.owner.fetch(COLUMNS)}
    assert columns - {("audit.events", "xid")} == set(BYTES)


async def test_one_byte_shows_at_its_row(world: World) -> None:
    """A byte changed in any column by a superuser, every trigger off, shows at its row; put back, the chain holds."""
    context = world.context(actor=Actor(new_id(), Role.FOUNDER))
    async with world.stores.db.transaction() as tx:
        facts = [Decided("credential.verified", "credential", str(n), "so", {"number": n}) for n in range(9)]
        await record(tx, facts, context)
    await seal_all(world)
    victim = await world.one(FIFTH)
    await world.owner.execute("SET session_replication_role = replica")
    for table in ("audit.events", "audit.seals"):
        await world.owner.execute(f"CREATE TABLE {table}_before AS TABLE {table}")
    for (table, column), changed in BYTES.items():
        await world.owner.execute(f"UPDATE {table} SET {column} = {changed} WHERE audit_id = $1", victim)
        broken = (await audit.verify(world.stores.db)).broken
        assert broken is not None, column
        assert broken["seal"] == (6 if column == "seal" else 5), column
        await world.owner.execute(f"DELETE FROM {table}")
        await world.owner.execute(f"INSERT INTO {table} SELECT * FROM {table}_before")
        assert (await audit.verify(world.stores.db)).ok, column


async def test_a_chain_cut_short_is_found_with_a_kept_head(world: World) -> None:
    """Without its last decisions the chain looks whole; the head that was taken away says otherwise."""
    await decide(world, 5)
    await seal_all(world)
    kept = await audit.head(world.stores.db)
    assert kept is not None
    await decide(world, 2)
    await seal_all(world)
    assert (await audit.verify(world.stores.db, kept)).ok
    assert (await audit.verify(world.stores.db, audit.Head(None, kept.hash))).ok
    cut = world.owner.transaction()
    await world.owner.execute("SET session_replication_role = replica")
    await cut.start()
    gone = [
        r["audit_id"]
        for r in await world.owner.fetch("DELETE FROM audit.seals WHERE seal > 4 RETURNING audit_id")
    ]
    await world.owner.execute("DELETE FROM audit.events WHERE audit_id = ANY ($1)", gone)
    await cut.commit()
    assert (await audit.verify(world.stores.db)).ok
    verdict = await audit.verify(world.stores.db, kept)
    assert (verdict.ok, verdict.broken) == (False, {"audit_id": None, "seal": 5, "reason": "head_missing"})


async def test_a_chain_written_anew_is_found_with_a_kept_head(world: World) -> None:
    """Who may do everything can change a decision and hash the whole chain again: only a kept head tells."""
    await decide(world, 6)
    await seal_all(world)
    kept = await audit.head(world.stores.db, b"k" * 32)
    assert kept is not None
    await world.owner.execute("SET session_replication_role = replica")
    await world.owner.execute("UPDATE audit.events SET reason = 'never' WHERE subject_id = '2'")
    await world.owner.execute("INSERT INTO audit.unsealed SELECT audit_id, xid FROM audit.events")
    await world.owner.execute("DELETE FROM audit.seals")
    await seal_all(world)
    assert (await audit.verify(world.stores.db)).ok
    assert (await audit.verify(world.stores.db, kept)).broken == {
        "audit_id": None, "seal": 6, "reason": "head_missing",
    }  # fmt: skip


async def test_heads_on_the_command_line(world: World, tmp_path: Path) -> None:
    """`audit head` writes a signed line; `audit verify --head` takes the file or the hash, and no forged one."""
    settings = Settings(database_url=SecretStr(world.stores.db.url), secret_key=SecretStr("s" * 32))
    with pytest.raises(SettingsError, match="Nothing is sealed"):
        await asyncio.to_thread(at_the_shell.newest, settings)
    await decide(world, 3)
    await seal_all(world)
    line = await asyncio.to_thread(at_the_shell.newest, settings)
    told = orjson.loads(line)
    assert told.keys() == {"seal", "hash", "at", "signature"}
    file = tmp_path / "head.json"
    file.write_text(line + "\n")
    for against in (str(file), told["hash"], None):
        assert (await asyncio.to_thread(at_the_shell.verified, settings, against)).ok
    assert not (await asyncio.to_thread(at_the_shell.verified, settings, "0" * 64)).ok
    file.write_text(line.replace(told["hash"], "1" * 64))
    with pytest.raises(SettingsError, match="was changed"):
        await asyncio.to_thread(at_the_shell.verified, settings, str(file))
    with pytest.raises(SettingsError, match="neither a hash"):
        await asyncio.to_thread(at_the_shell.verified, settings, str(tmp_path / "nothing"))


async def test_nobody_waits_for_the_sealer(world: World) -> None:
    """While one sealer sits on its lock with a batch half done, decisions commit and another sealer goes home."""
    await decide(world, 3)
    stuck = await asyncpg.connect(world.stores.db.url, server_settings={"role": "doorstep_app"})
    begun = stuck.transaction()
    await begun.start()
    assert await rows.become_sealer(stuck)
    waiting = await rows.unsealed(stuck, 10)
    first = waiting[0]
    await rows.seal(stuck, [(1, first["audit_id"], audit.GENESIS, audit.link(audit.GENESIS, first))])
    async with asyncio.timeout(3):
        await decide(world, 5)
        assert await audit.seal(world.stores.db) == 0
    await begun.rollback()
    await stuck.close()
    await seal_all(world)
    verdict = await audit.verify(world.stores.db)
    assert (verdict.ok, verdict.events) == (True, 8)


async def test_a_killed_sealer_leaves_a_whole_chain(world: World) -> None:
    """A sealer that is killed with its batch written and not committed leaves nothing half; the next one goes on."""
    env = {**os.environ, "URL": world.stores.db.url, "PYTHONPATH": os.getcwd()}  # noqa: PTH109 - an environment holds text
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, env=env, stdout=asyncio.subprocess.PIPE
    )
    assert dying.stdout is not None
    assert b"ready" in await dying.stdout.readline()
    for _ in range(8):
        await decide(world, 10)
    assert await dying.wait() == -9
    await seal_all(world)
    verdict = await audit.verify(world.stores.db)
    assert (verdict.ok, verdict.events, verdict.unsealed) == (True, 80, 0)
