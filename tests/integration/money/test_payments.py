"""The way of a payment against a real database and a gateway that misbehaves: everything happens once."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from domain.booking import Price
from domain.payments import (
    Declined,
    Kind,
    PaymentIntended,
    PaymentIntent,
    Purpose,
    Status,
    collect,
    hold,
    refund,
    release,
    tip,
)
from services.job import Later
from services.payment_gateway import GatewayAnswer, GatewayMessage
from services.payment_outcomes import settle
from services.payment_webhooks import receive
from services.payments import (
    abandon_authorization,
    ask_gateway,
    authorize,
    give_up,
    hold_payment,
)
from services.reply import Reply
from services.sandbox_gateway import SandboxGateway
from storage import payments
from storage.ids import new_id
from tests.integration.money.conftest import Retrying, World, payload

EVENTS = "SELECT array_agg(type ORDER BY seq) FROM app.booking_events WHERE booking_id = $1 AND type LIKE 'payment.%'"
MOVED = "SELECT coalesce(sum(amount), 0)::bigint FROM sandbox.operations WHERE kind = $1 AND outcome = 'succeeded'"


async def events(world: World, booking_id: UUID) -> list[str]:
    """Return the payment events of a booking, in order."""
    return await world.one(EVENTS, booking_id) or []


async def captured(
    world: World, method: str = "sandbox_ok", price: Price | None = None
) -> tuple[UUID, PaymentIntent]:
    """A completed visit whose price was captured."""
    booking, held = await world.held(method, price=price)
    capture_id = new_id()
    await world.record(*collect(held, capture_id, booking.price.total))
    for _ in range(3):
        try:
            await ask_gateway(world.stores, payload(capture_id), world.context())
            break
        except Later:  # the first answer of some methods is lost on purpose
            continue
    async with world.stores.db.reading() as tx:
        intent = await payments.get(tx, capture_id)
    assert intent is not None
    assert intent.status is Status.SUCCEEDED
    return booking.booking_id, intent


async def test_twenty_jobs_capture_once(world: World, patiently: Retrying) -> None:
    """Twenty workers with the same capture make one movement, one event, one ledger transaction."""
    booking, held = await world.held()
    capture_id = new_id()
    await world.record(*collect(held, capture_id, booking.price.total))
    await asyncio.gather(
        *(
            patiently(lambda: ask_gateway(world.stores, payload(capture_id), world.context()))
            for _ in range(20)
        )
    )
    assert await world.one(MOVED, "capture") == 4770
    assert await world.one("SELECT calls FROM sandbox.operations WHERE intent_id = $1", capture_id) == 1
    assert await events(world, booking.booking_id) == ["payment.authorized", "payment.captured"]
    rows = await world.owner.fetch(
        "SELECT a.code, e.debit, e.credit FROM app.ledger_entries e JOIN app.accounts a USING (account_id)"
    )
    assert {r["code"]: (r["debit"], r["credit"]) for r in rows} == {
        "customer_funds": (4770, 0),
        "platform_revenue": (0, 900),
        "tax_payable:US-MD": (0, 270),
        f"technician_payable:{world.technician_id}": (0, 3600),
    }


async def test_twenty_refunds_cannot_exceed_the_capture(world: World, patiently: Retrying) -> None:
    """Twenty jobs of one refund give back once; the ledger empties every account in proportion, to nothing at last."""
    booking_id, paid = await captured(world)
    first, second = new_id(), new_id()
    await world.record(*refund(paid, first, 1001, "late"))
    await asyncio.gather(
        *(patiently(lambda: ask_gateway(world.stores, payload(first), world.context())) for _ in range(20))
    )
    assert await world.one(MOVED, "refund") == 1001
    await world.record(*refund(paid, second, 3769, "all"))
    await ask_gateway(world.stores, payload(second), world.context())
    assert await events(world, booking_id) == [
        "payment.authorized", "payment.captured", "payment.refunded", "payment.refunded",
    ]  # fmt: skip
    assert (
        await world.one("SELECT payment_status FROM app.bookings WHERE booking_id = $1", booking_id)
        == "refunded"
    )
    left = await world.owner.fetch(
        "SELECT sum(debit - credit) AS left FROM app.ledger_entries GROUP BY account_id"
    )
    assert {r["left"] for r in left} == {0}


async def test_a_full_refund_reverses_the_capture(world: World) -> None:
    """What is given back whole is a reversal, and the database lets a transaction be reversed once."""
    booking_id, paid = await captured(world)
    back = new_id()
    await world.record(*refund(paid, back, 4770, "all of it"))
    await ask_gateway(world.stores, payload(back), world.context())
    reversed_kind = await world.one(
        "SELECT o.kind FROM app.ledger_transactions t JOIN app.ledger_transactions o ON o.transaction_id = t.reverses "
        "WHERE t.booking_id = $1 AND t.kind = 'refund'",
        booking_id,
    )
    assert reversed_kind == "capture"


@pytest.mark.parametrize("method", ["sandbox_ok", "sandbox_slow", "sandbox_lost_answer", "sandbox_duplicate"])
async def test_every_working_method_captures_once(world: World, method: str) -> None:
    """However the gateway behaves, the price is taken once."""
    booking_id, _ = await captured(world, method)
    assert await world.one(MOVED, "capture") == 4770
    assert await events(world, booking_id) == ["payment.authorized", "payment.captured"]


async def test_a_declined_card_is_declined(world: World) -> None:
    """The gateway's no is an answer, not a failure."""
    intent = PaymentIntent(new_id(), new_id(), Kind.AUTHORIZE, "sandbox_declined", 100, "USD")
    await world.record(PaymentIntended(intent))
    assert await authorize(world.stores, intent) == Declined("card_declined")


