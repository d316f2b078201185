"""Inherited rules and the gate: narrower places only add, missing rules fail closed, the END of the visit counts."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.availability import ALWAYS
from domain.credentials import (
    EXPIRING_WITHIN,
    VALID,
    Credential,
    Jurisdiction,
    Level,
    Requirement,
    Rules,
    RuleSet,
    Status,
    inherit,
    mask,
    stand,
    status_of,
)
from domain.facts import Decided
from domain.gate import Passed, Stopped, Visit, check
from domain.refusals import Refusal
from domain.trust import (
    CREDENTIAL_DECISIONS,
    CredentialWritten,
    Technician,
    TechnicianStatus,
    decide_credential,
    decide_technician,
)

SOMEBODY = UUID(int=1)
TODAY = date(2026, 6, 1)
NOW = datetime(2026, 6, 1, 16, 0, tzinfo=UTC)
LEVELS: tuple[Level, ...] = ("federal", "state", "county", "city")
CHAIN = tuple(
    Jurisdiction(code, None, code, level, "USD", 0, None)
    for code, level in zip(("US", "US-XX", "US-XX-C", "US-XX-C-T"), LEVELS, strict=True)
)


def rule(credential_type: str = "licence", *, required: bool = True, level: Level = "state") -> Requirement:
    """Return a rule."""
    return Requirement(credential_type, required, level, "Board", None, "test", TODAY, ("number",))


def credential(state: str = "verified", expires_on: date | None = None, **changes: object) -> Credential:
    """Return a licence of the state."""
    made = Credential(
        UUID(int=9), SOMEBODY, "licence", "US-XX", "AB-1234", "Board", date(2020, 1, 1), expires_on, state
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # any field may be changed


TECHNICIAN = Technician(
    technician_id=SOMEBODY, display_name="", bio="", status=TechnicianStatus.APPROVED, services=("cut",),
    experiences=(), home_lat=0, home_lon=0, radius_m=10_000, time_zone="America/New_York", photo_url=None,
    availability=ALWAYS, member_since=TODAY,
)  # fmt: skip
VISIT = Visit("cut", NOW, NOW + timedelta(hours=1), 500.0)
RULES = inherit("cut", CHAIN[:2], {"US-XX": RuleSet("US-XX", "cut", 3, (rule(),))})


def test_no_rules_from_the_state_down_means_no_rules() -> None:
    """A federal set alone, or nothing at all, leaves the rules unknown; an explicit empty set is known."""
    federal = {"US": RuleSet("US", "cut", 1, (rule(level="federal"),))}
    assert inherit("cut", CHAIN, {}) is None
    assert inherit("cut", CHAIN, federal) is None
    assert inherit("cut", (), {"US-XX": RuleSet("US-XX", "cut", 1, ())}) is None
    known = inherit("cut", CHAIN, federal | {"US-XX-C-T": RuleSet("US-XX-C-T", "cut", 1, ())})
    assert known is not None
    assert [each.jurisdiction for each in known.rules] == ["US"]


@given(
    st.dictionaries(
        st.sampled_from([place.code for place in CHAIN]),
        st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=4),
    ),
    st.integers(1, 4),
)
def test_a_narrower_place_never_takes_away(sets: dict[str, list[tuple[str, bool]]], depth: int) -> None:
    """Whatever is required at a place stays required at every place within it."""
    rule_sets = {
        code: RuleSet(code, "cut", 1, tuple(rule(name, required=needed) for name, needed in rules))
        for code, rules in sets.items()
    }
    wide, narrow = inherit("cut", CHAIN[:depth], rule_sets), inherit("cut", CHAIN, rule_sets)
    if wide is None:
        return
    assert narrow is not None

    def needed(rules: Rules) -> set[tuple[str, str]]:
        return {
            (r.jurisdiction, r.requirement.credential_type) for r in rules.rules if r.requirement.required
        }

    assert needed(wide) <= needed(narrow)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("pending", "unverified"),
        ("rejected", "unverified"),
        ("suspended", "suspended"),
        ("revoked", "revoked"),
    ],
)
def test_what_was_not_verified_or_was_taken_counts_for_nothing(state: str, expected: str) -> None:
    """Only a verified credential may be valid, whatever its dates say."""
    found = status_of(credential(state, TODAY + timedelta(days=999)), TODAY, TODAY, TODAY)
    assert found == expected
    assert found not in VALID


@given(st.integers(-60, 60), st.integers(0, 3))
def test_a_licence_is_good_to_its_last_day_and_no_longer(days: int, nights: int) -> None:
    """The last day of the visit decides, the licence's last day included; the soon-to-end says so."""
    last_day = TODAY + timedelta(days=nights)
    expires_on = TODAY + timedelta(days=days)
    found = status_of(credential(expires_on=expires_on), TODAY, last_day, TODAY)
    if expires_on < last_day:
        assert found == Status.EXPIRED
    elif expires_on - TODAY <= EXPIRING_WITHIN:
        assert found == Status.EXPIRING
    else:
        assert found == Status.ACTIVE


