"""What the relay leaves behind: which events reached how many sockets of this node, and what it could not show.

Sockets come first and the record a moment later, in batches: no booking and no delivery waits for it, and what a dying
process had not written yet is lost, since the events themselves are not.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.stores import Stores
from storage import dead_letters, relayed
from storage.dead_letters import DeadLetter
from storage.relayed import Reached

RELAY = "relay"  # the name under which its dead letters stand


async def note(stores: Stores, reached: Sequence[Reached]) -> None:
    """Write down what was sent by this node."""
    async with stores.db.transaction() as tx:
        await relayed.note(tx, stores.vitals.node, reached)


async def give_up(stores: Stores, row: Mapping[str, Any], attempts: int, error: Exception) -> None:
    """Lay down a row that could not be shown."""
    letter = DeadLetter(
        RELAY, row["event_id"], row["outbox_id"], row["topic"], row["correlation_id"], attempts, type(error).__name__
    )  # fmt: skip
    async with stores.db.transaction() as tx:
        await dead_letters.put(tx, letter, datetime.now(UTC))
