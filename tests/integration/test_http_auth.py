"""Accounts over HTTP: what is told, what is not told, and how tokens rotate, race and die."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import pytest

from services import auth, deadlines
from storage import tokens
from storage.ids import new_id
from tests.integration.door import Door
from tests.integration.world import World

ADA = {"email": "ada@test.example", "password": "correct horse", "display_name": "Ada L."}


async def sign_in(door: Door, **other: str) -> dict[str, Any]:
    """Register Ada, sign her in, return the tokens."""
    await door.ask("POST", "/v1/auth/register", ADA)
    said = await door.ask(
        "POST", "/v1/auth/token", {"email": ADA["email"], "password": ADA["password"], **other}
    )
    assert said.status == 200, said.body
    return dict(said.body)


async def age(door: Door, seconds: int) -> None:
    """Let every use of a refresh token have happened that much earlier."""
    owner = await asyncpg.connect(door.world.owner_url)
    await owner.execute(
        "UPDATE app.refresh_tokens SET used_at = used_at - $1::interval", timedelta(seconds=seconds)
    )
    await owner.close()


async def test_registering_answers_alike_for_an_address_that_is_known(door: Door) -> None:
    """Nobody learns from registering who has an account."""
    first = await door.ask("POST", "/v1/auth/register", ADA)
    second = await door.ask(
        "POST", "/v1/auth/register", {**ADA, "email": "ADA@test.example", "password": "another one"}
    )
    assert (first.status, first.body) == (second.status, second.body) == (202, {"status": "accepted"})
    again = {"email": ADA["email"], "password": "another one"}
    assert (await door.ask("POST", "/v1/auth/token", again)).status == 401


async def test_a_person_signs_in_and_reads_itself(door: Door) -> None:
    """An access token opens /me, in the shape of the contract."""
    tokens = await sign_in(door)
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 900
    me = await door.ask("GET", "/v1/me", who=tokens["access_token"])
    assert me.status == 200
    assert (me.body["email"], me.body["role"], me.body["areas"]) == (ADA["email"], "customer", [])


async def test_a_person_changes_its_name(door: Door) -> None:
    """PATCH changes what is given and leaves the rest."""
    token = (await sign_in(door))["access_token"]
    said = await door.ask("PATCH", "/v1/me", {"phone": "+1 410 555 0100"}, who=token)
    assert (said.body["display_name"], said.body["phone"]) == ("Ada L.", "+1 410 555 0100")


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ada@test.example", "password": "wrong"},
        {"email": "nobody@test.example", "password": "wrong"},
    ],
)
async def test_a_wrong_password_and_an_unknown_address_read_alike(door: Door, body: dict[str, str]) -> None:
    """The refusal is the same word for word."""
    await door.ask("POST", "/v1/auth/register", ADA)
    said = await door.ask("POST", "/v1/auth/token", body)
    assert (said.status, said.code) == (401, "unauthenticated")
    assert said.body["detail"] == "That e-mail address and password do not go together."
    assert "Bearer" in said.headers["WWW-Authenticate"]


async def test_too_many_attempts_at_one_account_wait(door: Door) -> None:
    """Guessing one account's password is slow, wherever the guesses come from."""
    codes = [
        (await door.ask("POST", "/v1/auth/token", {"email": "a@test.example", "password": "x"})).status
        for _ in range(12)
    ]
    assert codes[:10] == [401] * 10
    assert codes[-1] == 429


