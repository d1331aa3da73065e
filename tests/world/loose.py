"""A scorer of somebody else's that gives what it is told, and scores that are none."""

from __future__ import annotations

from typing import Any

NO_SCORES: list[tuple[Any, ...]] = [(float("nan"),), (float("-inf"),), (), (1.0, 1.0), ("near",), (None,)]
"""For one candidate."""


class Loose:
    """Gives what it is told."""

    source, calibration, model_calls, judges_success, success_distance = "loose", "none", 0, True, 0.1

    def __init__(self, *scores: Any) -> None:
        self.scores = scores

    def score(self, world: Any, candidates: Any) -> list[Any]:
        return list(self.scores)
