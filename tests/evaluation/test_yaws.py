from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bagel_world.actions import ROTATE_WORDS
from bagel_world.evaluation import control
from bagel_world.evaluation.control import ControlConfig, measure_control
from bagel_world.evaluation.kinds import degrees_of
from bagel_world.evaluation.loops import TABLE_LOOPS
from bagel_world.evaluation.metrics import PSNR_OF_EQUAL
from bagel_world.evaluation.open_loop import Findings
from bagel_world.evaluation.subject import Subject
from bagel_world.evaluation.yaws import OFFSETS, nearest_view
from bagel_world.types import Episode, Frame
from bagel_world.world.fake import FakeWorld
from bagel_world.world.fake_views import move_view
from tests.evaluation.tables import SIDE, RolledTables, fall, spin

CONFIG = ControlConfig(n=20, loops=6, seed=1, batch=7)


class TurnReader:
    """Reads turns by trying them."""

    def read(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        def off(word: str, one: np.ndarray, other: np.ndarray) -> int:
            return int(np.abs(move_view(one, word).astype(int) - other).sum())

        return np.array([int(np.argmin([off(word, *pair) for word in ROTATE_WORDS])) for pair in zip(before, after, strict=True)])


class Mirrored(FakeWorld):
    """Turns to the other side."""

    def imagine(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Frame]:
        swap = {"left": "right", "right": "left"}
        words = [" ".join(swap.get(word, word) for word in context.spoken.split()) for context in contexts]
        return [move_view(context.frames[-1], word).copy() for context, word in zip(contexts, words, strict=True)]


@pytest.fixture
def spins(monkeypatch: pytest.MonkeyPatch) -> list[Episode]:
    monkeypatch.setattr(control, "TableScenes", RolledTables)
    return [spin(number) for number in range(8)]


def values(findings: Findings, metric: str) -> dict[str, float]:
    return {row.name: row.value for row in findings.rows if row.metric == metric}


def test_all_turns_of_the_table_lead_back() -> None:
    assert len(TABLE_LOOPS) == 12
    for words in TABLE_LOOPS.values():
        assert sum(degrees_of(word) for word in words) % 360 == 0
        half = sum(degrees_of(word) for word in words[: (len(words) + 1) // 2]) % 360
        assert half == (180 if len(words) > 2 else degrees_of(words[0]) % 360)
    assert {len(words) for words in TABLE_LOOPS.values()} == {2, 8, 12, 24}


def test_an_obedient_table_turns_as_commanded_and_returns(spins: list[Episode]) -> None:
    subject = Subject(FakeWorld(task="rotate", frame_size=(SIDE, SIDE), noise=0), "fake")
    findings = measure_control(subject, spins, TurnReader(), CONFIG)  # type: ignore[arg-type]
    assert values(findings, "yaw_rank_correlation") == {"imagined": pytest.approx(1.0)}
    errors = values(findings, "yaw_error_degrees")
    assert set(errors) == {f"imagined, {name}" for name in ("all actions", "15 degrees", "30 degrees", "45 degrees")}
    # Views 5 degrees apart of a strip with a pixel in 7.5: two of three views look the same, and the first one counts.
    assert max(errors.values()) <= 5.0
    returned = values(findings, "return_psnr_db")
    for name in TABLE_LOOPS:
        assert returned[f"{name}, end"] == pytest.approx(PSNR_OF_EQUAL)
        assert returned[f"{name}, halfway"] < 30
    accuracy = values(findings, "probe_accuracy")
    assert accuracy["imagined pairs"] == accuracy["other action imposed"] == 1.0
    assert accuracy["pairs of imagined frames, full turn"] == 1.0
    assert values(findings, "stay_psnr_db") == {"imagined": pytest.approx(PSNR_OF_EQUAL)}
    assert values(findings, "counterfactual_gap")["other action / other seed"] > 50


def test_a_table_that_turns_the_other_way_is_found_out(spins: list[Episode]) -> None:
    subject = Subject(Mirrored(task="rotate", frame_size=(SIDE, SIDE)), "mirrored")
    findings = measure_control(subject, spins, TurnReader(), CONFIG)  # type: ignore[arg-type]
    assert values(findings, "yaw_rank_correlation")["imagined"] == pytest.approx(-1.0)
    errors = values(findings, "yaw_error_degrees")
    for degrees in (15, 30, 45):
        assert errors[f"imagined, {degrees} degrees"] == pytest.approx(2 * degrees, abs=5.0)
    accuracy = values(findings, "probe_accuracy")
    assert accuracy["imagined pairs, Stay"] == 1.0
    assert accuracy[f"other action imposed, {ROTATE_WORDS[0]}"] == 0.0


def test_the_nearest_view_is_the_one_of_least_difference() -> None:
    views = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    frames = np.clip(views[[3, 0, 4]].astype(int) + 3, 0, 255).astype(np.uint8)
    assert nearest_view(frames, views).tolist() == [3, 0, 4]
    assert set(np.abs([degrees_of(word) for word in ROTATE_WORDS])) <= set(OFFSETS.tolist())


def test_drops_have_the_gap_between_waits_where_something_moves() -> None:
    moving = [fall(number) for number in range(4)]
    still = [fall(10 + number, speed=(0.0, 0.0)) for number in range(4)]
    subject = Subject(FakeWorld(task="rollout", frame_size=(SIDE, SIDE), noise=1), "fake")
    config = ControlConfig(n=16, context=2, batch=5)
    findings = measure_control(subject, moving + still, None, config)
    assert [row.metric for row in findings.rows] == ["counterfactual_gap"]
    assert findings.rows[0].value > 5
    assert findings.rows[0].n == 8
    assert findings.notes == ("Something moves in 8 of 16 windows; only those count.",)
    assert not measure_control(subject, still, None, config.model_copy(update={"n": 8})).rows
