from __future__ import annotations

import importlib
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

import bagel_world.sims.house as house_module
from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import ActionError, ConfigError, MissingExtraError, SimulatorError, UnknownNameError
from bagel_world.sims import House
from bagel_world.sims.house import step_ahead

FORWARD, LEFT, RIGHT, STAY = range(4)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    env = House()
    yield env
    env.close()


def digest(env: House, seed: int) -> str:
    """One number for everything that is seen and told on a fixed walk."""
    frame, info = env.reset(seed=seed)
    told = [frame.tobytes(), info["pose"].tobytes(), repr(env.visible()).encode()]
    for action in (0, 1, 0, 2, 2, 0, 3, 0):
        frame, *_, info = env.step(action)
        told += [frame.tobytes(), info["pose"].tobytes(), repr((info["blocked"], env.visible())).encode()]
    return sha256(b"".join(told)).hexdigest()


@pytest.mark.sims
def test_gymnasium_finds_nothing_wrong() -> None:
    spec = EnvSpec("House-v0", entry_point="bagel_world.sims:House", kwargs={"horizon": 10, "size": (32, 32)})
    env = gym.make(spec, render_mode="rgb_array").unwrapped
    check_env(env)
    env.close()


@pytest.mark.sims
def test_words_and_spaces(house: House) -> None:
    assert house.action_words == NAVIGATE_WORDS
    assert house.action_space.n == 4
    assert house.observation_space.shape == (64, 64, 3)
    frame, _ = house.reset(seed=0)
    assert house.observation_space.contains(frame)


@pytest.mark.sims
def test_size_is_height_and_width() -> None:
    env = House(size=(32, 48))
    assert env.reset(seed=0)[0].shape == (32, 48, 3)
    env.close()


@pytest.mark.sims
def test_equal_seeds_give_equal_worlds_in_two_instances(house: House) -> None:
    other = House()
    assert digest(other, 11) == digest(house, 11) != digest(house, 12)
    other.close()


@pytest.mark.sims
def test_equal_seeds_give_equal_worlds_in_two_processes(house: House) -> None:
    code = "from tests.sims.test_house import House, digest; print(digest(House(), 11))"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(house, 11)


@pytest.mark.sims
def test_houses_do_not_show_each_others_walls() -> None:
    first, second = House(), House(split="unseen")
    frame, _ = first.reset(seed=1)
    second.reset(seed=2)
    np.testing.assert_array_equal(first.step(STAY)[0], frame)
    second.close()
    np.testing.assert_array_equal(first.step(STAY)[0], frame)
    first.close()
    third = House()
    np.testing.assert_array_equal(third.reset(seed=1)[0], frame)
    third.close()


@pytest.mark.sims
def test_a_restored_pose_shows_the_same_pixels(house: House) -> None:
    house.reset(seed=3)
    walk = [house.step(action) for action in (0, 0, 1, 0, 1, 1, 0, 2, 0)]
    house.step(LEFT)
    for frame, *_, info in reversed(walk):
        np.testing.assert_array_equal(house.set_pose(info["pose"]), frame)
        np.testing.assert_array_equal(house.pose, info["pose"])
    frame, _ = house.reset(seed=99, options={"house": 3, "pose": walk[4][-1]["pose"]})
    np.testing.assert_array_equal(frame, walk[4][0])


@pytest.mark.sims
def test_futures_branch_from_a_pose(house: House) -> None:
    house.reset(seed=4)
    pose = house.pose
    plan = (LEFT, FORWARD, FORWARD, RIGHT)
    first = [house.step(action)[0] for action in plan]
    house.set_pose(pose)
    second = [house.step(action)[0] for action in plan]
    np.testing.assert_array_equal(first, second)


@pytest.mark.sims
@pytest.mark.parametrize("turn", [LEFT, RIGHT])
def test_twelve_turns_are_a_full_turn(house: House, turn: int) -> None:
    start, info = house.reset(seed=5)
    frames = [house.step(turn)[0] for _ in range(12)]
    np.testing.assert_array_equal(frames[-1], start)
    np.testing.assert_array_equal(house.pose, info["pose"])
    assert not any(np.array_equal(frame, start) for frame in frames[:-1])


@pytest.mark.sims
def test_left_is_counter_clockwise_and_the_picture_moves_right(house: House) -> None:
    shift = round(64 * np.tan(np.deg2rad(10)) / (2 * np.tan(np.deg2rad(30))))
    for seed in range(10):
        _, info = house.reset(seed=seed)
        before = house.set_pose(info["pose"]).astype(float)
        after = house.set_pose(info["pose"] + (0, 0, 0, 10)).astype(float)
        moved_right = np.abs(after[:, shift:] - before[:, :-shift]).mean()
        moved_left = np.abs(after[:, :-shift] - before[:, shift:]).mean()
        assert moved_right < moved_left
        house.set_pose(info["pose"])
        house.step(LEFT)
        assert house.pose[3] == (info["pose"][3] + 30) % 360
        house.step(RIGHT)
        assert house.pose[3] == info["pose"][3]


@pytest.mark.sims
def test_forward_moves_half_a_meter_or_not_at_all(house: House) -> None:
    moved = {True: 0, False: 0}
    rng = np.random.default_rng(0)
    for seed in range(15):
        house.reset(seed=seed)
        for _ in range(30):
            before = house.pose
            frame = house._look()
            after_frame, *_, info = house.step(FORWARD)
            distance = np.hypot(*(house.pose - before)[[0, 2]])
            moved[info["blocked"]] += 1
            if info["blocked"]:
                np.testing.assert_array_equal(house.pose, before)
                np.testing.assert_array_equal(after_frame, frame)
                assert not house.plan.is_free(*step_ahead((before[0], before[2]), before[3]))
            else:
                assert distance == pytest.approx(0.5, abs=1e-9)
            assert house.pose[3] == before[3]
            if rng.random() < 0.4:
                house.step(int(rng.integers(1, 3)))
    assert min(moved.values()) > 20


