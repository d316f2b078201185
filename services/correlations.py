"""One story by its correlation id, for those who have to tell what happened: as much of it as their role may know.

The founder sees all of it; support sees it without money and without anybody's words; finance sees the money part.
"""

from collections.abc import Mapping
from typing import Any

from domain.context import Context, Role
from services.reply import Answer, Reply
from services.stores import Stores
from storage import correlations

EACH_AT_MOST = 500  # of each kind: a client chooses the id, so one story may grow without end

MONEY_KINDS = frozenset({"ledger", "payment"})
MONEY_FIELDS = frozenset({"amount", "currency", "fee_amount", "tip_amount"})
MONEY_EVENTS = ("payment.", "booking.completed", "booking.cancelled", "booking.no_show", "booking.rated")
WORDS = frozenset({"reason"})


async def story(stores: Stores, correlation_id: str, context: Context) -> Answer:
    """Return `{items: [{at, kind, id, caused_by, ...}]}` in order of time; an unknown id has an empty story."""
    async with stores.db.reading() as tx:
        rows = await correlations.story(tx, correlation_id, EACH_AT_MOST)
    items = [
        {"at": r["at"], "kind": r["kind"], "id": r["id"], "caused_by": r["caused_by"], **_in_z(r["body"])}
        for r in rows
    ]
    return Reply(
        200, {"items": [told for item in items if (told := tell(item, context.actor.role)) is not None]}
    )


def tell(item: Mapping[str, Any], role: Role) -> dict[str, Any] | None:
    """Return the item as a role may see it, or None."""
    match role:
        case Role.FOUNDER:
            return dict(item)
        case Role.FINANCE:
            return dict(item) if _about_money(item) else None
        case _:
            return None if item["kind"] in MONEY_KINDS or _finance(item) else _without_money(item)


def _about_money(item: Mapping[str, Any]) -> bool:
    match item["kind"]:
        case "ledger" | "payment":
            return True
        case "event" | "outbox" | "socket" | "webhook":
            return str(item.get("type") or item.get("topic")).startswith(MONEY_EVENTS)
        case "job":
            return "payment" in item["name"] or "authorization" in item["name"]
        case "audit":
            return _finance(item)
        case _:
            return "/finance/" in item.get("route", "")


def _finance(item: Mapping[str, Any]) -> bool:
    return str(item.get("action", "")).startswith("finance.")


def _without_money(item: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in item.items() if name not in MONEY_FIELDS | WORDS}
    if isinstance(kept.get("data"), dict):
        kept["data"] = _without_money(kept["data"])
    return kept


def _in_z(value: Any) -> Any:
    """Write the times inside a record as every other answer does: PostgreSQL's JSON has `+00:00` for `Z`."""
    if isinstance(value, list):
        return [_in_z(each) for each in value]
    if isinstance(value, dict):
        return {
            name: each.replace("+00:00", "Z")
            if name.endswith("_at") and isinstance(each, str)
            else _in_z(each)
            for name, each in value.items()
        }
    return value
