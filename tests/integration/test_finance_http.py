"""Money over the wire: from a completed visit to the books, back to the customer, and the story that it leaves."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from domain.context import Role
from services import audit, jobs
from storage import people
from storage.ids import new_id
from tests.integration.door import Door

WAY = ("accept", "depart", "arrive", "start", "complete")


async def hire(door: Door, role: Role) -> UUID:
    """Add a person of that role."""
    person_id = new_id()
    async with door.world.stores.db.transaction() as tx:
        await people.add(tx, person_id, email=f"{role}-{person_id.hex}@test.example", password_hash="x",
                         display_name=role.title(), role=role, areas=frozenset())  # fmt: skip
    return person_id


async def work_off(door: Door) -> None:
    """Run the worker until no job but the guard of holds waits."""
    stop = asyncio.Event()
    task = asyncio.ensure_future(jobs.work(door.world.stores, stop))
    try:
        async with asyncio.timeout(20):
            while await count(
                door, "SELECT count(*) FROM jobs.pgqueuer WHERE entrypoint <> 'abandon_authorization'"
            ):
                await asyncio.sleep(0.02)
    finally:
        stop.set()
        await task


async def count(door: Door, sql: str, *args: object) -> int:
    """Read one number."""
    async with door.world.stores.db.reading() as tx:
        return int(await tx.fetchval(sql, *args))


async def paid_visit(door: Door, story: str = "story-of-the-visit", method: str = "sandbox_ok") -> UUID:
    """Book, drive and complete a visit over the wire, and let its capture happen."""
    booking_id = await door.world.book(method=method)
    for command in WAY:
        said = await door.ask("POST", f"/v1/bookings/{booking_id}/{command}", {}, who=door.world.technicians[0],
                              key=True, X_Correlation_ID=f"{story}-{command}")  # fmt: skip
        assert said.status == 200, said.body
    await work_off(door)
    return booking_id


def refund_of(booking_id: UUID, amount: int, currency: str = "USD") -> dict[str, Any]:
    """Return a refund's body."""
    return {
        "booking_id": str(booking_id),
        "amount": {"amount": amount, "currency": currency},
        "reason": "came late",
    }


async def test_a_completed_visit_is_in_the_books(door: Door) -> None:
    """The capture follows the completion; every account, entry, transaction and the trial balance agree."""
    finance = await hire(door, Role.FINANCE)
    booking_id = await paid_visit(door, method="sandbox_lost_answer")
    booking = await door.ask("GET", f"/v1/bookings/{booking_id}", who=door.world.customers[0])
    assert booking.body["payment"]["status"] == "captured"
    balance = await door.ask("GET", "/v1/finance/trial-balance", who=finance)
    assert balance.body["balanced"] is True
    assert balance.body["totals"] == [{"currency": "USD", "debit": 4770, "credit": 4770}]
    assert {r["code"].partition(":")[0]: r["debit"] - r["credit"] for r in balance.body["rows"]} == {
        "customer_funds": 4770, "platform_revenue": -900, "tax_payable": -270, "technician_payable": -3600,
    }  # fmt: skip
    accounts = await door.ask("GET", "/v1/finance/accounts?limit=3", who=finance)
    more = await door.ask("GET", f"/v1/finance/accounts?cursor={accounts.body['next_cursor']}", who=finance)
    assert len(accounts.body["items"]) == 3
    assert (len(more.body["items"]), more.body["next_cursor"]) == (1, None)
    funds = next(a for a in accounts.body["items"] + more.body["items"] if a["code"] == "customer_funds")
    entries = await door.ask("GET", f"/v1/finance/accounts/{funds['account_id']}/entries", who=finance)
    (entry,) = entries.body["items"]
    whole = await door.ask("GET", f"/v1/finance/transactions/{entry['transaction_id']}", who=finance)
    assert whole.body["kind"] == "capture"
    assert whole.body["correlation_id"] == "story-of-the-visit-complete"
    assert sum(e["debit"] - e["credit"] for e in whole.body["entries"]) == 0