async def test_a_lost_answer_is_found_again_by_the_same_id(world: World) -> None:
    """The first answer is lost; asking again by the same intent finds the hold that was made."""
    _, held = await world.held("sandbox_lost_answer")
    record = await world.owner.fetchrow(
        "SELECT calls, outcome FROM sandbox.operations WHERE intent_id = $1", held.intent_id
    )
    assert record is not None
    assert (record["calls"], record["outcome"]) == (2, "succeeded")


async def test_a_webhook_told_twice_counts_once(world: World) -> None:
    """The duplicate webhook, and the call's own answer after it, change nothing more."""
    booking, held = await world.held("sandbox_duplicate")
    gateway = world.stores.gateway
    assert isinstance(gateway, SandboxGateway)
    capture_id = new_id()
    await world.record(*collect(held, capture_id, booking.price.total))
    told: list[object] = []
    stop = asyncio.Event()

    async def send(headers: object, body: bytes) -> None:
        assert isinstance(headers, dict)
        answer = await receive(world.stores, "sandbox", headers, body, world.context("story-of-a-webhook"))
        told.append(answer)

    async with asyncio.TaskGroup() as group:
        group.create_task(gateway.deliver(send, stop))
        async with world.stores.db.reading() as tx:
            intent = await payments.get(tx, capture_id)
        assert intent is not None
        await gateway.perform(intent)
        for _ in range(100):
            if len(told) >= 4:  # two for the hold, two for the capture
                break
            await asyncio.sleep(0.02)
        stop.set()
    assert [isinstance(answer, Reply) for answer in told] == [True] * 4
    await ask_gateway(world.stores, payload(capture_id), world.context())
    assert await events(world, booking.booking_id) == ["payment.authorized", "payment.captured"]
    assert await world.one("SELECT count(*) FROM app.ledger_transactions") == 1
    assert await world.one("SELECT count(*) FROM app.gateway_webhooks") >= 1


