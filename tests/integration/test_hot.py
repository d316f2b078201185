"""One contract, two implementations: in this process, and on a real Valkey with two nodes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from storage.embedded_valkey import EmbeddedValkey
from storage.hot import HotState, MemoryHot, Said, Topic
from storage.hot_redis import RedisHot, open_redis_hot


async def until(true: Callable[[], Any], within_s: float = 5.0) -> None:
    """Wait until `true()` holds, or fail."""
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.02)


async def until_it(true: Callable[[], Awaitable[Any]], within_s: float = 5.0) -> None:
    """Wait until `await true()` holds, or fail."""
    ends = time.monotonic() + within_s
    while not await true():
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.05)


@pytest.fixture(params=["memory", "redis"])
async def hot(request: pytest.FixtureRequest) -> AsyncIterator[HotState]:
    """Each implementation in turn."""
    if request.param == "memory":
        yield MemoryHot()
        return
    async with open_redis_hot(request.getfixturevalue("valkey_url")) as opened:
        yield opened


@pytest.fixture
async def two_nodes(valkey_url: str) -> AsyncIterator[tuple[RedisHot, RedisHot]]:
    """Two processes' hot states on one Valkey."""
    async with open_redis_hot(valkey_url) as one, open_redis_hot(valkey_url) as two:
        await asyncio.sleep(0.2)
        yield one, two


async def test_newest_word_wins(hot: HotState) -> None:
    """Of two words the newer stands, whichever came last, and a word without a place keeps the place."""
    person = uuid4()
    await hot.say(person, Said("available", 1000.0, (39.3, -76.6), 1000.0))
    await hot.say(person, Said("busy", 1002.0))
    await hot.say(person, Said("offline", 1001.0))
    said = (await hot.presences([person]))[person].said
    assert said is not None
    assert (said.state, said.cell, said.cell_at) == ("busy", (39.3, -76.6), 1000.0)


async def test_lease_runs_out_once(hot: HotState) -> None:
    """A person is connected while any lease lasts; when the last one lapses, exactly one caller hears of it."""
    person = uuid4()
    await hot.say(person, Said("available", time.time()))
    await hot.hold([(person, "phone"), (person, "tablet")], 0.4)
    await hot.release(person, "phone", 0.05)
    assert (await hot.presences([person]))[person].connected
    await asyncio.sleep(0.2)
    assert await hot.lapse() == []
    await asyncio.sleep(0.4)
    assert await hot.lapse() == [person]
    assert await hot.lapse() == []
    assert not (await hot.presences([person]))[person].connected


async def test_refreshed_lease_lasts(hot: HotState) -> None:
    """A refresh moves the end of a lease."""
    person = uuid4()
    await hot.hold([(person, "phone")], 0.3)
    await asyncio.sleep(0.2)
    await hot.hold([(person, "phone")], 5)
    await asyncio.sleep(0.3)
    assert await hot.lapse() == []
    assert person in await hot.presences()


async def test_unknown_people_are_absent(hot: HotState) -> None:
    """Somebody who never said a word is known as not connected; asking for nobody answers nobody."""
    person = uuid4()
    presence = (await hot.presences([person]))[person]
    assert (presence.said, presence.connected, presence.last_seen) == (None, False, None)
    assert await hot.presences([]) == {}


async def test_positions_never_go_back(hot: HotState) -> None:
    """An older position changes nothing and is not told; a forgotten one is gone."""
    session = uuid4()
    heard: list[bytes] = []
    end = hot.subscribe(Topic.POSITIONS, heard.append)
    assert hot.put_if_newer(session, 4, b"four")
    assert not hot.put_if_newer(session, 3, b"three")
    assert not hot.put_if_newer(session, 4, b"again")
    assert await hot.positions([session, uuid4()]) == {session: b"four"}
    assert heard == [b"four"]
    end()
    assert hot.put_if_newer(session, 5, b"five")
    assert heard == [b"four"]
    await hot.forget_position(session)
    assert await hot.positions([session]) == {}


async def test_only_newest_claim_saves_a_track(hot: HotState) -> None:
    """A later claim takes the track over with its snapshot, and the earlier owner can no longer save."""
    session = uuid4()
    first = await hot.claim_track(session)
    assert hot.save_track(session, first.token, b"by first")
    await asyncio.sleep(0.3)
    second = await hot.claim_track(session)
    assert second.token > first.token
    assert second.snapshot == b"by first"
    assert not hot.save_track(session, first.token, b"too late")
    assert hot.save_track(session, second.token, b"by second")


