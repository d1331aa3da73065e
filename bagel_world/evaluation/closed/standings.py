"""Standings: from outcomes to rows: success rate, SPL, steps and calls, by contestant and distance, and paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bagel_world.evaluation.closed.missions import BINS, GOAL_RADIUS, bin_name
from bagel_world.evaluation.closed.trials import Outcome
from bagel_world.evaluation.metrics import Interval, mean_interval, ratio_interval
from bagel_world.evaluation.report import Row, by_metric, make_row

MEASURES = {
    "success_rate": lambda outcome: float(outcome.success),
    "spl": lambda outcome: outcome.spl,
    "steps": lambda outcome: float(outcome.actions),
    "model_calls": lambda outcome: float(outcome.model_calls),
    "imagined_frames": lambda outcome: float(outcome.imagined_frames),
    "meters_left": lambda outcome: outcome.left,
    "came_within_goal_radius": lambda outcome: float(outcome.closest <= GOAL_RADIUS),
    "stopped": lambda outcome: float(outcome.stopped),
    "seconds": lambda outcome: outcome.seconds,
}


def standing_rows(outcomes: Sequence[Outcome], *, seed: int = 0) -> tuple[Row, ...]:
    """Every measure of every contestant, over all missions and, for success and SPL, by distance."""
    return by_metric(_rows(outcomes, seed))


def difference_row(outcomes: Sequence[Outcome], better: str, worse: str, *, seed: int = 0) -> Row:
    """How much more often one contestant succeeds than another on the same missions: paired, above 0 where it is better."""
    one, other = ({each.mission: float(each.success) for each in outcomes if each.contestant == name} for name in (better, worse))
    shared = sorted(one.keys() & other.keys())
    gains = np.array([one[mission] - other[mission] for mission in shared])
    # Shifted by 1, since a mean of differences may be 0 or less and a ratio's parts may not.
    shifted = ratio_interval(gains + 1.0, np.ones(len(gains)), seed=seed)
    interval = Interval(*(each - 1.0 for each in shifted))
    return make_row("success_rate_difference", f"{better} over {worse}", len(shared), interval)


def _rows(outcomes: Sequence[Outcome], seed: int) -> Iterator[Row]:
    names = list(dict.fromkeys(each.contestant for each in outcomes))
    for name in names:
        own = [each for each in outcomes if each.contestant == name]
        for metric, measure in MEASURES.items():
            yield make_row(metric, name, len(own), mean_interval([measure(each) for each in own], seed=seed))
        for place in range(len(BINS)):
            there = [each for each in own if each.bin == place]
            for metric in ("success_rate", "spl"):
                if there:
                    values = [MEASURES[metric](each) for each in there]
                    yield make_row(metric, f"{name}, {bin_name(place)}", len(there), mean_interval(values, seed=seed))
    planners = [name for name in names if name.startswith("planner, learned world")]
    for better, worse in _pairs(names, planners):
        yield difference_row(outcomes, better, worse, seed=seed)


def _pairs(names: Sequence[str], planners: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is to be compared: the planner with most rollouts with everybody else."""
    if planners:
        yield from ((planners[-1], name) for name in names if name != planners[-1])