async def test_a_forged_or_old_webhook_is_refused(world: World) -> None:
    """A wrong signature, an old timestamp and a strange body are all 401 and change nothing."""
    booking, held = await world.held()
    gateway = world.stores.gateway
    assert isinstance(gateway, SandboxGateway)
    message = GatewayMessage("msg_1", held.intent_id, GatewayAnswer("declined", "x", "no"))
    headers, body = gateway.sign(message, datetime.now(UTC))
    old, old_body = gateway.sign(message, datetime.now(UTC) - timedelta(minutes=6))
    forged = {**headers, "webhook-signature": "v1,AAAA"}
    for sent, content in ((forged, body), (headers, body + b" "), (old, old_body), ({}, body)):
        answer = await receive(world.stores, "sandbox", sent, content, world.context())
        assert answer.status == 401
    assert await events(world, booking.booking_id) == ["payment.authorized"]


async def test_a_late_failure_does_not_undo_a_capture(world: World) -> None:
    """An old intent's failure, and giving up after it, leave a paid booking paid."""
    booking_id, paid = await captured(world)
    assert await settle(world.stores, paid.intent_id, Status.FAILED, None, world.context()) is False
    await give_up(world.stores, payload(paid.intent_id), world.context())
    assert (
        await world.one("SELECT payment_status FROM app.bookings WHERE booking_id = $1", booking_id)
        == "captured"
    )


async def test_a_late_success_heals_a_failure(world: World) -> None:
    """Nobody could say, so it counted as failed; when the money turns out to have moved, it is captured."""
    booking, held = await world.held()
    capture_id = new_id()
    await world.record(*collect(held, capture_id, booking.price.total))
    await give_up(world.stores, payload(capture_id), world.context())
    assert (await events(world, booking.booking_id))[-1] == "payment.failed"
    await ask_gateway(world.stores, payload(capture_id), world.context())
    assert (await events(world, booking.booking_id))[-1] == "payment.captured"
    assert await world.balanced()


async def test_a_hold_is_resolved_once(world: World) -> None:
    """A hold that is being captured cannot also be released: the database says no."""
    booking, held = await world.held()
    await world.record(*collect(held, new_id(), booking.price.total))
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.record(*release(held, new_id()))


async def test_what_nobody_could_say_counts_as_taken(world: World) -> None:
    """A capture without an answer may have gone through: the same hold is neither taken from again nor let go."""
    booking, held = await world.held()
    capture_id = new_id()
    await world.record(*collect(held, capture_id, booking.price.total))
    await give_up(world.stores, payload(capture_id), world.context())
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.record(*collect(held, new_id(), booking.price.total))
    async with world.stores.db.transaction() as tx:
        assert await payments.unresolved(tx, booking.booking_id) is None
        still = await payments.held(tx, booking.booking_id)
    assert still is not None
    assert still.intent_id == held.intent_id


async def test_a_checked_method_is_charged(world: World) -> None:
    """A visit far ahead was only verified: its price is charged, and a fee or a tip likewise."""
    booking, checked = await world.held(kind=Kind.VERIFY)
    charge_id, tip_id = new_id(), new_id()
    await world.record(*collect(checked, charge_id, booking.price.total), *tip(checked, tip_id, 500))
    await ask_gateway(world.stores, payload(charge_id), world.context())
    await ask_gateway(world.stores, payload(tip_id), world.context())
    owed = await world.one(
        "SELECT sum(credit) FROM app.ledger_entries e JOIN app.accounts a USING (account_id) WHERE a.owner_id = $1",
        world.technician_id,
    )
    assert owed == 3600 + 500


async def test_a_fee_takes_part_of_the_hold(world: World) -> None:
    """A cancellation fee is a capture of less than was held, shared between technician and house."""
    _, held = await world.held()
    fee_id = new_id()
    await world.record(*collect(held, fee_id, 1125, Purpose.CANCELLATION_FEE))
    await ask_gateway(world.stores, payload(fee_id), world.context())
    kinds = Counter(r["kind"] for r in await world.owner.fetch("SELECT kind FROM app.ledger_transactions"))
    assert kinds == {"cancellation_fee": 1}
    assert await world.balanced()


