"""People who go on whatever happens, and keep a ledger of what they were told.

Each command has its own Idempotency-Key and correlation id and is asked again, with both, until the answer is one of
the contract's: so what was acknowledged must be there exactly once, and what was refused must not be there at all.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from storage.ids import new_id
from tests.e2e.crash.house import Crew, Pair
from tests.integration.world import HOME

EVENT_OF = {
    "request": "booking.requested", "accept": "booking.accepted", "decline": "booking.declined",
    "depart": "booking.departed", "arrive": "booking.arrived", "start": "booking.started", "note": "booking.noted",
    "complete": "booking.completed", "cancel": "booking.cancelled", "rate": "booking.rated",
}  # fmt: skip
METHODS = ("sandbox_ok", "sandbox_ok", "sandbox_duplicate", "sandbox_lost_answer", "sandbox_declined")
PASSING = frozenset({"idempotency_in_progress", "not_ready", "internal", "rate_limited"})
ADDRESS = {
    "line1": "12 Harbor Street",
    "city": "Baltimore",
    "postcode": "21231",
    "lat": HOME[0],
    "lon": HOME[1],
}
TRY_AGAIN_S = 0.05
TIMEOUT = aiohttp.ClientTimeout(total=20)


@dataclass(frozen=True, slots=True)
class Told:
    """A command and its one answer. `version` of the booking; None for a refusal."""

    name: str
    path: str
    token: str
    body: Mapping[str, Any]
    key: str
    correlation_id: str
    status: int
    code: str | None
    answer: Mapping[str, Any]

    @property
    def done(self) -> bool:
        """Tell whether it was acknowledged."""
        return self.status < 300


@dataclass(slots=True)
class Ledger:
    """What everybody was told, and what must never be told."""

    told: list[Told] = field(default_factory=list)
    retried: int = 0
    replayed: int = 0
    wrong: list[str] = field(default_factory=list)


class Load:
    """Pairs of people who book, serve, pay, cancel and rate until told to stop."""

    def __init__(self, http: aiohttp.ClientSession, url: str, crew: Crew, rng: random.Random) -> None:
        self.ledger = Ledger()
        self.stop = asyncio.Event()
        self._http, self._url, self._crew, self._rng = http, url, crew, rng

    async def run(self) -> None:
        """Live until `stop`; whoever is in the middle of a command finishes it."""
        async with asyncio.TaskGroup() as tasks:
            for pair in self._crew.pairs:
                tasks.create_task(self._live(pair))

    async def _live(self, pair: Pair) -> None:
        while not self.stop.is_set():
            found = await self._discover(pair)
            if found is None:
                continue
            asked = await self._command(
                pair.customer, "request", "/bookings", found, doubled=self._rng.random() < 0.3
            )
            if asked.done:
                await self._serve(pair, str(asked.answer["booking_id"]))
            await self._ask_again(pair)

    async def _serve(self, pair: Pair, booking_id: str) -> None:
        end = self._rng.choice(("decline", "cancel", "complete", "complete", "complete"))
        if end == "decline":
            await self._of(pair.technician, booking_id, "decline", {"reason": "Ill"})
            return
        await self._of(pair.technician, booking_id, "accept", {}, doubled=self._rng.random() < 0.3)
        if end == "cancel":
            await self._of(pair.customer, booking_id, "cancel", {"reason": "Rain"}, doubled=True)
            return
        for name in ("depart", "arrive", "start", "note", "complete"):
            body = {"text": "Half done", "kind": "progress"} if name == "note" else {}
            await self._of(pair.technician, booking_id, name, body, doubled=self._rng.random() < 0.3)
        tip = {"amount": 200, "currency": "USD"}
        await self._of(
            pair.customer, booking_id, "rate", {"stars": 5, "tip": tip}, doubled=self._rng.random() < 0.3
        )
        await self._of(
            pair.technician, booking_id, "accept", {}
        )  # too late: it must be refused, and change nothing

    async def _discover(self, pair: Pair) -> dict[str, Any] | None:
        wish = {"service": "haircut", "lat": HOME[0], "lon": HOME[1], "when": "now", "limit": 50}
        status, found, _ = await self._until_answered("/discovery", pair.customer, wish, {})
        if status != 200:
            self.ledger.wrong.append(f"discovery {status} {found}")
        cards = [
            c for c in found.get("cards", ()) if c["technician"]["technician_id"] == str(pair.technician_id)
        ]
        if not cards:
            await asyncio.sleep(TRY_AGAIN_S)
            return None
        return {"match_id": found["match_id"], "card_id": cards[0]["card_id"], "address": ADDRESS,
                "payment_method": self._rng.choice(METHODS)}  # fmt: skip

    async def _of(
        self, token: str, booking_id: str, name: str, body: Mapping[str, Any], *, doubled: bool = False
    ) -> Told:
        return await self._command(token, name, f"/bookings/{booking_id}/{name}", body, doubled=doubled)

    async def _command(
        self, token: str, name: str, path: str, body: Mapping[str, Any], *, doubled: bool = False
    ) -> Told:
        """Ask until there is an answer; `doubled`: twice at once, as an impatient phone does."""
        key, story = new_id().hex, f"crash-{new_id().hex}"
        headers = {"Idempotency-Key": key, "X-Correlation-ID": story}
        answers = await asyncio.gather(
            *(self._until_answered(path, token, body, headers) for _ in range(2 if doubled else 1))
        )
        status, answer, _ = answers[0]
        told = Told(name, path, token, body, key, story, status, answer.get("code"), answer)
        self.ledger.told.append(told)
        if any(_same(other) != _same(answers[0]) for other in answers):
            self.ledger.wrong.append(f"{name} {story}: two answers for one key: {answers}")
        if status >= 500 or status in {400, 401, 403}:
            self.ledger.wrong.append(f"{name} {story}: {status} {answer}")
        return told

    async def _ask_again(self, pair: Pair) -> None:
        """Send an old command once more: it must be answered as it was, and do nothing."""
        mine = [told for told in self.ledger.told[-40:] if told.token in (pair.customer, pair.technician)]
        if not mine:
            return
        old = self._rng.choice(mine)
        headers = {"Idempotency-Key": old.key, "X-Correlation-ID": old.correlation_id}
        status, answer, replayed = await self._until_answered(old.path, old.token, old.body, headers)
        self.ledger.replayed += 1
        if _same((status, answer, replayed)) != _same((old.status, old.answer, True)) or not replayed:
            self.ledger.wrong.append(
                f"{old.name} {old.correlation_id} again: {status} {answer}, first {old.answer}"
            )

    async def _until_answered(
        self, path: str, token: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any], bool]:
        sent = {**headers, "Authorization": f"Bearer {token}"}
        while True:
            try:
                async with self._http.post(
                    f"{self._url}/v1{path}", json=body, headers=sent, timeout=TIMEOUT
                ) as came:
                    answer = await came.json(content_type=None)
                    if came.status < 500 and answer.get("code") not in PASSING:
                        return came.status, answer, came.headers.get("Idempotency-Replayed") == "true"
                    if answer.get("code") == "internal":
                        self.ledger.wrong.append(f"{path}: {answer}")
            except (aiohttp.ClientError, OSError, TimeoutError, json.JSONDecodeError):
                pass
            self.ledger.retried += 1
            await asyncio.sleep(TRY_AGAIN_S * self._rng.uniform(0.5, 1.5))


def _same(answer: tuple[int, Mapping[str, Any], bool]) -> tuple[int, Mapping[str, Any]]:
    """What must be equal of two answers for one key: all but who asked when, in a refusal."""
    status, body, _ = answer
    return status, {k: v for k, v in body.items() if k != "correlation_id"}
