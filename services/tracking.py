"""The way of a fix: whose session, a verdict, arrival, ETA, the newest position to all nodes, telemetry, the answer.

What always holds: a fix counts once however often it is sent; a fix of a leg that ended is stored and never sent on;
`durable_seq` never runs ahead of PostgreSQL; and what is slow (a route, a booking command) happens once a leg, not for
each fix.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from domain import sampling
from domain.commands import Arrive
from domain.context import Actor
from domain.refusals import Refusal
from geo import arrival as arrivals
from geo.eta import estimate, speeds_of
from geo.track import BEFORE_MS, Fix, judge
from services import booking as booking_service
from services import causes
from services.booking_command import ChangedInBetweenError
from services.journeys import Journey, Journeys, ms
from services.live_position import Arriving, LivePosition, next_n
from services.reply import Answer, Reply
from services.stores import Stores
from storage.telemetry import FixRow

log = structlog.get_logger(__name__)

ETA_WATCHED_MS = 1_000
ETA_DUE_MS = 5_000
ROUTE_AGAIN_MS = 30_000
AFTER_MS = 2_000  # what a phone's last fix may lie behind the end of its leg

NO_SESSION = Refusal("not_found", "There is no such GPS session of yours.")


@dataclass(frozen=True, slots=True)
class FixBatch:
    """One `fix` message. `malformed` are the numbers of fixes that could not be read."""

    session_id: UUID
    device_id: str | None
    fixes: Sequence[Fix]
    malformed: Sequence[int] = ()


@dataclass(slots=True)
class Tally:
    """What became of the fixes of one message. `over_seq`: the highest number that came too late to be taken at all."""

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("live", "late", "duplicate", "rejected"), 0)
    )
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rows: list[FixRow] = field(default_factory=list)
    noticed: list[tuple[arrivals.Event, str]] = field(default_factory=list)
    over_seq: int = -1

    def count(self, seq: int, kind: str, reason: str | None = None) -> None:
        """Count one verdict."""
        self.counts[kind] += 1
        if reason is not None:
            self.rejected.append({"seq": seq, "reason": reason})


async def ingest(
    stores: Stores, journeys: Journeys, actor: Actor, connection: str, batch: FixBatch, now: datetime
) -> Answer:
    """Take a phone's fixes, live or from its buffer, in any order. Answers the contract's acknowledgement."""
    async with journeys.turn(batch.session_id):
        journey = await journeys.get(batch.session_id, actor.person_id)
        if journey is None:
            return NO_SESSION
        if not journeys.take_over(journey, connection, batch.device_id):
            return _superseded(stores, batch)
        tally = Tally()
        for seq in batch.malformed:
            _unreadable(journey, seq, now, tally)
        before = journey.track.position
        if journey.leg.closed_at is None:
            for fix in sorted(batch.fixes, key=lambda fix: (fix.t_ms, fix.seq)):
                _judge(stores, journey, fix, now, tally)
            if journey.track.position is not None and journey.track.position is not before:
                await _record(stores, journeys, journey, now, tally)
                await _moved(stores, journeys, journey, now)
        else:
            _take_late(stores, journey, batch.fixes, now, tally)
        _hand_over(stores, journey, tally)
        journeys.save(journey, ms(now))
        return _acknowledge(stores, journeys, journey, tally)


def _judge(stores: Stores, journey: Journey, fix: Fix, now: datetime, tally: Tally) -> None:
    verdict, journey.track = judge(journey.track, fix, ms(now))
    if verdict.reason == "invalid":
        _unreadable(journey, fix.seq, now, tally)
        return
    if fix.battery is not None:
        journey.battery = fix.battery
    tally.count(fix.seq, verdict.kind, verdict.reason)
    if verdict.kind == "live":
        _observe(journey, ms(now), tally)
    if verdict.kind != "duplicate":
        tally.rows.append(_row(journey, fix, now, verdict.kind, verdict.reason))
    elif _lost(stores, journey, fix.seq):
        tally.rows.append(_row(journey, fix, now, "late", None))


def _take_late(stores: Stores, journey: Journey, fixes: Iterable[Fix], now: datetime, tally: Tally) -> None:
    """Fixes of a leg that ended: stored for a day if they were made during it, and never sent on."""
    closed_at = journey.leg.closed_at or now
    over = now > closed_at + timedelta(seconds=stores.policy.late_fixes_for_s)
    for fix in fixes:
        t_ms = fix.t_ms + journey.track.clock.offset_ms
        if over:
            tally.count(fix.seq, "rejected", "session_closed")
            tally.over_seq = max(tally.over_seq, fix.seq)
        elif fix.seq in journey.track.handled:
            tally.count(fix.seq, "duplicate")
            if _lost(stores, journey, fix.seq):
                tally.rows.append(_row(journey, fix, now, "late", None))
        elif t_ms > ms(closed_at) + AFTER_MS:
            _refuse(journey, fix, now, "after_session", tally)
        elif t_ms < journey.opened_ms - BEFORE_MS:
            _refuse(journey, fix, now, "before_session", tally)
        elif not (-90.0 <= fix.lat <= 90.0 and -180.0 <= fix.lon <= 180.0):
            _unreadable(journey, fix.seq, now, tally)
        else:
            journey.track = replace(journey.track, handled=journey.track.handled.adding(fix.seq))
            tally.count(fix.seq, "late")
            tally.rows.append(_row(journey, fix, now, "late", None))


def _refuse(journey: Journey, fix: Fix, now: datetime, reason: str, tally: Tally) -> None:
    journey.track = replace(journey.track, handled=journey.track.handled.adding(fix.seq))
    tally.count(fix.seq, "rejected", reason)
    tally.rows.append(_row(journey, fix, now, "rejected", reason))


def _unreadable(journey: Journey, seq: int, now: datetime, tally: Tally) -> None:
    """Refuse a number without a place. It gets a row like any other: another process must know that it was handled."""
    _refuse(journey, Fix(seq, ms(now), nan, nan), now, "invalid", tally)


def _lost(stores: Stores, journey: Journey, seq: int) -> bool:
    """Tell whether a fix that was handled before never made it into the queue of telemetry."""
    session_id, device_id = journey.leg.session_id, journey.device_id or ""
    return seq not in journey.offered and seq > stores.telemetry.durable_seq(session_id, device_id)


def _hand_over(stores: Stores, journey: Journey, tally: Tally) -> None:
    session_id, device_id = journey.leg.session_id, journey.device_id or ""
    if tally.rows and stores.telemetry.offer(tally.rows):
        for row in tally.rows:
            journey.offered = journey.offered.adding(row.seq)
    if tally.over_seq >= 0:  # a day after its end nothing of a leg is taken any more, sent or not
        journey.track = replace(journey.track, handled=journey.track.handled.reaching(tally.over_seq))
        stores.telemetry.settle_up_to(session_id, device_id, tally.over_seq)


async def _moved(stores: Stores, journeys: Journeys, journey: Journey, now: datetime) -> None:
    """The marker moved: the ETA is made when it is due, and all nodes hear of both."""
    position, now_ms = journey.track.position, ms(now)
    if position is None or journey.over:
        return  # it arrived just now: nothing is sent on after the end
    await _estimate(stores, journeys, journey, now_ms)
    journey.n = next_n(journey.n, journey.opened_ms, now_ms)
    eta = journey.eta
    live = LivePosition(
        booking_id=journey.leg.booking_id,
        session_id=journey.leg.session_id,
        technician_id=journey.leg.technician_id,
        area_id=journey.area_id,
        n=journey.n,
        t_ms=position.t_ms,
        lat=position.lat,
        lon=position.lon,
        acc_m=position.acc_m,
        spd_mps=position.spd_mps,
        hdg_deg=position.hdg_deg,
        near=journey.arrival.near,
        remaining_m=eta.remaining_m if eta is not None else None,
        eta=Arriving(eta.at_ms, eta.low_ms, eta.high_ms, eta.method) if eta is not None else None,
    )
    stores.hot.put_if_newer(journey.leg.session_id, journey.n, live.encode())


async def _estimate(stores: Stores, journeys: Journeys, journey: Journey, now_ms: int) -> None:
    position, destination = journey.track.position, journey.destination
    if position is None or destination is None:
        return
    every_ms = ETA_WATCHED_MS if journeys.watched(journey.leg.booking_id) else ETA_DUE_MS
    if journey.eta is not None and now_ms - journey.eta.as_of_ms < every_ms:
        return
    off_route = journey.route is None or (journey.eta is not None and journey.eta.method != "route")
    if off_route and now_ms - journey.route_asked_ms >= ROUTE_AGAIN_MS:
        journey.route_asked_ms = now_ms
        journey.route = await stores.router.route(position.lat, position.lon, *destination)
    journey.eta = estimate(
        position, destination, journey.route, speeds_of(journey.track, *destination), now_ms, journey.eta
    )


def _observe(journey: Journey, now_ms: int, tally: Tally) -> None:
    """Ask the detector about a live fix; what it says is recorded when the whole message was judged."""
    if journey.destination is None:
        return
    eta_s = (journey.eta.at_ms - now_ms) / 1000.0 if journey.eta is not None else None
    position = journey.track.position
    journey.arrival, event = arrivals.observe(journey.arrival, position, *journey.destination, now_ms, eta_s)
    if event is not None:
        by = "distance" if eta_s is None or eta_s > arrivals.NEAR_S else "eta"
        tally.noticed.append((event, by))


async def _record(stores: Stores, journeys: Journeys, journey: Journey, now: datetime, tally: Tally) -> None:
    """Near, then arrived, through the same functions as the buttons; what got no answer the next fix tells again."""
    booking_id, session_id = journey.leg.booking_id, journey.leg.session_id
    for event, by in tally.noticed:
        answer: Answer | None = None
        try:
            context = await causes.of_leg(stores, booking_id, now)
            if event == "near":
                answer = await booking_service.came_near(stores, booking_id, session_id, by, context)
                continue
            command = Arrive(by="detector", gps_session_id=session_id)
            answer = await booking_service.arrive(stores, booking_id, command, context)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ChangedInBetweenError) as error:
            log.warning("detector_not_recorded", told=event, error=type(error).__name__)
            return
        finally:
            if answer is None:  # refused by a store, or cancelled because it took too long
                near = journey.arrival.near and event != "near"
                journey.arrival = replace(journey.arrival, near=near, arrived=False)
        if isinstance(answer, Reply):
            journeys.close(session_id)


def _row(journey: Journey, fix: Fix, now: datetime, kind: str, reason: str | None) -> FixRow:
    return FixRow(
        journey.session_day,
        journey.leg.session_id,
        journey.device_id or "",
        fix.seq,
        datetime.fromtimestamp(fix.t_ms / 1000.0, UTC),
        now,
        fix.lat,
        fix.lon,
        fix.acc_m,
        fix.spd_mps,
        fix.hdg_deg,
        kind,
        reason,
    )


def _acknowledge(stores: Stores, journeys: Journeys, journey: Journey, tally: Tally) -> Reply:
    leg = journey.leg
    wanted = sampling.CLOSED
    if leg.closed_at is None:
        wanted = sampling.wanted(
            remaining_m=journey.eta.remaining_m if journey.eta is not None else None,
            watched=journeys.watched(leg.booking_id),
            battery=journey.battery,
        )
    return Reply(
        200,
        {
            "acked_seq": journey.track.acked_seq,
            "durable_seq": stores.telemetry.durable_seq(leg.session_id, journey.device_id or ""),
            "counts": tally.counts,
            "rejected": tally.rejected,
            "next_interval_s": wanted.interval_s,
            "min_move_m": wanted.min_move_m,
        },
    )


def _superseded(stores: Stores, batch: FixBatch) -> Reply:
    """Another device has the session: this one's fixes are refused and none is forgotten for it."""
    tally = Tally()
    for seq in [*(fix.seq for fix in batch.fixes), *batch.malformed]:
        tally.count(seq, "rejected", "superseded")
    durable = stores.telemetry.durable_seq(batch.session_id, batch.device_id or "")
    return Reply(
        200,
        {
            "acked_seq": durable,
            "durable_seq": durable,
            "counts": tally.counts,
            "rejected": tally.rejected,
            "next_interval_s": sampling.CLOSED.interval_s,
            "min_move_m": sampling.CLOSED.min_move_m,
        },
    )
