"""Erasing oneself against a real database: nothing personal is left in any column of any table, and the truth holds."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from app import people as at_the_shell
from app.settings import Settings, SettingsError
from domain.commands import Address, RequestBooking
from domain.context import Role
from domain.refusals import Refusal
from services import audit, erasure, verification
from services.auth import access_token
from services.booking_request import request
from services.passwords import Passwords
from storage import people, tokens
from storage.ids import new_id
from storage.telemetry import FixRow
from tests.integration.door import Door
from tests.integration.test_finance_http import hire, work_off
from tests.integration.world import HOME, World

PASSWORD = "correct horse battery"
HASH = Passwords().hash_now(PASSWORD)
NEEDLES = {
    "name": "Wilhelmina Quatsch",
    "email": "wilhelmina@quatsch.example",
    "phone": "+1 410 555 0199",
    "street": "77 Zanzibar Alley",
    "words": "the key lies under the ostrich",
    "said": "a goose guards the stairs",
    "comment": "hummed all of Parsifal",
    "label": "Aunt Ermintrude",
    "bio": "I was born in Xanadu",
    "number": "LIC-8842-ZQX",
    "home": "39.27182818",
}
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
ORDER BY 1
"""
BOXES = """
SELECT format('%I.%I', table_schema, table_name) AS name, column_name FROM information_schema.columns
WHERE data_type = 'bytea' AND table_schema NOT IN ('pg_catalog', 'information_schema')
"""


@dataclass(frozen=True, slots=True)
class Left:
    """What a search of the whole database found: needle → where."""

    in_clear: dict[str, set[str]]
    sealed: dict[str, set[str]]


async def search(world: World) -> Left:
    """Read every row of every table as text, and open every sealed box that some kept key still opens."""
    owner = await asyncpg.connect(world.owner_url)
    try:
        clear: dict[str, set[str]] = {}
        for row in await owner.fetch(TABLES):
            for line in await owner.fetch(f"SELECT t::text AS line FROM {row['name']} AS t"):
                _look(line["line"], row["name"], clear)
        keys = [AESGCM(row["key"]) for row in await owner.fetch("SELECT key FROM app.person_keys")]
        sealed: dict[str, set[str]] = {}
        for row in await owner.fetch(BOXES):
            column = row["column_name"]
            for each in await owner.fetch(f'SELECT "{column}" AS box FROM {row["name"]}'):
                for key in keys:
                    _look(_opened(key, each["box"]), row["name"], sealed)
        return Left(clear, sealed)
    finally:
        await owner.close()


def _look(text: str, where: str, found: dict[str, set[str]]) -> None:
    for name, needle in NEEDLES.items():
        if needle.lower() in text.lower() or needle.encode().hex() in text:
            found.setdefault(name, set()).add(where)


def _opened(key: AESGCM, box: bytes | None) -> str:
    if box is None or len(box) < 29:
        return ""
    try:
        return key.decrypt(box[:12], box[12:], None).decode()
    except InvalidTag:
        return ""


async def introduce(world: World, person_id: UUID) -> None:
    """Give a person a name, an address to write to, a phone number and a password."""
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute(
        "UPDATE app.people SET display_name = $2, email = $3, phone = $4, password_hash = $5 WHERE person_id = $1",
        person_id, NEEDLES["name"], NEEDLES["email"], NEEDLES["phone"], HASH,
    )  # fmt: skip
    await owner.close()


async def session(world: World, person_id: UUID, *, age: timedelta = timedelta(0)) -> str:
    """Sign in as that person, some time ago; returns an access token."""
    now, family_id = datetime.now(UTC), new_id()
    async with world.stores.db.transaction() as tx:
        person = await people.get(tx, person_id)
        assert person is not None
        began = now - age
        await tokens.open_family(
            tx, family_id, person_id, new_id().bytes, now=began, expires_at=now + timedelta(days=9)
        )
    return access_token(world.stores, person, family_id, now)


