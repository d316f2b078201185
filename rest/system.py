"""How the house stands, for those who look after it."""

from pydantic import Field

from domain.context import Role
from rest.models import Instant, View
from rest.registry import Ask, Routes
from services import system
from services.reply import Answer

ROUTES = Routes("Seeing it all")


class PostgresqlView(View):
    """The database server. `bytes`: of its tables and indexes; `nodes`: how many of our processes listen to it."""

    version: str
    started_at: Instant
    bytes: int
    wal_bytes_per_day: int | None
    nodes: int


class HotStateView(View):
    """What may be lost: presence, newest positions. `since` when it is as it is."""

    kind: str
    ok: bool
    since: Instant


class TelemetryView(View):
    """Fixes on their way into PostgreSQL, and those that a full queue turned away."""

    waiting_rows: int
    refused_rows: int


class StoresView(View):
    """The stores behind this process."""

    postgresql: PostgresqlView
    hot_state: HotStateView
    telemetry: TelemetryView


class PoolView(View):
    """Connections of this process."""

    size: int
    idle: int
    most: int


class ListenView(View):
    """The LISTEN connection: `made` counts how often it was made."""

    up: bool
    made: int


class TaskView(View):
    """A supervised task of this process. `last_error` is the kind of the last failure."""

    name: str
    running: bool
    restarts: int
    last_error: str | None
    failed_at: Instant | None


class OutboxView(View):
    """What happened, as kept for those who follow."""

    epoch: str | None
    rows: int
    oldest_at: Instant
    rows_per_day: int


class CursorView(View):
    """Everything at or before this place was handled."""

    xid: int
    outbox_id: int


class SubscriberView(View):
    """One that follows the outbox. `lag_rows` is counted up to 10,000; `attempts`: of the event that fails now."""

    name: str
    cursor: CursorView | None
    epoch: str | None
    lag_rows: int
    lag_s: float
    attempts: int
    next_try_at: Instant | None
    last_error: str | None
    dead_letters: int


class JobView(View):
    """One kind of job. `oldest_s`: how long the oldest has been due."""

    name: str
    waiting: int
    running: int
    failed: int
    oldest_s: float | None


class SealsView(View):
    """How far the audit chain reaches."""

    last_seal: int | None
    sealed_upto: Instant | None
    unsealed: int


class TableView(View):
    """A table with its indexes; rows as PostgreSQL last estimated them."""

    name: str
    bytes: int
    rows: int | None = Field(description="Null until PostgreSQL has looked at the table")


class SystemView(View):
    """The process that answers (`node`, `tasks`, `sockets`, `pool`, `listen`) and what all processes share."""

    version: str
    node: str
    started_at: Instant
    uptime_s: int
    stores: StoresView
    pool: PoolView
    sockets: dict[str, int] = Field(description="Open sockets by namespace")
    listen: ListenView
    tasks: list[TaskView]
    horizon_age_s: float = Field(description="How long the oldest open transaction has held rows back")
    outbox: OutboxView | None
    subscribers: list[SubscriberView]
    jobs: list[JobView]
    audit: SealsView
    fixes_per_s: float = Field(description="Taken in by this process, over the last minute")
    tables: list[TableView]


@ROUTES.get("/v1/system", roles={Role.FOUNDER, Role.SUPPORT}, answer=SystemView)
async def read_system(ask: Ask) -> Answer:
    """Read how the house stands: stores, tasks, subscribers, jobs, dead letters, audit, growth."""
    return await system.look(ask.stores)
