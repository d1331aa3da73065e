from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import bagel_world.sims.doom as doom_module
from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import ActionError, ConfigError, MissingExtraError, SimulatorError
from bagel_world.sims import Doom
from bagel_world.sims.doom import draw_start
from bagel_world.sims.house import step_ahead
from bagel_world.sims.plans import AGENT_RADIUS

FORWARD, LEFT, RIGHT, STAY = range(4)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def doom() -> Iterator[Doom]:
    env = Doom()
    yield env
    env.close()


def digest(env: Doom, seed: int) -> str:
    """One number for everything that is seen and told on a fixed walk."""
    frame, info = env.reset(seed=seed)
    told = [frame.tobytes(), info["pose"].tobytes()]
    for action in (0, 1, 0, 2, 2, 0, 3, 0):
        frame, *_, info = env.step(action)
        told += [frame.tobytes(), info["pose"].tobytes(), repr(info["blocked"]).encode()]
    return sha256(b"".join(told)).hexdigest()


@pytest.mark.doom
def test_gymnasium_finds_nothing_wrong() -> None:
    spec = EnvSpec("Doom-v0", entry_point="bagel_world.sims:Doom", kwargs={"horizon": 10, "size": (32, 32)})
    env = gym.make(spec, render_mode="rgb_array").unwrapped
    check_env(env)
    env.close()


@pytest.mark.doom
def test_words_spaces_and_sizes(doom: Doom) -> None:
    assert doom.action_words == NAVIGATE_WORDS
    assert doom.action_space == gym.spaces.Discrete(4)
    assert doom.observation_space.contains(doom.reset(seed=0)[0])
    for size in ((32, 48), (48, 32), (96, 96), (20, 80)):
        other = Doom(size=size)
        frame, _ = other.reset(seed=0)
        assert other.observation_space.contains(frame)
        assert frame.shape == (*size, 3)
        other.close()


@pytest.mark.doom
def test_equal_seeds_give_equal_walks_in_two_instances_and_two_processes(doom: Doom) -> None:
    code = "from tests.sims.test_doom import Doom, digest; env = Doom(); print(digest(env, 11)); env.close()"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert digest(doom, 12) != digest(doom, 11) == other.stdout.strip()


@pytest.mark.doom
def test_a_frame_depends_on_the_pose_alone(doom: Doom) -> None:
    rng = np.random.default_rng(0)
    poses = [draw_start(doom.plan, rng) for _ in range(30)]
    there = [doom.set_pose(pose) for pose in poses]
    back = [doom.set_pose(pose) for pose in reversed(poses)]
    np.testing.assert_array_equal(there, back[::-1])
    assert len({frame.tobytes() for frame in there}) == 30


@pytest.mark.doom
def test_futures_branch_from_a_pose(doom: Doom) -> None:
    _, info = doom.reset(seed=4)
    walk = (LEFT, FORWARD, FORWARD, RIGHT)
    first = [doom.step(action)[0] for action in walk]
    doom.reset(seed=9)
    doom.reset(options={"pose": info["pose"]})
    np.testing.assert_array_equal(first, [doom.step(action)[0] for action in walk])


@pytest.mark.doom
@pytest.mark.parametrize("turn", [LEFT, RIGHT])
def test_twelve_turns_are_a_full_turn(doom: Doom, turn: int) -> None:
    start, info = doom.reset(seed=5)
    frames = [doom.step(turn)[0] for _ in range(12)]
    np.testing.assert_array_equal(frames[-1], start)
    np.testing.assert_array_equal(doom.pose, info["pose"])
    assert not any(np.array_equal(frame, start) for frame in frames[:-1])


