from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bagel_world.actions import ROLLOUT_WORDS, ROTATE_WORDS
from bagel_world.errors import SimulatorError
from bagel_world.evaluation.compared import LEAST_REGION
from bagel_world.evaluation.kinds import (
    WARPED,
    DropFootage,
    HouseFootage,
    OtherFootage,
    TableFootage,
    degrees_of,
    kind_of,
    kind_of_episode,
    moving_parts,
    turns_by,
    warp_on,
)
from bagel_world.evaluation.metrics import PSNR_OF_EQUAL
from bagel_world.evaluation.open_loop import Findings, OpenLoopConfig, measure_open_loop
from bagel_world.evaluation.subject import Subject
from bagel_world.evaluation.turned import turn_view
from bagel_world.evaluation.windows import Window, cut_window
from bagel_world.types import Action, Episode, Frame
from bagel_world.world.fake import FakeWorld
from tests.evaluation.tables import OBJECT, SIDE, SQUARE, KnownSquares, RolledTables, fall, spin

CONFIG = OpenLoopConfig(n=40, rollouts=5, horizon=8, batch=8)


def turning(noise: int = 0) -> Subject:
    return Subject(FakeWorld(task="rotate", frame_size=(SIDE, SIDE), noise=noise), "fake")


def values(findings: Findings, metric: str) -> dict[str, float]:
    return {row.name: row.value for row in findings.rows if row.metric == metric}


def test_the_simulator_decides_and_footage_from_elsewhere_is_measured_as_houses_are() -> None:
    assert type(kind_of("bagel_world.sims.House")) is HouseFootage
    assert type(kind_of("bagel_world.sims.Turntable")) is type(kind_of_episode(spin(0))) is TableFootage
    assert type(kind_of("bagel_world.sims.Drops")) is type(kind_of_episode(fall(0))) is DropFootage
    for source in (None, "my films"):
        kind = kind_of(source)
        assert (type(kind), kind.task, kind.name) == (OtherFootage, None, "house")


def test_turns_know_their_degrees() -> None:
    assert [degrees_of(word) for word in ROTATE_WORDS] == [15, 30, 45, -15, -30, -45, 0]
    assert turns_by(30) == (ROTATE_WORDS[1], ROTATE_WORDS[4])
    assert TableFootage().caption(ROTATE_WORDS[4]) == "right 30"
    assert TableFootage().caption("Stay") == "Stay"


def cut_spin(*words: int, context: int) -> Window:
    return cut_window(spin(0, words=list(words)), 0, context=context, horizon=1)


@pytest.mark.parametrize(
    ("words", "new"),
    [
        ((1, 1, 1), True),  # on and on to the left
        ((1, 4, 1), False),  # back where it was
        ((1, 1, 0), False),  # fifteen degrees from the last frame
        ((2, 2, 3), False),
        ((1, 1, 5), False),  # fifteen degrees from the second frame
        ((0, 0, 2), True),
        ((6, 6, 6), False),
    ],
)
def test_a_yaw_is_new_when_no_given_frame_lies_within_fifteen_degrees(words: tuple[int, ...], new: bool) -> None:
    window = cut_spin(*words, context=3)
    samples = TableFootage().samples([window], ROTATE_WORDS)
    assert samples["new yaws"].tolist() == [new]
    degrees = abs(degrees_of(ROTATE_WORDS[words[-1]]))
    for turn in (15, 30, 45):
        assert samples[f"{turn} degrees"].tolist() == [degrees == turn]
        assert samples[f"{turn} degrees, new yaws"].tolist() == [degrees == turn and new]
    assert samples["Stay"].tolist() == [words[-1] == 6]


def test_a_perfect_turn_has_perfect_figures_inside_the_object_too() -> None:
    findings = measure_open_loop(turning(), [spin(number) for number in range(8)], CONFIG, kind=TableFootage(RolledTables))
    for metric in ("psnr_db", "object_psnr_db"):
        found = {name: value for name, value in values(findings, metric).items() if name.startswith("imagined")}
        assert {"imagined, 30 degrees", "imagined, new yaws", "imagined, 30 degrees, new yaws"} <= found.keys()
        assert list(found.values()) == pytest.approx([PSNR_OF_EQUAL] * len(found))
    gain = values(findings, "object_psnr_gain_db")["imagined over copy last, 30 degrees"]
    assert gain == pytest.approx(PSNR_OF_EQUAL - values(findings, "object_psnr_db")["copy last, 30 degrees"])
    rolled = values(findings, "rollout_object_psnr_db")
    assert rolled["imagined, step 8"] == pytest.approx(PSNR_OF_EQUAL)
    assert rolled["copy last context frame, step 8"] < 30
    assert not findings.notes[1:]


class HalfRight(FakeWorld):
    """Right about the object and black around it."""

    def imagine(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Frame]:
        frames = []
        for frame in super().imagine(contexts, seeds=seeds):
            shown = np.zeros_like(frame)
            shown[OBJECT, OBJECT] = frame[OBJECT, OBJECT]
            frames.append(shown)
        return frames