async def test_refunds_never_exceed_what_was_taken(door: Door) -> None:
    """Twenty refunds of a quarter at once, each with a key of its own: four are good, the rest are over_refund."""
    finance = await hire(door, Role.FINANCE)
    booking_id = await paid_visit(door)
    said = await asyncio.gather(
        *(
            door.ask("POST", "/v1/finance/refunds", refund_of(booking_id, 1192), who=finance, key=True)
            for _ in range(20)
        )
    )
    assert Counter(s.status for s in said) == {201: 4, 409: 16}
    assert {s.code for s in said if s.status == 409} == {"over_refund"}
    await work_off(door)
    rest = await door.ask("POST", "/v1/finance/refunds", refund_of(booking_id, 2), who=finance, key=True)
    assert rest.status == 201
    await work_off(door)
    booking = await door.ask("GET", f"/v1/bookings/{booking_id}", who=door.world.customers[0])
    assert booking.body["payment"]["status"] == "refunded"
    balance = await door.ask("GET", "/v1/finance/trial-balance", who=finance)
    assert balance.body["totals"] == [{"currency": "USD", "debit": 0, "credit": 0}]
    events = await door.ask("GET", f"/v1/bookings/{booking_id}/events", who=door.world.founder)
    refunds = [e["data"] for e in events.body["items"] if e["type"] == "payment.refunded"]
    assert [r["amount"] for r in refunds] == [1192] * 4 + [2]
    assert [r["full"] for r in refunds] == [False] * 4 + [True]
    assert await count(door, "SELECT count(*) FROM audit.events WHERE action = 'finance.refunded'") == 5


async def test_a_refund_with_one_key_happens_once(door: Door) -> None:
    """Ten copies of one request: one refund, its answer repeated or in progress; another body is refused."""
    finance = await hire(door, Role.FINANCE)
    booking_id = await paid_visit(door)
    body = refund_of(booking_id, 100)
    said = await asyncio.gather(
        *(door.ask("POST", "/v1/finance/refunds", body, who=finance, key="one-key") for _ in range(10))
    )
    assert {s.status for s in said} <= {201, 409}
    assert len({s.body["refund_id"] for s in said if s.status == 201}) == 1
    again = await door.ask("POST", "/v1/finance/refunds", body, who=finance, key="one-key")
    assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")
    other = await door.ask(
        "POST", "/v1/finance/refunds", refund_of(booking_id, 101), who=finance, key="one-key"
    )
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert await count(door, "SELECT count(*) FROM app.payment_intents WHERE kind = 'refund'") == 1


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"booking_id": str(UUID(int=3))}, 404, "not_found"),
        ({"amount": {"amount": 1, "currency": "EUR"}}, 422, "validation"),
        ({"amount": {"amount": 0, "currency": "USD"}}, 422, "validation"),
        ({"amount": {"amount": 1.5, "currency": "USD"}}, 422, "validation"),
        ({"reason": " "}, 422, "validation"),
        ({"extra": 1}, 422, "validation"),
        ({}, 409, "over_refund"),
    ],
)
async def test_a_wrong_refund_is_refused(door: Door, change: dict[str, Any], status: int, code: str) -> None:
    """Nothing was taken for this booking yet, and worse."""
    finance = await hire(door, Role.FINANCE)
    booking_id = await door.world.book()
    body = {**refund_of(booking_id, 1), **change}
    said = await door.ask("POST", "/v1/finance/refunds", body, who=finance, key=True)
    assert (said.status, said.code) == (status, code)


async def test_finance_is_for_finance(door: Door) -> None:
    """Customers, technicians, dispatchers and support read no books and move no money."""
    world = door.world
    support = await hire(door, Role.SUPPORT)
    booking_id = new_id()
    for who in (world.customers[0], world.technicians[0], world.dispatcher, support):
        for path in ("accounts", "trial-balance", f"transactions/{new_id()}", f"accounts/{new_id()}/entries"):
            assert (await door.ask("GET", f"/v1/finance/{path}", who=who)).status == 403
        assert (
            await door.ask("POST", "/v1/finance/refunds", refund_of(booking_id, 1), who=who, key=True)
        ).status == 403
    assert (await door.ask("GET", "/v1/finance/trial-balance")).status == 401
    for path in (f"transactions/{new_id()}", f"accounts/{new_id()}/entries", "accounts/nothing/entries"):
        assert (await door.ask("GET", f"/v1/finance/{path}", who=world.founder)).status == 404


async def test_an_adjustment_moves_money_with_a_reason(door: Door) -> None:
    """By id or by code; audited; the accounts must be there, be two, and be of that currency."""
    await paid_visit(door)
    founder = door.world.founder
    body = {"debit": "platform_revenue", "credit": "customer_funds", "amount": {"amount": 300, "currency": "USD"},
            "reason": "a gift"}  # fmt: skip
    said = await door.ask("POST", "/v1/finance/adjustments", body, who=founder, key=True)
    assert said.status == 201
    whole = await door.ask("GET", f"/v1/finance/transactions/{said.body['transaction_id']}", who=founder)
    assert [(e["code"], e["debit"], e["credit"]) for e in whole.body["entries"]] == [
        ("platform_revenue", 300, 0), ("customer_funds", 0, 300),
    ]  # fmt: skip
    assert (whole.body["reason"], whole.body["actor_id"]) == ("a gift", str(founder))
    for wrong in (
        {"debit": "nobody"},
        {"credit": "platform_revenue"},
        {"amount": {"amount": 1, "currency": "JPY"}},
    ):
        refused = await door.ask("POST", "/v1/finance/adjustments", {**body, **wrong}, who=founder, key=True)
        assert (refused.status, refused.code) == (422, "validation")
    decisions = await door.ask("GET", "/v1/audit?action=finance.adjusted", who=founder)
    (decision,) = decisions.body["items"]
    assert decision["data"] == {
        "debit": "platform_revenue",
        "credit": "customer_funds",
        "amount": 300,
        "currency": "USD",
    }


