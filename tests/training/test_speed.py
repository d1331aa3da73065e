from __future__ import annotations

import pytest

from bagel_world.training.metrics import Pace


def test_shares_of_a_step_add_up_and_its_arithmetic_is_compared_with_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 11.0, 19.0, 20.0])
    monkeypatch.setattr("bagel_world.training.metrics.time.perf_counter", lambda: next(clock))
    pace = Pace()
    pace.peak = 100.0
    pace.start()
    pace.fed()
    pace.learned()
    pace.done(tokens=50.0, flop=400.0)
    assert pace.last() == pytest.approx(
        {
            "step_seconds": 10.0,
            "learning_share": 0.8,
            "optimizer_share": 0.1,
            "data_share": 0.1,
            "learning_peak": 0.5,
            "step_peak": 0.4,
        }
    )
    assert pace.figures() == {"tokens_per_second": 5.0, "data_wait": 0.1, "mfu": 0.4}
