"""Where everything is put together: what a process opens, in order, and closes in the other order.

    settings → tracing → PostgreSQL → hot state → telemetry → router → payment gateway → poster → Stores
    → REST, Socket.IO, pages → supervised tasks

Each resource is one `async with`; the application serves when all of them stand, and nothing outlives it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, Gauge

from app.background import Background
from app.channels import channels
from app.city import BASEMAP
from app.posting import open_poster
from app.settings import Settings
from app.tracing import open_tracing
from pages import routes as pages
from realtime import server as realtime
from realtime.server import Realtime
from rest import server as rest
from rest.keys import STORES
from services import (
    audit,
    auth,
    deadlines,
    gauging,
    jobs,
    payment_webhooks,
    subscribers,
    tidying,
    webhook_deliveries,
)
from services.measures import Measures
from services.routing import open_router
from services.sandbox_gateway import SandboxGateway
from services.stores import Stores
from storage.db import open_database
from storage.hot import HotState, MemoryHot
from storage.hot_redis import open_redis_hot
from storage.telemetry import open_telemetry

REALTIME: web.AppKey[Realtime] = web.AppKey("doorstep_realtime", Realtime)

READY_WITHIN_S = 10.0


@asynccontextmanager
async def open_stores(settings: Settings, database_url: str, secret_key: bytes) -> AsyncIterator[Stores]:
    """Open what use cases reach; close it when the block ends. Raises asyncpg's errors when PostgreSQL is away."""
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_database(database_url, max_size=settings.database_pool))
        hot: HotState = MemoryHot()
        if settings.redis_url is not None:
            hot = await stack.enter_async_context(open_redis_hot(settings.redis_url.get_secret_value()))
        telemetry = await stack.enter_async_context(
            open_telemetry(database_url, retention_h=settings.raw_fix_retention_h)
        )
        poster = await stack.enter_async_context(
            open_poster(allow=settings.post_allow, http=settings.post_http)
        )
        reports = await stack.enter_async_context(
            open_database(database_url, role="doorstep_metrics", min_size=0, max_size=2)
        )
        yield Stores(
            db=db,
            hot=hot,
            telemetry=telemetry,
            router=open_router(settings.routing_dir),
            gateway=SandboxGateway(db, secret_key),
            policy=settings.policy(),
            secret_key=secret_key,
            poster=poster,
            channels=channels(settings, poster),
            reports=reports,
        )


def create_app(
    settings: Settings, database_url: str, secret_key: bytes, *, demo: bool = False
) -> web.Application:
    """Make the web application; its resources open with its start-up and close with its clean-up."""
    app = web.Application(client_max_size=rest.BODY_LIMIT_BYTES)
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)

    measures = Measures(registry)

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(open_tracing(settings))
            stores = await stack.enter_async_context(open_stores(settings, database_url, secret_key))
            app[STORES] = stores
            live = realtime.attach(app, stores, allowed_origins=settings.allowed_origins, measures=measures)
            app[REALTIME] = live
            background = Background()
            stack.push_async_callback(background.end)
            if settings.background:
                _start_what_follows(background, stores)
            _start_tasks(background, stores, live, measures)
            async with asyncio.timeout(READY_WITHIN_S):
                await live.ready.wait()
            yield

    app.cleanup_ctx.append(lifespan)
    app.on_shutdown.append(_goodbye)
    rest.attach(
        app,
        rest.DoorSettings(
            requests_per_s=settings.requests_per_s,
            requests_burst=settings.requests_burst,
            sign_ins_per_minute=settings.sign_ins_per_minute,
            sign_ins_burst=settings.sign_ins_burst,
            trusted_proxies=settings.trusted_proxies,
            check_answers=settings.check_answers,
        ),
        registry,
    )
    pages.setup(app, demo=demo, tiles_url=settings.tiles_url, basemap_path=BASEMAP)
    return app


async def _goodbye(app: web.Application) -> None:
    """Tell sockets when to come back, while they still listen."""
    await app[REALTIME].goodbye()


def _start_what_follows(background: Background, stores: Stores) -> None:
    """Begin the work that follows from what was committed: any process may do it, and one is enough."""
    background.start("deadlines", lambda stop: deadlines.run(stores, stop, _now))
    background.start("subscribers", lambda stop: subscribers.run(stores, stop))
    background.start("jobs", lambda stop: jobs.work(stores, stop))
    background.start("webhooks", lambda stop: webhook_deliveries.work(stores, stop))
    background.start("tidy", lambda stop: tidying.run(stores, stop))
    background.start("audit sealer", lambda stop: audit.run(stores, stop))


def _start_tasks(background: Background, stores: Stores, live: Realtime, measures: Measures) -> None:
    stores.vitals.tasks = background.health
    background.start("revocations", lambda stop: auth.follow_revocations(stores, stop))
    background.start("sandbox webhooks", lambda stop: payment_webhooks.deliver_sandbox(stores, stop))
    background.start("gauges", lambda stop: gauging.run(stores, measures, stop))
    for name, loop in live.loops.items():
        background.start(name, loop)
    restarts = Gauge(
        "doorstep_task_restarts", "Restarts of supervised tasks", ("task",), registry=measures.registry
    )
    for name in background.restarts:
        restarts.labels(name).set_function(lambda name=name: background.restarts[name])  # type: ignore[misc]  # a default binds the loop variable


def _now() -> datetime:
    return datetime.now(UTC)
