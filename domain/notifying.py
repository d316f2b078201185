"""Who is told what, and until when it is of use: pure rules from an event to the notifications that it wants.

What concerns a visit of now goes at once; what can wait (reminders, receipts) keeps a person's quiet hours. Whatever
has become untrue before it could be sent is not sent any more: a late "on the way" is worse than none.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.booking import FINAL, State

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400

REMIND_AT = time(18)  # on the day before, by the clocks of the visit's area
SOON = timedelta(hours=12)  # a visit that begins within this concerns its people now, at any hour

LOG, EMAIL, WEB_PUSH, SMS = "log", "email", "web_push", "sms"
PERSONAL = (WEB_PUSH, SMS, EMAIL)  # what a person may choose among; the log is the house's own
USUAL = (WEB_PUSH, EMAIL)  # for who has not chosen: a text message costs money, so it is asked for
QUICK = frozenset({WEB_PUSH, SMS})


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of notification. `brief`: over in minutes, so that no mail is written where something quicker goes.

    `told`: `now` at any hour; `soon` at any hour if the visit is soon, else after the quiet hours; `later` after them.
    """

    name: str
    useful_s: int
    told: Literal["now", "soon", "later"] = "now"
    brief: bool = False


TEMPLATES: Mapping[str, Template] = {
    each.name: each
    for each in (
        Template("technician_requested", 15 * MINUTE_S),  # in fact until the answer is due
        Template("technician_removed", DAY_S, "soon"),
        Template("technician_cancelled", DAY_S, "soon"),
        Template("technician_note", DAY_S, "soon"),
        Template("technician_reminder", DAY_S, "later"),
        Template("customer_accepted", 12 * HOUR_S),
        Template("customer_declined", 12 * HOUR_S),
        Template("customer_expired", 12 * HOUR_S),
        Template("customer_released", DAY_S, "soon"),
        Template("customer_reassigned", DAY_S, "soon"),
        Template("customer_departed", 30 * MINUTE_S),
        Template("customer_near", 10 * MINUTE_S, brief=True),
        Template("customer_arrived", 15 * MINUTE_S, brief=True),
        Template("customer_waited", 10 * MINUTE_S, brief=True),
        Template("customer_note", DAY_S, "soon"),
        Template("customer_extended", 2 * HOUR_S),
        Template("customer_overran", HOUR_S),
        Template("customer_completed", 3 * DAY_S, "later"),
        Template("customer_cancelled", DAY_S, "soon"),
        Template("customer_no_show", DAY_S),
        Template("customer_payment_failed", 3 * DAY_S, "later"),
        Template("customer_refunded", 3 * DAY_S, "later"),
        Template("customer_reminder", DAY_S, "later"),
    )
}


