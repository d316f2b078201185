"""What a channel is: it takes a rendered letter to one address, once, and says how that went. It never raises.

Towards the outside a letter goes at least once: a process may die after the other side took it. So every channel gives
the notification's own id along (Message-ID, Topic, a field), by which a second copy can be told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.posting import Posted


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be said. `link`: the path of the page that shows more; `urgent`: it concerns somebody now."""

    notification_id: UUID
    template: str
    language: str
    title: str
    body: str
    urgent: bool
    useful_until: datetime
    link: str


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a browser is reached, and the two keys that only it can answer to."""

    subscription_id: UUID
    endpoint: str
    p256dh: str
    auth: str


@dataclass(frozen=True, slots=True, repr=False)
class To:
    """One address of a person, of the kind that the channel takes; it has no repr, so that no log can show it."""

    email: str | None = None
    phone: str | None = None
    browser: Browser | None = None

    @property
    def target_id(self) -> UUID | None:
        """Which of several addresses of one kind this is."""
        return self.browser.subscription_id if self.browser else None


@dataclass(frozen=True, slots=True)
class Sent:
    """How it went. `again`: trying again may help; `gone`: the address is no more. `code` holds no personal data."""

    code: str
    ok: bool = False
    again: bool = False
    gone: bool = False
    unreachable: bool = False
    after_s: float | None = None  # when the other side would like to be asked again


class Channel(Protocol):
    """One way out."""

    async def send(self, letter: Letter, to: To, now: datetime) -> Sent:
        """Take the letter to that address. Ends within `WITHIN_S`, whatever the other side does."""
        ...


WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels that are on, by name (`domain.notifying`), and what a page needs to subscribe a browser."""

    by_name: Mapping[str, Channel] = field(default_factory=dict)
    push_key: str | None = None


def of_answer(posted: Posted) -> Sent:
    """Read the answer of an HTTP server: what it took, what it will never take, and what may help later."""
    status = posted.status
    if 200 <= status < 300:
        return Sent(str(status), ok=True)
    # Not 401 and 403: those are ours to mend, and then the letter goes.
    final = 400 <= status < 500 and status not in (401, 403, 408, 425, 429)
    return Sent(str(status), again=not final, after_s=posted.retry_after_s)
