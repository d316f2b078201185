"""Outgoing webhooks by the Standard Webhooks specification: who hears of what, and what an answer means.

A delivery is tried on a schedule of days. 2xx ends it; 410 ends the webhook; every other answer, and silence, is tried
again, no sooner than the receiver wishes. An address that may not be reached is not tried again at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from domain.booking_events import HAPPENED, PaymentVoided
from domain.facts import Fact

AT_MOST = 20  # webhooks of a house; each has a lane of its own
TOPICS_AT_MOST = 50
WAITING_AT_MOST = (
    10_000  # deliveries of one webhook; behind that it is paused, and replayed when somebody looked
)
OVERLAP_S = 86_400
SECRETS_AT_MOST = 4  # live at a time: a signature for each stands in one header
FAILING_FOR = timedelta(days=5)
LONGEST_WAIT_S = 86_400.0
DELAYS_S: tuple[float, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)

PING = "webhook.ping"
TYPES = frozenset(happened.type for happened in HAPPENED) - {PaymentVoided.type}
FAMILIES = frozenset(f"{name.partition('.')[0]}.*" for name in TYPES)
TOPICS = frozenset({"*"}) | FAMILIES | TYPES

Reason = Literal["by_hand", "failing", "behind", "gone"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to post, and of what. `failing_since`: no delivery went well since then. Its secrets stand elsewhere."""

    webhook_id: UUID
    lane: int
    url: str
    topics: tuple[str, ...]
    description: str
    state: str
    reason: str | None
    created_at: datetime
    changed_at: datetime
    failing_since: datetime | None

    @property
    def active(self) -> bool:
        """It is told of what happens."""
        return self.state == "active"

    def hears(self, topic: str) -> bool:
        """Tell whether it is told of events of this type."""
        return topic in TYPES and wants(self.topics, topic)


@dataclass(frozen=True, slots=True)
class DeliveryWanted(Fact):
    """An event is to be posted to a webhook. `replay`: once more, because somebody asked for it."""

    delivery_id: UUID
    webhook_id: UUID
    event_id: UUID
    type: str
    booking_id: UUID | None
    replay: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went: a status, or the word for why there was none. `hopeless`: it never can be otherwise."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None
    hopeless: bool = False

    @property
    def good(self) -> bool:
        """The receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver wants to hear nothing any more."""
        return self.status == 410

    def word(self) -> str:
        """Return it as a code for records."""
        return self.error or f"http_{self.status}"


def wants(topics: Sequence[str], topic: str) -> bool:
    """Tell whether a list of topics covers a type: `*`, its family (`booking.*`), or the type itself."""
    return "*" in topics or topic in topics or f"{topic.partition('.')[0]}.*" in topics


def next_delay_s(attempts: int, outcome: Outcome, jitter: float) -> float | None:
    """Return how long to wait after so many attempts, the last of which failed; None when it was the last of all.

    `jitter`: 0 to 1, moves the delay within ±10 %. A receiver's Retry-After makes it longer, never shorter.
    """
    if outcome.hopeless or outcome.gone or attempts > len(DELAYS_S):
        return None
    delay_s = DELAYS_S[attempts - 1] * (0.9 + 0.2 * jitter)
    return min(max(delay_s, outcome.retry_after_s or 0.0), LONGEST_WAIT_S)


def fails_too_long(failing_since: datetime | None, now: datetime) -> bool:
    """Tell whether a webhook has failed for so long that nobody seems to be there."""
    return failing_since is not None and now - failing_since > FAILING_FOR


def job_of(lane: int) -> str:
    """Return the name of the jobs of a lane."""
    return f"deliver_webhook_{lane:02}"
