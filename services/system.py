"""How the house stands, for those who look after it: this process, its stores, the two queues, the audit, the growth.

The numbers at the end are those that say when a specialised store would be worth its keep (docs/operations.md): rows a
day through the outbox, fixes a second, the largest tables.
"""

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from services.booking_view import stamp
from services.reply import Answer, Reply
from services.stores import Stores
from storage import jobs, system
from storage.db import Tx

LARGEST = 12


async def look(stores: Stores) -> Answer:
    """Answer `GET /v1/system`. The tasks, sockets and pool are of the process that answers."""
    now = datetime.now(UTC)
    vitals = stores.vitals
    hot = await stores.hot.health()
    async with stores.db.reading() as tx:
        body = {
            "version": version("doorstep"),
            "node": vitals.node,
            "started_at": stamp(vitals.started_at),
            "uptime_s": round((now - vitals.started_at).total_seconds()),
            "stores": {
                "postgresql": await _postgresql(tx),
                "hot_state": {
                    "kind": hot.kind,
                    "ok": hot.ok,
                    "since": stamp(datetime.fromtimestamp(hot.since, UTC)),
                },
                "telemetry": {
                    "waiting_rows": stores.telemetry.waiting_rows,
                    "refused_rows": stores.telemetry.refused_rows,
                },
            },
            "pool": {
                "size": stores.db.pool.get_size(),
                "idle": stores.db.pool.get_idle_size(),
                "most": stores.db.pool.get_max_size(),
            },
            "sockets": dict(vitals.sockets()),
            "listen": {"up": stores.listener.up, "made": stores.listener.made},
            "tasks": [dict(task) for task in vitals.tasks()],
            "horizon_age_s": round(vitals.horizon_age_s, 3),
            "outbox": await _outbox(tx),
            "subscribers": await _subscribers(tx),
            "jobs": await _jobs(tx),
            "audit": await _audit(tx),
            "fixes_per_s": round(vitals.fixes_per_s, 2),
            "tables": [
                {"name": r["name"], "bytes": r["bytes"], "rows": r["rows"]}
                for r in await system.tables(tx, LARGEST)
            ],
        }
    return Reply(200, body)


async def _postgresql(tx: Tx) -> dict[str, Any]:
    r = await system.database(tx)
    if r is None:
        raise RuntimeError("it is always one row")
    return {
        "version": r["version"],
        "started_at": stamp(r["started_at"]),
        "bytes": r["bytes"],
        "wal_bytes_per_day": None if r["wal_bytes_per_day"] is None else round(r["wal_bytes_per_day"]),
        "nodes": r["nodes"],
    }


async def _outbox(tx: Tx) -> dict[str, Any] | None:
    r = await system.outbox(tx)
    if r is None:
        return None
    return {
        "epoch": r["epoch"],
        "rows": r["rows"],
        "oldest_at": stamp(r["oldest_at"]),
        "rows_per_day": round(r["rows_per_day"]),
    }


async def _subscribers(tx: Tx) -> list[dict[str, Any]]:
    letters = await system.dead_letters(tx)
    found = [
        {
            "name": r["subscriber"],
            "cursor": {"xid": r["xid"], "outbox_id": r["outbox_id"]},
            "epoch": r["epoch"],
            "lag_rows": r["rows"],
            "lag_s": round(r["lag_s"] or 0.0, 3),
            "attempts": r["attempts"],
            "next_try_at": stamp(r["next_try_at"]),
            "last_error": r["last_error"],
            "dead_letters": letters.pop(r["subscriber"], 0),
        }
        for r in await system.subscribers(tx)
    ]
    nobody: dict[str, Any] = {"cursor": None, "epoch": None, "lag_rows": 0, "lag_s": 0.0, "attempts": 0}
    return found + [
        {"name": name, **nobody, "next_try_at": None, "last_error": None, "dead_letters": count}
        for name, count in letters.items()
    ]


async def _jobs(tx: Tx) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for r in await jobs.depth(tx):
        job = found.setdefault(
            r["name"], {"name": r["name"], "waiting": 0, "running": 0, "failed": 0, "oldest_s": None}
        )
        kind = {"queued": "waiting", "picked": "running", "failed": "failed"}.get(r["status"])
        if kind is not None:
            job[kind] = r["jobs"]
        if kind == "waiting":
            job["oldest_s"] = round(max(0.0, r["oldest_s"]), 1)
    return list(found.values())


async def _audit(tx: Tx) -> dict[str, Any]:
    r = await system.audit(tx)
    if r is None:
        raise RuntimeError("it is always one row")
    return {"last_seal": r["last_seal"], "sealed_upto": stamp(r["sealed_upto"]), "unsealed": r["unsealed"]}
