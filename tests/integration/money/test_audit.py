"""The audit chain against a real database: sealed once by any number of processes, and a changed byte shows."""

import asyncio
import os
import sys

import asyncpg
import pytest

from domain.facts import Decided
from services import audit
from storage.ids import new_id
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
