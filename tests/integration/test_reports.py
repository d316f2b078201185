"""Reports over stories with known numbers: each figure is the one that a person would count by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

from domain import booking_events as ev
from domain.context import Role
from rest.reports import ArrivalsQuery, CompletionQuery, FunnelQuery, PayoutsQuery, ResponseTimesQuery
from storage import matches, people
from storage.ids import new_id
from tests.integration.door import Door, open_door
from tests.integration.measured import Shown, Story, asked, count_all, discovered, lay_out, utc
from tests.integration.test_finance_http import hire, paid_visit, refund_of, work_off
from tests.integration.test_payouts import PAYOUTS, account, approved, holding_back
from tests.integration.world import AREA, World

DAY = utc("2026-03-02T15:00:00")  # ten in the morning in Baltimore
FAR = UUID(int=0xB)
SPAN = "from=2026-03-02&to=2026-03-02"


def minutes(count: float) -> timedelta:
    """Return so many minutes."""
    return timedelta(minutes=count)


async def read(door: Door, report: str, query: str = SPAN, who: UUID | None = None) -> Any:
    """Read a report, by the founder unless somebody else is named."""
    said = await door.ask("GET", f"/v1/reports/{report}?{query}", who=who or door.world.founder)
    assert said.status == 200, said.body
    return said.body


async def look(door: Door, shown: Shown, technician: int, *kinds: str) -> None:
    """Let the customer look at a card."""
    async with door.world.stores.db.transaction() as tx:
        for kind in kinds:
            await matches.viewed(tx, shown.match_id, shown.cards[technician], kind, shown.at)


async def completed(story: Story, at: datetime, *, arrived_at: datetime | None = None) -> None:
    """Tell the rest of an accepted visit."""
    session_id = new_id()
    await story.tell(ev.Departed(session_id), at, Role.TECHNICIAN)
    await story.tell(ev.Arrived(session_id, "detector"), arrived_at or at + minutes(20))
    await story.tell(ev.Started(at + minutes(70)), at + minutes(25), Role.TECHNICIAN)
    await story.tell(ev.Completed(), at + minutes(70), Role.TECHNICIAN)


async def test_the_funnel_counts_each_step(door: Door) -> None:
    """Five discoveries: one shows nobody, four show, three are seen, two opened, two requested, one completed."""
    world = door.world
    shows = [await discovered(world, DAY + minutes(n), wishes=("quiet_visit",) * (n < 2)) for n in range(3)]
    shows.append(await discovered(world, DAY, service="massage", technicians=(1, 0)))
    await discovered(world, DAY, technicians=(), area_id=None)
    await look(door, shows[0], 0, "seen", "opened", "credentials")
    await look(door, shows[0], 1, "seen", "opened")
    await look(door, shows[1], 0, "seen")
    await look(door, shows[3], 1, "seen", "opened")
    first = await asked(world, shows[0], DAY + minutes(5), technician=1)
    await first.tell(ev.Accepted(world.technicians[1], {}), DAY + minutes(6), Role.TECHNICIAN)
    await completed(first, DAY + minutes(120))
    second = await asked(world, shows[3], DAY + minutes(5), technician=1)
    await second.tell(ev.Declined(world.technicians[1], final=False), DAY + minutes(6), Role.TECHNICIAN)
    following = ev.Reassigned(None, world.technicians[0], "declined", DAY, shows[3].cards[0])
    await second.tell(following, DAY + minutes(6))
    await second.tell(ev.Accepted(world.technicians[0], {}), DAY + minutes(9), Role.TECHNICIAN)
    await count_all(world)

    steps = ("discovered", "offered", "seen", "opened", "credentials", "requested", "accepted", "completed")
    whole = await read(door, "funnel", f"{SPAN}&group_by=service")
    assert whole["unit"] == "discovery"
    assert {r["group"]: [r[s] for s in steps] for r in whole["rows"]} == {
        "haircut": [4, 3, 2, 1, 1, 1, 1, 1], "massage": [1, 1, 1, 1, 0, 1, 1, 0],
    }  # fmt: skip
    assert [whole["totals"][s] for s in steps] == [5, 4, 3, 2, 1, 2, 2, 1]
    by_area = await read(door, "funnel", f"{SPAN}&group_by=area")
    assert [(r["group"], r["discovered"]) for r in by_area["rows"]] == [(str(AREA), 4), (None, 1)]
    by_wish = await read(door, "funnel", f"{SPAN}&group_by=experience")
    assert [(r["group"], r["discovered"]) for r in by_wish["rows"]] == [("quiet_visit", 2), (None, 3)]
    by_place = await read(door, "funnel", f"{SPAN}&group_by=position")
    assert by_place["unit"] == "card"
    assert {r["group"]: [r[s] for s in steps] for r in by_place["rows"]} == {
        "1": [4, 4, 3, 2, 1, 1, 0, 0], "2": [4, 4, 1, 1, 0, 2, 2, 1], "3": [3, 3, 0, 0, 0, 0, 0, 0],
    }  # fmt: skip
    assert by_place["totals"]["discovered"] == 11


async def test_response_times_are_interpolated_percentiles(door: Door) -> None:
    """Answers after 10, 20, 30 and 100 s: the median is 25, the 90th percentile 79; silence is no answer."""
    world = door.world
    shown = await discovered(world, DAY)
    for seconds in (10, 20, 30):
        story = await asked(world, shown, DAY)
        await story.tell(
            ev.Accepted(world.technicians[0], {}), DAY + timedelta(seconds=seconds), Role.TECHNICIAN
        )
    declined = await asked(world, shown, DAY)
    await declined.tell(
        ev.Declined(world.technicians[0], final=True), DAY + timedelta(seconds=100), Role.TECHNICIAN
    )
    silent = await asked(world, shown, DAY, technician=1)
    await silent.tell(ev.Expired(world.technicians[1], final=True), DAY + timedelta(seconds=300))
    withdrawn = await asked(world, shown, DAY, technician=1)
    await withdrawn.tell(ev.Cancelled("customer", 0, "test"), DAY + timedelta(seconds=5), Role.CUSTOMER)
    await asked(world, shown, DAY, technician=1)
    await count_all(world)
    report = await read(door, "response-times")
    assert report["group_by"] == "technician"
    assert report["rows"] == [
        {"group": str(world.technicians[0]), "offers": 4, "accepted": 3, "declined": 1, "expired": 0, "withdrawn": 0,
         "waiting": 0, "p50_s": 25.0, "p90_s": 79.0},
        {"group": str(world.technicians[1]), "offers": 3, "accepted": 0, "declined": 0, "expired": 1, "withdrawn": 1,
         "waiting": 1, "p50_s": None, "p90_s": None},
    ]  # fmt: skip
    assert (report["totals"]["offers"], report["totals"]["p50_s"]) == (7, 25.0)


async def test_completion_tells_how_visits_ended_and_why(door: Door) -> None:
    """By outcome, by who ended it, from where, and how long before the start; money for those who handle it."""
    world = door.world
    shown = await discovered(world, DAY)
    done = await asked(world, shown, DAY)
    await done.tell(ev.Accepted(world.technicians[0], {}), DAY, Role.TECHNICIAN)
    await completed(done, DAY + minutes(60))
    await done.tell(ev.PaymentCaptured(new_id(), 4770, "USD"), DAY + minutes(140))
    await done.tell(ev.PaymentRefunded(new_id(), 470, "USD", full=False), DAY + minutes(200))
    for hours, role in ((48, "customer"), (3, "customer"), (1, "dispatcher"), (1, "dispatcher")):
        story = await asked(world, shown, DAY, starts_at=DAY + timedelta(hours=hours))
        await story.tell(ev.Accepted(world.technicians[0], {}), DAY, Role.TECHNICIAN)
        await story.tell(ev.Cancelled(role, 100, "test"), DAY, Role(role))
    released = await asked(world, shown, DAY)
    await released.tell(ev.Accepted(world.technicians[0], {}), DAY, Role.TECHNICIAN)
    await released.tell(ev.Released(world.technicians[0], DAY), DAY + minutes(1), Role.TECHNICIAN)
    await count_all(world)
    report = await read(door, "completion", f"{SPAN}&group_by=service")
    (row,) = report["rows"]
    assert row | {"group": None} == {"group": None, **report["totals"]}
    assert {name: row[name] for name in ("requested", "completed", "cancelled", "open", "given_back")} == {
        "requested": 6, "completed": 1, "cancelled": 4, "open": 1, "given_back": 1,
    }  # fmt: skip
    assert row["completed_share"] == 0.2
    assert row["amounts"] == [
        {"currency": "USD", "quoted": 6 * 4770, "captured": 4770, "refunded": 470, "fees": 400}
    ]
    assert [(r["outcome"], r["by"], r["stage"], r["lead"], r["visits"]) for r in report["reasons"]] == [
        ("cancelled", "dispatcher", "accepted", "under_2h", 2), ("cancelled", "customer", "accepted", "2h_to_24h", 1),
        ("cancelled", "customer", "accepted", "over_24h", 1),
    ]  # fmt: skip
    support = await read(door, "completion", who=await hire(door, Role.SUPPORT))
    assert support["totals"]["amounts"] is None
    assert [r["amounts"] for r in support["rows"]] == [None]


async def test_reasons_are_counted_by_their_codes(door: Door) -> None:
    """A code given with the words is counted; none is needed; one that nobody knows is refused."""
    world = door.world
    bodies: list[dict[str, str]] = [{"reason": "flu", "reason_code": "personal"}, {"reason": "never mind"}]
    for body, hours in zip(bodies, (2, 6), strict=True):
        booking_id = await world.book(datetime.now(UTC) + timedelta(hours=hours), asked=(0,))
        path, who = f"/v1/bookings/{booking_id}/cancel", world.customers[0]
        wrong = await door.ask("POST", path, {**body, "reason_code": "bored"}, who=who, key=True)
        assert (wrong.status, wrong.body["errors"][0]["pointer"]) == (422, "/reason_code")
        assert (await door.ask("POST", path, body, who=who, key=True)).status == 200
    declined = await world.book(datetime.now(UTC) + timedelta(hours=9), asked=(1,))
    body = {"reason": "the car", "reason_code": "vehicle"}
    path = f"/v1/bookings/{declined}/decline"
    assert (await door.ask("POST", path, body, who=world.technicians[1], key=True)).status == 200
    await count_all(world)
    today = datetime.now(UTC).date()
    report = await read(
        door, "completion", f"from={today - timedelta(days=1)}&to={today + timedelta(days=1)}"
    )
    assert {(r["outcome"], r["reason_code"]) for r in report["reasons"]} == {
        ("cancelled", "personal"), ("cancelled", None), ("declined", "vehicle"),
    }  # fmt: skip


async def test_arrivals_against_the_promise(door: Door) -> None:
    """Ten early, two early, one late and twenty late: two of four on time; a time set by hand measures nobody."""
    world = door.world
    shown = await discovered(world, DAY)
    for late in (-10, -2, 1, 20):
        story = await asked(world, shown, DAY, starts_at=DAY + minutes(120))
        await story.tell(ev.Accepted(world.technicians[0], {}), DAY, Role.TECHNICIAN)
        await story.tell(ev.Departed(new_id()), DAY + minutes(60), Role.TECHNICIAN)
        await story.tell(ev.Arrived(None, "technician"), DAY + minutes(120 + late), Role.TECHNICIAN)
    by_hand = await asked(world, shown, DAY)
    await by_hand.tell(ev.Accepted(world.technicians[0], {}), DAY, Role.TECHNICIAN)
    await by_hand.tell(ev.Overridden("accepted", "arrived"), DAY + minutes(500), Role.DISPATCHER)
    await count_all(world)
    report = await read(door, "arrivals")
    assert report["on_time_within_s"] == 300
    assert report["rows"] == [
        {"group": str(AREA), "arrivals": 4, "early": 1, "on_time": 2, "late": 1, "detected": 0, "on_time_share": 0.5,
         "p50_late_s": -30.0, "p90_late_s": 858.0}
    ]  # fmt: skip


async def test_payouts_are_what_the_books_say(world: World) -> None:
    """Earned, tipped, given back, paid out; what is owed at the end, what is on its way, and what is not taken yet."""
    async with open_door(holding_back(world, 0)) as door:
        booking_id = await paid_visit(door)
        body = {"stars": 5, "tip": {"amount": 700, "currency": "USD"}}
        await door.ask("POST", f"/v1/bookings/{booking_id}/rate", body, who=world.customers[0], key=True)
        await door.ask("POST", "/v1/finance/refunds", refund_of(booking_id, 477), who=world.founder, key=True)
        await work_off(door)
        await count_all(world)
        today = utc((await read(door, "payouts", "group_by=none"))["to"]).date()
        span = f"from={today - timedelta(days=1)}&to={today + timedelta(days=1)}"
        finance, support = await hire(door, Role.FINANCE), await hire(door, Role.SUPPORT)
        nothing = dict.fromkeys(
            ("adjusted", "sent", "returned", "paid", "reserved", "in_transit", "pending"), 0
        )
        earned = {"currency": "USD", **nothing, "earned": 3600, "tips": 700, "refunded": 360, "payable": 3940}

        async def mine() -> Any:
            (row,) = (await read(door, "payouts", span, who=finance))["rows"]
            assert row["group"] == str(world.technicians[0])
            (amounts,) = row["amounts"]
            counts = [row[f"payouts_{stage}"] for stage in ("reserved", "in_transit", "paid", "returned")]
            return counts, amounts

        assert await mine() == ([0, 0, 0, 0], earned)
        own = await door.ask("GET", "/v1/technicians/me/earnings", who=world.technicians[0])
        assert own.body["totals"][0]["owed"] == 3940
        calm = await read(door, "payouts", span, who=support)
        assert (calm["totals"]["movements"], calm["totals"]["visits"], calm["totals"]["amounts"]) == (
            3,
            1,
            None,
        )
        local = await read(door, "payouts", f"{span}&group_by=area", who=world.dispatcher)
        assert [(r["group"], r["movements"], r["amounts"]) for r in local["rows"]] == [(str(AREA), 3, None)]

        await account(door, "sandbox_declined")
        payout_id = await approved(door, finance, world.founder)
        assert await mine() == ([1, 0, 0, 0], earned | {"reserved": 3940})
        await door.ask("POST", f"{PAYOUTS}/{payout_id}/submit", who=finance, key=True)
        assert await mine() == ([0, 1, 0, 0], earned | {"payable": 0, "sent": 3940, "in_transit": 3940})
        await work_off(door)
        assert await mine() == ([0, 0, 0, 1], earned | {"sent": 3940, "returned": 3940})
        await account(door)
        payout_id = await approved(door, finance, world.founder)
        await door.ask("POST", f"{PAYOUTS}/{payout_id}/submit", who=finance, key=True)
        await work_off(door)
        assert await mine() == (
            [0, 0, 1, 1], earned | {"payable": 0, "sent": 7880, "returned": 3940, "paid": 3940},
        )  # fmt: skip
        later = f"from={today + timedelta(days=2)}&to={today + timedelta(days=3)}"
        assert (await read(door, "payouts", later))["totals"]["amounts"] == [
            {"currency": "USD", **nothing, "earned": 0, "tips": 0, "refunded": 0, "payable": 0}
        ]


async def test_what_was_completed_and_not_taken_is_pending(door: Door) -> None:
    """A visit whose capture has not come is pending at its quote, and no movement."""
    world = door.world
    story = await asked(world, await discovered(world, DAY), DAY)
    await story.tell(ev.Accepted(world.technicians[0], {}), DAY, Role.TECHNICIAN)
    await completed(story, DAY + minutes(60))
    await count_all(world)
    totals = (await read(door, "payouts"))["totals"]
    assert (totals["movements"], totals["pending_visits"], totals["amounts"][0]["pending"]) == (0, 1, 4770)


async def test_a_day_is_local_to_its_area(door: Door) -> None:
    """One moment, two days: late on Sunday in Baltimore, Monday in Tokyo; and a Sunday of 23 hours is whole."""
    world = door.world
    await lay_out(world, FAR, "Asia/Tokyo")
    changes = utc("2026-03-08T04:59:59")  # the last second of Saturday the 7th in Baltimore
    for at in (
        changes,
        changes + timedelta(seconds=1),
        changes + timedelta(hours=23),
        changes + timedelta(hours=23, seconds=1),
    ):
        await discovered(world, at)
    await discovered(world, utc("2026-03-08T16:00:00"), area_id=FAR)  # Monday the 9th, one in the morning
    by_day = await read(door, "funnel", "from=2026-03-07&to=2026-03-09&group_by=day")
    assert [(r["group"], r["discovered"]) for r in by_day["rows"]] == [
        ("2026-03-07", 1), ("2026-03-08", 2), ("2026-03-09", 2),
    ]  # fmt: skip
    sunday = await read(door, "funnel", "from=2026-03-08&to=2026-03-08&group_by=area")
    assert [(r["group"], r["discovered"]) for r in sunday["rows"]] == [(str(AREA), 2)]


async def test_a_dispatcher_reads_the_own_areas(door: Door) -> None:
    """Another area's discoveries, offers, visits and arrivals are in no row and no total; none at all without areas."""
    world = door.world
    await lay_out(world, FAR, "America/New_York")
    for area_id in (AREA, FAR, FAR):
        shown = await discovered(world, DAY, area_id=area_id)
        story = await asked(world, shown, DAY)
        await story.tell(ev.Accepted(world.technicians[0], {}), DAY, Role.TECHNICIAN)
        await completed(story, DAY + minutes(60))
    await discovered(world, DAY, technicians=(), area_id=None)
    await count_all(world)
    new, everywhere = await hire(door, Role.DISPATCHER), new_id()
    async with world.stores.db.transaction() as tx:
        await people.add(tx, everywhere, email="all@test.example", password_hash="x", display_name="All",
                         role=Role.DISPATCHER, areas="all")  # fmt: skip
    counted = {
        "funnel": "discovered",
        "response-times": "offers",
        "completion": "requested",
        "arrivals": "arrivals",
    }
    for report, name in counted.items():
        own = await read(door, report, f"{SPAN}&group_by=area", who=world.dispatcher)
        assert [(r["group"], r[name]) for r in own["rows"]] == [(str(AREA), 1)]
        assert own["totals"][name] == 1
        assert (await read(door, report, SPAN, who=everywhere))["totals"][name] == 3 + (report == "funnel")
        assert (await read(door, report, SPAN, who=new))["rows"] == []