async def test_a_hold_without_a_booking_is_released(world: World) -> None:
    """The process died between asking and committing: the hold goes, and a late question finds it gone."""
    intent = PaymentIntent(new_id(), new_id(), Kind.AUTHORIZE, "sandbox_ok", 100, "USD")
    await world.record(PaymentIntended(intent))
    await authorize(world.stores, intent)
    await abandon_authorization(world.stores, payload(intent.intent_id), world.context())
    await abandon_authorization(world.stores, payload(intent.intent_id), world.context())
    void_id = await world.one("SELECT intent_id FROM app.payment_intents WHERE kind = 'void'")
    await ask_gateway(world.stores, payload(void_id), world.context())
    assert (
        await world.one(
            "SELECT count(*) FROM sandbox.operations WHERE kind = 'void' AND outcome = 'succeeded'"
        )
        == 1
    )


async def test_captures_conserve_money_in_every_kind_of_currency(world: World) -> None:
    """Prices of a currency without and with three decimals go through the same books to the last unit."""
    await captured(world, price=Price(1001, 7, 101, 1109, "JPY", 1000))
    await captured(world, price=Price(10_003, 1, 501, 10_505, "BHD", 501))
    assert await world.balanced()
    sums = {
        r["currency"]: r["debit"]
        for r in await world.owner.fetch(
            "SELECT currency, sum(debit) AS debit FROM app.ledger_entries GROUP BY currency"
        )
    }
    assert sums == {"JPY": 1109, "BHD": 10_505}


async def test_first_movements_make_each_account_once(world: World, patiently: Retrying) -> None:
    """Twenty visits are captured at once in empty books: no deadlock, four accounts, and all of the money."""
    captures = []
    for _ in range(20):
        booking, held = await world.held()
        captures.append(new_id())
        await world.record(*collect(held, captures[-1], booking.price.total))
    await asyncio.gather(
        *(patiently(lambda c=c: ask_gateway(world.stores, payload(c), world.context())) for c in captures)  # type: ignore[misc]  # a default binds the loop variable
    )
    assert await world.one("SELECT count(*) FROM app.accounts") == 4
    assert await world.one("SELECT sum(debit) FROM app.ledger_entries") == 20 * 4770
    assert await world.balanced()


async def test_a_verified_visit_is_held_when_it_comes_near(world: World) -> None:
    """The job wants one hold, however often it runs; its answer makes the booking an authorised one."""
    booking, _ = await world.held(kind=Kind.VERIFY, completed=False)
    wanted = {"booking_id": str(booking.booking_id)}
    await hold_payment(world.stores, wanted, world.context())
    await hold_payment(world.stores, wanted, world.context())
    hold_id = await world.one("SELECT intent_id FROM app.payment_intents WHERE kind = 'authorize'")
    await ask_gateway(world.stores, payload(hold_id), world.context())
    await hold_payment(world.stores, wanted, world.context())
    status = await world.one(
        "SELECT payment_status FROM app.bookings WHERE booking_id = $1", booking.booking_id
    )
    assert status == "authorized"
    assert await events(world, booking.booking_id) == ["payment.authorized", "payment.authorized"]
    assert await world.one("SELECT count(*) FROM sandbox.operations WHERE kind = 'authorize'") == 1


async def test_a_hold_for_a_visit_that_ended_meanwhile_is_let_go(world: World) -> None:
    """The visit ended while the gateway was being asked: what is held now is released at once."""
    _, checked = await world.held(kind=Kind.VERIFY)
    hold_id = new_id()
    await world.record(*hold(checked, hold_id))
    await ask_gateway(world.stores, payload(hold_id), world.context())
    assert await world.one("SELECT parent_id FROM app.payment_intents WHERE kind = 'void'") == hold_id
