"""Support asks, finance decides: one decision, by another person, and the money goes back once."""

import asyncio
from collections import Counter

from domain.context import Role
from tests.integration.door import Door
from tests.integration.test_finance_http import hire, paid_visit, refund_of, work_off

REQUESTS = "/v1/refund-requests"


async def test_asked_by_one_and_decided_by_another(door: Door) -> None:
    """Five approvals at once: one gives the money back; who asked may not decide; a rejected one stays so."""
    support, finance = await hire(door, Role.SUPPORT), await hire(door, Role.FINANCE)
    booking_id = await paid_visit(door)
    over = await door.ask("POST", REQUESTS, refund_of(booking_id, 4771), who=support)
    assert over.code == "over_refund"
    asked = await door.ask("POST", REQUESTS, refund_of(booking_id, 1000), who=support)
    assert (asked.status, asked.body["status"], asked.body["asked_by"]) == (201, "pending", str(support))
    path = f"{REQUESTS}/{asked.body['request_id']}"
    said = await asyncio.gather(*(door.ask("POST", f"{path}/approve", {}, who=finance) for _ in range(5)))
    assert Counter((s.status, s.body.get("code")) for s in said) == {
        (200, None): 1, (409, "refund_request_state"): 4,
    }  # fmt: skip
    await work_off(door)
    booking = await door.ask("GET", f"/v1/bookings/{booking_id}/events", who=door.world.customers[0])
    assert [e["type"] for e in booking.body["items"]].count("payment.refunded") == 1
    balance = await door.ask("GET", "/v1/finance/trial-balance", who=finance)
    assert balance.body["totals"] == [{"currency": "USD", "debit": 3770, "credit": 3770}]
    own = await door.ask("POST", REQUESTS, refund_of(booking_id, 100), who=door.world.founder)
    own_path = f"{REQUESTS}/{own.body['request_id']}"
    for decision in ("approve", "reject"):
        said_no = await door.ask("POST", f"{own_path}/{decision}", {"reason": "mine"}, who=door.world.founder)
        assert said_no.code == "own_approval"
    rejected = await door.ask("POST", f"{own_path}/reject", {"reason": "enough"}, who=finance)
    assert (rejected.status, rejected.body["status"]) == (200, "rejected")
    assert (await door.ask("POST", f"{own_path}/approve", {}, who=finance)).code == "refund_request_state"
    pending = await door.ask("GET", f"{REQUESTS}?status=pending", who=support)
    assert pending.body["items"] == []
    everything = await door.ask("GET", REQUESTS, who=finance)
    assert [r["status"] for r in everything.body["items"]] == ["rejected", "approved"]


async def test_what_is_left_counts_at_the_decision(door: Door) -> None:
    """Two requests of more than half each: the second approval finds too little left, and stays pending."""
    support, finance = await hire(door, Role.SUPPORT), await hire(door, Role.FINANCE)
    booking_id = await paid_visit(door)
    asked = [await door.ask("POST", REQUESTS, refund_of(booking_id, 3000), who=support) for _ in range(2)]
    paths = [f"{REQUESTS}/{a.body['request_id']}/approve" for a in asked]
    assert (await door.ask("POST", paths[0], {}, who=finance)).status == 200
    assert (await door.ask("POST", paths[1], {}, who=finance)).code == "over_refund"
