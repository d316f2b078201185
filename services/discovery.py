"""Who could come? One question becomes a match: everybody who was considered, why some were left out, and the cards.

Nothing foreign is waited for inside a transaction: candidates are read, presence and driving times are asked, the pure
ranking decides, and one short transaction writes the match whole. It never changes after that.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from math import cos, radians
from typing import Any
from uuid import UUID

from domain import matching
from domain.context import Context, Role
from domain.credentials import inherit
from domain.matching import RANKING_VERSION, WEIGHTS, Candidate, MatchMade, Ranked, features
from domain.refusals import FieldError, Refusal
from services import cards
from services.booking_view import stamp
from services.catalogue import area_at, unknown_experience, unknown_service
from services.considering import FREE_GATES, NOW_WITHIN, Closed, Open, Scene, Wish, consider
from services.reply import Answer, Reply
from services.stores import Stores
from storage import catalogue, matches, personal, technicians
from storage.db import Tx
from storage.ids import new_id
from storage.journal import record

AHEAD_AT_MOST = timedelta(days=60)
CLOCK_SLACK = timedelta(minutes=1)
REACH_DEG = 0.9  # 100 km, the largest radius that a technician may name


async def discover(stores: Stores, wish: Wish, context: Context) -> Answer:
    """Find, rank and offer technicians; the whole run is kept. No cards is a good answer with a `reason`."""
    wrong = _when_is_wrong(wish, context.now)
    if wrong is not None:
        return wrong
    scene = await _read(stores, wish, context)
    if isinstance(scene, Refusal):
        return scene
    outcomes = await consider(stores, wish, scene, context.now)
    match, rows, shown = made(wish, scene, outcomes, context, stores.policy.match_ttl_s)
    async with stores.db.transaction() as tx:
        match["place"] = await _sealed_place(tx, wish, context)
        await record(tx, [MatchMade(match, rows)], context)
    return Reply(200, _body(match, shown))


async def read(stores: Stores, match_id: UUID, context: Context) -> Answer:
    """Show a match: to its customer the cards, to staff also everybody who was considered."""
    async with stores.db.reading() as tx:
        match = await matches.get(tx, match_id)
        if match is None or not _may_read(match, context):
            return _not_found()
        shown = [
            cards.named(each["card"], each["display_name"], each["photo_url"])
            for each in await matches.cards(tx, match_id)
        ]
        considered = [] if context.actor.role == Role.CUSTOMER else await matches.candidates(tx, match_id)
    body = _body({name: getattr(match, name) for name in match.__slots__}, shown)
    if context.actor.role != Role.CUSTOMER:
        body |= {
            "customer_id": str(match.customer_id),
            "weights": {name: micro / matching.MILLION for name, micro in match.weights.items()},
            "seed": str(match.seed),
            "swaps": match.swaps,
            "candidates": [_candidate(dict(each)) for each in considered],
        }
    return Reply(200, body)


async def viewed(stores: Stores, match_id: UUID, card_id: UUID, kind: str, context: Context) -> Answer:
    """Remember for the funnel that a card was seen, opened, or had its credentials looked at."""
    async with stores.db.transaction() as tx:
        match = await matches.get(tx, match_id)
        if match is None or match.customer_id != context.actor.person_id:
            return _not_found()
        if await matches.card_of(tx, match_id, card_id) is None:
            error = FieldError("/card_id", "card_mismatch", "That card is not of that match.")
            return Refusal("card_mismatch", "That card is not of that match.", (error,))
        await matches.viewed(tx, match_id, card_id, kind, context.now)
    return Reply(204, {})


async def visible(stores: Stores, match_id: UUID, context: Context) -> Refusal | None:
    """Refuse with 404 a match that the caller may not see."""
    async with stores.db.reading() as tx:
        match = await matches.get(tx, match_id)
    return None if match is not None and _may_read(match, context) else _not_found()


def _may_read(match: matches.Match, context: Context) -> bool:
    return context.actor.role != Role.CUSTOMER or match.customer_id == context.actor.person_id


def _not_found() -> Refusal:
    return Refusal("not_found", "There is no such match.")


def _when_is_wrong(wish: Wish, now: datetime) -> Refusal | None:
    if wish.when is None or now - CLOCK_SLACK <= wish.when <= now + AHEAD_AT_MOST:
        return None
    error = FieldError("/when", "out_of_range", "A visit begins between now and 60 days from now.")
    return Refusal("validation", "The time cannot be booked.", (error,))


async def _read(stores: Stores, wish: Wish, context: Context) -> Scene | Refusal:
    buffer = timedelta(seconds=stores.policy.travel_buffer_s)
    async with stores.db.reading() as tx:
        service = await catalogue.service(tx, wish.service)
        if service is None:
            return unknown_service("/service")
        known = {each.experience for each in await catalogue.experiences(tx)}
        if not known.issuperset(wish.experience):
            return unknown_experience("/experience")
        area = await area_at(tx, wish.lat, wish.lon)
        if area is None:
            return Scene(service, None, None, service.currency, 0, ())
        chain = await catalogue.chain(tx, area.jurisdiction)
        sets = await catalogue.rule_sets(tx, [each.code for each in chain], wish.service)
        starts = wish.when or context.now
        ends = starts + timedelta(seconds=service.duration_s) + (timedelta(0) if wish.when else NOW_WITHIN)
        nearby = await technicians.around(
            tx,
            wish.service,
            (wish.lat, wish.lon),
            (REACH_DEG, min(180.0, REACH_DEG / max(0.01, cos(radians(wish.lat))))),
            (starts - buffer, ends + buffer),
            context.now,
        )
    return Scene(
        service, area, inherit(wish.service, chain, sets), chain[-1].currency, chain[-1].tax_bp, nearby
    )


async def _sealed_place(tx: Tx, wish: Wish, context: Context) -> bytes:
    person_id = context.actor.person_id
    if person_id is None:
        raise ValueError("only people ask who could come")
    return personal.seal(
        personal.needed(await personal.key_of(tx, person_id)), {"lat": wish.lat, "lon": wish.lon}
    )


def made(
    wish: Wish,
    scene: Scene,
    outcomes: Sequence[Open | Closed],
    context: Context,
    ttl_s: int,
    ids: Callable[[], UUID] = new_id,
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Rank those whom no gate stopped; return the match, its candidates, and the cards as the customer sees them."""
    match_id = ids()
    seed = match_id.int & (2**63 - 1)
    found = {each.technician.technician_id: each for each in outcomes if isinstance(each, Open)}
    ranking = matching.rank(
        [Candidate(key, features(each.facts)) for key, each in found.items()], WEIGHTS, seed
    )
    rows = [
        _ranked_row((match_id, ids), wish, scene, place, found[place.technician_id])
        for place in ranking.order
    ]
    rows += [_closed_row(match_id, each) for each in outcomes if isinstance(each, Closed)]
    shown = [
        cards.named(row["card"], each.technician.display_name, each.technician.photo_url)
        for row in rows
        if row["card"] is not None
        for each in (found[row["technician_id"]],)
    ]
    match = {
        "match_id": match_id,
        "customer_id": context.actor.person_id,
        "service": wish.service,
        "experience": wish.experience,
        "asked_for": wish.when,
        "jurisdiction": scene.area.jurisdiction if scene.area else None,
        "area_id": scene.area.area_id if scene.area else None,
        "ranking_version": RANKING_VERSION,
        "reason": None if found else _reason(scene, outcomes),
        "weights": dict(WEIGHTS),
        "seed": seed,
        "expires_at": context.now + timedelta(seconds=ttl_s),
        "swaps": [swap.document() for swap in ranking.swaps],
    }
    return match, rows, shown


