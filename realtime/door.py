"""What the namespaces share: who may come in, one typed answer for each message, tokens that run out and are renewed.

What always holds: nobody hears anything before authentication ended; a handler that raises answers `internal` and harms
nobody else; a share link opens `/gps` alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import socketio
import structlog
from pydantic import ValidationError
from socketio.exceptions import ConnectionRefusedError as Refuse

from domain.context import ANONYMOUS, Actor, Role
from domain.refusals import Refusal
from realtime import acks
from realtime.clients import Client, Share
from realtime.messages import Message, Renew
from realtime.wire import Wire
from services import auth, sharing
from services.booking_view import stamp
from services.field_errors import invalid
from services.reply import Answer, Reply
from services.stores import Stores
from storage.ids import new_id

log = structlog.get_logger("realtime")

AUTHENTICATE_WITHIN_S = 10.0
HANDLE_WITHIN_S = 20.0
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

type Handle = Callable[[Client, Any, datetime], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Hears:
    """An event that clients may send: its model, what is done, who may. `strict`: a malformed one ends the socket."""

    model: type[Message]
    handle: Handle
    roles: frozenset[Role] | None = None
    shares: bool = False
    strict: bool = False


class Door(socketio.AsyncNamespace):
    """A namespace. Subclasses fill `hears` and may override `joined` and `left`."""

    takes_shares = False

    def __init__(self, namespace: str, stores: Stores, wire: Wire) -> None:
        super().__init__(namespace)  # type: ignore[no-untyped-call]  # the library has no types
        self.stores = stores
        self.wire = wire
        self.hears: Mapping[str, Hears] = {}

    async def joined(self, client: Client) -> None:
        """A client came in."""

    async def left(self, client: Client) -> None:
        """A client is gone."""

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Everything that the library has to say arrives here."""
        sid = args[0] if args else ""
        if event == "connect":
            await self._connect(sid, args[2] if len(args) > 2 else None)
            return None
        if event == "disconnect":
            client = self.wire.remove(self.namespace, sid)
            if client is not None:
                await self.left(client)
            return None
        client = self.wire.clients.get((self.namespace, sid))
        if client is None or client.ending:
            return None
        return await self._hear(client, event, args[1:])

    async def _connect(self, sid: str, presented: Any) -> None:
        now = datetime.now(UTC)
        try:
            async with asyncio.timeout(AUTHENTICATE_WITHIN_S):
                client = await self._admit(sid, presented, now)
            if isinstance(client, Client):
                self.wire.add(client)
                await self.joined(client)
                return
            refusal = client
        except AWAY:
            refusal = Refusal("not_ready", "A store is away; try again in a moment.")
        except Exception:
            log.exception("connect_failed", namespace=self.namespace)
            refusal = Refusal("internal", "Something went wrong on our side.")
        self.wire.remove(self.namespace, sid)
        self.wire.measures.refused.labels(self.namespace, refusal.code).inc()
        raise Refuse(refusal.title, acks.error(refusal, new_id().hex))

    async def _admit(self, sid: str, presented: Any, now: datetime) -> Client | Refusal:
        auth_data = presented if isinstance(presented, dict) else {}
        eio_sid = self.wire.eio_sid(self.namespace, sid)
        share_token, token = auth_data.get("share"), auth_data.get("token")
        if isinstance(share_token, str) and len(share_token) <= 256:
            if not self.takes_shares:
                return Refusal("forbidden", "A share link opens /gps alone.")
            visit = await sharing.resolve(self.stores, share_token, now)
            if isinstance(visit, Refusal):
                return visit
            share = Share(visit.share_id, visit.booking.booking_id)
            return Client(
                sid=sid,
                eio_sid=eio_sid,
                namespace=self.namespace,
                actor=ANONYMOUS,
                expires_at=None,
                share=share,
            )
        if not isinstance(token, str):
            return Refusal("unauthenticated", "Connect with auth {token}.")
        actor = await auth.authenticate(self.stores, token, now)
        if isinstance(actor, Refusal):
            return actor
        if not self._may_come_in(actor):
            return Refusal("forbidden", f"Nothing here is for a {actor.role}.")
        expires_at = auth.expires_at(token).timestamp()
        return Client(sid=sid, eio_sid=eio_sid, namespace=self.namespace, actor=actor, expires_at=expires_at)

    def _may_come_in(self, actor: Actor) -> bool:
        return any(hears.roles is None or actor.role in hears.roles for hears in self.hears.values())

    async def _hear(self, client: Client, event: str, args: tuple[Any, ...]) -> dict[str, Any]:
        correlation_id = new_id().hex
        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            hears = Hears(Renew, self._renew) if event == "renew" else self.hears.get(event)
            result, ends_as = await self._decide(client, hears, args)
        outcome = result.code if isinstance(result, Refusal) else "ok"
        self.wire.measures.messages.labels(self.namespace, event if hears else "unknown", outcome).inc()
        if ends_as is not None and isinstance(result, Refusal):
            self.wire.drop(client, ends_as, result)
        return acks.answer(result, correlation_id)

    async def _decide(
        self, client: Client, hears: Hears | None, args: tuple[Any, ...]
    ) -> tuple[Answer, str | None]:
        """Return the answer and, when the socket has to end for it, the reason."""
        bucket = self.wire.buckets.get(client.eio_sid)
        if bucket is None or not bucket.take():
            return Refusal("rate_limited", "Too many messages."), "rate_limited"
        if hears is None:
            return Refusal("validation", "There is no such event here."), None
        if not self._may(client, hears):
            return Refusal("forbidden", "This is not for you to ask."), None
        try:
            message = hears.model.model_validate(args[0] if args else {})
        except ValidationError as found:
            return invalid(found), "malformed" if hears.strict else None
        now = datetime.now(UTC)
        try:
            async with asyncio.timeout(HANDLE_WITHIN_S):
                return await hears.handle(client, message, now), None
        except AWAY as error:
            log.warning("store_away", namespace=self.namespace, error=type(error).__name__)
            return Refusal("not_ready", "A store is away; try again in a moment."), None
        except Exception:
            log.exception("handler_failed", namespace=self.namespace)
            return Refusal("internal", "Something went wrong on our side."), None

    def _may(self, client: Client, hears: Hears) -> bool:
        if client.share is not None:
            return hears.shares
        return hears.roles is None or client.actor.role in hears.roles

    async def _renew(self, client: Client, message: Renew, now: datetime) -> Answer:
        if client.share is not None:
            return Refusal("forbidden", "A share link is not renewed.")
        actor = await auth.authenticate(self.stores, message.token, now)
        if isinstance(actor, Refusal):
            return actor
        if (actor.person_id, actor.role) != (client.actor.person_id, client.actor.role):
            return Refusal("token_mismatch", "That token belongs to somebody else.")
        ends = auth.expires_at(message.token)
        client.actor, client.expires_at = actor, ends.timestamp()
        return Reply(200, {"expires_at": stamp(ends)})