async def test_a_technician_reads_own_earnings(door: Door) -> None:
    """What is owed, from which visits, less what went back; others see their own nothing."""
    booking_id = await paid_visit(door)
    refund = refund_of(booking_id, 477)
    assert (
        await door.ask("POST", "/v1/finance/refunds", refund, who=door.world.founder, key=True)
    ).status == 201
    await work_off(door)
    mine = await door.ask("GET", "/v1/technicians/me/earnings", who=door.world.technicians[0])
    assert mine.body["totals"] == [
        {"currency": "USD", "owed": 3240, "by_kind": {"capture": 3600, "refund": -360}}
    ]
    assert [i["amount"]["amount"] for i in mine.body["items"]] == [-360, 3600]
    other = await door.ask("GET", "/v1/technicians/me/earnings", who=door.world.technicians[1])
    assert other.body == {"totals": [], "items": [], "next_cursor": None}
    assert (await door.ask("GET", "/v1/technicians/me/earnings", who=door.world.customers[0])).status == 403


async def test_one_story_from_the_request_to_the_job(door: Door) -> None:
    """Completing a visit: request, events, payment, ledger, outbox and job carry one id; each role sees its part."""
    support, finance = await hire(door, Role.SUPPORT), await hire(door, Role.FINANCE)
    await paid_visit(door)
    path = "/v1/correlations/story-of-the-visit-complete"
    whole = await door.ask("GET", path, who=door.world.founder)
    assert [i["at"] for i in whole.body["items"]] == sorted(i["at"] for i in whole.body["items"])
    told = Counter(i["kind"] for i in whole.body["items"])
    assert told == {"request": 1, "event": 2, "payment": 1, "job": 1, "ledger": 1, "outbox": 2}
    job = next(i for i in whole.body["items"] if i["kind"] == "job")
    assert [r["outcome"] for r in job["runs"]] == ["done"]
    assert job["runs"][0]["ended_at"].endswith("Z")
    request = next(i for i in whole.body["items"] if i["kind"] == "request")
    assert request["route"] == "POST /v1/bookings/{booking_id}/complete"
    calm = await door.ask("GET", path, who=support)
    assert {i["kind"] for i in calm.body["items"]} == {"request", "event", "outbox", "job"}
    assert "4770" not in str(calm.body)
    assert "amount" not in str(calm.body)
    money = await door.ask("GET", path, who=finance)
    assert {i["kind"] for i in money.body["items"]} == {"event", "payment", "ledger", "job", "outbox"}
    assert (await door.ask("GET", path, who=door.world.customers[0])).status == 403
    assert (await door.ask("GET", "/v1/correlations/nobody-ever-asked", who=support)).body == {"items": []}


async def test_decisions_are_read_by_part_and_the_chain_is_verified(door: Door) -> None:
    """Finance reads decisions about money, support the others, the founder all; a changed byte is told over HTTP."""
    world = door.world
    support, finance = await hire(door, Role.SUPPORT), await hire(door, Role.FINANCE)
    booking_id = await paid_visit(door)
    for n in range(3):
        await door.ask("POST", "/v1/finance/refunds", refund_of(booking_id, n + 1), who=finance, key=True)
    mine = await door.ask(
        "GET", f"/v1/audit?actor={finance}&subject=booking:{booking_id}&limit=2", who=finance
    )
    more = await door.ask("GET", f"/v1/audit?limit=2&cursor={mine.body['next_cursor']}", who=finance)
    assert [i["data"]["amount"] for i in mine.body["items"] + more.body["items"]] == [3, 2, 1]
    assert (await door.ask("GET", "/v1/audit?action=finance.refunded", who=support)).body["items"] == []
    assert (
        len((await door.ask("GET", f"/v1/audit?subject={booking_id}", who=world.founder)).body["items"]) == 3
    )
    assert (await door.ask("GET", "/v1/audit?cursor=x", who=finance)).status == 422
    while await audit.seal(world.stores.db):
        continue
    good = await door.ask("GET", "/v1/audit/verify", who=world.founder)
    assert (good.body["ok"], good.body["events"], good.body["unsealed"]) == (True, 3, 0)
    owner = await asyncpg.connect(world.owner_url)
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("UPDATE audit.events SET reason = 'came lat3' WHERE data ->> 'amount' = '2'")
    await owner.close()
    bad = await door.ask("GET", "/v1/audit/verify", who=world.founder)
    assert (bad.body["ok"], bad.body["broken"]["seal"], bad.body["broken"]["reason"]) == (False, 2, "changed")
    assert (await door.ask("GET", "/v1/audit/verify", who=world.customers[0])).status == 403