@dataclass(frozen=True, slots=True)
class Heard:
    """An event with what the rules need of its booking. `technician_id`: whose visit it was when it happened."""

    topic: str
    at: datetime
    data: Mapping[str, Any]
    actor_role: str
    customer_id: UUID
    technician_id: UUID | None
    removed_id: UUID | None
    starts_at: datetime
    time_zone: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One person is to be told one thing between `due_at` and `useful_until`; `technician_id` is who it is about."""

    person_id: UUID
    template: str
    technician_id: UUID | None
    due_at: datetime
    useful_until: datetime
    at_once: bool


def wanted(heard: Heard) -> list[Wanted]:
    """Return who is to be told of an event, and what."""
    return [*_offers(heard), *_visits(heard), *_ends(heard), *_payments(heard), *_reminders(heard)]


def _offers(heard: Heard) -> Iterator[Wanted]:
    match heard.topic:
        case "booking.requested":
            yield from _requested(heard)
        case "booking.reassigned":
            yield from _requested(heard)
            if heard.data["cause"] == "dispatcher":
                yield from _technician(heard, "technician_removed", heard.removed_id)
            yield from _customer(heard, "customer_reassigned")
        case "booking.accepted":
            yield from _customer(heard, "customer_accepted")
        case "booking.declined" if heard.data["final"]:
            yield from _customer(heard, "customer_declined")
        case "booking.expired" if heard.data["final"]:
            yield from _customer(heard, "customer_expired")
        case "booking.released":
            yield from _customer(heard, "customer_released")


def _visits(heard: Heard) -> Iterator[Wanted]:
    match heard.topic:
        case "booking.departed":
            yield from _customer(heard, "customer_departed")
        case "booking.near":
            yield from _customer(heard, "customer_near")
        case "booking.arrived":
            yield from _customer(heard, "customer_arrived")
        case "booking.waited":
            yield from _customer(heard, "customer_waited")
        case "booking.extended":
            yield from _customer(heard, "customer_extended")
        case "booking.overran":
            yield from _customer(heard, "customer_overran")
        case "booking.noted":
            if heard.data["author_role"] != "customer":
                yield from _customer(heard, "customer_note")
            if heard.data["author_role"] != "technician":
                yield from _technician(heard, "technician_note", heard.technician_id)


def _ends(heard: Heard) -> Iterator[Wanted]:
    topic = heard.topic
    if topic == "booking.overridden":
        topic = f"booking.{heard.data['to_state']}"
    match topic:
        case "booking.completed":
            yield from _customer(heard, "customer_completed")
        case "booking.cancelled":
            told = (
                "later" if heard.actor_role == "customer" else None
            )  # who cancelled knows; it is a confirmation
            yield from _customer(heard, "customer_cancelled", told)
            yield from _technician(heard, "technician_cancelled", heard.technician_id)
        case "booking.no_show":
            yield from _customer(heard, "customer_no_show")


def _payments(heard: Heard) -> Iterator[Wanted]:
    match heard.topic:
        case "payment.failed":
            yield from _customer(heard, "customer_payment_failed")
        case "payment.refunded":
            yield from _customer(heard, "customer_refunded")


def _reminders(heard: Heard) -> Iterator[Wanted]:
    """The evening before, for who accepted (or was accepted) before that evening."""
    if heard.topic != "booking.accepted" or heard.technician_id is None:
        return
    zone = ZoneInfo(heard.time_zone)
    day = heard.starts_at.astimezone(zone).date() - timedelta(days=1)
    due_at = datetime.combine(day, REMIND_AT, zone).astimezone(UTC)
    if due_at > heard.at:
        for person_id, template in (
            (heard.customer_id, "customer_reminder"),
            (heard.technician_id, "technician_reminder"),
        ):
            yield Wanted(person_id, template, heard.technician_id, due_at, heard.starts_at, at_once=False)


def _requested(heard: Heard) -> Iterator[Wanted]:
    if heard.technician_id is not None:
        until = datetime.fromisoformat(heard.data["deadline_at"])
        yield Wanted(
            heard.technician_id, "technician_requested", heard.technician_id, heard.at, until, at_once=True
        )


def _customer(heard: Heard, name: str, told: str | None = None) -> Iterator[Wanted]:
    yield _one(heard, name, heard.customer_id, heard.technician_id, told)


def _technician(heard: Heard, name: str, person_id: UUID | None) -> Iterator[Wanted]:
    if person_id is not None:
        yield _one(heard, name, person_id, person_id)


def _one(heard: Heard, name: str, person_id: UUID, about_id: UUID | None, told: str | None = None) -> Wanted:
    template = TEMPLATES[name]
    told = told or template.told
    at_once = told == "now" or (told == "soon" and heard.starts_at - heard.at < SOON)
    until = heard.at + timedelta(seconds=template.useful_s)
    return Wanted(person_id, name, about_id, heard.at, until, at_once)


@dataclass(frozen=True, slots=True)
class Standing:
    """A booking as it stands when something about it is to be sent."""

    state: State
    technician_id: UUID | None
    gps_session_id: UUID | None
    expected_end_at: datetime | None
    payment_status: str


def still_true(  # noqa: C901, PLR0911 - one arm a template
    template: str, standing: Standing, technician_id: UUID | None, data: Mapping[str, Any]
) -> bool:
    """Tell whether what a notification says is still so; `data` is the event's, `technician_id` who it is about."""
    state, theirs = standing.state, standing.technician_id == technician_id
    match template:
        case "technician_requested":
            return theirs and state == State.REQUESTED
        case "customer_reassigned":
            return theirs and state == State.REQUESTED
        case "technician_removed":
            return not theirs
        case "customer_released":
            return standing.technician_id is None and state == State.REQUESTED
        case "customer_accepted":
            return theirs and state in (State.ACCEPTED, State.EN_ROUTE)
        case "customer_reminder" | "technician_reminder":
            return theirs and state == State.ACCEPTED
        case "customer_departed" | "customer_near":
            return state == State.EN_ROUTE and str(standing.gps_session_id) == data["gps_session_id"]
        case "customer_arrived" | "customer_waited":
            return theirs and state == State.ARRIVED
        case "customer_extended":
            until = datetime.fromisoformat(data["expected_end_at"])
            return state == State.IN_SERVICE and standing.expected_end_at == until
        case "customer_overran":
            return theirs and state == State.IN_SERVICE
        case "customer_note" | "technician_note":
            return theirs and state not in FINAL
        case "customer_payment_failed":
            return standing.payment_status == "failed"
        case _:
            return _ended_so(template, state)


