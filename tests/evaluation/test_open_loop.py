from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bagel_world.errors import ConfigError
from bagel_world.evaluation.metrics import PSNR_OF_EQUAL
from bagel_world.evaluation.open_loop import Findings, OpenLoopConfig, measure_open_loop
from bagel_world.evaluation.report import Row
from bagel_world.evaluation.subject import Subject, seed_for
from bagel_world.evaluation.windows import draw_windows
from bagel_world.types import Episode, Frame
from bagel_world.world.fake import FakeWorld

CONFIG = OpenLoopConfig(n=60, rollouts=6, horizon=16, seed=1, batch=7)


def subject(noise: int = 0) -> Subject:
    return Subject(FakeWorld(frame_size=(48, 48), noise=noise), "fake")


def rows_of(findings: Findings, metric: str, label: str = "imagined") -> list[Row]:
    found = [row for row in findings.rows if row.metric == metric and row.name.startswith(label + ",")]
    assert found
    return found


def test_a_perfect_world_gets_perfect_figures(episodes: Sequence[Episode]) -> None:
    findings = measure_open_loop(subject(), episodes, CONFIG)
    for metric, perfect in (
        ("psnr_db", PSNR_OF_EQUAL),
        ("ssim", 1.0),
        ("sharpness_ratio", 1.0),
        ("rollout_psnr_db", PSNR_OF_EQUAL),
        ("rollout_sharpness_ratio", 1.0),
    ):
        for row in rows_of(findings, metric):
            assert (row.value, row.low, row.high) == pytest.approx((perfect,) * 3)


def test_noise_of_one_gray_level_costs_what_theory_says(episodes: Sequence[Episode]) -> None:
    findings = measure_open_loop(subject(noise=1), episodes, CONFIG)
    for row in rows_of(findings, "psnr_db"):
        assert row.value == pytest.approx(10 * np.log10(255**2 / (2 / 3)), abs=0.1)


def test_the_copied_last_frame_is_right_for_staying_and_for_nothing_else(episodes: Sequence[Episode]) -> None:
    findings = measure_open_loop(subject(), episodes, CONFIG)
    copies = {row.name.removeprefix("copy last, "): row.value for row in rows_of(findings, "psnr_db", "copy last")}
    assert copies.pop("Stay") == pytest.approx(PSNR_OF_EQUAL)
    assert copies.keys() == {"all actions", "picture changed", "Move forward", "Look left", "Look right", "new-view turns"}
    assert copies["picture changed"] < copies["all actions"] < PSNR_OF_EQUAL
    gain = {row.name: row.value for row in findings.rows if row.metric == "psnr_gain_db"}
    assert gain["imagined over copy last, all actions"] == pytest.approx(PSNR_OF_EQUAL - copies["all actions"])
    assert gain["imagined over copy last, Stay"] == pytest.approx(0.0)


def test_actions_add_up_and_new_views_are_turns(episodes: Sequence[Episode]) -> None:
    findings = measure_open_loop(subject(), episodes, CONFIG)
    counts = {row.name.removeprefix("imagined, "): row.n for row in rows_of(findings, "psnr_db")}
    assert counts["all actions"] == 60
    assert sum(counts[word] for word in ("Move forward", "Look left", "Look right", "Stay")) == 60
    assert counts["picture changed"] == 60 - counts["Stay"]
    assert 0 < counts["new-view turns"] <= counts["Look left"] + counts["Look right"]


def test_rollouts_are_compared_step_by_step(episodes: Sequence[Episode]) -> None:
    findings = measure_open_loop(subject(), episodes, CONFIG)
    names = [row.name for row in rows_of(findings, "rollout_psnr_db")]
    assert names == [f"imagined, step {step}" for step in (1, 2, 3, 4, 5, 6, 7, 8, 16)]
    assert {row.n for row in rows_of(findings, "rollout_psnr_db")} == {6}
    for label in ("copy first context frame", "copy last context frame"):
        assert len(rows_of(findings, "rollout_psnr_db", label)) == 9
    for strip in findings.sheets["rollouts"]:
        np.testing.assert_array_equal(strip.rows["real"], strip.rows["imagined"])
        assert len(strip.captions) == len(strip.rows["real"]) == 10


