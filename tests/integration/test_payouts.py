"""Payouts over the wire: made by one, approved by another, booked on their way and at their end, once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.context import SYSTEM, Role
from services import payouts
from services.tidying import tidy
from tests.integration.door import Door, open_door
from tests.integration.test_erasure import PASSWORD, erase, introduce
from tests.integration.test_finance_http import hire, paid_visit, refund_of, work_off
from tests.integration.world import World

PAYOUTS = "/v1/finance/payouts"


def holding_back(world: World, payout_after_s: int) -> World:
    """The world with another dispute window."""
    policy = replace(world.stores.policy, payout_after_s=payout_after_s)
    return replace(world, stores=replace(world.stores, policy=policy))


@pytest.fixture
async def door(world: World) -> AsyncIterator[Door]:
    """The door of a house without a dispute window, so that what was just earned can be paid out."""
    async with open_door(holding_back(world, 0)) as opened:
        yield opened


async def account(door: Door, method: str = "sandbox_ok") -> None:
    """The technician says where the money goes."""
    said = await door.ask("PUT", "/v1/technicians/me/payout-account", {"method": method},
                          who=door.world.technicians[0])  # fmt: skip
    assert said.status == 200, said.body


async def balance(door: Door, who: Any) -> dict[str, int]:
    """Credits less debits of every account that stands somewhere."""
    said = await door.ask("GET", "/v1/finance/trial-balance", who=who)
    assert said.body["balanced"] is True
    rows = said.body["rows"]
    sums = {r["code"].partition(":")[0]: r["credit"] - r["debit"] for r in rows}
    return {code: amount for code, amount in sums.items() if amount}


async def approved(door: Door, maker: Any, other: Any) -> str:
    """A batch that is ready to go."""
    made = await door.ask("POST", PAYOUTS, {}, who=maker, key=True)
    assert made.status == 201, made.body
    payout_id: str = made.body["payout_id"]
    said = await door.ask("POST", f"{PAYOUTS}/{payout_id}/approve", who=other)
    assert said.status == 200, said.body
    return payout_id


async def test_four_eyes_from_earning_to_paid(door: Door) -> None:
    """Its maker may not approve it; approved by another and submitted, the money is in transit, then gone."""
    maker, other = await hire(door, Role.FINANCE), await hire(door, Role.FOUNDER)
    await paid_visit(door)
    await account(door, "sandbox_lost_answer")
    made = await door.ask("POST", PAYOUTS, {}, who=maker, key=True)
    assert (made.status, made.body["status"], made.body["totals"]) == (
        201,
        "draft",
        [{"amount": 3600, "currency": "USD"}],
    )
    path = f"{PAYOUTS}/{made.body['payout_id']}"
    assert (await door.ask("POST", f"{path}/approve", who=maker)).code == "own_approval"
    assert (await door.ask("POST", f"{path}/submit", who=maker, key=True)).code == "payout_state"
    agreed = await door.ask("POST", f"{path}/approve", who=other)
    assert (agreed.status, agreed.body["approved_by"]) == (200, str(other))
    sent = await door.ask("POST", f"{path}/submit", who=maker, key=True)
    assert (sent.status, sent.body["status"]) == (200, "submitted")
    on_the_way = await balance(door, maker)
    assert on_the_way["payouts_in_transit"] == 3600
    assert "technician_payable" not in on_the_way
    await work_off(door)
    done = await door.ask("GET", path, who=maker)
    assert (done.body["status"], [i["status"] for i in done.body["items"]]) == ("settled", ["paid"])
    assert await balance(door, maker) == {
        "customer_funds": -1170,
        "platform_revenue": 900,
        "tax_payable": 270,
    }
    listed = await door.ask("GET", f"{PAYOUTS}?status=settled", who=maker)
    assert listed.body["items"] == [done.body]
    actions = await door.ask("GET", f"/v1/audit?subject=payout:{made.body['payout_id']}", who=other)
    assert [i["action"] for i in actions.body["items"]] == [
        "finance.payout_submitted", "finance.payout_approved", "finance.payout_made",
    ]  # fmt: skip


async def test_twenty_makers_pay_once(door: Door) -> None:
    """Twenty batches at once: one holds the money, nineteen find nothing; a cancelled one frees it."""
    maker, other = await hire(door, Role.FINANCE), await hire(door, Role.FOUNDER)
    await paid_visit(door)
    assert (await door.ask("POST", PAYOUTS, {}, who=maker, key=True)).body["skipped"]  # nowhere to pay to yet
    await account(door)
    said = await asyncio.gather(*(door.ask("POST", PAYOUTS, {}, who=maker, key=True) for _ in range(20)))
    assert Counter(s.status for s in said) == {201: 1, 409: 19}
    (made,) = [s for s in said if s.status == 201]
    gone = await door.ask(
        "POST", f"{PAYOUTS}/{made.body['payout_id']}/cancel", {"reason": "again"}, who=maker
    )
    assert (gone.status, gone.body["status"]) == (200, "cancelled")
    payout_id = await approved(door, maker, other)
    both = await asyncio.gather(
        *(door.ask("POST", f"{PAYOUTS}/{payout_id}/submit", who=maker, key=True) for _ in range(5))
    )
    assert Counter(s.status for s in both) == {200: 1, 409: 4}
    await work_off(door)
    assert "technician_payable" not in await balance(door, maker)


async def test_a_returned_item_is_owed_again(door: Door) -> None:
    """The gateway will not pay a closed account: the money is owed again and goes with the next batch."""
    maker, other = await hire(door, Role.FINANCE), await hire(door, Role.FOUNDER)
    await paid_visit(door)
    await account(door, "sandbox_declined")
    payout_id = await approved(door, maker, other)
    await door.ask("POST", f"{PAYOUTS}/{payout_id}/submit", who=maker, key=True)
    await work_off(door)
    done = await door.ask("GET", f"{PAYOUTS}/{payout_id}", who=maker)
    assert [(i["status"], i["reason"]) for i in done.body["items"]] == [("returned", "account_closed")]
    assert (await balance(door, maker))["technician_payable"] == 3600
    await account(door)
    again = await door.ask("POST", PAYOUTS, {}, who=maker, key=True)
    assert again.body["totals"] == [{"amount": 3600, "currency": "USD"}]


async def test_a_refund_meanwhile_stops_the_submission(door: Door) -> None:
    """Less is owed than the item says: the batch cannot go, a new one has the smaller sum; a refund later is a debt."""
    maker, other = await hire(door, Role.FINANCE), await hire(door, Role.FOUNDER)
    booking_id = await paid_visit(door)
    await account(door)
    payout_id = await approved(door, maker, other)
    await door.ask("POST", "/v1/finance/refunds", refund_of(booking_id, 2385), who=maker, key=True)
    await work_off(door)
    late = await door.ask("POST", f"{PAYOUTS}/{payout_id}/submit", who=maker, key=True)
    assert (late.code, late.body["technician_ids"]) == ("payout_state", [str(door.world.technicians[0])])
    await door.ask("POST", f"{PAYOUTS}/{payout_id}/cancel", {"reason": "refunded"}, who=maker)
    payout_id = await approved(door, maker, other)
    await door.ask("POST", f"{PAYOUTS}/{payout_id}/submit", who=maker, key=True)
    await work_off(door)
    await door.ask("POST", "/v1/finance/refunds", refund_of(booking_id, 2385), who=maker, key=True)
    await work_off(door)
    assert (await balance(door, maker))["technician_payable"] == -1800
    nothing = await door.ask("POST", PAYOUTS, {}, who=maker, key=True)
    assert nothing.code == "payout_state"


async def test_what_is_new_stays_in_the_dispute_window(world: World) -> None:
    """Nothing that is younger than the policy's days is paid, and nobody pays out the future."""
    async with open_door(holding_back(world, 86400)) as door:
        maker = await hire(door, Role.FINANCE)
        await paid_visit(door)
        await account(door)
        future = await door.ask("POST", PAYOUTS, {"until": "2999-01-01T00:00:00Z"}, who=maker, key=True)
        assert future.code == "validation"
        held_back = await door.ask("POST", PAYOUTS, {}, who=maker, key=True)
        assert held_back.code == "payout_state"


