"""What we ask of a payment gateway, and which of its answers may still change what we know.

An intent is committed before the gateway is called, and its id is the gateway's idempotency key: asking again finds the
same answer. A hold is resolved once (captured or released). Money that moved is never forgotten: a success wins over an
earlier failure, and no failure, however late, wins over a success.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from domain.facts import Fact, JobWanted


class Kind(StrEnum):
    """What is asked: hold an amount, check a method, take from a hold, take without one, let a hold go, give back."""

    AUTHORIZE = "authorize"
    VERIFY = "verify"
    CAPTURE = "capture"
    CHARGE = "charge"
    VOID = "void"
    REFUND = "refund"


class Purpose(StrEnum):
    """What the money is for; it becomes the kind of the ledger's transaction."""

    VISIT = "visit"
    CANCELLATION_FEE = "cancellation_fee"
    NO_SHOW_FEE = "no_show_fee"
    TIP = "tip"


class Status(StrEnum):
    """How an intent stands. `declined`: the gateway said no. `failed`: nobody could say; a success may still come."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PaymentIntent:
    """One thing asked of the gateway. `parent_id` is the hold (or checked method) that it takes from or lets go."""

    intent_id: UUID
    booking_id: UUID
    kind: Kind
    method: str
    amount: int
    currency: str
    purpose: Purpose = Purpose.VISIT
    parent_id: UUID | None = None
    gateway: str = "sandbox"
    status: Status = Status.PENDING
    gateway_ref: str | None = None
    attempts: int = 0
    reason: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PaymentIntended(Fact):
    """We want this of the gateway; nothing was asked yet."""

    intent: PaymentIntent


@dataclass(frozen=True, slots=True)
class PaymentSettled(Fact):
    """The gateway answered, or we gave up. `gateway_ref` is its own name for what it did."""

    intent_id: UUID
    status: Status
    gateway_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Authorized:
    """The gateway holds the amount, or (`verified_only`) has checked the method."""

    gateway_ref: str
    verified_only: bool = False


@dataclass(frozen=True, slots=True)
class Declined:
    """The gateway said no; `reason` is its short code."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody answered in time; the hold may or may not stand, so it must be released: `release(intent, ...)`."""

    reason: str


def after(current: Status, reported: Status) -> Status:
    """Return how an intent stands once `reported` came in: success is final, and only success overrides an ending."""
    if current is Status.PENDING or reported is Status.SUCCEEDED:
        return reported
    return current


def failure_matters(kind: Kind, purpose: Purpose) -> bool:
    """Tell whether a failed intent makes the booking's payment a failed one.

    A refund, a release or a tip that failed leaves the visit's payment as it stands; support sees the job.
    """
    return kind in {Kind.AUTHORIZE, Kind.CAPTURE, Kind.CHARGE} and purpose is not Purpose.TIP


def collect(
    held: PaymentIntent, intent_id: UUID, amount: int, purpose: Purpose = Purpose.VISIT
) -> Sequence[Fact]:
    """Take `amount` (at most what is held) for a visit or a fee: the intent, and the job that makes the call.

    Where the method was only verified, it is charged. Raises ValueError for more than was quoted, or nothing.
    """
    if not 0 < amount <= held.amount:
        raise ValueError(f"cannot take {amount} of {held.amount}")
    kind = Kind.CAPTURE if held.kind is Kind.AUTHORIZE else Kind.CHARGE
    return _asked(held, intent_id, kind, amount, purpose, "capture_payment")


def hold(checked: PaymentIntent, intent_id: UUID) -> Sequence[Fact]:
    """Hold the amount on a method that was only verified: the visit has come near enough for a hold to last."""
    return _asked(checked, intent_id, Kind.AUTHORIZE, checked.amount, checked.purpose, "authorize_payment")


def release(held: PaymentIntent, intent_id: UUID) -> Sequence[Fact]:
    """Let a hold go: the intent, and the job that makes the call. Right also for a hold whose answer never came."""
    return _asked(held, intent_id, Kind.VOID, held.amount, held.purpose, "void_payment")


def tip(held: PaymentIntent, intent_id: UUID, amount: int) -> Sequence[Fact]:
    """Charge a tip to the method that paid the visit."""
    if amount <= 0:
        raise ValueError("a tip is more than nothing")
    return _asked(held, intent_id, Kind.CHARGE, amount, Purpose.TIP, "capture_payment")


def refund(paid: PaymentIntent, intent_id: UUID, amount: int, reason: str) -> Sequence[Fact]:
    """Give back part or all of what was taken; the caller has checked `refundable`."""
    return _asked(paid, intent_id, Kind.REFUND, amount, paid.purpose, "refund_payment", reason)


def refundable(captured: int, refunds: Sequence[tuple[int, Status]]) -> int:
    """Return what may still be given back: captured, less every refund that the gateway did not plainly refuse.

    One that nobody could say anything about (`failed`) may yet turn out to have gone through.
    """
    return captured - sum(amount for amount, status in refunds if status is not Status.DECLINED)


def _asked(
    of: PaymentIntent,
    intent_id: UUID,
    kind: Kind,
    amount: int,
    purpose: Purpose,
    job: str,
    reason: str | None = None,
) -> Sequence[Fact]:
    intent = PaymentIntent(
        intent_id=intent_id,
        booking_id=of.booking_id,
        kind=kind,
        method=of.method,
        amount=amount,
        currency=of.currency,
        purpose=purpose,
        parent_id=of.intent_id,
        gateway=of.gateway,
        reason=reason,
    )
    return PaymentIntended(intent), JobWanted(job, {"intent_id": str(intent_id)})