def test_the_baselines_of_a_rollout_are_its_given_frames(make_walk: Callable[..., Episode]) -> None:
    still = make_walk(0, steps=3)
    frames = np.stack([still.frames[0], *[still.frames[0] // 2] * 9])
    stay = next(action for number in range(9) for action in make_walk(number).actions if action.id == 3)
    episode = Episode(frames=frames, actions=(stay,) * 9)
    findings = measure_open_loop(subject(), [episode], OpenLoopConfig(n=2, rollouts=1, horizon=8))
    for row in rows_of(findings, "rollout_psnr_db", "copy last context frame"):
        assert row.value == pytest.approx(PSNR_OF_EQUAL)
    for row in rows_of(findings, "rollout_psnr_db", "copy first context frame"):
        assert row.value < 20


def test_short_episodes_make_shorter_rollouts_and_a_note(make_walk: Callable[..., Episode]) -> None:
    walks = [make_walk(number, steps=6) for number in range(4)]
    findings = measure_open_loop(subject(), walks, OpenLoopConfig(n=8, rollouts=2))
    assert [row.name for row in rows_of(findings, "rollout_psnr_db")][-1] == "imagined, step 5"
    assert any("5 steps" in note for note in findings.notes)
    with pytest.raises(ConfigError, match=r"found 0\. Ask for fewer with --rollouts"):
        measure_open_loop(subject(), [make_walk(0, steps=1)], OpenLoopConfig(n=1, rollouts=1, context=1))


def test_the_first_episode_does_not_decide_for_all(make_walk: Callable[..., Episode]) -> None:
    walks = [make_walk(number, steps=2 if number == 0 else 12) for number in range(8)]
    findings = measure_open_loop(subject(), walks, OpenLoopConfig(n=8, rollouts=4, horizon=6))
    assert rows_of(findings, "rollout_psnr_db")[-1].name.endswith("step 6")
    assert "1 of 8 episodes are too short for rollouts of 6 steps: none begins there." in findings.notes


def test_frames_of_two_sizes_are_refused_by_the_episode(make_walk: Callable[..., Episode]) -> None:
    walks = [make_walk(number, size=(64, 64) if number == 2 else (48, 48)) for number in range(3)]
    with pytest.raises(ConfigError, match=r"48 x 48 and, in episode test-2, 64 x 64|64 x 64 and, in episode test-\d, 48 x 48"):
        measure_open_loop(subject(), walks, OpenLoopConfig(n=12, rollouts=2))


def test_too_many_rollouts_are_refused_before_anything_is_imagined(make_walk: Callable[..., Episode]) -> None:
    world = subject()
    with pytest.raises(ConfigError, match="fewer with --rollouts"):
        measure_open_loop(world, [make_walk(0)], OpenLoopConfig(n=4, rollouts=500))
    assert not world.frames_imagined


def test_equal_seeds_give_equal_figures_whatever_the_batch(episodes: Sequence[Episode]) -> None:
    one = measure_open_loop(subject(noise=3), episodes, CONFIG)
    other = measure_open_loop(subject(noise=3), episodes, CONFIG.model_copy(update={"batch": 16}))
    assert one.rows == other.rows
    third = measure_open_loop(subject(noise=3), episodes, CONFIG.model_copy(update={"seed": 2}))
    assert one.rows != third.rows


def test_features_are_left_out_with_a_note_or_measured(episodes: Sequence[Episode]) -> None:
    def perceive(one: Frame, other: Frame) -> np.ndarray:
        return np.abs(one.astype(float) - other).mean(axis=(1, 2, 3))

    without = measure_open_loop(subject(), episodes, CONFIG)
    assert any("`eval`" in note for note in without.notes)
    findings = measure_open_loop(subject(), episodes, CONFIG, perceive=perceive)
    assert findings.notes == ("The figures are of 4 scenes: intervals are too narrow. Measure on footage of 8 or more.",)
    assert {row.value for row in rows_of(findings, "effnet_lite_feature_distance")} == {0.0}
    assert {row.value for row in rows_of(findings, "rollout_effnet_lite_feature_distance")} == {0.0}
    assert rows_of(findings, "effnet_lite_feature_distance", "copy last")[0].value > 0


def test_the_cost_is_counted(episodes: Sequence[Episode]) -> None:
    counted = subject()
    measure_open_loop(counted, episodes, CONFIG)
    assert counted.frames_imagined == 60 + 6 * 16
    assert counted.calls == 9 + 16
    assert counted.compute["frames_imagined"] == 156
    assert counted.compute["ms_per_step"] > 0


def test_footage_of_another_size_is_refused(make_walk: Callable[..., Episode]) -> None:
    with pytest.raises(ConfigError, match=r"48 x 48 pixels, which checkpoint 'fake' imagines, got 24 x 24\. .*--size 48"):
        measure_open_loop(subject(), [make_walk(0, size=(24, 24))], CONFIG)


def test_a_context_holds_the_given_frames_and_the_words_between(episodes: Sequence[Episode]) -> None:
    (window,) = draw_windows(episodes, n=1, context=4, horizon=2, seed=0)
    context = subject().context_of(window)
    np.testing.assert_array_equal(np.stack(context.frames), window.seen)
    said = [item for item in context.items if isinstance(item, str)]  # pyright: ignore[reportAttributeAccessIssue]
    assert said == [action.text for action in window.actions[:3]]


def test_every_place_has_its_own_seed() -> None:
    seeds = {seed_for(0, *path) for path in ((), (0,), (1,), (0, 1), (1, 0), (0, 1, 2))} | {seed_for(1)}
    assert len(seeds) == 7
    assert seed_for(0, 1) == seed_for(0, 1)
    assert all(0 <= seed < 2**63 for seed in seeds)