async def test_a_day_beyond_every_calendar_is_refused(door: Door) -> None:
    """A moment that no UTC clock can show is a wrong field, not a fault of ours."""
    maker = await hire(door, Role.FINANCE)
    said = await door.ask("POST", PAYOUTS, {"until": "0001-01-01T00:00:00+14:00"}, who=maker, key=True)
    assert (said.status, said.code) == (422, "validation")


async def test_who_is_owed_is_paid_before_the_account_goes(door: Door) -> None:
    """An account outlives its technician until the last payout has gone; then retention takes it away."""
    stores, technician = door.world.stores, door.world.technicians[0]
    maker, other = await hire(door, Role.FINANCE), await hire(door, Role.FOUNDER)
    await paid_visit(door)
    await account(door)
    await introduce(door.world, technician)
    assert (await erase(door, technician, {"password": PASSWORD})).status == 204
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert "payout_accounts" not in await tidy(stores, later, pause_s=0)
    payout_id = await approved(door, maker, other)
    sent = await door.ask("POST", f"{PAYOUTS}/{payout_id}/submit", who=maker, key=True)
    assert "payout_accounts" not in await tidy(stores, later, pause_s=0)
    for item in sent.body["items"]:
        await payouts.pay_out(stores, {"item_id": item["item_id"]}, door.world.context(SYSTEM))
    assert (await tidy(stores, later, pause_s=0))["payout_accounts"] == 1


async def test_saying_the_same_account_again_decides_nothing(door: Door) -> None:
    """The audit is for ever: it gets a row for each change, not for each call."""
    founder = await hire(door, Role.FOUNDER)
    for method in ("sandbox_ok", "sandbox_ok", "sandbox_slow", "sandbox_slow"):
        await account(door, method)
    listed = await door.ask("GET", "/v1/audit?action=finance.payout_account_set", who=founder)
    assert len(listed.body["items"]) == 2
