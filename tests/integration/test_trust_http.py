"""Technicians and their licences over HTTP: apply, hand in, decide, show; decisions audited, rules versioned."""

import asyncio
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.seeds.rules import RULES
from domain.context import Role
from storage import people
from storage.ids import new_id
from tests.integration.door import Door
from tests.integration.world import HOME

TODAY = datetime.now(UTC).date()
APPLICATION = {
    "services": ["haircut"],
    "home_base": {"lat": HOME[0], "lon": HOME[1]},
    "radius_m": 8000,
    "bio": "Scissors",
}
LICENCE = {
    "type": "cosmetologist_license", "jurisdiction": "US-MD", "number": "MD-123456", "issuer": "Board",
    "issued_on": str(TODAY - timedelta(days=300)), "expires_on": str(TODAY + timedelta(days=400)),
}  # fmt: skip
REASON = {"reason": "Checked"}
PLACES = """
INSERT INTO app.jurisdictions (code, parent, name, level, tax_bp, complaint_contact) VALUES
    ('US-TX', 'US', 'Texas', 'state', 0, 'TDLR'), ('US-CA', 'US', 'California', 'state', 0, 'DCA'),
    ('US-NY', 'US', 'New York', 'state', 0, 'DOS'), ('US-NY-NYC', 'US-NY', 'New York City', 'city', 0, 'DOB')
"""
AUDIT = "SELECT action FROM audit.events WHERE subject_id = $1 ORDER BY at, audit_id"


async def staff(door: Door, role: Role) -> UUID:
    """Add a member of staff."""
    person_id = new_id()
    async with door.world.stores.db.transaction() as tx:
        await people.add(
            tx, person_id, email=f"{role}-new@test.example", password_hash="x", display_name="S", role=role
        )
    return person_id


async def set_rules(door: Door, jurisdiction: str, service: str, rules: list[dict[str, Any]]) -> None:
    """Write rules as the founder."""
    path = f"/v1/jurisdictions/{jurisdiction}/requirements/{service}"
    said = await door.ask("PUT", path, {"requirements": rules}, who=door.world.founder)
    assert said.status == 200, said.body


async def submitted(door: Door, who: UUID, **changes: Any) -> str:
    """Hand in a licence; return its id."""
    said = await door.ask("POST", "/v1/technicians/me/credentials", LICENCE | changes, who=who)
    assert said.status == 201, said.body
    return str(said.body["credential_id"])


async def audit(door: Door, subject: object) -> list[str]:
    """Return the actions that were audited about a subject."""
    connection = await asyncpg.connect(door.world.owner_url)
    try:
        return [record["action"] for record in await connection.fetch(AUDIT, str(subject))]
    finally:
        await connection.close()


async def test_an_applicant_becomes_a_technician_by_decisions_that_are_audited(door: Door) -> None:
    """Apply, hand in, be verified, be approved: then the role changes, and each decision is in the audit."""
    applicant, founder = door.world.customers[0], door.world.founder
    said = await door.ask("POST", "/v1/technicians/apply", APPLICATION, who=applicant)
    assert said.status == 201, said.body
    assert said.body["status"] == "applied"
    assert said.body["time_zone"] == "America/New_York"
    again = await door.ask("POST", "/v1/technicians/apply", APPLICATION, who=applicant)
    assert (again.status, again.body) == (200, said.body)
    credential = await submitted(door, applicant)
    listed = await door.ask("GET", "/v1/credentials?status=pending", who=founder)
    assert [item["credential_id"] for item in listed.body["items"]] == [credential]
    assert (await door.ask("POST", f"/v1/credentials/{credential}/verify", REASON, who=founder)).status == 200
    approved = await door.ask("POST", f"/v1/technicians/{applicant}/approve", REASON, who=founder)
    assert approved.body["status"] == "approved"
    assert await audit(door, credential) == ["credential.verified"]
    assert await audit(door, applicant) == ["technician.approved"]
    async with door.world.stores.db.reading() as tx:
        person = await people.get(tx, applicant)
    assert person is not None
    assert person.role == Role.TECHNICIAN


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), "pending"),
        (("verify",), "verified"),
        (("reject",), "rejected"),
        (("verify", "suspend"), "suspended"),
        (("verify", "suspend", "reinstate"), "verified"),
        (("verify", "revoke"), "revoked"),
        (("verify", "suspend", "revoke"), "revoked"),
    ],
)
async def test_a_credential_goes_only_where_its_table_lets_it(
    door: Door, path: tuple[str, ...], expected: str
) -> None:
    """Every allowed decision leads where it should; every other one is refused and changes nothing."""
    technician, founder = door.world.technicians[0], door.world.founder
    credential = await submitted(door, technician)
    for decision in path:
        said = await door.ask("POST", f"/v1/credentials/{credential}/{decision}", REASON, who=founder)
        assert said.status == 200, said.body
    own = await door.ask("GET", "/v1/technicians/me/credentials", who=technician)
    assert own.body["items"][0]["status"] == expected
    if expected in {"rejected", "revoked"}:
        for decision in ("verify", "reject", "suspend", "revoke", "reinstate"):
            said = await door.ask("POST", f"/v1/credentials/{credential}/{decision}", REASON, who=founder)
            assert (said.status, said.code) == (409, "credential_state")