@pytest.mark.doom
def test_left_is_counter_clockwise_and_the_picture_moves_right(doom: Doom) -> None:
    shift = round(64 * np.tan(np.deg2rad(10)) / (2 * np.tan(np.deg2rad(30))))
    for seed in range(10):
        _, info = doom.reset(seed=seed)
        before = doom.set_pose(info["pose"]).astype(float)
        after = doom.set_pose(info["pose"] + (0, 0, 0, 10)).astype(float)
        moved_right = np.abs(after[:, shift:] - before[:, :-shift]).mean()
        moved_left = np.abs(after[:, :-shift] - before[:, shift:]).mean()
        assert moved_right < moved_left


@pytest.mark.doom
def test_forward_moves_half_a_meter_or_not_at_all(doom: Doom) -> None:
    moved = {True: 0, False: 0}
    for seed in range(10):
        frame, _ = doom.reset(seed=seed)
        for _ in range(12):
            before = doom.pose
            after, reward, terminated, truncated, info = doom.step(FORWARD)
            assert (reward, terminated, truncated, info["action_text"]) == (0.0, False, False, "Move forward")
            expected = before[[0, 2]] if info["blocked"] else step_ahead((before[0], before[2]), before[3])
            np.testing.assert_allclose(doom.pose[[0, 2]], expected)
            assert np.array_equal(after, frame) == info["blocked"]
            assert doom.plan.clearance([doom.pose[[0, 2]]])[0] >= AGENT_RADIUS
            assert doom.plan.in_room(doom.pose[0], doom.pose[2])
            moved[not info["blocked"]] += 1
            frame = after
    assert min(moved.values()) > 10


@pytest.mark.doom
def test_the_wall_is_where_the_plan_has_it(doom: Doom) -> None:
    # Its lower edge is seen where perspective puts it for eyes at 41 map units, with 60 degrees from left to right.
    z = 14.5  # in the south-west room, whose western wall is at x = 12
    for away in (4.4, 3.6, 3.0):
        assert doom.plan.sight(12.0 + away, z, 180.0) == pytest.approx(away)
        green = doom.set_pose((12.0 + away, 0, z, 180))[32:, 28:36, 1].mean(axis=1)  # that wall has none, the floor has
        edge = 32 + int(np.argmax(green > green[-1] / 3))
        assert edge == pytest.approx(32 + 32 / np.tan(np.deg2rad(30)) * (41 / 32) / away, abs=1.5)


@pytest.mark.doom
def test_the_plan_is_the_map(doom: Doom) -> None:
    assert doom.plan.bounds == ((5.0, -4.0), (35.0, 22.0))
    assert doom.plan.in_room(14.5, 14.5)
    assert not doom.plan.in_room(8.0, 14.5)
    assert not doom.plan.is_free(3.125, 9.375)


@pytest.mark.doom
def test_an_episode_ends_at_its_horizon() -> None:
    env = Doom(horizon=2, render_mode="rgb_array")
    assert env.render() is None
    with pytest.raises(SimulatorError, match="reset"):
        env.step(STAY)
    frame, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), frame)
    assert [env.step(STAY)[3] for _ in range(2)] == [False, True]
    env.close()


@pytest.mark.doom
def test_what_cannot_be_is_refused(doom: Doom) -> None:
    doom.reset(seed=0)
    with pytest.raises(ActionError):
        doom.step(4)
    with pytest.raises(ConfigError, match="four finite"):
        doom.set_pose((0, 0, float("nan"), 0))
    with pytest.raises(ConfigError, match="outside"):
        doom.set_pose((3.125, 0, 9.375, 0))
    with pytest.raises(ConfigError, match="house"):
        doom.reset(options={"house": 3})
    with pytest.raises(ConfigError, match="16 x 16"):
        Doom(size=(8, 64))


def test_importing_the_room_starts_no_engine() -> None:
    code = "import sys, bagel_world.sims; print('vizdoom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_missing_simulator_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name}", name="vizdoom")

    monkeypatch.setattr(doom_module.importlib, "import_module", nothing)
    with pytest.raises(MissingExtraError, match=r"bagel-world\[doom\]"):
        Doom()
