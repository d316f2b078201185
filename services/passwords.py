"""Passwords as argon2id hashes: worked on in threads, a few at a time, and as long for nobody as for somebody.

Parameters follow OWASP's second choice (19 MiB, two passes, one lane): about 20 ms, so that a burst of sign-ins neither
fills the memory nor starves the event loop. A hash carries its own parameters; old ones go on working.
"""

import asyncio
import secrets
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.refusals import Refusal

AT_ONCE = 2
WAITING = 64  # more than this wait for a turn: the next one is told to come back, nobody who waits is dropped


class Passwords:
    """Hashes and verifies, off the event loop."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobody: str | None = None

    def hash_now(self, password: str) -> str:
        """Hash in this thread: for the command line and for seeds."""
        return self._hasher.hash(password)

    async def hash(self, password: str) -> str | Refusal:
        """Hash in a worker thread. Refuses (`rate_limited`) when too many wait."""
        return await self._turn(self._hasher.hash, password)

    async def verify(self, kept: str | None, password: str) -> bool | Refusal:
        """Tell whether the password is the one; without a hash the answer is no, after the same time."""
        return await self._turn(self._check, kept, password)

    def _check(self, kept: str | None, password: str) -> bool:
        if kept is None:
            self._nobody = self._nobody or self._hasher.hash(secrets.token_hex())
        try:
            self._hasher.verify(kept or self._nobody or "", password)
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    async def _turn[**P, R](self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | Refusal:
        if self._waiting >= WAITING:
            return Refusal("rate_limited", "Too many people are signing in now.", extra={"retry_after_s": 2})
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *args, **kwargs)
        finally:
            self._waiting -= 1