async def test_every_group_adds_up(door: Door) -> None:
    """By whatever a report is grouped: with one visit there is one row, and it is the totals."""
    world = door.world
    story = await asked(world, await discovered(world, DAY, technicians=(0,), wishes=("quiet_visit",)), DAY)
    await story.tell(ev.Accepted(world.technicians[0], {}), DAY + minutes(1), Role.TECHNICIAN)
    await completed(story, DAY + minutes(60))
    await count_all(world)
    names = {
        "service": "haircut", "area": str(AREA), "jurisdiction": "US-MD", "technician": str(world.technicians[0]),
        "experience": "quiet_visit", "position": "1", "day": "2026-03-02", "month": "2026-03",
    }  # fmt: skip
    for name, query in (
        ("funnel", FunnelQuery), ("response-times", ResponseTimesQuery), ("completion", CompletionQuery),
        ("payouts", PayoutsQuery), ("arrivals", ArrivalsQuery),
    ):  # fmt: skip
        for group_by in get_args(query.model_fields["group_by"].annotation):
            body = await read(door, name, f"{SPAN}&group_by={group_by}")
            rows = [{"group": names[group_by], **body["totals"]}] if group_by != "none" else []
            assert body["rows"] == rows, (name, group_by)


async def test_nothing_happened(door: Door) -> None:
    """An empty span has no rows, totals of nothing, and percentiles of nothing; so has the default one."""
    for report in ("funnel", "response-times", "completion", "payouts", "arrivals"):
        for query in ("from=2020-01-01&to=2020-12-31", "", "to=2026-01-31"):
            body = await read(door, report, query)
            assert body["rows"] == []
            assert not any(body["totals"].values())
        assert (body["from"], body["to"]) == ("2026-01-02", "2026-01-31")