async def test_support_proposes_and_changes_nothing(door: Door) -> None:
    """What support says is kept in the audit as a proposal; the credential stays pending."""
    credential = await submitted(door, door.world.technicians[0])
    support = await staff(door, Role.SUPPORT)
    said = await door.ask("POST", f"/v1/credentials/{credential}/verify", REASON, who=support)
    assert (said.status, said.body["status"], said.body["proposed"]) == (202, "pending", "verify")
    assert await audit(door, credential) == ["credential.proposed_verified"]


async def test_nobody_else_decides_or_lists(door: Door) -> None:
    """Customers, technicians, dispatchers and finance neither decide nor see the list of credentials."""
    credential = await submitted(door, door.world.technicians[0])
    finance = await staff(door, Role.FINANCE)
    for who in (door.world.customers[0], door.world.technicians[0], door.world.dispatcher, finance):
        assert (await door.ask("POST", f"/v1/credentials/{credential}/verify", REASON, who=who)).status == 403
        assert (await door.ask("GET", "/v1/credentials", who=who)).status == 403
        path = f"/v1/technicians/{door.world.technicians[1]}/suspend"
        assert (await door.ask("POST", path, REASON, who=who)).status == 403


async def test_the_view_differs_by_jurisdiction(door: Door) -> None:
    """Maryland shows the whole number, New York the last four signs, California asks for a permit and an insurance."""
    connection = await asyncpg.connect(door.world.owner_url)
    await connection.execute(PLACES)
    await connection.close()
    technician, founder = door.world.technicians[0], door.world.founder
    for code in ("US-MD", "US-TX", "US-CA", "US-NY"):
        await set_rules(door, code, "haircut", [rule.document() for rule in RULES[code, "haircut"]])
    begun_on = datetime.now(UTC).date()
    for code in ("US-MD", "US-NY"):
        credential = await submitted(door, technician, jurisdiction=code)
        body = {"reason": "Found", "how": "Register"}
        await door.ask("POST", f"/v1/credentials/{credential}/verify", body, who=founder)
    views = {}
    for code in ("US-MD", "US-TX", "US-CA", "US-NY", "US-NY-NYC"):
        path = f"/v1/technicians/{technician}/credentials?jurisdiction={code}&service=haircut"
        said = await door.ask("GET", path, who=door.world.customers[0])
        assert said.status == 200, said.body
        views[code] = said.body
    maryland = views["US-MD"]["items"][0]
    assert (maryland["status"], maryland["number"], maryland["verified_how"]) == (
        "active",
        "MD-123456",
        "Register",
    )
    assert maryland["issuing_board"] == "Maryland Board of Cosmetologists"
    assert maryland["lookup_url"]
    assert date.fromisoformat(maryland["verified_on"]) in {begun_on, datetime.now(UTC).date()}
    assert date.fromisoformat(maryland["next_check_on"]) - date.fromisoformat(
        maryland["verified_on"]
    ) == timedelta(days=90)
    assert views["US-MD"]["qualified"] is True
    assert views["US-NY"]["items"][0]["number"] == "••••3456"
    assert views["US-NY"]["items"][0]["issued_on"] is None
    assert views["US-NY-NYC"]["items"] == views["US-NY"]["items"]
    assert [item["status"] for item in views["US-CA"]["items"]] == ["unverified"] * 3
    assert views["US-CA"]["qualified"] is False
    assert "told before the visit" in views["US-TX"]["items"][0]["notice"]
    assert views["US-TX"]["complaint_contact"] == "TDLR"


