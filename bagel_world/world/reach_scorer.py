"""ReachScorer: how near a frame is to its goal, by how far it is to walk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bagel_world.errors import ConfigError
from bagel_world.reach import ReachNet, load_reach
from bagel_world.types import Frame
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Candidate, Goal
from bagel_world.world.weights import ASSETS

SHIPPED = ASSETS / "reach"
"""The network that comes with the package."""

_BATCH = 64


class ReachScorer:
    """How near a frame is to its goal, a picture or the name of an object, to a network that was taught walking distances.

    Where a goal tells what was explored before, being near any of that counts against a frame, as in episodic curiosity
    (Savinov et al., arXiv 1810.02274).

    Args:
        net: the network, or its folder; None loads the one that comes with the package, which knows houses of MiniWorld.
        curiosity: how much; 0 for not at all.

    Raises:
        MissingExtraError: the extra `eval`, which brings the network's eyes, is not installed.
        CheckpointError: no network in the folder.
    """

    source = "reach"
    model_calls = 1
    judges_success = True
    success_distance = 0.2

    def __init__(self, net: ReachNet | str | Path | None = None, *, curiosity: float = 0.3) -> None:
        self.net = net if isinstance(net, ReachNet) else load_reach(net or SHIPPED)
        self.calibration = (
            f"Expected value of {self.net.config.discount:g} ** meters of walking to the goal, in (0, 1]; 1 means there. "
            "Where nothing looks as in the houses it was taught in, it only tells alike from different."
        )
        self.curiosity = curiosity
        self._goal: tuple[Goal, Tensor] | None = None

    @torch.inference_mode()
    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """How near every frame is to its goal: to the picture or, where there is none, to the object that its words name.

        Raises:
            ConfigError: a goal without a picture, whose words name nothing that the network knows.
        """
        if not candidates:
            return []
        here = self.look([each.frame for each in candidates])
        scores = [0.0] * len(candidates)
        for goal, places in _by_goal(candidates):
            there = self._look_for(goal).expand(len(places), -1, -1)
            near = self.net.nearness(self.net(here[places], there)[0])
            if goal.explored and self.curiosity:
                near = near - self.curiosity * self._known(here[places], goal.explored)
            for place, score in zip(places, near.tolist(), strict=True):
                scores[place] = score
        return scores

    @torch.inference_mode()
    def look(self, frames: Sequence[Frame]) -> Tensor:
        """The network's tokens of frames, shape (frames, places, width)."""
        parts = [np.stack(frames[start : start + _BATCH]) for start in range(0, len(frames), _BATCH)]
        return torch.cat([self.net.look(self.net.see(self.net.pixels(part))) for part in parts])

    def _known(self, here: Tensor, explored: Sequence[Frame]) -> Tensor:
        """How near each frame is to whatever was explored, shape (frames,)."""
        before = self.look(explored)
        pairs = before.repeat(len(here), 1, 1), here.repeat_interleave(len(before), dim=0)
        near = [
            self.net.nearness(self.net(one, other)[0]) for one, other in zip(*(each.split(_BATCH) for each in pairs), strict=True)
        ]
        return torch.cat(near).unflatten(0, (len(here), len(before))).amax(dim=1)

    def _look_for(self, goal: Goal) -> Tensor:
        """Tokens of a goal, shape (1, tokens, width); those of the last one are kept, as one goal stands for a whole walk."""
        known = self._goal
        if known is None or known[0].image is not goal.image or known[0].text != goal.text:
            picture = goal.image
            tokens = self.net.hear(torch.tensor([self._named(goal)])) if picture is None else self.look([picture])
            known = self._goal = goal, tokens
        return known[1]

    def _named(self, goal: Goal) -> int:
        """The place of the object that a goal's words name; the longest where one name is part of another."""
        names = self.net.config.names
        found = [place for place, name in enumerate(names) if name in (goal.text or "").lower()]
        if not found:
            raise ConfigError(
                f"The scorer 'reach' needs a goal picture or an object that it knows, got {goal.text!r:.80}. "
                f"It knows: {', '.join(names)}."
            )
        return max(found, key=lambda place: len(names[place]))


def _by_goal(candidates: Sequence[Candidate]) -> list[tuple[Goal, list[int]]]:
    """Every goal with the places of its candidates."""
    groups: dict[int, tuple[Goal, list[int]]] = {}
    for place, each in enumerate(candidates):
        groups.setdefault(id(each.goal), (each.goal, []))[1].append(place)
    return list(groups.values())
