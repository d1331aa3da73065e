"""Where walks begin: own images of every kind, histories, and what a reset refuses."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bagel_world.envs import WorldEnv, WorldVectorEnv
from bagel_world.envs.starts import fit_image
from bagel_world.errors import ActionError, ConfigError, ImageError, StateError
from bagel_world.world.fake import FakeWorld
from tests.envs.conftest import walk

SIZES = [(64, 64), (1, 1), (37, 91), (500, 20), (3, 700)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_array(frame: np.ndarray, folder: Path) -> Any:
    return frame


def as_float(frame: np.ndarray, folder: Path) -> Any:
    return frame.astype(np.float64) / 255.0


def as_rgba(frame: np.ndarray, folder: Path) -> Any:
    return np.concatenate([frame, np.full_like(frame[..., :1], 255)], axis=-1)


def as_pillow(frame: np.ndarray, folder: Path) -> Any:
    return Image.fromarray(frame)


def as_path(frame: np.ndarray, folder: Path) -> Any:
    Image.fromarray(frame).save(folder / "own.png")
    return folder / "own.png"


def as_text_path(frame: np.ndarray, folder: Path) -> Any:
    return str(as_path(frame, folder))


def as_bytes(frame: np.ndarray, folder: Path) -> Any:
    return as_path(frame, folder).read_bytes()


def as_strided(frame: np.ndarray, folder: Path) -> Any:
    return frame[::-1][::-1].transpose(1, 0, 2).copy().transpose(1, 0, 2)


KINDS: list[Callable[[np.ndarray, Path], Any]] = [
    as_array, as_float, as_rgba, as_pillow, as_path, as_text_path, as_bytes, as_strided,
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_own_images_of_every_kind_and_size(
    fake: FakeWorld, kind: Callable[[np.ndarray, Path], Any], size: tuple[int, int], tmp_path: Path
) -> None:
    env = WorldEnv(fake)
    frame = picture(*size)
    observation, info = env.reset(seed=0, options={"image": kind(frame, tmp_path)})
    np.testing.assert_array_equal(observation, fit_image(frame, fake.frame_size))
    assert observation.shape == (64, 64, 3)
    assert info["context_frames"] == 1
    assert env.step(1)[0] in env.observation_space


@pytest.mark.parametrize("size", SIZES)
def test_own_images_on_every_checkpoint(make: Callable[..., WorldEnv], size: tuple[int, int]) -> None:
    env = make()
    frame = picture(*size)
    observation, _ = env.reset(seed=0, options={"image": frame})
    np.testing.assert_array_equal(observation, fit_image(frame, env.world.frame_size))
    assert env.step(1)[0] in env.observation_space


def test_gray_images_and_palettes_begin_episodes_too(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    gray = picture(64, 64)[..., 0]
    palette = Image.fromarray(picture(64, 64)).convert("P")
    np.testing.assert_array_equal(env.reset(options={"image": gray})[0], np.stack([gray] * 3, axis=-1))
    np.testing.assert_array_equal(env.reset(options={"image": palette})[0], np.array(palette.convert("RGB")))


def test_the_middle_of_a_wide_image_is_kept() -> None:
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 200
    np.testing.assert_array_equal(fit_image(wide, (4, 4)), np.full((4, 4, 3), 200))
    np.testing.assert_array_equal(fit_image(wide, (8, 8)), np.full((8, 8, 3), 200))


def test_an_animated_image_gives_its_first_picture(fake: FakeWorld) -> None:
    first, second = Image.new("RGB", (64, 64), (255, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 255))
    file = io.BytesIO()
    first.save(file, format="GIF", save_all=True, append_images=[second])
    observation, _ = WorldEnv(fake).reset(options={"image": file.getvalue()})
    assert (observation == (255, 0, 0)).all()


def test_a_history_is_seen_and_done(make: Callable[..., WorldEnv]) -> None:
    env, twin = make(), make()
    episode = env.world.starts[0]
    frames, actions = list(episode.frames), [action.text for action in episode.actions]
    observation, info = env.reset(seed=3, options={"history": episode})
    same, same_info = twin.reset(seed=3, options={"history": {"frames": frames, "actions": actions}})
    np.testing.assert_array_equal(observation, fit_image(frames[-1], env.world.frame_size))
    np.testing.assert_array_equal(observation, same)
    assert info == same_info
    assert info["context_frames"] + info["dropped_frames"] == len(frames)
    np.testing.assert_array_equal(env.step(0)[0], twin.step(0)[0])


def test_a_history_takes_ids_and_words(fake: FakeWorld) -> None:
    env, twin = WorldEnv(fake), WorldEnv(fake)
    frames = [picture(64, 64), picture(64, 64), picture(64, 64)]
    env.reset(seed=3, options={"history": {"frames": frames, "actions": [1, "stay"]}})
    twin.reset(seed=3, options={"history": {"frames": frames, "actions": ["Look left", "Stay"]}})
    np.testing.assert_array_equal(env.step(0)[0], twin.step(0)[0])


def test_the_past_matters(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    frame = picture(64, 64)
    env.reset(seed=3, options={"image": frame})
    alone = env.step(3)[0]
    env.reset(seed=3, options={"history": {"frames": [picture(8, 8), frame], "actions": [0]}})
    assert not np.array_equal(alone, env.step(3)[0])
    env.reset(seed=3, options={"image": frame, "prompt": "You are in a house."})
    assert env.session.context.get_state()["prompt"] == "You are in a house."
    assert not np.array_equal(alone, env.step(3)[0])


def test_options_do_not_shift_the_noise_of_later_episodes(fake: FakeWorld) -> None:
    env, twin = WorldEnv(fake), WorldEnv(fake)
    env.reset(seed=3, options={"image": picture(64, 64)})
    twin.reset(seed=3)
    np.testing.assert_array_equal(env.reset()[0], twin.reset()[0])
    np.testing.assert_array_equal(env.step(0)[0], twin.step(0)[0])


def test_own_starts_replace_those_of_the_world(fake: FakeWorld) -> None:
    frames = [np.full((64, 64, 3), value, np.uint8) for value in (10, 20)]
    env = WorldEnv(fake, starts=frames)
    assert {int(env.reset(seed=seed)[0][0, 0, 0]) for seed in range(20)} == {10, 20}


def test_a_world_without_starts_asks_for_an_image(fake: FakeWorld) -> None:
    env = WorldEnv(fake, starts=[])
    with pytest.raises(ConfigError, match=r"options=.*image"):
        env.reset(seed=0)
    assert env.reset(seed=0, options={"image": picture(64, 64)})[1]["context_frames"] == 1


def test_the_callers_options_stay_as_they_are(fake: FakeWorld) -> None:
    image = picture(64, 64)
    options = {"image": image, "goal_image": image, "goal_text": "here", "prompt": None}
    before = image.copy()
    env = WorldEnv(fake)
    env.reset(seed=0, options=options)
    walk(env, [3])
    assert list(options) == ["image", "goal_image", "goal_text", "prompt"]
    np.testing.assert_array_equal(image, before)
    image[:] = 0
    np.testing.assert_array_equal(env.session.goal.image, before)


IMAGE = picture(8, 8)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"imgae": IMAGE}, ConfigError, "'image'"),
        ({"image": IMAGE, "history": {"frames": [IMAGE], "actions": []}}, ConfigError, "image and history"),
        ({"state": {}, "goal_text": "x"}, ConfigError, "alone"),
        ({"history": [IMAGE]}, ConfigError, "actions"),
        ({"history": {"frames": [IMAGE], "actions": [0]}}, ConfigError, "1 frames, 1 actions"),
        ({"history": {"frames": [], "actions": []}}, ConfigError, "0 frames"),
        ({"history": {"frames": [IMAGE, IMAGE], "actions": [9]}}, ActionError, r"0\.\.3"),
        ({"history": {"frames": [IMAGE, IMAGE], "actions": [""]}}, ActionError, "empty"),
        ({"image": "no/such/file.png"}, ImageError, "does not exist"),
        ({"image": b"not a picture"}, ImageError, "no picture"),
        ({"image": np.zeros((0, 5, 3), np.uint8)}, ImageError, "pixels"),
        ({"image": np.full((8, 8, 3), np.nan)}, ImageError, "finite"),
        ({"image": 7}, ImageError, "int"),
        ({"goal_image": np.zeros((8, 8, 2), np.uint8)}, ImageError, "channels"),
        ({"goal_text": ""}, ActionError, "empty"),
        ({"prompt": 5}, ConfigError, "prompt"),
        ({"prompt": "x" * 10_000}, ConfigError, "8192"),
        ({"state": b"garbage"}, StateError, "state_to_bytes"),
        ({"state": 5}, StateError, "int"),
    ],
)
def test_options_that_do_not_fit_leave_the_episode_as_it_is(
    fake: FakeWorld, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    env, undisturbed = WorldEnv(fake), WorldEnv(fake)
    env.reset(seed=1)
    undisturbed.reset(seed=1)
    with pytest.raises(error, match=words):
        env.reset(options=options)
    np.testing.assert_array_equal(env.step(2)[0], undisturbed.step(2)[0])
    np.testing.assert_array_equal(env.reset()[0], undisturbed.reset()[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"imgae": None}, "image"),
        ({"goal_text": " "}, "goal_text"),
        ({"goal_text": 5}, "goal_text"),
        ({"history": {"frames": 5, "actions": []}}, "lists of frames"),
    ],
)
def test_options_that_mean_nothing_are_named(fake: FakeWorld, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, ActionError), match=message):
        WorldEnv(fake).reset(options=options)


def test_a_goal_beside_a_state_is_refused_wherever_they_come_from(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    env.reset(seed=0)
    state, goal = env.get_state(), fake.starts[0].frames[0]
    with pytest.raises(ConfigError, match="brings everything"):
        WorldEnv(fake, reset_options={"state": state, "goal_image": goal})
    begun = WorldEnv(fake, reset_options={"state": state})
    with pytest.raises(ConfigError, match="goal_image"):
        begun.reset(options={"goal_image": goal})
    WorldEnv(fake, reset_options={"goal_image": goal}).reset(options={"state": state})


@pytest.mark.parametrize("starts", [picture(64, 64), 3, "photo.png", Image.new("RGB", (64, 64))])
def test_starts_are_a_list(fake: FakeWorld, starts: Any) -> None:
    with pytest.raises(ConfigError, match="starts as a list of episodes or images"):
        WorldEnv(fake, starts=starts)


def test_options_are_a_dictionary(fake: FakeWorld) -> None:
    with pytest.raises(ConfigError, match="as a dictionary"):
        WorldEnv(fake, reset_options=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="as a dictionary"):
        WorldEnv(fake).reset(options=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="as a dictionary"):
        WorldVectorEnv(fake, 2).reset(options=3)  # type: ignore[arg-type]