def _ended_so(template: str, state: State) -> bool:
    ends = {
        "customer_declined": State.DECLINED,
        "customer_expired": State.EXPIRED,
        "customer_completed": State.COMPLETED,
        "customer_cancelled": State.CANCELLED,
        "technician_cancelled": State.CANCELLED,
        "customer_no_show": State.NO_SHOW,
    }
    return template not in ends or state == ends[template]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From when until when a person wants peace: minutes after local midnight, often across it."""

    from_min: int
    until_min: int

    def __post_init__(self) -> None:
        """Raise ValueError for what are no quiet hours."""
        if not (0 <= self.from_min < 1440 and 0 <= self.until_min < 1440 and self.from_min != self.until_min):
            raise ValueError("quiet hours begin and end at two different times of a day")

    def hold(self, minute: int) -> bool:
        """Tell whether this minute of the day is quiet."""
        if self.from_min < self.until_min:
            return self.from_min <= minute < self.until_min
        return minute >= self.from_min or minute < self.until_min


USUAL_QUIET = QuietHours(21 * 60, 8 * 60)


def quiet_until(now: datetime, quiet: QuietHours | None, time_zone: str) -> datetime | None:
    """Return when the quiet hours around `now` end, in UTC; None when `now` is not quiet. Clock changes are kept."""
    zone = ZoneInfo(time_zone)
    local = now.astimezone(zone)
    minute = local.hour * 60 + local.minute
    if quiet is None or not quiet.hold(minute):
        return None
    day = local.date() + timedelta(days=int(minute >= quiet.until_min))
    end = datetime.combine(day, time(quiet.until_min // 60, quiet.until_min % 60), zone)
    if end.astimezone(UTC) <= now:  # the hour that an autumn night has twice, the second time
        end = end.replace(fold=1)
    return end.astimezone(UTC)


def choose(template: str, chosen: Collection[str] | None, reach: Collection[str]) -> tuple[str, ...]:
    """Return the channels for a notification, of those that are on and that reach the person.

    `chosen` is what the person allows; None takes the usual ones, and a text message where there is nothing else.
    """
    if chosen is None:
        chosen = USUAL if set(USUAL) & set(reach) else PERSONAL
    picked = [channel for channel in PERSONAL if channel in chosen and channel in reach]
    if TEMPLATES[template].brief and QUICK & set(picked):
        picked = [channel for channel in picked if channel in QUICK]
    return (*picked, *((LOG,) if LOG in reach else ()))
