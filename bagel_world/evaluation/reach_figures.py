"""Reach figures: how well a reach network tells walking distances in houses that it was not taught in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bagel_world.evaluation.metrics import mean_interval
from bagel_world.evaluation.ranking import auc_interval, rank_interval
from bagel_world.evaluation.report import Row, make_row
from bagel_world.reach import ReachNet
from bagel_world.sims.reach_pairs import ReachPairs
from bagel_world.types import Frame

NEAR = 1.0
"""Meters that count as there, as in the closed loop."""

_BATCH = 256


def reach_rows(net: ReachNet, frames: Frame, pairs: ReachPairs, *, enough: float, most: int, seed: int = 0) -> Iterator[Row]:
    """What a network says of pairs against what the simulator knows; intervals are bootstraps over houses.

    Args:
        net: the network, set to be asked.
        frames: uint8, shape (frames, height, width, 3): the footage that the pairs speak of.
        pairs: held-out ones, with goals of one kind.
        enough: the score from which on a goal counts as reached.
        most: pairs in all, spread evenly.
        seed: decides the bootstrap.

    Yields:
        Nothing without pairs. "meters_off": how far the expected distance is from the true one; "rank_correlation" of both;
        "auc_near": the area under the curve of telling pairs within a meter by their score; "near": how many are;
        "near_where_enough": how many of those whose score is enough.
    """
    if not len(pairs):
        return
    kind = "objects" if pairs.names else "pictures"
    rows = np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(np.int64))
    told, score = _asked(net, frames, pairs, rows)
    # Farther than its last distance the network cannot say.
    meters = np.minimum(pairs.meters[rows], net.config.meters[-1]).astype(np.float64)
    near, houses = meters <= NEAR, pairs.houses[rows]
    shown = {kind: np.ones(len(rows), bool)}
    if pairs.names:
        shown |= {f"{kind}, in view": pairs.visible[rows], f"{kind}, out of view": ~pairs.visible[rows]}
    for name, chosen in shown.items():
        yield from _rows(
            name, told[chosen], score[chosen], meters[chosen], houses[chosen], near[chosen], enough=enough, seed=seed
        )


def _rows(
    name: str,
    told: npt.NDArray[np.float64],
    score: npt.NDArray[np.float64],
    meters: npt.NDArray[np.float64],
    houses: npt.NDArray[np.int64],
    near: npt.NDArray[np.bool_],
    *,
    enough: float,
    seed: int,
) -> Iterator[Row]:
    if len(meters) < 2:
        return
    yield make_row("meters_off", name, len(meters), mean_interval(np.abs(told - meters), groups=houses, seed=seed))
    yield make_row("rank_correlation", name, len(meters), rank_interval(told, meters, groups=houses, seed=seed))
    if near.any() and not near.all():
        yield make_row("auc_near", name, len(meters), auc_interval(score, near, groups=houses, seed=seed))
    yield make_row("near", name, len(meters), mean_interval(near, groups=houses, seed=seed))
    sure = score >= enough
    if sure.any():
        yield make_row("near_where_enough", name, int(sure.sum()), mean_interval(near[sure], groups=houses[sure], seed=seed))


@torch.inference_mode()
def _asked(
    net: ReachNet, frames: Frame, pairs: ReachPairs, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Expected distance and score of these pairs."""

    def look(places: npt.NDArray[np.int64]) -> Tensor:
        return net.look(net.see(net.pixels(frames[places])))

    told, score = [], []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        goals = pairs.goals[part]
        logits, _ = net(look(pairs.frames[part]), net.hear(torch.from_numpy(goals)) if pairs.names else look(goals))
        told.append(logits.softmax(dim=-1) @ torch.tensor(net.config.meters))
        score.append(net.nearness(logits))
    return tuple(torch.cat(each).double().numpy() for each in (told, score))  # type: ignore[return-value]