async def test_a_refresh_token_is_used_once_and_answers_its_successor_again(door: Door) -> None:
    """A lost answer can be asked for again for 30 s, and is the same one."""
    tokens = await sign_in(door)
    first = await door.ask("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    again = await door.ask("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert first.body["refresh_token"] == again.body["refresh_token"] != tokens["refresh_token"]
    onward = await door.ask("POST", "/v1/auth/refresh", {"refresh_token": first.body["refresh_token"]})
    assert onward.status == 200


async def test_a_race_of_refreshes_has_one_successor(door: Door) -> None:
    """Eight devices with the same token at once all get the same next one."""
    tokens = await sign_in(door)
    said = await asyncio.gather(
        *(door.ask("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}) for _ in range(8))
    )
    assert {answer.status for answer in said} == {200}
    assert len({answer.body["refresh_token"] for answer in said}) == 1


async def test_late_reuse_ends_the_whole_family(door: Door) -> None:
    """After the grace time a used token is taken for stolen: thief and owner both have to sign in again."""
    tokens = await sign_in(door)
    first = await door.ask("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    await age(door, 31)
    stolen = await door.ask("POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert (stolen.status, stolen.code) == (401, "token_revoked")
    successor = await door.ask("POST", "/v1/auth/refresh", {"refresh_token": first.body["refresh_token"]})
    assert successor.code == "token_revoked"
    access = await door.ask("GET", "/v1/me", who=first.body["access_token"])
    assert (access.status, access.code) == (401, "token_revoked")


async def test_signing_out_ends_this_session_and_no_other(door: Door) -> None:
    """Another device of the same person stays signed in."""
    one, other = await sign_in(door), await sign_in(door)
    assert (await door.ask("POST", "/v1/auth/logout", {}, who=one["access_token"])).status == 204
    assert (await door.ask("GET", "/v1/me", who=one["access_token"])).code == "token_revoked"
    assert (
        await door.ask("POST", "/v1/auth/refresh", {"refresh_token": one["refresh_token"]})
    ).code == "token_revoked"
    assert (await door.ask("GET", "/v1/me", who=other["access_token"])).status == 200


async def test_a_revocation_elsewhere_reaches_this_process_through_postgresql(door: Door) -> None:
    """Another process revokes, hot state is not shared: this one refuses within seconds all the same."""
    stores = door.world.stores
    tokens = await sign_in(door)
    family = UUID(jwt.decode(tokens["access_token"], options={"verify_signature": False})["fam"])
    owner = await asyncpg.connect(door.world.owner_url)
    await owner.execute("UPDATE app.token_families SET revoked_at = now() WHERE family_id = $1", family)
    await owner.close()
    stop = asyncio.Event()
    following = asyncio.create_task(auth.follow_revocations(stores, stop))
    async with asyncio.timeout(5):
        while not stores.hot.is_revoked(family):
            await asyncio.sleep(0.02)
    stop.set()
    await following
    assert (await door.ask("GET", "/v1/me", who=tokens["access_token"])).code == "token_revoked"


async def test_an_expired_token_says_so(door: Door) -> None:
    """A token that ran out is not a token that never was."""
    stores = door.world.stores
    tokens = await sign_in(door)
    later = datetime.now(UTC) + timedelta(seconds=901)
    refused = await auth.authenticate(stores, tokens["access_token"], later)
    assert refused == auth.EXPIRED
    assert auth.expires_at(tokens["access_token"]) < later


@pytest.mark.parametrize(
    "damage", ["foreign key", "no signature", "other algorithm", "garbage", "other audience"]
)
async def test_a_forged_token_is_none(door: Door, damage: str) -> None:
    """Only what this house signed, for itself, by its algorithm, opens anything."""
    good = (await sign_in(door))["access_token"]
    claims = jwt.decode(good, options={"verify_signature": False})
    headers = {"kid": jwt.get_unverified_header(good)["kid"]}
    key = auth._access_key(door.world.stores.secret_key)
    forged: dict[str, Callable[[], str]] = {
        "foreign key": lambda: jwt.encode(claims, "x" * 32, "HS256", headers),
        "no signature": lambda: jwt.encode(claims, "", "none", headers),
        "other algorithm": lambda: jwt.encode(claims, key * 2, "HS512", headers),
        "garbage": lambda: "a.b.c",
        "other audience": lambda: jwt.encode({**claims, "aud": "elsewhere"}, key, "HS256", headers),
    }
    said = await door.ask("GET", "/v1/me", who=forged[damage]())
    assert (said.status, said.code) == (401, "unauthenticated")


async def test_a_refresh_token_is_stored_as_a_hash(door: Door) -> None:
    """Whoever reads the database cannot refresh."""
    tokens = await sign_in(door)
    owner = await asyncpg.connect(door.world.owner_url)
    stored = await owner.fetch("SELECT token_hash FROM app.refresh_tokens")
    kept = await owner.fetchval("SELECT password_hash FROM app.people WHERE email = $1", ADA["email"])
    await owner.close()
    assert all(tokens["refresh_token"].encode() not in bytes(row["token_hash"]) for row in stored)
    assert kept.startswith("$argon2id$")


async def test_an_unknown_refresh_token_is_refused(door: Door) -> None:
    """It never was one of ours."""
    said = await door.ask("POST", "/v1/auth/refresh", {"refresh_token": new_id().hex})
    assert (said.status, said.code) == (401, "unauthenticated")


async def test_families_that_ended_are_swept_away(world: World) -> None:
    """What nobody can refresh any more goes a day later, its tokens with it; what can be refreshed stays."""
    now, stop = datetime.now(UTC), asyncio.Event()
    ends = {new_id(): now + timedelta(hours=hours) for hours in (-25, -23, 1)}
    async with world.stores.db.transaction() as tx:
        for family_id, ends_at in ends.items():
            await tokens.open_family(
                tx, family_id, world.customers[0], family_id.bytes, now=now, expires_at=ends_at
            )
    sweeping = asyncio.create_task(deadlines.run(world.stores, stop, lambda: now))
    owner = await asyncpg.connect(world.owner_url)
    try:
        async with asyncio.timeout(5):
            while await owner.fetchval("SELECT count(*) FROM app.token_families") > 2:
                await asyncio.sleep(0.05)
        left = {row["family_id"] for row in await owner.fetch("SELECT family_id FROM app.refresh_tokens")}
    finally:
        stop.set()
        await sweeping
        await owner.close()
    assert left == set(list(ends)[1:])