async def test_a_view_without_rules_says_so_and_qualifies_nobody(door: Door) -> None:
    """Where nobody made rules the view is empty, says that rules are unknown, and qualifies nobody."""
    connection = await asyncpg.connect(door.world.owner_url)
    await connection.execute(PLACES)
    await connection.close()
    path = f"/v1/technicians/{door.world.technicians[0]}/credentials?jurisdiction=US-TX&service=massage"
    said = await door.ask("GET", path, who=door.world.customers[0])
    assert (said.body["items"], said.body["rules_known"], said.body["qualified"]) == ([], False, False)
    here = f"/v1/technicians/{door.world.technicians[0]}/credentials?jurisdiction=US-MD&service=massage"
    open_ = await door.ask("GET", here, who=door.world.customers[0])
    assert (open_.body["items"], open_.body["rules_known"], open_.body["qualified"]) == ([], True, True)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("jurisdiction=US-MD", "validation"),
        ("service=haircut", "validation"),
        ("jurisdiction=XX&service=haircut", "validation"),
        ("jurisdiction=US-MD&service=surgery", "unknown_service"),
    ],
)
async def test_a_wrong_view_query_is_refused(door: Door, query: str, code: str) -> None:
    """Both parts of the query are needed and must exist."""
    path = f"/v1/technicians/{door.world.technicians[0]}/credentials?{query}"
    said = await door.ask("GET", path, who=door.world.customers[0])
    assert (said.status, said.code) == (422, code)


async def test_an_applicant_is_nobody_to_strangers(door: Door) -> None:
    """Who only applied has no card and no view for others, though for staff."""
    applicant, stranger = door.world.customers[0], door.world.customers[1]
    await door.ask("POST", "/v1/technicians/apply", APPLICATION, who=applicant)
    for path in (
        f"/v1/technicians/{applicant}/card",
        f"/v1/technicians/{applicant}/credentials?jurisdiction=US-MD&service=haircut",
    ):
        assert (await door.ask("GET", path, who=stranger)).status == 404
        assert (await door.ask("GET", path, who=door.world.founder)).status == 200
    assert (await door.ask("GET", f"/v1/technicians/{stranger}/card", who=door.world.founder)).status == 404


async def test_a_card_tells_no_place(door: Door) -> None:
    """A technician's card carries neither home nor radius nor coordinates."""
    said = await door.ask(
        "GET", f"/v1/technicians/{door.world.technicians[0]}/card", who=door.world.customers[0]
    )
    assert said.status == 200
    assert not {"home_base", "lat", "lon", "radius_m"} & set(said.body) | set(said.body["technician"]) & {
        "lat",
        "lon",
    }
    assert said.body["services"][0] == {"service": "haircut", "qualified": True}


async def test_rules_are_versioned_and_a_narrower_place_cannot_take_away(door: Door) -> None:
    """Each set is a new version, a stale If-Match is refused, and a level must be the jurisdiction's own."""
    rule = RULES["US-MD", "haircut"][0].document()
    path, founder = "/v1/jurisdictions/US-MD/requirements/haircut", door.world.founder
    said = await door.ask("PUT", path, {"requirements": [rule]}, who=founder)
    assert (said.body["version"], said.headers["ETag"]) == (2, '"2"')
    stale = await door.ask("PUT", path, {"requirements": []}, who=founder, If_Match='"1"')
    assert stale.status == 412
    assert [each["jurisdiction"] for each in said.body["inherited"]] == ["US"]
    wrong = await door.ask("PUT", path, {"requirements": [rule | {"level": "city"}]}, who=founder)
    assert (wrong.status, wrong.body["errors"][0]["pointer"]) == (422, "/requirements/0/level")
    assert (await door.ask("GET", path, who=founder)).body == said.body
    assert (await door.ask("PUT", path, {"requirements": []}, who=door.world.dispatcher)).status == 403
    nowhere = "/v1/jurisdictions/US-XX/requirements/haircut"
    assert (await door.ask("PUT", nowhere, {"wrong": 1}, who=founder)).status == 404
    assert "rules.set" in await audit(door, "US-MD/haircut")


async def test_a_suspended_technician_is_stopped_at_once(door: Door) -> None:
    """Suspension shuts the gate for new discoveries and for an acceptance that was already asked for."""
    world = door.world
    booking_id = await world.book()
    await door.ask("POST", f"/v1/technicians/{world.technicians[0]}/suspend", REASON, who=world.founder)
    said = await door.ask("POST", f"/v1/bookings/{booking_id}/accept", {}, who=world.technicians[0], key=True)
    assert (said.status, said.code) == (409, "not_qualified")
    assert said.body["missing"] == ["approval"]
    wish = {"service": "haircut", "lat": HOME[0], "lon": HOME[1], "when": "now"}
    found = await door.ask("POST", "/v1/discovery", wish, who=world.customers[0])
    offered = [card["technician"]["technician_id"] for card in found.body["cards"]]
    assert str(world.technicians[0]) not in offered
    assert len(offered) == 3


