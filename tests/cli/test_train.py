from __future__ import annotations

from bagel_world.cli.train import describe


def test_the_bar_tells_losses_and_pace_in_a_few_words() -> None:
    figures = {"loss": 0.51, "velocity": 0.5, "text": 0.04, "tokens_per_second": 12345.6, "data_wait": 0.021, "fill": 0.9871}
    assert describe(figures) == (
        "loss 0.5100 (velocity 0.5000, text 0.0400), 12,346 tokens/s, 2% waiting for data, packs 98.7% full"
    )
    assert describe({"loss": 0.5, "pixel": 0.1}) == "loss 0.5000"
