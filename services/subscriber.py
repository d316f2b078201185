"""What a subscriber of the outbox is: a named function that hears of everything that happened, in order.

It is called inside the transaction that moves its cursor, so what it writes is written exactly once. It makes no
foreign call: whatever leaves the house (mail, a webhook) it only wants as a job, in the same transaction.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from services.stores import Stores
from storage.db import Tx


@dataclass(frozen=True, slots=True)
class Happened:
    """A row of the outbox. `data` is the event's own: ids and numbers, no personal data. `seq` None: of no booking."""

    xid: int
    outbox_id: int
    event_id: UUID
    topic: str
    booking_id: UUID | None
    area_id: UUID | None
    audience: Sequence[UUID]
    removed_id: UUID | None
    correlation_id: str
    at: datetime
    seq: int | None
    data: Mapping[str, Any]
    actor_id: UUID | None
    actor_role: str
    causation_id: UUID | None = None


type Handle = Callable[[Stores, Tx, Sequence[Happened]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """`handle` takes a batch in order; when it raises, its rows are given one by one, and one that keeps failing
    becomes a dead letter, so that it never holds up what comes behind it. A new one `begins` at what happens next
    (`head`), or with the oldest row that is kept.
    """

    name: str
    handle: Handle
    begins: Literal["head", "oldest"] = "head"
