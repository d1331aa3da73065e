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

import bagel_world.sims.opening as opening_module
from bagel_world.actions import ROTATE_WORDS
from bagel_world.errors import ActionError, ConfigError, MissingExtraError, SimulatorError, UnknownNameError
from bagel_world.sims import House, Turntable
from bagel_world.sims.exhibits import FAMILIAR, NOVEL
from bagel_world.sims.table_plans import draw_table

LEFT_15, LEFT_30, LEFT_45, RIGHT_15, RIGHT_30, RIGHT_45, STAY = range(7)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def table() -> Iterator[Turntable]:
    env = Turntable()
    yield env
    env.close()


def digest(env: Turntable, seed: int) -> str:
    """One number for everything that is seen and told on a fixed way around."""
    frame, info = env.reset(seed=seed)
    told = [frame.tobytes(), repr(sorted(info.items())).encode()]
    for action in (LEFT_15, LEFT_45, STAY, RIGHT_30, RIGHT_15):
        frame, *_, info = env.step(action)
        told += [frame.tobytes(), repr(sorted(info.items())).encode()]
    return sha256(b"".join(told)).hexdigest()


def seed_of(split: str, exhibit: str) -> int:
    return next(seed for seed in range(10_000) if draw_table(split, seed).exhibit == exhibit)


@pytest.mark.sims
def test_gymnasium_finds_nothing_wrong() -> None:
    spec = EnvSpec("Turntable-v0", entry_point="bagel_world.sims:Turntable", kwargs={"horizon": 10, "size": (32, 32)})
    env = gym.make(spec, render_mode="rgb_array").unwrapped
    check_env(env)
    env.close()


@pytest.mark.sims
def test_words_and_spaces(table: Turntable) -> None:
    assert table.action_words == ROTATE_WORDS
    assert table.action_words[1] == "Rotate the camera to the left by 30 degrees"
    assert table.action_words[-1] == "Stay"
    assert table.action_space.n == len(ROTATE_WORDS)
    assert table.observation_space.contains(table.reset(seed=0)[0])


@pytest.mark.sims
@pytest.mark.parametrize("size", [(64, 64), (96, 96), (128, 128), (32, 48)])
def test_size_is_height_and_width(size: tuple[int, int]) -> None:
    env = Turntable(size=size)
    assert env.reset(seed=0)[0].shape == (*size, 3)
    assert env.mask().shape == size
    env.close()


@pytest.mark.sims
def test_equal_seeds_give_equal_worlds_in_two_instances(table: Turntable) -> None:
    other = Turntable()
    assert digest(other, 11) == digest(table, 11) != digest(table, 12)
    other.close()


@pytest.mark.sims
def test_equal_seeds_give_equal_worlds_in_two_processes(table: Turntable) -> None:
    code = "from tests.sims.test_turntable import Turntable, digest; print(digest(Turntable(), 11))"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(table, 11)


@pytest.mark.sims
def test_a_house_and_two_turntables_do_not_disturb_each_other(table: Turntable) -> None:
    house = House()
    inside, _ = house.reset(seed=1)
    frame, _ = table.reset(seed=1)
    other = Turntable(split="unseen", size=(48, 48))
    house.reset(seed=2)  # builds while the context of another simulator is current
    other.reset(seed=2)
    pose = house.reset(seed=1)[1]["pose"]
    other.step(LEFT_15)
    np.testing.assert_array_equal(house.set_pose(pose), inside)
    np.testing.assert_array_equal(table.step(STAY)[0], frame)
    other.close()
    house.close()
    np.testing.assert_array_equal(table.step(STAY)[0], frame)


@pytest.mark.sims
def test_the_yaw_is_exact(table: Turntable) -> None:
    _, info = table.reset(seed=0, options={"yaw": 7})
    assert info["yaw"] == 7.0
    yaws = []
    for action in range(7):
        _, _, _, _, info = table.step(action)
        assert info["action_text"] == ROTATE_WORDS[action]
        assert info["pose"].tolist() == [0.0, 0.0, 0.0, info["yaw"]]
        yaws.append(info["yaw"])
    assert yaws == [22.0, 52.0, 97.0, 82.0, 52.0, 7.0, 7.0]


@pytest.mark.sims
@pytest.mark.parametrize("action", [LEFT_15, LEFT_30, LEFT_45, RIGHT_15, RIGHT_30, RIGHT_45])
def test_a_full_turn_ends_where_it_began(table: Turntable, action: int) -> None:
    start, info = table.reset(seed=3)
    count = (24, 12, 8)[action % 3]
    frames = [table.step(action)[0] for _ in range(count)]
    np.testing.assert_array_equal(frames[-1], start)
    assert table.yaw == info["yaw"]
    assert not any(np.array_equal(frame, start) for frame in frames[:-1])


@pytest.mark.sims
def test_left_and_right_undo_each_other_and_stay_changes_nothing(table: Turntable) -> None:
    frame, _ = table.reset(seed=4)
    assert not np.array_equal(table.step(LEFT_30)[0], frame)
    np.testing.assert_array_equal(table.step(RIGHT_30)[0], frame)
    np.testing.assert_array_equal(table.step(STAY)[0], frame)