def test_the_region_is_the_object_s() -> None:
    subject = Subject(HalfRight(task="rotate", frame_size=(SIDE, SIDE), noise=0), "half")
    config = OpenLoopConfig(n=12, rollouts=1, horizon=1)
    findings = measure_open_loop(subject, [spin(number) for number in range(4)], config, kind=TableFootage(RolledTables))
    assert values(findings, "object_psnr_db")["imagined, all actions"] == pytest.approx(PSNR_OF_EQUAL)
    assert values(findings, "psnr_db")["imagined, all actions"] < 15


class Closed(RolledTables):
    def owners(self, window: Window) -> Any:
        raise SimulatorError("no OpenGL here")


@pytest.mark.parametrize(("kind", "episode"), [(TableFootage(Closed), spin), (DropFootage(Closed), fall)])
def test_without_a_simulator_the_rest_is_measured_and_a_note_says_what_is_missing(kind: Any, episode: Any) -> None:
    subject = Subject(FakeWorld(task=kind.task, frame_size=(SIDE, SIDE)), "fake")
    config = OpenLoopConfig(n=4, rollouts=2, horizon=1, context=2)
    findings = measure_open_loop(subject, [episode(number) for number in range(4)], config, kind=kind)
    assert any("no OpenGL here" in note for note in findings.notes)
    assert values(findings, "psnr_db")
    assert not values(findings, "object_psnr_db")
    assert not values(findings, "body_position_error_px")


def test_what_moves_is_what_differs_from_the_last_given_frame_by_more_than_eight() -> None:
    frames = np.full((4, 5, 5, 3), 100, np.uint8)
    frames[2, 0, 0, 1], frames[2, 1, 1, 2], frames[3, 2, 2] = 108, 109, 91
    frames[0] = 0  # older frames do not matter
    window = Window(frames=frames, actions=fall(0).actions[:3], context=2, poses=None, group="a")
    (parts,) = moving_parts([window])
    assert np.argwhere(parts).tolist() == [[0, 1, 1], [1, 2, 2]]


def test_linear_motion_is_right_for_what_flies_straight() -> None:
    subject = Subject(FakeWorld(task="rollout", frame_size=(SIDE, SIDE), noise=0), "fake")
    falls = [fall(number, waits=[1, 2, 1, 2, 1]) for number in range(6)]
    config = OpenLoopConfig(n=6, rollouts=3, horizon=2, context=3)
    findings = measure_open_loop(subject, falls, config, kind=DropFootage(KnownSquares))
    moving = values(findings, "moving_psnr_db")
    assert moving["linear motion, something moves"] == pytest.approx(PSNR_OF_EQUAL)
    assert moving["copy last, something moves"] < 20
    gain = values(findings, "moving_psnr_gain_db")["imagined over linear motion, something moves"]
    assert gain == pytest.approx(moving["imagined, something moves"] - PSNR_OF_EQUAL)
    assert values(findings, "rollout_moving_psnr_db")["linear motion, step 2"] == pytest.approx(PSNR_OF_EQUAL)
    errors = values(findings, "body_position_error_px")
    assert errors["linear motion, all actions"] == 0.0
    assert errors["copy last, Wait two moments"] == pytest.approx(np.hypot(4, 2), abs=0.5)
    assert set(values(findings, "psnr_db")) >= {f"imagined, {word}" for word in ROLLOUT_WORDS[:2]}
    assert len(findings.sheets["next"][0].rows["linear motion"]) == 6


def test_what_lies_still_is_not_counted_as_moving() -> None:
    still = fall(0, waits=[1] * 5, speed=(0.0, 0.0))
    tiny = still.frames.copy()
    tiny[1::2, 0, : LEAST_REGION - 1] = 0  # flicker
    episode = type(still)(frames=tiny, actions=still.actions, metadata=still.metadata)
    subject = Subject(FakeWorld(task="rollout", frame_size=(SIDE, SIDE)), "fake")
    config = OpenLoopConfig(n=2, rollouts=1, horizon=1, context=2)
    findings = measure_open_loop(subject, [episode], config, kind=DropFootage(KnownSquares))
    assert "imagined, all actions" in values(findings, "psnr_db")
    assert not values(findings, "moving_psnr_db")
    assert not [name for name in values(findings, "psnr_db") if name.endswith("something moves")]
    assert SQUARE**2 > LEAST_REGION


def test_turns_of_houses_are_held_against_the_warped_last_frame() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    words = ("Look left", "Move forward", "Look left")
    episode = Episode(frames=frames, actions=tuple(Action(text=word) for word in words), metadata={"episode_id": "a"})
    window = cut_window(episode, 0, context=1, horizon=3)
    warped = HouseFootage().study([window]).baselines[WARPED]
    assert warped.shape == (1, 3, 16, 16, 3)
    np.testing.assert_array_equal(warped[0, 0], turn_view(frames[0], 30.0, field_of_view=60.0))
    np.testing.assert_array_equal(warped[0, 1], warped[0, 0])
    np.testing.assert_array_equal(warped[0, 2], turn_view(frames[0], 60.0, field_of_view=60.0))
    assert not OtherFootage().study([window]).baselines


def test_a_whole_turn_of_the_warped_frame_is_none() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (13, 16, 16, 3), np.uint8)
    episode = Episode(frames=frames, actions=(Action(text="Look right"),) * 12, metadata={"episode_id": "a"})
    warped = warp_on(cut_window(episode, 0, context=1, horizon=12))
    np.testing.assert_array_equal(warped[-1], frames[0])
    assert warped.dtype == np.uint8