async def test_revoked_family(hot: HotState) -> None:
    """A revoked family is refused at once and told to who listens; it is forgotten when its tokens have run out."""
    family, heard = uuid4(), list[bytes]()
    hot.subscribe(Topic.REVOKED, heard.append)
    assert not hot.is_revoked(family)
    await hot.revoke_family(family, 0.2)
    assert hot.is_revoked(family)
    assert heard == [family.bytes]
    await asyncio.sleep(0.25)
    assert not hot.is_revoked(family)


async def test_bucket_empties_and_refills(hot: HotState) -> None:
    """A bucket gives its burst, then says how long to wait, then refills."""
    name = uuid4().hex
    assert [await hot.take(name, burst=2, per_s=10) for _ in range(2)] == [0.0, 0.0]
    wait = await hot.take(name, burst=2, per_s=10)
    assert 0 < wait <= 0.1
    await asyncio.sleep(0.12)
    assert await hot.take(name, burst=2, per_s=10) == 0.0


async def test_raising_handler_harms_nobody(hot: HotState) -> None:
    """A handler that raises does not keep the next one from hearing."""
    heard: list[bytes] = []

    def broken(_message: bytes) -> None:
        raise RuntimeError

    hot.subscribe(Topic.PRESENCE, broken)
    hot.subscribe(Topic.PRESENCE, heard.append)
    hot.tell(Topic.PRESENCE, b"x")
    assert heard == [b"x"]


async def test_health(hot: HotState) -> None:
    """A store that answers is healthy."""
    assert (await hot.health()).ok


async def test_nodes_hear_one_another(two_nodes: tuple[RedisHot, RedisHot]) -> None:
    """Positions, presence, revocations and claims made on one node reach the other, each once."""
    one, two = two_nodes
    heard: dict[Topic, list[bytes]] = {topic: [] for topic in Topic}
    for topic in Topic:
        two.subscribe(topic, heard[topic].append)
    person, family, session = uuid4(), uuid4(), uuid4()
    claim = await two.claim_track(session)
    assert two.save_track(session, claim.token, b"mine")
    await asyncio.sleep(0.3)
    await one.say(person, Said("available", time.time()))
    await one.hold([(person, "phone")], 5)
    await one.revoke_family(family, 60)
    one.put_if_newer(session, 1, b"here")
    taken = await one.claim_track(session)
    await until(lambda: all(heard.values()))
    assert heard[Topic.POSITIONS] == [b"here"]
    assert heard[Topic.REVOKED] == [family.bytes]
    assert set(heard[Topic.PRESENCE]) == {person.bytes}
    assert heard[Topic.TRACKS] == [session.bytes + taken.token.to_bytes(8)]
    assert taken.snapshot == b"mine"
    assert two.is_revoked(family)
    assert (await two.presences([person]))[person].connected
    assert await two.positions([session]) == {session: b"here"}


async def test_dead_node_leaves_no_ghost(valkey_url: str) -> None:
    """When a process dies without a word, its leases lapse by time and another node reports it."""
    person = uuid4()
    async with open_redis_hot(valkey_url) as dead:
        await dead.hold([(person, "phone")], 0.5)
    async with open_redis_hot(valkey_url) as alive:
        assert (await alive.presences([person]))[person].connected
        gone: list[UUID] = []

        async def reported() -> bool:
            gone.extend(await alive.lapse())
            return person in gone

        await until_it(reported)
        assert not (await alive.presences([person]))[person].connected


async def test_without_redis_this_node_goes_on(valkey: EmbeddedValkey) -> None:
    """With Redis gone nothing raises and nothing waits long; when it is back, what this node holds is there again."""
    person, family, session = uuid4(), uuid4(), uuid4()
    async with open_redis_hot(valkey.url) as hot:
        await hot.say(person, Said("available", time.time()))
        await hot.hold([(person, "phone")], 30)
        await asyncio.sleep(0.3)
        valkey.stop()
        began = time.monotonic()
        assert hot.put_if_newer(session, 7, b"seven")
        await hot.revoke_family(family, 60)
        assert hot.is_revoked(family)
        assert (await hot.presences([person]))[person].connected
        assert await hot.positions([session]) == {session: b"seven"}
        assert await hot.take("somebody", burst=1, per_s=1) == 0.0
        assert (await hot.claim_track(session)).token >= 1
        assert not (await hot.health()).ok
        assert time.monotonic() - began < 3
        valkey.start()
        async with open_redis_hot(valkey.url) as other:

            async def converged() -> bool:
                presence = (await other.presences([person]))[person]
                there = await other.positions([session])
                return (
                    presence.connected
                    and presence.said is not None
                    and bool(there)
                    and other.is_revoked(family)
                )

            await until_it(converged, 8)
        assert (await hot.health()).ok