@pytest.mark.sims
def test_from_the_left_the_front_is_on_the_right(table: Turntable) -> None:
    """The spout of the teapot points to the front: seen from the left it points to the right of the picture."""
    table.reset(options={"table": seed_of("train", "teapot"), "yaw": 0})
    columns = np.arange(64) - 31.5
    table.step(LEFT_45)
    table.step(LEFT_45)
    from_left = table.mask()[20:40]
    table.set_yaw(-90)
    from_right = table.mask()[20:40]
    assert table.yaw == 270.0
    assert np.abs(columns[from_left.any(axis=0)]).max() > 10
    np.testing.assert_allclose(from_left.mean(axis=0), from_right.mean(axis=0)[::-1], atol=0.15)
    # Between half height and the lid the spout is wide and the handle thin.
    assert (from_left.mean(axis=0) * columns).sum() > 0


@pytest.mark.sims
@pytest.mark.parametrize(("split", "name"), [("train", name) for name in FAMILIAR] + [("unseen", name) for name in NOVEL])
def test_every_side_of_every_object_looks_different(split: str, name: str) -> None:
    """No two of 24 views may be nearly alike within the object: else nobody could tell the yaw."""
    env = Turntable(split=split, size=(48, 48))
    env.reset(options={"table": seed_of(split, name), "yaw": 0})
    pairs = [(env.set_yaw(yaw), env.mask()) for yaw in range(0, 360, 15)]
    env.close()
    views, masks = [frame.astype(np.float64) for frame, _ in pairs], [mask for _, mask in pairs]
    apart = [np.abs(views[i] - views[j])[masks[i] | masks[j]].mean() for i in range(24) for j in range(i)]
    assert min(apart) > 5.0
    front_and_back = [np.abs(views[i] - views[i + 12])[masks[i] | masks[i + 12]].mean() for i in range(12)]
    assert min(front_and_back) > 12.0


@pytest.mark.sims
def test_the_mask_is_the_object_and_the_table_is_no_part_of_it(table: Turntable) -> None:
    frame, _ = table.reset(seed=5)
    mask = table.mask()
    assert 0.05 < mask.mean() < 0.6
    assert not mask[-3:].any()
    np.testing.assert_array_equal(table.step(STAY)[0], frame)  # asking changes nothing


@pytest.mark.sims
def test_horizon_truncates() -> None:
    env = Turntable(horizon=2, size=(16, 16))
    env.reset(seed=0)
    assert [env.step(STAY)[2:4] for _ in range(2)] == [(False, False), (False, True)]
    env.reset()
    assert env.step(STAY)[3] is False
    env.close()


@pytest.mark.sims
def test_reset_without_a_seed_draws_tables_from_the_last_seed(table: Turntable) -> None:
    table.reset(seed=8)
    first = [(info["table"], info["yaw"]) for info in (table.reset()[1] for _ in range(3))]
    table.reset(seed=8)
    assert [(info["table"], info["yaw"]) for info in (table.reset()[1] for _ in range(3))] == first
    assert len(set(first)) == 3


@pytest.mark.sims
def test_bad_yaws_options_and_actions_are_refused(table: Turntable) -> None:
    table.reset(seed=0, options={"yaw": 10})
    for yaw in (float("nan"), "left", (0, 1), None, 1j):
        with pytest.raises(ConfigError, match="finite number of degrees"):
            table.set_yaw(yaw)
    with pytest.raises(ConfigError, match="'color'"):
        table.reset(options={"color": 1})
    for action in (7, -1, "Stay", 0.5):
        with pytest.raises(ActionError, match=r"0\.\.6"):
            table.step(action)
    assert table.yaw == 10.0


@pytest.mark.sims
def test_a_step_needs_a_reset() -> None:
    env = Turntable(size=(16, 16))
    for use in (lambda: env.step(0), lambda: env.set_yaw(0), env.mask, env.visible):
        with pytest.raises(SimulatorError, match=r"reset\(\) before"):
            use()
    env.close()
    env.close()


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="train"):
        Turntable(split="training")
    with pytest.raises(ConfigError, match="16 x 16"):
        Turntable(size=(8, 64))
    with pytest.raises(ConfigError, match="horizon"):
        Turntable(horizon=0)
    with pytest.raises(ConfigError, match="rgb_array"):
        Turntable(render_mode="human")


def test_importing_the_room_needs_no_simulator() -> None:
    code = "import sys, bagel_world.sims; print(sorted({'mujoco', 'miniworld', 'OpenGL', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_simulator_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name}", name="mujoco")

    monkeypatch.setattr(opening_module.importlib, "import_module", nothing)
    with pytest.raises(MissingExtraError, match=r"turntable simulator needs mujoco.*bagel-world\[sims\]"):
        Turntable()


@pytest.mark.parametrize(
    "error", [ImportError("Library EGL not found"), OSError("no display"), AttributeError("'NoneType' has no 'eglQueryString'")]
)
def test_a_machine_without_opengl_hears_what_to_install(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(name: str) -> None:
        raise error

    monkeypatch.setattr(opening_module.importlib, "import_module", broken)
    with pytest.raises(SimulatorError, match=r"OpenGL.*apt-get install libegl1") as caught:
        Turntable()
    assert caught.value.__cause__ is error


@pytest.mark.sims
def test_a_driver_that_fails_is_a_simulator_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = importlib.import_module("bagel_world.sims.stage")

    def fails(self: object, *_: object, **__: object) -> None:
        raise RuntimeError("eglInitialize failed")

    monkeypatch.setattr(stage.Stage, "__init__", fails)
    with pytest.raises(SimulatorError, match="eglInitialize failed"):
        Turntable()