async def test_a_webhook_needs_a_good_signature(door: Door) -> None:
    """Unsigned: 401; an unknown gateway: 404; nothing is believed."""
    assert (
        await door.ask("POST", "/v1/webhooks/payments/sandbox", {"type": "payment.succeeded"})
    ).status == 401
    assert (await door.ask("POST", "/v1/webhooks/payments/stripe", {})).status == 404
    assert (await door.ask("POST", "/v1/webhooks/payments/sandbox", raw=b"\xff\x00{")).status == 401


@pytest.mark.parametrize(
    ("way", "last", "status", "kinds", "taken"),
    [
        ((), "decline", "voided", {"void"}, 0),
        ((), "cancel", "voided", {"void"}, 0),
        (("accept",), "cancel", "captured", {"capture"}, 1125),
        (("accept", "depart"), "cancel", "captured", {"capture"}, 2250),
    ],
)
async def test_a_visit_that_does_not_happen_costs_what_the_policy_says(
    door: Door, way: tuple[str, ...], last: str, status: str, kinds: set[str], taken: int
) -> None:
    """Nothing before acceptance: the hold is let go. Then a part of it is taken, and never both."""
    world = door.world
    booking_id = await world.book()
    for command in way:
        assert (await door.ask("POST", f"/v1/bookings/{booking_id}/{command}", {}, who=world.technicians[0],
                               key=True)).status == 200  # fmt: skip
    who = world.technicians[0] if last == "decline" else world.customers[0]
    ended = await door.ask(
        "POST", f"/v1/bookings/{booking_id}/{last}", {"reason": "no time"}, who=who, key=True
    )
    assert ended.status == 200
    await work_off(door)
    booking = await door.ask("GET", f"/v1/bookings/{booking_id}", who=world.customers[0])
    assert booking.body["payment"]["status"] == status
    async with world.stores.db.reading() as tx:
        asked = await tx.fetch(
            "SELECT kind FROM sandbox.operations WHERE kind <> 'authorize' AND outcome = 'succeeded'"
        )
        funds = await tx.fetchval("SELECT coalesce(sum(debit - credit), 0)::bigint FROM app.ledger_entries e "
                                  "JOIN app.accounts a USING (account_id) WHERE a.code = 'customer_funds'")  # fmt: skip
    assert ({r["kind"] for r in asked}, funds) == (kinds, taken)


async def test_a_tip_is_the_technicians(door: Door) -> None:
    """Five stars and a tip: the visit stays paid as it was, and the tip is all in the technician's account."""
    booking_id = await paid_visit(door)
    body = {"stars": 5, "tip": {"amount": 700, "currency": "USD"}}
    rated = await door.ask(
        "POST", f"/v1/bookings/{booking_id}/rate", body, who=door.world.customers[0], key=True
    )
    assert rated.status == 200
    await work_off(door)
    mine = await door.ask("GET", "/v1/technicians/me/earnings", who=door.world.technicians[0])
    assert mine.body["totals"] == [
        {"currency": "USD", "owed": 4300, "by_kind": {"capture": 3600, "tip": 700}}
    ]
    whole = refund_of(booking_id, 4770)
    assert (
        await door.ask("POST", "/v1/finance/refunds", whole, who=door.world.founder, key=True)
    ).status == 201
    await work_off(door)
    mine = await door.ask("GET", "/v1/technicians/me/earnings", who=door.world.technicians[0])
    assert mine.body["totals"][0]["owed"] == 700


async def test_a_visit_far_ahead_is_verified_and_its_hold_is_planned(door: Door) -> None:
    """Eight days ahead no hold would last: the method is verified, and a job wants the hold six days before."""
    starts_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=8)
    booking_id = await door.world.book(starts_at)
    booking = await door.ask("GET", f"/v1/bookings/{booking_id}", who=door.world.customers[0])
    assert booking.body["payment"]["status"] == "verified"
    async with door.world.stores.db.reading() as tx:
        planned = await tx.fetchrow("SELECT payload, run_at FROM app.jobs WHERE name = 'hold_payment'")
    assert planned is not None
    assert planned["payload"] == {"booking_id": str(booking_id)}
    assert planned["run_at"] == starts_at - timedelta(days=6)
