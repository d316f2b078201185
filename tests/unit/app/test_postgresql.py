"""Who looks after the embedded PostgreSQL, and what a person hears of it."""

import asyncio
from typing import cast

import pytest

from app import postgresql
from app.postgresql import DISK_FULL, REVIVED, keep_postgresql
from storage.embedded import EmbeddedPostgres, EmbeddedPostgresError

PLENTY, NOTHING = 10**12, 0


class Cluster:
    """Plays what happens to a server, one look after the other."""

    def __init__(self, looks: list[bool | EmbeddedPostgresError | int], stop: asyncio.Event) -> None:
        self._looks = looks
        self._stop = stop
        self._free = PLENTY

    def revive(self) -> bool:
        """Answer as the play says."""
        if len(self._looks) == 1:
            self._stop.set()
        look = self._looks.pop(0)
        self._free = NOTHING if look is NOTHING else PLENTY
        if isinstance(look, EmbeddedPostgresError):
            raise look
        return look is True

    def free_bytes(self) -> int:
        """Answer as the play says."""
        return self._free


async def test_what_changes_is_said_once_and_what_is_over_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A death, a disk that fills, a start that fails, and the end of it."""
    monkeypatch.setattr(postgresql, "LOOK_EVERY_S", 0.001)
    stop, said = asyncio.Event(), list[str]()
    full = EmbeddedPostgresError("disk_full", "The disk that holds x is full.")
    play: list[bool | EmbeddedPostgresError | int] = [False, True, False, NOTHING, NOTHING, full, full, True]
    play.append(False)
    await keep_postgresql(cast("EmbeddedPostgres", Cluster(play, stop)), stop, said.append)
    away = "PostgreSQL does not answer. The disk that holds x is full."
    assert said == [REVIVED, "", DISK_FULL, away, REVIVED, ""]
