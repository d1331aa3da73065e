"""Curves for TensorBoard: the numbers of the log, or a note where it is not installed."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from bagel_world.training.curves import Curves
from bagel_world.training.metrics import RunLog
from tests.training.test_sample_feed import CONFIG, make_trainer


def test_the_curves_hold_the_numbers_of_the_log(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason='needs tensorboard, of the extra "train"')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    make_trainer(tmp_path, CONFIG.model_copy(update={"tensorboard": True})).train()
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for name in ("loss", "text", "velocity", "fill", "data_wait", "tokens_per_second", "validation_loss"):
        rows = [(row["step"], row[name]) for row in RunLog(tmp_path / "log.jsonl").rows() if name in row]
        curve = [(event.step, event.value) for event in found.Scalars(name)]
        assert rows
        assert curve == [(step, pytest.approx(value, rel=1e-6)) for step, value in rows], name


def test_without_tensorboard_a_note_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.WARNING):
        curves = Curves(tmp_path / "curves", 0)
    curves.write(1, {"loss": 0.5})
    curves.close()
    assert 'pip install "bagel-world[train]"' in caplog.text
    assert not (tmp_path / "curves").exists()