def test_what_never_expires_is_active_and_what_is_not_issued_yet_is_not() -> None:
    """EPA 608 has no end; a licence that begins after the visit does not cover it."""
    assert status_of(credential(), TODAY, TODAY, TODAY) == Status.ACTIVE
    assert (
        status_of(credential(issued_on=TODAY + timedelta(days=1)), TODAY, TODAY, TODAY) == Status.UNVERIFIED
    )


def test_the_best_of_several_counts_and_only_of_the_rules_own_jurisdiction() -> None:
    """A renewed licence heals an expired one; one of another state answers nothing."""
    assert RULES is not None
    old, new = credential(expires_on=date(2026, 1, 1)), credential(expires_on=date(2028, 1, 1))
    elsewhere = credential(jurisdiction="US-YY")
    assert stand(RULES, [old, new], TODAY, TODAY, TODAY)[0].credential == new
    assert stand(RULES, [elsewhere], TODAY, TODAY, TODAY)[0].status == Status.UNVERIFIED


def test_what_is_not_required_is_called_so() -> None:
    """A rule that requires nothing stands as not_required unless a valid credential is held anyway."""
    rules = inherit("cut", CHAIN[:2], {"US-XX": RuleSet("US-XX", "cut", 1, (rule(required=False),))})
    assert rules is not None
    assert stand(rules, [], TODAY, TODAY, TODAY)[0].status == Status.NOT_REQUIRED
    assert stand(rules, [credential("revoked")], TODAY, TODAY, TODAY)[0].status == Status.NOT_REQUIRED
    assert stand(rules, [credential()], TODAY, TODAY, TODAY)[0].status == Status.ACTIVE


def test_the_gate_opens_with_evidence_that_names_no_number() -> None:
    """What was relied on is kept: rule versions and credentials, never the number or a name."""
    passed = check(TECHNICIAN, RULES, [credential(expires_on=date(2027, 1, 1))], VISIT, NOW)
    assert isinstance(passed, Passed)
    assert passed.evidence["rule_versions"] == {"US-XX": 3}
    assert passed.evidence["credentials"][0]["expires_on"] == "2027-01-01"
    assert "AB-1234" not in str(passed.evidence)


@pytest.mark.parametrize(
    ("technician", "visit", "gate"),
    [
        (replace(TECHNICIAN, status=TechnicianStatus.APPLIED), VISIT, "not_approved"),
        (replace(TECHNICIAN, status=TechnicianStatus.SUSPENDED), VISIT, "not_approved"),
        (replace(TECHNICIAN, services=("dye",)), VISIT, "service_not_offered"),
        (TECHNICIAN, replace(VISIT, distance_m=10_001.0), "outside_radius"),
        (TECHNICIAN, replace(VISIT, distance_m=float("nan")), "outside_radius"),
    ],
)
def test_each_gate_has_its_name(technician: Technician, visit: Visit, gate: str) -> None:
    """The first gate that is shut is the one that is named, also for a distance that is no number."""
    stopped = check(technician, RULES, [credential()], visit, NOW)
    assert isinstance(stopped, Stopped)
    assert stopped.gate == gate


