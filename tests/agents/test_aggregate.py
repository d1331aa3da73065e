"""The value of a future, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bagel_world.agents import Aggregate, TrustRule
from bagel_world.agents.trust import Trust
from bagel_world.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("last", 0.2 + 0.25 * 0.2),  # now + w_3 (0.4 - 0.2)
        ("best", 0.2 + 0.5 * 0.6),  # now + max(1 x 0.2, 0.5 x 0.6, 0.25 x 0.2)
        ("discounted", 0.2 + (1 * 0.2 + 0.5 * 0.6 + 0.25 * 0.2) / 1.75),
    ],
)
def test_values_by_hand(kind: str, value: float) -> None:
    scores = [0.4, 0.8, 0.4]
    assert Aggregate(kind=kind, discount=0.5).combine(0.2, scores) == pytest.approx(value)
    assert Aggregate(kind=kind, discount=1.0).combine(0.2, scores, trust=0.5) == pytest.approx(value)


def test_only_the_last_score_is_asked_for_where_only_it_counts() -> None:
    last = Aggregate(kind="last", discount=1.0)
    assert list(last.counts(3)) == [2]
    assert last.combine(0.0, [None, None, 0.7]) == 0.7
    assert list(Aggregate().counts(3)) == [0, 1, 2]


@given(kind=st.sampled_from(["last", "best", "discounted"]), now=st.floats(-1, 1), trust=st.floats(0.01, 1))
def test_staying_is_worth_the_present(kind: str, now: float, trust: float) -> None:
    assert Aggregate(kind=kind).combine(now, [], trust) == now
    assert Aggregate(kind=kind).combine(now, [now, now], trust) == pytest.approx(now)


def test_the_same_gain_counts_less_where_it_is_farther_away() -> None:
    soon, late = Aggregate().combine(0.0, [0.0, 1.0]), Aggregate().combine(0.0, [0.0, 0.0, 1.0])
    assert 1.0 > soon > late > 0.9
    assert Aggregate().combine(0.0, [0.0, 0.0, 1.0], trust=0.5) < 0.3


def test_trust_is_one_without_surprise_and_half_at_the_tolerance() -> None:
    trust = Trust(rule=TrustRule(tolerance=0.2, memory=0.5))
    assert trust.level == 1.0
    assert trust.after(0.0).level == 1.0
    assert trust.after(0.4).mean == pytest.approx(0.2)
    assert trust.after(0.4).level == pytest.approx(0.5)
    assert trust.after(0.4).after(0.0).mean == pytest.approx(0.1)
    assert trust.after(-1e-7).level == 1.0  # a similarity a rounding error above 1 is no negative surprise


@given(st.lists(st.floats(0, 2), max_size=30))
def test_trust_stays_in_its_range_and_falls_with_surprise(surprises: list[float]) -> None:
    trust = Trust(rule=TrustRule())
    for surprise in surprises:
        assert 0 < trust.after(surprise + 0.1).level < trust.after(surprise).level + 1e-12 <= 1 + 1e-12
        trust = trust.after(surprise)


def test_a_plan_is_revised_above_the_tolerance_alone() -> None:
    trust = Trust(rule=TrustRule(tolerance=0.3))
    assert not trust.revises(0.3)
    assert trust.revises(0.31)


def test_a_rule_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="memory"):
        TrustRule(memory=1.0)