def _ranked_row(
    named: tuple[UUID, Callable[[], UUID]], wish: Wish, scene: Scene, place: Ranked, each: Open
) -> dict[str, Any]:
    match_id, ids = named
    row: dict[str, Any] = {
        "match_id": match_id,
        "technician_id": each.technician.technician_id,
        "card_id": None,
        "position": place.position,
        "base_rank": place.base_rank,
        "gate": "limit",  # ranked, and beyond the number of cards that was asked for
        "features": dict(place.features),
        "contributions": dict(place.contributions),
        "score": place.score,
        "card": None,
        "starts_at": each.starts_at,
    }
    if place.position > wish.limit:
        return row
    card_id = ids()
    quote = cards.quoted(scene.service.base_amount, each.facts.distance_m, scene.currency, scene.tax_bp)
    asked = cards.Asked(wish.experience, wish.when is None)
    card = cards.made(card_id, asked, place, each.technician, each.passed, each.facts, each.starts_at, quote)
    return row | {"card_id": card_id, "gate": None, "card": card, "quote": cards.frozen(quote)}


def _closed_row(match_id: UUID, each: Closed) -> dict[str, Any]:
    return {
        "match_id": match_id,
        "technician_id": each.technician_id,
        "gate": each.stopped.gate,
        "gate_detail": {"missing": list(each.stopped.missing)},
        "features": {},
        "contributions": {},
        "card": None,
    }


def _reason(scene: Scene, outcomes: Sequence[Open | Closed]) -> str:
    if scene.area is None:
        return "outside_service_area"
    free = any(isinstance(each, Closed) and each.stopped.gate in FREE_GATES for each in outcomes)
    return "nobody_free" if free else "nobody_qualified"


def _body(match: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "match_id": str(match["match_id"]),
        "service": match["service"],
        "experience": list(match["experience"]),
        "asked_for": stamp(match["asked_for"]),
        "jurisdiction": match["jurisdiction"],
        "area_id": str(match["area_id"]) if match["area_id"] else None,
        "ranking_version": match["ranking_version"],
        "expires_at": stamp(match["expires_at"]),
        "cards": list(shown),
        "reason": match["reason"],
    }


def _candidate(each: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "technician_id": str(each["technician_id"]),
        "card_id": str(each["card_id"]) if each["card_id"] else None,
        "position": each["position"],
        "base_rank": each["base_rank"],
        "gate": each["gate"],
        "missing": (each["gate_detail"] or {}).get("missing", []),
        "features": each["features"],
        "contributions": each["contributions"],
        "score": each["score"],
        "starts_at": stamp(each["starts_at"]),
    }