async def visit(door: Door, *, until: str = "rate") -> UUID:
    """Book over the wire with an address and notes, drive, talk, complete, share, rate."""
    world = door.world
    customer, technician = world.customers[0], world.technicians[0]
    match_id, cards = await world.match(datetime.now(UTC) + timedelta(minutes=30))
    wanted = {
        "match_id": str(match_id), "card_id": str(cards[0]), "payment_method": "sandbox_ok",
        "address": {"line1": NEEDLES["street"], "city": "Baltimore", "postcode": "21231", "lat": HOME[0],
                    "lon": HOME[1], "notes": NEEDLES["words"]},
    }  # fmt: skip
    booked = await door.ask("POST", "/v1/bookings", wanted, who=customer, key=True)
    assert booked.status == 201, booked.body
    path = f"/v1/bookings/{booked.body['booking_id']}"
    shared = await door.ask("POST", f"{path}/share", {"recipient_label": NEEDLES["label"]}, who=customer)
    assert shared.status == 201, shared.body
    for command in ("accept", "depart"):
        assert (await door.ask("POST", f"{path}/{command}", {}, who=technician, key=command)).status == 200
    note = {"text": NEEDLES["said"], "kind": "access"}
    assert (await door.ask("POST", f"{path}/note", note, who=technician, key=True)).status == 200
    if until == "depart":
        return UUID(booked.body["booking_id"])
    for command in ("arrive", "start", "complete"):
        assert (await door.ask("POST", f"{path}/{command}", {}, who=technician, key=command)).status == 200
    if until == "complete":
        return UUID(booked.body["booking_id"])
    stars = {"stars": 5, "comment": NEEDLES["comment"]}
    assert (await door.ask("POST", f"{path}/rate", stars, who=customer, key=True)).status == 200
    await work_off(door)
    return UUID(booked.body["booking_id"])


async def erase(door: Door, who: UUID | str, body: dict[str, Any] | None = None) -> Any:
    """Ask to be erased."""
    return await door.ask("DELETE", "/v1/me", body, who=who)


async def holds(world: World) -> None:
    """The chain of decisions verifies, the books balance, and all records still agree."""
    while await audit.seal(world.stores.db):
        pass
    verdict = await audit.verify(world.stores.db)
    assert verdict.ok, verdict.broken
    async with world.stores.db.reading() as tx:
        off = await tx.fetchval(
            "SELECT count(*) FROM (SELECT FROM app.ledger_entries GROUP BY currency HAVING sum(debit) <> sum(credit)) x"
        )
        booked = await tx.fetchval("SELECT coalesce(sum(debit), 0) FROM app.ledger_entries")
    assert (off, booked) == (0, 4770)
    assert [f.first for f in await verification.verify(world.stores.db) if f.broken] == []


