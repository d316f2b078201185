"""Our own thin route registry: a handler's declaration is what is served, checked and documented.

    ROUTES = Routes("Bookings")

    @ROUTES.post("/v1/bookings/{booking_id}/decline", roles={Role.TECHNICIAN}, answer=BookingView, key=True)
    async def decline(ask: Ask[DeclineBody]) -> Answer:
        \"\"\"Say no to a request.\"\"\"

Body and query models are read from the handler's `Ask[Body, Query]`, so that what mypy checks is what the door
validates. Path variables that end in `_id` are UUIDs (anything else is a 404); the rest are plain text.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, Unpack, cast, get_args, get_type_hints
from uuid import UUID

from typing_extensions import TypeVar

from domain.context import Actor, Context, Role
from domain.refusals import Refusal
from rest.models import Body, Nothing, Query, View
from services.reply import Answer
from services.stores import Stores

type PathValues = Mapping[str, UUID | str]
type Visible = Callable[[Stores, PathValues, Context], Awaitable[Refusal | None]]
type Handler = Callable[["Ask[Any, Any]"], Awaitable[Answer]]

ANYBODY: frozenset[Role] = frozenset()
SIGNED_IN: frozenset[Role] = frozenset(Role) - {Role.SYSTEM, Role.ANONYMOUS}
STAFF: frozenset[Role] = frozenset({Role.DISPATCHER, Role.SUPPORT, Role.FINANCE, Role.FOUNDER})

B = TypeVar("B", bound=Body, default=Nothing)
Q = TypeVar("Q", bound=Query, default=Query)
H = TypeVar("H", bound=Callable[..., Awaitable[Answer]])


@dataclass(frozen=True, slots=True)
class Ask(Generic[B, Q]):
    """One parsed request: everything a handler may know."""

    stores: Stores
    context: Context
    body: B
    query: Q
    path: PathValues
    client: str = "unknown"  # the caller's address, for limits alone: never logged, never stored
    raw: bytes = b""  # the body as it came, for signatures of webhooks
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def actor(self) -> Actor:
        """Who asks; `ANONYMOUS` on open routes."""
        return self.context.actor

    @property
    def person_id(self) -> UUID:
        """The signed-in person's id. Raises TypeError on an open route."""
        if self.context.actor.person_id is None:
            raise TypeError("an open route has no person")
        return self.context.actor.person_id

    def id(self, name: str) -> UUID:
        """The id in the path under that name."""
        return cast("UUID", self.path[name])

    def text(self, name: str) -> str:
        """The text in the path under that name."""
        return str(self.path[name])


@dataclass(frozen=True, slots=True)
class Route:
    """One operation, as served and as documented."""

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role]
    body: type[Body]
    query: type[Query]
    answer: type[View] | None
    status: int
    also: tuple[int, ...]
    key: bool
    tag: str
    summary: str
    description: str
    refusals: tuple[str, ...]
    visible: Visible | None
    limit: str
    cache: str

    @property
    def open(self) -> bool:
        """No token is asked for."""
        return self.roles == ANYBODY

    @property
    def variables(self) -> tuple[str, ...]:
        """The names in the path, in order."""
        return tuple(re.findall(r"{(\w+)}", self.path))


class Declared(TypedDict, total=False):
    """What a declaration may say; every part has a default.

    `roles`: who may call (default: any signed-in; `ANYBODY`: without a token). `answer`: the model of the good answer
    (default: no content). `status`: of the good answer (200); `also`: further good statuses of the same shape.
    `key`: an Idempotency-Key is required and becomes `context.claim`. `refusals`: codes of the domain that this
    operation may answer (400, 401, 403, 404, 422 follow from the rest). `visible`: asked for a 404 before a bad body
    may answer 422; on the good path the service decides that itself, in its transaction. `limit`: the bucket of
    rest/limits.py. `cache`: Cache-Control of a good answer ("no-store").
    """

    roles: Collection[Role]
    answer: type[View] | None
    status: int
    also: Collection[int]
    key: bool
    refusals: Collection[str]
    visible: Visible
    limit: str
    cache: str


class Routes:
    """The operations of one subject. `tag` groups them in the document."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def get(self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare a GET; see `add`."""
        return self.add("GET", path, **declared)

    def post(self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare a POST; see `add`."""
        return self.add("POST", path, **declared)

    def put(self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare a PUT; see `add`."""
        return self.add("PUT", path, **declared)

    def patch(self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare a PATCH; see `add`."""
        return self.add("PATCH", path, **declared)

    def delete(self, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare a DELETE; see `add`."""
        return self.add("DELETE", path, **declared)

    def add(self, method: str, path: str, **declared: Unpack[Declared]) -> Callable[[H], H]:
        """Declare an operation by `Declared`'s fields, and leave the handler as it was."""

        def declare(handler: H) -> H:
            body, query = _models(handler)
            summary, _, description = (handler.__doc__ or "").strip().partition("\n")
            self._routes.append(
                Route(
                    method=method,
                    path=path,
                    handler=cast("Handler", handler),
                    roles=frozenset(declared.get("roles", SIGNED_IN)),
                    body=body,
                    query=query,
                    answer=declared.get("answer"),
                    status=declared.get("status", 200),
                    also=tuple(declared.get("also", ())),
                    key=declared.get("key", False),
                    tag=self.tag,
                    summary=summary.rstrip("."),
                    description=" ".join(description.split()),
                    refusals=tuple(declared.get("refusals", ())),
                    visible=declared.get("visible"),
                    limit=declared.get("limit", "default"),
                    cache=declared.get("cache", "no-store"),
                )
            )
            return handler

        return declare


def _models(handler: Callable[..., Any]) -> tuple[type[Body], type[Query]]:
    hints = [hint for name, hint in get_type_hints(handler).items() if name != "return"]
    args = get_args(hints[0]) if hints else ()
    body = args[0] if args else Nothing
    query = args[1] if len(args) > 1 else Query
    return body, query
