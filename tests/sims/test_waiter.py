from __future__ import annotations

import numpy as np

from bagel_world.sims.waiter import Waiter


def waits(style: str | None, seed: int) -> list[int]:
    waiter = Waiter(np.random.default_rng(seed), style=style)
    return [waiter.act() for _ in range(20)]


def test_equal_seeds_wait_alike() -> None:
    assert waits("mixed", 3) == waits("mixed", 3) != waits("mixed", 4)


def test_a_steady_waiter_keeps_its_wait() -> None:
    chosen = [waits("steady", seed) for seed in range(100)]
    assert all(len(set(each)) == 1 for each in chosen)
    assert {each[0] for each in chosen} == {0, 1, 2}


def test_most_waits_are_short_and_all_come_up() -> None:
    shares = np.bincount(np.concatenate([waits(None, seed) for seed in range(300)])) / 6000
    assert shares[0] > shares[1] > shares[2] > 0.05
    assert shares[0] > 0.5