async def test_a_working_week_decides_when_a_visit_can_be(door: Door) -> None:
    """Windows are local and whole; a wrong one is refused by its pointer; a visit outside them finds nobody."""
    technician = door.world.technicians[0]
    week = {"availability": [{"weekday": 0, "from": "08:00", "to": "12:00"}]}
    for each in door.world.technicians:
        said = await door.ask("PUT", "/v1/technicians/me/availability", week, who=each)
        assert said.status == 200, said.body
    assert said.body["availability"] == week["availability"]
    wrong = {"availability": [{"weekday": 0, "from": "12:00", "to": "08:00"}]}
    refused = await door.ask("PUT", "/v1/technicians/me/availability", wrong, who=technician)
    assert refused.body["errors"][0]["pointer"] == "/availability/0"
    monday = datetime.now(UTC) + timedelta(days=7 - datetime.now(UTC).weekday())
    wish: dict[str, Any] = {"service": "haircut", "lat": HOME[0], "lon": HOME[1]}
    for hour, offered in ((15, 4), (20, 0)):
        when = monday.replace(hour=hour, minute=0, second=0, microsecond=0).isoformat()
        found = await door.ask("POST", "/v1/discovery", wish | {"when": when}, who=door.world.customers[0])
        assert len(found.body["cards"]) == offered
    assert found.body["reason"] == "nobody_free"


async def test_a_profile_changes_in_parts(door: Door) -> None:
    """What is absent stays; unknown services are refused; a stranger to the trade has no profile."""
    technician = door.world.technicians[0]
    said = await door.ask("PATCH", "/v1/technicians/me", {"bio": "New"}, who=technician)
    assert (said.body["bio"], said.body["services"]) == ("New", ["haircut", "massage"])
    unknown = await door.ask("PATCH", "/v1/technicians/me", {"services": ["surgery"]}, who=technician)
    assert unknown.code == "unknown_service"
    zone = await door.ask("PATCH", "/v1/technicians/me", {"time_zone": "Mars/Olympus"}, who=technician)
    assert zone.code == "validation"
    assert (await door.ask("GET", "/v1/technicians/me", who=door.world.customers[0])).status == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"jurisdiction": "XX"},
        {"issued_on": str(TODAY + timedelta(days=9))},
        {"expires_on": str(TODAY - timedelta(days=900))},
        {"type": "Not A Slug"},
        {"number": " "},
    ],
)
async def test_a_licence_that_cannot_be_is_refused(door: Door, changes: dict[str, Any]) -> None:
    """Unknown places, future or inverted dates and empty numbers do not come in."""
    said = await door.ask(
        "POST", "/v1/technicians/me/credentials", LICENCE | changes, who=door.world.technicians[0]
    )
    assert (said.status, said.code) == (422, "validation")


async def test_the_list_pages_without_gaps(door: Door) -> None:
    """Pages follow one another, newest first, and each credential is on exactly one of them."""
    for n in range(5):
        await submitted(door, door.world.technicians[0], number=f"N-{n}")
    seen: list[str] = []
    cursor = ""
    while True:
        said = await door.ask("GET", f"/v1/credentials?limit=2{cursor}", who=door.world.founder)
        seen += [item["number"] for item in said.body["items"]]
        if said.body["next_cursor"] is None:
            break
        cursor = f"&cursor={said.body['next_cursor']}"
    assert seen == [f"N-{n}" for n in (4, 3, 2, 1, 0)]
    assert (await door.ask("GET", "/v1/credentials?cursor=nonsense", who=door.world.founder)).status == 422


async def test_the_shop_window_needs_no_token(door: Door) -> None:
    """Services, areas and wishes are for everybody; addresses are for those who signed in."""
    services = await door.ask("GET", "/v1/services")
    assert {item["service"] for item in services.body["items"]} == {"haircut", "massage"}
    areas = await door.ask("GET", "/v1/service-areas")
    assert areas.body["features"][0]["properties"]["jurisdiction"] == "US-MD"
    assert areas.body["features"][0]["geometry"]["type"] == "Polygon"
    assert (await door.ask("GET", "/v1/experiences")).body["items"][0]["experience"] == "quiet_visit"
    assert (await door.ask("GET", "/v1/geocode?q=main")).status == 401


async def test_licences_that_wait_are_counted(door: Door) -> None:
    """Twenty wait for a decision and no more, handed in at once or not; a decision makes room for another."""
    technician = door.world.technicians[0]
    path = "/v1/technicians/me/credentials"
    said = await asyncio.gather(*(door.ask("POST", path, LICENCE, who=technician) for _ in range(25)))
    assert Counter(s.status for s in said) == {201: 20, 409: 5}
    assert {s.code for s in said if s.status == 409} == {"credential_state"}
    first = next(s.body["credential_id"] for s in said if s.status == 201)
    founder = door.world.founder
    assert (await door.ask("POST", f"/v1/credentials/{first}/reject", REASON, who=founder)).status == 200
    await submitted(door, technician)