WRONG = (
    ("from=2026-03-02&to=2026-03-01", "query/to"),
    ("from=2025-01-01&to=2026-02-05", "query/from"),
    ("from=2026-02-30", "query/from"),
    ("from=1767225600", "query/from"),
    ("to=2026-03-02T00:00:00Z", "query/to"),
    ("to=yesterday", "query/to"),
    ("group_by=name", "query/group_by"),
    ("group_by=service,area", "query/group_by"),
    ("since=2026-03-02", "query/since"),
    ("area_id=1", "query/area_id"),
)


async def test_what_cannot_be_asked(door: Door) -> None:
    """Wrong days, too many of them, and unknown groups are 422, with the place that is wrong."""
    for query, pointer in WRONG:
        said = await door.ask("GET", f"/v1/reports/funnel?{query}", who=door.world.founder)
        assert (said.status, said.code) == (422, "validation"), query
        assert [error["pointer"] for error in said.body["errors"]] == [pointer]


async def test_the_longest_span_is_400_days(door: Door) -> None:
    """Both its ends included; and the first day of the calendar is no error."""
    assert (await read(door, "funnel", "from=2025-01-01&to=2026-02-04"))["rows"] == []
    said = await door.ask("GET", "/v1/reports/funnel?to=0001-01-05", who=door.world.founder)
    assert said.status == 200
