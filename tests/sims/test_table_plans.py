from __future__ import annotations

import numpy as np
import pytest

from bagel_world.errors import ConfigError, UnknownNameError
from bagel_world.sims.exhibits import FAMILIAR, NOVEL
from bagel_world.sims.table_plans import HUE_PERIOD, LAMP_PERIOD, YAW_PERIOD, draw_degrees, draw_table

SEEDS = range(300)


def test_equal_seeds_are_equal_tables_and_no_two_splits_share_one() -> None:
    assert draw_table("train", 5) == draw_table("train", 5) != draw_table("train", 6)
    numbers = [draw_table(split, seed).number for split in ("train", "validation", "test", "unseen") for seed in range(50)]
    assert len(set(numbers)) == 200


@pytest.mark.parametrize("period", [YAW_PERIOD, HUE_PERIOD, LAMP_PERIOD])
def test_test_has_angles_that_no_other_split_has(period: int) -> None:
    rng = np.random.default_rng(0)
    drawn = {
        split: {draw_degrees(split, period, rng) for _ in range(6000)} for split in ("train", "validation", "test", "unseen")
    }
    assert drawn["train"] | drawn["test"] == set(range(360))
    assert not drawn["train"] & drawn["test"]
    assert drawn["train"] == drawn["validation"] == drawn["unseen"]
    assert {each % period for each in drawn["test"]} == set(range(period * 2 // 3, period))


def test_lamps_and_hues_keep_to_the_angles_of_their_split() -> None:
    for split, allowed in (("train", range(20)), ("validation", range(20)), ("test", range(20, 30)), ("unseen", range(20))):
        plans = [draw_table(split, seed) for seed in SEEDS]
        assert {plan.lamp % LAMP_PERIOD for plan in plans} == set(allowed)
        assert {plan.hue % HUE_PERIOD for plan in plans} == set(allowed)


def test_every_object_of_a_split_comes_up() -> None:
    assert {draw_table("train", seed).exhibit for seed in SEEDS} == set(FAMILIAR)
    assert {draw_table("test", seed).exhibit for seed in SEEDS} == set(FAMILIAR)
    assert {draw_table("unseen", seed).exhibit for seed in SEEDS} == set(NOVEL)


def test_textures_stay_as_they_come_half_of_the_time_except_in_test() -> None:
    assert 0.4 < np.mean([draw_table("train", seed).hue == 0 for seed in SEEDS]) < 0.6
    assert not any(draw_table("test", seed).hue == 0 for seed in SEEDS)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unseen"):
        draw_table("unsen", 0)
    with pytest.raises(ConfigError, match="seed"):
        draw_table("train", -1)