@pytest.mark.sims
def test_stay_changes_nothing(house: House) -> None:
    frame, info = house.reset(seed=7)
    after, *_, told = house.step(STAY)
    np.testing.assert_array_equal(after, frame)
    np.testing.assert_array_equal(told["pose"], info["pose"])
    assert told["action_text"] == "Stay"


@pytest.mark.sims
def test_visible_objects_are_in_sight_and_nearest_first(house: House) -> None:
    seen = 0
    for seed in range(40):
        house.reset(seed=seed)
        x, _, z, yaw = house.pose
        placed = {each.kind.name: each for each in house.plan.objects}
        distances = [np.hypot(placed[name].x - x, placed[name].z - z) for name in house.visible()]
        assert distances == sorted(distances)
        for name in house.visible():
            each = placed[name]
            toward = np.rad2deg(np.arctan2(z - each.z, each.x - x))
            half = np.rad2deg(np.arcsin(min(1, each.kind.radius / np.hypot(each.x - x, each.z - z))))
            assert abs((toward - yaw + 180) % 360 - 180) <= 30 + half
            seen += 1
        well_inside = {house.plan.objects[place].kind.name for place in house.plan.sees(x, z, yaw)}
        near = {name for name in well_inside if np.hypot(placed[name].x - x, placed[name].z - z) < 5}
        assert near <= set(house.visible())
    assert seen > 10


@pytest.mark.sims
def test_an_object_counts_even_when_it_is_too_near_to_see_its_foot(house: House) -> None:
    house.reset(seed=0)
    for placed in house.plan.objects:
        for yaw in range(0, 360, 15):
            radius = placed.kind.radius + 0.45
            x, z = placed.x - radius * np.cos(np.deg2rad(yaw)), placed.z + radius * np.sin(np.deg2rad(yaw))
            if house.plan.is_free(x, z) and placed.kind.height > 1.1:
                house.set_pose((x, 0, z, yaw))
                assert house.visible()[0] == placed.kind.name
                break


@pytest.mark.sims
def test_horizon_truncates() -> None:
    env = House(horizon=3)
    env.reset(seed=0)
    assert [env.step(STAY)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    env.reset()
    assert env.step(STAY)[3] is False
    env.close()


@pytest.mark.sims
def test_reset_without_a_seed_draws_houses_from_the_last_seed(house: House) -> None:
    house.reset(seed=8)
    first = [house.reset()[1]["house"] for _ in range(3)]
    house.reset(seed=8)
    assert [house.reset()[1]["house"] for _ in range(3)] == first
    assert len(set(first)) == 3


@pytest.mark.sims
def test_bad_poses_options_and_actions_are_refused(house: House) -> None:
    house.reset(seed=0)
    before = house.pose
    room = house.plan.rooms[0]
    for pose, message in (
        ((0, 0, 0), "four finite numbers"),
        ((0, 0, float("nan"), 0), "four finite numbers"),
        ((room.x - 2.45, 0, room.z, 0), "free place"),
        ((100, 0, 100, 0), "free place"),
    ):
        with pytest.raises(ConfigError, match=message):
            house.set_pose(pose)
    with pytest.raises(ConfigError, match="'color'"):
        house.reset(options={"color": 1})
    for action in (4, -1, "Move forward", 0.5):
        with pytest.raises(ActionError, match=r"0\.\.3"):
            house.step(action)
    np.testing.assert_array_equal(house.pose, before)


@pytest.mark.sims
def test_a_step_needs_a_reset() -> None:
    env = House(size=(16, 16))
    with pytest.raises(SimulatorError, match=r"reset\(\) before"):
        env.step(0)
    env.close()


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="train"):
        House(split="training")
    with pytest.raises(ConfigError, match="16 x 16"):
        House(size=(8, 64))
    with pytest.raises(ConfigError, match="horizon"):
        House(horizon=0)
    with pytest.raises(ConfigError, match="rgb_array"):
        House(render_mode="human")


def test_importing_the_room_needs_no_simulator() -> None:
    code = "import sys, bagel_world.sims; print(sorted({'miniworld', 'pyglet', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_simulator_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name}", name="miniworld")

    monkeypatch.setattr(house_module.importlib, "import_module", nothing)
    with pytest.raises(MissingExtraError, match=r"bagel-world\[sims\]"):
        House()


@pytest.mark.parametrize("error", [ImportError('Library "EGL" not found.'), OSError("no display")])
def test_a_machine_without_opengl_hears_what_to_install(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(name: str) -> None:
        raise error

    monkeypatch.setattr(house_module.importlib, "import_module", broken)
    with pytest.raises(SimulatorError, match=r"OpenGL.*apt-get install libegl1") as caught:
        House()
    assert caught.value.__cause__ is error


@pytest.mark.sims
def test_a_driver_that_fails_is_a_simulator_error(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = importlib.import_module("bagel_world.sims.scene")

    def fails(self: object, *_: object, **__: object) -> None:
        raise RuntimeError("eglInitialize failed")

    monkeypatch.setattr(scene.HouseScene, "__init__", fails)
    with pytest.raises(SimulatorError, match="eglInitialize failed"):
        House()
