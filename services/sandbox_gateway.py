"""A gateway that plays the company outside: it keeps its own books in `sandbox.operations`, by rules of its own.

Its methods misbehave on purpose: `sandbox_declined` says no, `sandbox_slow` takes its time, `sandbox_lost_answer` does
what was asked and loses its first answer, `sandbox_duplicate` sends its webhook twice. It signs webhooks as Standard
Webhooks does (HMAC-SHA256 over `id.timestamp.body`).
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from uuid import UUID

import orjson
import structlog

from domain.payments import Kind, PaymentIntent
from domain.payouts import Item
from services.payment_gateway import GatewayAnswer, GatewayMessage, GatewayUnreachable
from storage import sandbox
from storage.db import Database, Tx

log = structlog.get_logger(__name__)

METHODS = frozenset(
    {"sandbox_ok", "sandbox_declined", "sandbox_slow", "sandbox_lost_answer", "sandbox_duplicate"}
)
SIGNATURE_TOLERANCE_S = 300.0

type Send = Callable[[Mapping[str, str], bytes], Awaitable[object]]


class SandboxGateway:
    """The built-in `PaymentGateway`. Its webhooks go out where `deliver` runs."""

    name = "sandbox"

    def __init__(self, db: Database, secret_key: bytes, *, slow_s: float = 1.5) -> None:
        self._db = db
        self._secret = hmac.digest(secret_key, b"webhooks of the sandbox gateway", "sha256")
        self._slow_s = slow_s
        # Full: a webhook is dropped and logged; the answer to the call itself says the same.
        self._messages: asyncio.Queue[GatewayMessage] = asyncio.Queue(maxsize=1000)

    async def perform(self, intent: PaymentIntent) -> GatewayAnswer:
        """Do it once; answer as the method's name says."""
        async with self._db.transaction() as tx:
            done = await sandbox.begin(tx, intent)
            if done is None:
                outcome, reason = await self._decide(tx, intent)
                done = await sandbox.finish(tx, intent, outcome, reason)
        answer = GatewayAnswer(done.outcome, done.ref, done.reason)
        if done.calls > 1:
            return answer
        self._tell(intent, answer)
        if intent.method == "sandbox_slow":
            await asyncio.sleep(self._slow_s)
        if intent.method == "sandbox_lost_answer":
            raise GatewayUnreachable("the line went dead")
        return answer

    async def pay_out(self, item: Item) -> GatewayAnswer:
        """Send a technician's money on once; the account's method misbehaves as its name says, without webhooks."""
        asked = sandbox.Operation(item.item_id, "payout", item.method, item.amount, item.currency)
        async with self._db.transaction() as tx:
            done = await sandbox.begin(tx, asked)
            if done is None:
                refused = item.method not in METHODS or item.method == "sandbox_declined"
                done = await sandbox.finish(
                    tx, asked, "declined" if refused else "succeeded", "account_closed" if refused else None
                )
        if done.calls == 1 and item.method == "sandbox_slow":
            await asyncio.sleep(self._slow_s)
        if done.calls == 1 and item.method == "sandbox_lost_answer":
            raise GatewayUnreachable("the line went dead")
        return GatewayAnswer(done.outcome, done.ref, done.reason)

    async def _decide(self, tx: Tx, intent: PaymentIntent) -> tuple[sandbox.Outcome, str | None]:
        if intent.method not in METHODS:
            return "declined", "unknown_method"
        if intent.kind in {Kind.AUTHORIZE, Kind.VERIFY}:
            if intent.method == "sandbox_declined":
                return "declined", "card_declined"
            return (
                ("declined", "voided") if await sandbox.voided(tx, intent.intent_id) else ("succeeded", None)
            )
        books = await sandbox.books(tx, intent.parent_id or intent.intent_id)
        match intent.kind:
            case Kind.VOID:
                return ("declined", "already_captured") if books.captured else ("succeeded", None)
            case Kind.CHARGE:
                return ("succeeded", None) if books.amount is not None else ("declined", "unknown_method")
            case Kind.CAPTURE:
                allowed = books.amount is not None and not books.voided
                return (
                    ("succeeded", None)
                    if allowed and books.captured + intent.amount <= (books.amount or 0)
                    else ("declined", "nothing_held")
                )
            case _:
                left = (books.amount or 0) - books.refunded
                return ("succeeded", None) if intent.amount <= left else ("declined", "over_refund")

    def _tell(self, intent: PaymentIntent, answer: GatewayAnswer) -> None:
        message = GatewayMessage(f"msg_{intent.intent_id.hex}", intent.intent_id, answer)
        try:
            for _ in range(2 if intent.method == "sandbox_duplicate" else 1):
                self._messages.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("sandbox_webhook_dropped", intent_id=str(intent.intent_id))

    async def deliver(self, send: Send, stop: asyncio.Event) -> None:
        """Send webhooks until `stop`: `send(headers, body)` is the way to `POST /v1/webhooks/payments/sandbox`."""
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                waiting = asyncio.ensure_future(self._messages.get())
                await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    return
                headers, body = self.sign(waiting.result(), datetime.now(UTC))
                try:
                    await send(headers, body)
                except Exception as error:  # noqa: BLE001 - a webhook that fails is a webhook that gets lost
                    log.warning("sandbox_webhook_lost", error=type(error).__name__)
        finally:
            stopped.cancel()

    def sign(self, message: GatewayMessage, now: datetime) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of a webhook, as the sandbox sends it."""
        body = orjson.dumps(
            {
                "type": f"payment.{message.answer.status}",
                "intent_id": str(message.intent_id),
                "ref": message.answer.ref,
                "reason": message.answer.reason,
            }
        )
        at = str(int(now.timestamp()))
        signature = base64.b64encode(self._mac(message.message_id, at, body)).decode()
        return {
            "webhook-id": message.message_id,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{signature}",
        }, body

    def read_message(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayMessage | None:
        """Read a webhook that is signed, fresh (five minutes either way) and well formed."""
        message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not message_id or len(message_id) > 200 or not at.isdecimal() or len(at) > 12:
            return None
        if abs(now.timestamp() - int(at)) > SIGNATURE_TOLERANCE_S:
            return None
        expected = self._mac(message_id, at, body)
        if not any(hmac.compare_digest(expected, given) for given in _signatures(headers)):
            return None
        try:
            told = orjson.loads(body)
            status = {"payment.succeeded": "succeeded", "payment.declined": "declined"}[told["type"]]
            answer = GatewayAnswer(
                "succeeded" if status == "succeeded" else "declined", told["ref"], told["reason"]
            )
            return GatewayMessage(message_id, UUID(told["intent_id"]), answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def _mac(self, message_id: str, at: str, body: bytes) -> bytes:
        return hmac.digest(self._secret, f"{message_id}.{at}.".encode() + body, hashlib.sha256)


def _signatures(headers: Mapping[str, str]) -> list[bytes]:
    found = []
    for part in headers.get("webhook-signature", "")[:2000].split(" "):
        version, _, text = part.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found
