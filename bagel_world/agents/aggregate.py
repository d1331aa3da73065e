"""From the scores of a future to its value.

The score of the present frame is the zero: what counts is the gain over it. Of a gain k steps ahead, (discount x trust)^(k - 1)
counts, so that a far gain pays a little less than a near one, and much less where the imagination has been wrong of late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from bagel_world.agents.setting import Setting


class Aggregate(Setting):
    """How the scores along a future become one value.

    With `now` the score of the present frame, s_1 ... s_n those along the future, g_k = s_k - now and
    w_k = (discount x trust)^(k - 1):

    - "last": now + w_n g_n
    - "best": now + max_k w_k g_k
    - "discounted": now + sum_k w_k g_k / sum_k w_k
    """

    kind: Literal["last", "best", "discounted"] = Field(default="best", description="Which scores count.")
    discount: float = Field(default=0.98, gt=0, le=1, description="Share of a gain that is left one step further ahead.")

    def counts(self, length: int) -> range:
        """The places of the scores that the value of a future of this length depends on."""
        return range(max(0, length - 1), length) if self.kind == "last" else range(length)

    def combine(self, now: float, scores: Sequence[float | None], trust: float = 1.0) -> float:
        """The value of a future; `now` for one without steps.

        Args:
            now: the score of the present frame.
            scores: along the future; None is fine where `counts` does not ask.
            trust: in the imagination, in (0, 1].
        """
        gains = {place: score - now for place in self.counts(len(scores)) if (score := scores[place]) is not None}
        if not gains:
            return now
        weights = {place: (self.discount * trust) ** place for place in gains}
        weighted = [weights[place] * gain for place, gain in gains.items()]
        if self.kind == "discounted":
            return now + sum(weighted) / sum(weights.values())
        return now + max(weighted)