async def test_nothing_of_a_customer_is_left(door: Door) -> None:
    """After a whole visit no name, address, number, word or label is left, not even in what others' keys still open."""
    world = door.world
    customer = world.customers[0]
    await introduce(world, customer)
    booking_id = await visit(door)
    before = await search(world)
    assert before.in_clear.keys() >= {"name", "email", "phone", "label"}
    assert "app.idempotency_keys" in before.sealed["street"]
    token = await session(world, customer)
    said = await erase(door, token, {"password": PASSWORD})
    assert said.status == 204, said.body
    assert await search(world) == Left({}, {"said": {"app.booking_notes"}})  # the technician's own words
    await holds(world)

    gone = await door.ask("GET", "/v1/me", who=token)
    assert (gone.status, gone.code) == (401, "token_revoked")
    for who in (world.technicians[0], world.founder, world.dispatcher):
        seen = await door.ask("GET", f"/v1/bookings/{booking_id}", who=who)
        assert seen.body["customer"] == {
            "customer_id": str(customer),
            "display_name": f"Former customer {customer.hex[-6:]}",
        }
        assert seen.body["state"] == "completed"
        events = await door.ask("GET", f"/v1/bookings/{booking_id}/events", who=who)
        assert [e["seq"] for e in events.body["items"]] == list(range(1, len(events.body["items"]) + 1))
    listed = await door.ask("GET", f"/v1/bookings?customer_id={customer}", who=world.founder)
    assert [b["booking_id"] for b in listed.body["items"]] == [str(booking_id)]
    again = await door.ask(
        "POST", f"/v1/bookings/{booking_id}/complete", {}, who=world.technicians[0], key="complete"
    )
    assert (again.status, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.body["customer"]["display_name"].startswith("Former customer")
    assert again.body["address"].keys() == {"area_id", "area"}
    decided = await door.ask(
        "GET", f"/v1/audit?action=person.erased&subject=person:{customer}", who=world.founder
    )
    (decision,) = decided.body["items"]
    assert (decision["actor_id"], decision["reason"], decision["data"]) == (str(customer), None, {})


async def test_the_address_is_free_again(door: Door) -> None:
    """Whoever left may come back as somebody new, and the old password opens nothing."""
    world = door.world
    await introduce(world, world.customers[0])
    refresh = (
        await door.ask("POST", "/v1/auth/token", {"email": NEEDLES["email"], "password": PASSWORD})
    ).body["refresh_token"]
    assert (await erase(door, world.customers[0], {"password": PASSWORD})).status == 204
    ended = await door.ask("POST", "/v1/auth/refresh", {"refresh_token": refresh})
    assert (ended.status, ended.code) == (401, "token_revoked")
    signed = await door.ask("POST", "/v1/auth/token", {"email": NEEDLES["email"], "password": PASSWORD})
    assert (signed.status, signed.code) == (401, "unauthenticated")
    anew = {"email": NEEDLES["email"], "password": "another one entirely", "display_name": "W."}
    assert (await door.ask("POST", "/v1/auth/register", anew)).status == 202
    signed = await door.ask("POST", "/v1/auth/token", {k: anew[k] for k in ("email", "password")})
    assert signed.status == 200
    me = await door.ask("GET", "/v1/me", who=signed.body["access_token"])
    assert me.body["person_id"] != str(world.customers[0])


async def test_nothing_of_a_technician_is_left(door: Door) -> None:
    """Bio, home, licence number and raw fixes go; what is owed stays in the books, and the gate opens no more."""
    world = door.world
    technician = world.technicians[0]
    await introduce(world, technician)
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute(
        "UPDATE app.technicians SET bio = $2, home_lat = $3 WHERE technician_id = $1",
        technician, NEEDLES["bio"], float(NEEDLES["home"]),
    )  # fmt: skip
    await owner.execute(
        "INSERT INTO app.credentials (credential_id, technician_id, credential_type, jurisdiction, number, issuer, "
        "issued_on, status, verified_how) VALUES (uuidv7(), $1, 'licence', 'US-MD', $2, 'Board', '2024-01-01', "
        "'verified', 'called about ' || $2)", technician, NEEDLES["number"],
    )  # fmt: skip
    booking_id = await visit(door)
    leg = await owner.fetchrow("SELECT session_id, opened_at FROM app.gps_sessions")
    assert leg is not None
    now = datetime.now(UTC)

    def fix(seq: int) -> FixRow:
        return FixRow(leg["opened_at"].date(), leg["session_id"], "", seq, now, now, float(NEEDLES["home"]), -76.6,
                      5.0, None, None, "live", None)  # fmt: skip

    world.stores.telemetry.offer([fix(n) for n in range(1, 9)])
    await world.stores.telemetry.flush()
    world.stores.hot.put_if_newer(leg["session_id"], 1, b"a place")
    assert (await search(world)).in_clear.keys() >= {"name", "bio", "number", "home"}
    assert (await erase(door, technician, {"password": PASSWORD})).status == 204
    left = await search(world)
    assert left.in_clear.keys() == {"label"}  # the customer's
    assert not left.sealed.keys() & {"name", "email", "phone", "bio", "number", "home", "said"}
    assert await world.stores.hot.positions([leg["session_id"]]) == {}
    await holds(world)

    world.stores.telemetry.offer([fix(9)])
    await world.stores.telemetry.flush()
    assert await owner.fetchval("SELECT count(*) FROM telemetry.fixes") == 1
    assert await owner.fetchval("SELECT name FROM app.jobs ORDER BY job_id DESC LIMIT 1") == "forget_fixes"
    await erasure.forget_fixes(
        world.stores, {"person_id": str(technician)}, world.context(world.technician())
    )
    assert await owner.fetchval("SELECT count(*) FROM telemetry.fixes") == 0
    await owner.close()

    seen = await door.ask("GET", f"/v1/bookings/{booking_id}", who=world.customers[0])
    assert seen.body["technician"]["display_name"] == f"Former technician {technician.hex[-6:]}"
    card = await door.ask("GET", f"/v1/technicians/{technician}/card", who=world.customers[0])
    assert (card.status, card.code) == (404, "not_found")
    finance = await hire(door, Role.FINANCE)
    balance = await door.ask("GET", "/v1/finance/trial-balance", who=finance)
    owed = next(r for r in balance.body["rows"] if r["code"] == f"technician_payable:{technician}")
    assert owed["credit"] == 3600
    match_id, cards = await world.match(now + timedelta(hours=5), customer=1)
    command = RequestBooking(match_id, cards[0], Address("1 Bay", "B", "21231", *HOME), "sandbox_ok")
    answer = await request(world.stores, command, world.context(world.customer(1)))
    assert isinstance(answer, Refusal)
    assert answer.status in {404, 409}


async def test_fixes_of_the_living_cannot_be_forgotten(world: World) -> None:
    """The serving role has a way to raw fixes only of those who were erased."""
    async with world.stores.db.transaction() as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tx.transaction():
                await tx.execute("DELETE FROM telemetry.fixes")
        assert await tx.fetchval("SELECT app.forget_fixes($1)", world.technicians[0]) == 0


async def test_nobody_leaves_an_open_or_unpaid_visit(door: Door) -> None:
    """Customer and technician of an open visit stay; so does who has not paid it; then both may go."""
    world = door.world
    for person in (world.customers[0], world.technicians[0]):
        owner = await asyncpg.connect(world.owner_url)
        await owner.execute("UPDATE app.people SET password_hash = $2 WHERE person_id = $1", person, HASH)
        await owner.close()
    proof = {"password": PASSWORD}
    booking_id = await visit(door, until="depart")
    for person in (world.customers[0], world.technicians[0]):
        said = await erase(door, person, proof)
        assert (said.status, said.code, said.body["open_bookings"]) == (409, "open_bookings", 1)
    for command in ("arrive", "start", "complete"):
        path = f"/v1/bookings/{booking_id}/{command}"
        assert (await door.ask("POST", path, {}, who=world.technicians[0], key=command)).status == 200
    said = await erase(door, world.customers[0], proof)
    assert (said.status, said.code) == (409, "unpaid")
    await work_off(door)
    for person in (world.customers[0], world.technicians[0]):
        assert (await erase(door, person, proof)).status == 204
    await holds(world)


async def test_it_must_be_the_person(door: Door) -> None:
    """A token alone is not enough: the password, or a sign-in a moment ago."""
    world = door.world
    customer = world.customers[0]
    await introduce(world, customer)
    wrong = await erase(door, customer, {"password": "not this one"})
    assert (wrong.status, wrong.code) == (403, "forbidden")
    old = await erase(door, await session(world, customer, age=timedelta(minutes=6)))
    assert (old.status, old.code) == (403, "forbidden")
    assert (await erase(door, await session(world, customer))).status == 204
    assert (await erase(door, await door.token(world.customers[1]), {"password": 5})).status == 422


async def test_erased_at_the_shell(door: Door) -> None:
    """After a restore, or for somebody who wrote a letter: the same erasure by id, with the same refusals."""
    world = door.world
    settings = Settings(database_url=SecretStr(world.stores.db.url))
    await introduce(world, world.customers[0])
    await asyncio.to_thread(at_the_shell.erase, settings, str(world.customers[0]))
    assert await search(world) == Left({}, {})
    for wrong, why in (
        (str(world.customers[0]), "no more"),
        ("nobody", "no id"),
        (str(world.founder), "founder first"),
    ):
        with pytest.raises(SettingsError, match=why):
            await asyncio.to_thread(at_the_shell.erase, settings, wrong)


async def test_the_last_founder_stays(door: Door) -> None:
    """Of two founders who leave at the same moment one stays, and stays for good."""
    world = door.world
    second = await hire(door, Role.FOUNDER)
    tokens_of = [await session(world, person) for person in (world.founder, second)]
    said = await asyncio.gather(*(erase(door, token) for token in tokens_of))
    assert sorted(each.status for each in said) == [204, 409]
    assert next(each.code for each in said if each.status == 409) == "last_founder"


async def test_a_request_under_way_does_not_outlive_its_customer(door: Door) -> None:
    """Erased while the gateway is asked: nothing is booked, the time is free, the hold is let go."""
    world = door.world
    await introduce(world, world.customers[0])
    asked = asyncio.ensure_future(world.book(method="sandbox_slow"))
    async with asyncio.timeout(5), world.stores.db.reading() as tx:
        while not await tx.fetchval("SELECT count(*) FROM app.payment_intents"):
            await asyncio.sleep(0.005)
    assert (await erase(door, world.customers[0], {"password": PASSWORD})).status == 204
    with pytest.raises(AssertionError):
        await asked
    await work_off(door)
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM app.bookings") == 0
        assert await tx.fetchval("SELECT count(*) FROM app.reservations WHERE active") == 0
        assert await tx.fetchval("SELECT status FROM app.payment_intents WHERE kind = 'void'") == "succeeded"


async def test_a_token_still_believed_elsewhere_brings_nothing_back(door: Door) -> None:
    """Another process may believe a token for a moment longer: it reaches nobody's fields, and no new key is made."""
    world = door.world
    customer = world.customers[0]
    await introduce(world, customer)
    booking_id = await visit(door, until="complete")
    await work_off(door)
    late = await door.token(customer)  # of a session that nobody revoked
    assert (await erase(door, customer, {"password": PASSWORD})).status == 204
    wish = {"service": "haircut", "lat": HOME[0], "lon": HOME[1], "when": "now"}
    home = {"services": ["haircut"], "home_base": {"lat": HOME[0], "lon": HOME[1]}, "bio": NEEDLES["bio"]}
    asked: list[tuple[str, str, Any, bool]] = [
        ("POST", "/v1/discovery", wish, False),
        ("POST", f"/v1/bookings/{booking_id}/rate", {"stars": 5, "comment": NEEDLES["comment"]}, True),
        ("PATCH", "/v1/me", {"display_name": NEEDLES["name"], "phone": NEEDLES["phone"]}, False),
        ("POST", "/v1/technicians/apply", home, False),
        ("DELETE", "/v1/me", {"password": PASSWORD}, False),
        ("GET", "/v1/me", None, False),
    ]
    for method, path, body, key in asked:
        said = await door.ask(method, path, body, who=late, key=key)
        assert said.status in {401, 403, 404}, (path, said.status, said.body)
    async with world.stores.db.reading() as tx:
        assert await tx.fetchval("SELECT count(*) FROM app.person_keys WHERE person_id = $1", customer) == 0
    assert await search(world) == Left({}, {"said": {"app.booking_notes"}})


async def test_nobody_signs_in_beside_their_own_end(door: Door) -> None:
    """A sign-in whose password was being looked at while the person was erased opens no session."""
    world = door.world
    customer = world.customers[0]
    await introduce(world, customer)
    token = await session(world, customer)
    sign_in = {"email": NEEDLES["email"], "password": PASSWORD}
    signing = [asyncio.create_task(door.ask("POST", "/v1/auth/token", sign_in)) for _ in range(4)]
    gone, *said = await asyncio.gather(erase(door, token), *signing)
    assert gone.status == 204
    for each in said:
        if each.status == 200:  # it was quicker, and ended with the others
            me = await door.ask("GET", "/v1/me", who=each.body["access_token"])
            assert (me.status, me.code) == (401, "token_revoked")
    now = datetime.now(UTC)
    async with world.stores.db.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM app.token_families WHERE revoked_at IS NULL") == 0
        ends = now + timedelta(days=9)
        assert not await tokens.open_family(tx, new_id(), customer, b"late", now=now, expires_at=ends)


async def test_where_a_technician_was_paid_goes_too(door: Door) -> None:
    """The payout account of somebody who is owed nothing goes at once, and no late request brings anything back."""
    world = door.world
    technician, method = world.technicians[1], {"method": NEEDLES["label"]}
    account = "/v1/technicians/me/payout-account"
    await introduce(world, technician)
    assert (await door.ask("PUT", account, method, who=technician)).status == 200
    late = await door.token(technician)
    assert (await erase(door, technician, {"password": PASSWORD})).status == 204
    assert await search(world) == Left({}, {})
    for verb, path, body in (
        ("PUT", account, method),
        ("PATCH", "/v1/technicians/me", {"bio": NEEDLES["bio"]}),
    ):
        said = await door.ask(verb, path, body, who=late)
        assert said.status in {401, 404}, (path, said.body)
    assert await search(world) == Left({}, {})
