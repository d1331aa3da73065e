from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from bagel_world.sims.spinner import STAY, STYLES, Spinner
from bagel_world.sims.turntable import YAW_STEPS


def turns(style: str | None, seed: int, steps: int = 60) -> list[int]:
    spinner = Spinner(np.random.default_rng(seed), style=style)
    return [spinner.act() for _ in range(steps)]


def test_stay_is_the_last_word_and_turns_nothing() -> None:
    assert YAW_STEPS[STAY] == 0
    assert YAW_STEPS == (15, 30, 45, -15, -30, -45, 0)


def test_equal_seeds_spin_alike() -> None:
    assert turns(None, 3) == turns(None, 3) != turns(None, 4)


@pytest.mark.parametrize("style", STYLES)
def test_every_turn_comes_up_as_often_to_the_left_as_to_the_right(style: str) -> None:
    actions = np.concatenate([turns(style, seed) for seed in range(200)])
    shares = np.bincount(actions, minlength=7) / len(actions)
    assert shares[:6].min() > 0.08
    assert abs(shares[:3].sum() - shares[3:6].sum()) < 0.06
    assert 0.02 < shares[STAY] < 0.08


def test_going_around_sees_all_sides() -> None:
    seen = []
    for seed in range(50):
        yaws = np.cumsum([YAW_STEPS[action] for action in turns("around", seed, 24)]) % 360
        seen.append(len({int(yaw) // 45 for yaw in yaws}))
    assert np.mean(seen) > 6


def test_back_and_forth_comes_back() -> None:
    spinner = Spinner(np.random.default_rng(0), style="back and forth")
    yaw, returns = 0, 0
    for _ in range(400):
        yaw += YAW_STEPS[spinner.act()]
        returns += yaw == 0
    assert returns > 60


def test_going_around_keeps_its_stride() -> None:
    actions = [action for action in turns("around", 1, 400) if action != STAY]
    assert np.mean([len(list(run)) for _, run in groupby(actions)]) > 3
