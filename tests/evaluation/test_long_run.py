"""Long runs: what the bars say of walks whose time, memory and pictures are known."""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bagel_world.cli import main
from bagel_world.errors import ConfigError
from bagel_world.evaluation.long_run import LongRun, LongRunConfig, measure_long_run, picture_figures, resident_bytes
from bagel_world.evaluation.subject import Subject
from bagel_world.world.fake import FakeWorld

STEPS = 80


class Watch:
    """A clock by which step k of the walk alone takes `cost(k)` seconds."""

    def __init__(self, cost: Callable[[int], float]) -> None:
        self._cost = cost
        self._reads = 0
        self._now = 0.0

    def __call__(self) -> float:
        self._reads += 1
        if self._reads % 2 == 0:
            self._now += self._cost(self._reads // 2)
        return self._now


def measure(
    cost: Callable[[int], float] = lambda step: 0.01, weight: Callable[[int], int | None] = lambda step: 1 << 30
) -> LongRun:
    steps = count(1)
    subject = Subject(FakeWorld(max_frames=4), "fake")
    config = LongRunConfig(steps=STEPS, walks=2, every=20)
    return measure_long_run(subject, config, clock=Watch(cost), weigh=lambda: weight(next(steps)))


def test_a_flat_walk_is_within_the_bars() -> None:
    found = measure()
    assert found.time_ratio == pytest.approx(1.0)
    assert found.memory_ratio == 1.0
    assert all("within the allowed" in verdict for verdict in found.verdicts())
    assert found.frames.shape == (2, STEPS + 1, 64, 64, 3)
    values = {(row.metric, row.name): row.value for row in found.rows()}
    assert values["ms_per_step", "around step 30, median"] == pytest.approx(10.0)
    assert values["resident_mib", "after step 20"] == 1024
    assert values["context", "context_frames, after step 80"] == 4
    assert values["context", "dropped_frames, after step 80"] == STEPS + 2 - 4


def test_time_is_that_of_twenty_steps_around_a_step() -> None:
    found = measure(cost=lambda step: 0.01 if step <= 60 else 0.02)
    assert found.time_ratio == pytest.approx(2.0)
    assert "2.00 times" in found.verdicts()[0]
    assert "MORE than" in found.verdicts()[0]
    spikes = measure(cost=lambda step: 5.0 if step % 4 == 0 else 0.01)
    assert spikes.time_ratio == pytest.approx(1.0), "old frames leave every few steps: medians do not see it"


def test_memory_is_compared_with_step_fifty() -> None:
    found = measure(weight=lambda step: 1000 * step)
    assert found.memory_ratio == pytest.approx(STEPS / 50)
    assert "MORE than" in found.verdicts()[1]


def test_a_machine_that_does_not_tell_its_memory() -> None:
    found = measure(weight=lambda step: None)
    assert found.memory_ratio is None
    assert "does not tell" in found.verdicts()[1]
    assert not any(row.metric.startswith("resident") for row in found.rows())


def test_pictures_are_held_against_real_ones() -> None:
    found = measure()
    values = {(row.metric, row.name): row for row in found.rows()}
    real = picture_figures(np.concatenate([episode.frames for episode in FakeWorld().starts]))
    assert values["sharpness", "real frames"].value == pytest.approx(real["sharpness"].mean())
    last = picture_figures(found.frames[:, -20:].reshape(-1, 64, 64, 3))
    assert values["saturation", "around step 80"].value == pytest.approx(last["saturation"].mean())
    assert values["saturation", "around step 80"].n == 40
    expected = last["contrast"].mean() / real["contrast"].mean()
    assert values["contrast_ratio", "around step 80 over real frames"].value == pytest.approx(expected)
    first = picture_figures(found.frames[:, 0])
    assert values["mean_red", "first frames"].value == pytest.approx(first["mean_red"].mean())


def test_where_the_simulator_walked_along_the_same_walks_are_compared() -> None:
    alone = measure()
    found = replace(alone, beside=alone.frames // 2)
    values = {(row.metric, row.name): row.value for row in found.rows()}
    assert values["contrast_ratio", "around step 80 over real walks"] == pytest.approx(2.0, abs=0.1)
    assert ("contrast_ratio", "around step 80 over real frames") not in values
    assert values["sharpness", "around step 20, real walks"] < values["sharpness", "around step 20"]
    (strip,) = found.strips()
    assert list(strip.rows) == ["walk 0", "walk 0, real", "walk 1", "walk 1, real"]
    merits = found.panels()[-2]
    assert merits.title == "over real walks"
    assert np.mean(np.asarray(merits.curves["contrast"].y)) == pytest.approx(2.0, abs=0.1)


def test_the_same_seed_walks_the_same_way() -> None:
    np.testing.assert_array_equal(measure().frames, measure().frames)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_resident_memory_grows_with_what_is_touched() -> None:
    size = 40 << 20
    before = resident_bytes()
    # Mapped anew: what an allocator hands out may be memory that was touched before.
    with mmap.mmap(-1, size) as held:
        for start in range(0, size, mmap.PAGESIZE):
            held[start] = 1
        after = resident_bytes()
    assert before is not None
    assert after is not None
    assert (30 << 20) < after - before < (80 << 20)


def test_a_world_without_starts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorld, "starts", ())
    with pytest.raises(ConfigError, match="starting episodes"):
        measure()


def test_the_command_writes_a_table_curves_and_a_filmstrip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(SystemExit) as stop:
        main(["eval", "long", "--checkpoint", "fake", "--steps", "80", "--walks", "2", "--out", str(tmp_path)])
    assert not stop.value.code
    shown = " ".join(capsys.readouterr().out.split())
    assert "ms_per_step_ratio" in shown
    assert "the allowed 1.3" in shown
    report = json.loads((tmp_path / "long.json").read_text())
    assert report["setting"]["steps"] == 80
    for name in ("long.png", "long_filmstrip.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 600


def test_the_context_policy_is_handed_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["eval", "long", "--checkpoint", "fake", "--sinks", "1", "--no-reuse-latents"])
    assert stop.value.code == 2
    assert "['reuse_latents', 'sinks']" in capsys.readouterr().err
