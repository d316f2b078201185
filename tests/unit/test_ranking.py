"""Ranking: contributions sum to the score, swaps stay between near-ties, and what was stored ranks the same again."""

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.matching import (
    MILLION,
    NEAR_TIE_MICRO,
    RANKING_VERSION,
    WEIGHTS,
    Candidate,
    Facts,
    features,
    rank,
    replay,
    why,
)

FACTS = Facts(way_s=400.0, eta_s=600, distance_m=2500, wait_s=0.0, rating_sum=47, rating_count=10, jobs_completed=30,
              wished=2, matched=1, present=True, expiring=False)  # fmt: skip

facts = st.builds(
    Facts,
    way_s=st.floats(0, 20_000),
    eta_s=st.integers(1, 20).map(lambda n: n * 300),
    distance_m=st.integers(1, 80).map(lambda n: n * 500),
    wait_s=st.floats(0, 50_000),
    rating_sum=st.integers(0, 50),
    rating_count=st.integers(10, 10_000),
    jobs_completed=st.integers(0, 100_000),
    wished=st.just(3),
    matched=st.integers(0, 3),
    present=st.one_of(st.none(), st.booleans()),
    expiring=st.booleans(),
)
seeds = st.integers(0, 2**63 - 1)
fields = st.lists(facts, max_size=12).map(
    lambda many: [Candidate(UUID(int=n + 1), features(each)) for n, each in enumerate(many)]
)


def test_the_weights_share_one_million() -> None:
    """All weights together are one, so that a score is a share of the best possible."""
    assert sum(WEIGHTS.values()) == MILLION


@given(fields, seeds)
def test_contributions_sum_to_the_score_and_everybody_has_one_place(
    field: list[Candidate], seed: int
) -> None:
    """Each candidate stands once, at a place of its own, with a score that its contributions explain."""
    order = rank(field, WEIGHTS, seed).order
    assert [each.position for each in order] == list(range(1, len(field) + 1))
    assert {each.technician_id for each in order} == {each.technician_id for each in field}
    assert sorted(each.base_rank for each in order) == list(range(1, len(field) + 1))
    for each in order:
        assert round(sum(each.contributions.values()) * MILLION) == round(each.score * MILLION)
        assert 0 <= each.score <= 1


@given(fields, seeds)
def test_only_near_ties_change_places_and_every_swap_is_logged(field: list[Candidate], seed: int) -> None:
    """Nobody is shown above somebody better by more than a near-tie, and nobody moves more than one place."""
    ranking = rank(field, WEIGHTS, seed)
    for upper, lower in zip(ranking.order, ranking.order[1:], strict=False):
        assert lower.score - upper.score <= NEAR_TIE_MICRO / MILLION + 1e-9
    moved = [each for each in ranking.order if each.position != each.base_rank]
    assert all(abs(each.position - each.base_rank) == 1 for each in moved)
    assert len(moved) == 2 * len(ranking.swaps)
    assert {each.technician_id for each in moved} == {
        one for swap in ranking.swaps for one in (swap.moved_up, swap.moved_down)
    }


@given(fields, seeds)
def test_what_was_stored_ranks_the_same_again(field: list[Candidate], seed: int) -> None:
    """Through JSON and back, in any order of rows, the replay shows the same order, scores and swaps."""
    ranking = rank(field, WEIGHTS, seed)
    stored = [
        {"technician_id": str(each.technician_id), "features": dict(each.features)} for each in ranking.order
    ]
    again = json.loads(json.dumps(stored))
    again.reverse()
    assert replay(RANKING_VERSION, again, json.loads(json.dumps(dict(WEIGHTS))), seed) == ranking


def test_an_unknown_version_is_not_guessed_at() -> None:
    """A ranking of another release is refused, not imitated."""
    with pytest.raises(ValueError, match="1999"):
        replay("1999", [], WEIGHTS, 0)


@given(facts)
def test_features_are_shares(one: Facts) -> None:
    """Whatever the facts, each feature is a share between 0 and 1, and there is one for each weight."""
    shares = features(one)
    assert set(shares) == set(WEIGHTS)
    assert all(0.0 <= share <= 1.0 for share in shares.values())


@pytest.mark.parametrize(
    ("feature", "better"),
    [
        ("nearness", replace(FACTS, way_s=100.0)),
        ("soonness", replace(FACTS, wait_s=0.0)),
        ("rating", replace(FACTS, rating_sum=50)),
        ("experience", replace(FACTS, matched=2)),
        ("practice", replace(FACTS, jobs_completed=200)),
    ],
)
def test_better_facts_never_lower_a_feature(feature: str, better: Facts) -> None:
    """Nearer, sooner, better rated, better fitting and more practised is never worse."""
    worse = replace(FACTS, wait_s=900.0) if feature == "soonness" else FACTS
    assert features(better)[feature] > features(worse)[feature]


def test_a_newcomer_is_neither_punished_nor_crowned() -> None:
    """No stars yet counts as the house's usual; one five-star visit does not beat fifty of them."""
    fresh = features(replace(FACTS, rating_sum=0, rating_count=0))["rating"]
    one = features(replace(FACTS, rating_sum=5, rating_count=1))["rating"]
    fifty = features(replace(FACTS, rating_sum=245, rating_count=50))["rating"]
    bad = features(replace(FACTS, rating_sum=20, rating_count=10))["rating"]
    assert bad < fresh < one < fifty


def test_ties_do_not_fall_by_age() -> None:
    """Among equals the seed decides, so that the eldest id does not win every time."""
    field = [Candidate(UUID(int=n), features(FACTS)) for n in range(1, 9)]
    firsts = {rank(field, WEIGHTS, seed).order[0].technician_id for seed in range(40)}
    assert len(firsts) > 4


def test_reasons_are_few_true_and_not_more_exact_than_the_card() -> None:
    """At most three reasons, from rounded numbers only."""
    ranked = rank([Candidate(UUID(int=1), features(FACTS))], WEIGHTS, 1).order[0]
    reasons = why(ranked, FACTS, ("quiet_visit", "punctual"), now=True)
    assert len(reasons) == 3
    assert "About 10 minutes away" in reasons
    silent = replace(
        FACTS, rating_sum=20, jobs_completed=0, matched=0, present=None, expiring=True, wait_s=9000.0
    )
    assert why(ranked, silent, (), now=False) == ["About 10 minutes away"]