def test_missing_rules_shut_the_gate() -> None:
    """Nobody passes where nobody made rules, however many licences they hold."""
    assert check(TECHNICIAN, None, [credential()], VISIT, NOW) == Stopped("no_rules", ("rules",))


def test_days_are_those_of_the_technicians_place() -> None:
    """A visit that ends at 23:30 in New York ends on that day, though in UTC it is tomorrow."""
    late = Visit("cut", datetime(2026, 6, 2, 2, 30, tzinfo=UTC), datetime(2026, 6, 2, 3, 30, tzinfo=UTC), 0.0)
    last = credential(expires_on=date(2026, 6, 1))
    assert isinstance(check(TECHNICIAN, RULES, [last], late, NOW), Passed)
    past = replace(late, ends_at=datetime(2026, 6, 2, 4, 30, tzinfo=UTC))
    assert check(TECHNICIAN, RULES, [last], past, NOW) == Stopped("credentials", ("licence@US-XX:expired",))


def until(days: int | None) -> date | None:
    """Return a last day so many days from today."""
    return None if days is None else TODAY + timedelta(days=days)


STATES = ("pending", "verified", "rejected", "suspended", "revoked")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(STATES),
            st.one_of(st.none(), st.integers(-400, 400)),
            st.sampled_from(("US-XX", "US-YY")),
            st.sampled_from(("licence", "permit")),
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_the_gate_opens_exactly_when_every_required_credential_is_good(
    held: list[tuple[str, int | None, str, str]], permit: bool
) -> None:
    """Passed if and only if each required type has a verified, running credential of the rule's own place."""
    wanted = ("licence", "permit") if permit else ("licence",)
    rules = inherit(
        "cut", CHAIN[:2], {"US-XX": RuleSet("US-XX", "cut", 1, tuple(rule(name) for name in wanted))}
    )
    credentials = [
        credential(
            state,
            None if days is None else TODAY + timedelta(days=days),
            jurisdiction=place,
            credential_type=kind,
        )
        for state, days, place, kind in held
    ]
    good = all(
        any(
            state == "verified" and place == "US-XX" and kind == name and (days is None or days >= 0)
            for state, days, place, kind in held
        )
        for name in wanted
    )
    assert isinstance(check(TECHNICIAN, rules, credentials, VISIT, NOW), Passed) is good


def test_a_number_is_masked_as_the_rule_says() -> None:
    """Whole, the last four signs, or not at all; a short number never shows whole by accident."""
    assert mask("AB-123456", ("number",)) == "AB-123456"
    assert mask("AB-123456", ("number_last4",)) == "••••3456"
    assert mask("1234", ("number_last4",)) == "••••4"
    assert mask("AB-123456", ("expires_on",)) is None


@given(st.sampled_from(STATES), st.sampled_from(sorted(CREDENTIAL_DECISIONS)))
def test_decisions_follow_their_table_and_are_always_audited(state: str, decision: str) -> None:
    """An allowed decision leaves the changed credential and an audit fact; any other is refused."""
    decided = decide_credential(
        credential(state, TODAY + timedelta(days=40)), decision, "why", "register", TODAY
    )
    sources, target, action = CREDENTIAL_DECISIONS[decision]
    if state not in sources:
        assert isinstance(decided, Refusal)
        assert decided.code == "credential_state"
        return
    assert not isinstance(decided, Refusal)
    written, audited = decided
    assert isinstance(written, CredentialWritten)
    assert written.credential.state == target
    assert isinstance(audited, Decided)
    assert (audited.action, audited.reason) == (action, "why")
    if target == "verified":
        assert written.credential.next_check_on == TODAY + timedelta(days=40)


def test_a_technician_is_approved_once() -> None:
    """Approving twice is refused; suspension can be taken back."""
    approved = decide_technician(replace(TECHNICIAN, status=TechnicianStatus.APPLIED), "approve", "ok")
    assert not isinstance(approved, Refusal)
    assert isinstance(decide_technician(TECHNICIAN, "approve", "ok"), Refusal)
    assert isinstance(decide_technician(TECHNICIAN, "reinstate", "ok"), Refusal)
    assert not isinstance(decide_technician(TECHNICIAN, "suspend", "no"), Refusal)
