"""Refusals are values with a stable code; this table gives each its HTTP status and title, for every door alike.

A door never invents a code: what is not in `CODES` cannot be refused, and a test proves that the table covers all that
the rules, the services and the doors use.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

UNPROCESSABLE = 422


class Code(NamedTuple):
    """What a code means outside: the HTTP status and one short, constant title."""

    status: int
    title: str


CODES: Mapping[str, Code] = {
    "unauthenticated": Code(401, "Sign in first"),
    "token_expired": Code(401, "The access token has run out"),
    "token_revoked": Code(401, "The access token was revoked"),
    "forbidden": Code(403, "Your role may not do this"),
    "not_found": Code(404, "There is no such thing for you"),
    "method_not_allowed": Code(405, "This address does not take that method"),
    "ended": Code(410, "This is over"),
    "version_conflict": Code(412, "It changed since you read it"),
    "too_large": Code(413, "The body is too large"),
    "unsupported_media_type": Code(415, "Send application/json"),
    "validation": Code(422, "The request is not well formed"),
    "card_mismatch": Code(422, "That card is not of that match"),
    "unknown_service": Code(422, "There is no such service"),
    "unknown_experience": Code(422, "There is no such experience"),
    "outside_service_area": Code(422, "The address lies outside our areas"),
    "idempotency_key_required": Code(400, "An Idempotency-Key header is required"),
    "idempotency_key_reused": Code(422, "This key was used for another request"),
    "idempotency_in_progress": Code(409, "A request with this key is still running"),
    "booking_state": Code(409, "The booking does not allow this now"),
    "slot_taken": Code(409, "The technician is not free at that time"),
    "match_expired": Code(409, "The match has run out"),
    "quote_expired": Code(409, "The quote has run out"),
    "already_rated": Code(409, "This visit was rated already"),
    "not_qualified": Code(409, "The technician is not qualified for this visit"),
    "payment_declined": Code(402, "The payment was declined"),
    "over_refund": Code(409, "More than was paid cannot be refunded"),
    "own_approval": Code(409, "Somebody else must approve this"),
    "refund_request_state": Code(409, "The request was decided already"),
    "payout_state": Code(409, "The payout does not allow this now"),
    "open_bookings": Code(409, "Visits are still to come"),
    "unpaid": Code(409, "A visit is not paid yet"),
    "last_founder": Code(409, "Nobody else could approve"),
    "credential_state": Code(409, "The credential does not allow this now"),
    "dead_letter_state": Code(409, "This dead letter cannot be replayed"),
    "webhook_state": Code(409, "The webhook does not allow this now"),
    "rate_limited": Code(429, "Too many requests"),
    "internal": Code(500, "Something went wrong on our side"),
    "not_ready": Code(503, "A store is away"),
    "cursor_expired": Code(409, "The cursor is unknown or too old"),
    "token_mismatch": Code(409, "The token belongs to somebody else"),
    "slow": Code(409, "This connection reads too slowly"),
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: an RFC 6901 pointer into the body (or `query/...`), a stable code, and words."""

    pointer: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was not done. `extra` holds members that the code defines, such as `missing`."""

    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise KeyError for a code that the table does not know."""
        CODES[self.code]

    @property
    def status(self) -> int:
        """Return the HTTP status of this refusal."""
        return CODES[self.code].status

    @property
    def title(self) -> str:
        """Return the constant title of this refusal's code."""
        return CODES[self.code].title


def problem(refusal: Refusal, correlation_id: str) -> dict[str, Any]:
    """Return the RFC 9457 document of a refusal: what every HTTP error body is. A 422 has `errors`, perhaps empty."""
    document: dict[str, Any] = {
        **refusal.extra,
        "type": f"/docs#problem-{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "correlation_id": correlation_id,
    }
    if refusal.errors or refusal.status == UNPROCESSABLE:
        document["errors"] = [
            {"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in refusal.errors
        ]
    return document
