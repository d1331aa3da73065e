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

import bagel_world.sims.opening as opening_module
from bagel_world.actions import ROLLOUT_WORDS, WAITS
from bagel_world.errors import ActionError, ConfigError, MissingExtraError, SimulatorError, StateError, UnknownNameError
from bagel_world.sims import Drops
from bagel_world.sims.drop_plans import TANK, draw_drop
from bagel_world.sims.drops import FRAME_INTERVAL

ONE, TWO, FOUR = range(3)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def drops() -> Iterator[Drops]:
    env = Drops()
    yield env
    env.close()


def digest(env: Drops, seed: int) -> str:
    """One number for everything that is seen and told while bodies fall."""
    frame, info = env.reset(seed=seed)
    told = []
    for action in (ONE, FOUR, TWO, FOUR, ONE):
        told += [frame.tobytes(), info["poses"].tobytes(), info["velocities"].tobytes(), repr(env.visible()).encode()]
        frame, *_, info = env.step(action)
    return sha256(b"".join(told)).hexdigest()


def seed_of(*names: str) -> int:
    return next(seed for seed in range(10_000) if draw_drop("train", seed).names == names)


@pytest.mark.sims
def test_gymnasium_finds_nothing_wrong() -> None:
    spec = EnvSpec("Drops-v0", entry_point="bagel_world.sims:Drops", kwargs={"horizon": 10, "size": (32, 32)})
    env = gym.make(spec, render_mode="rgb_array").unwrapped
    check_env(env)
    env.close()


@pytest.mark.sims
def test_words_and_spaces(drops: Drops) -> None:
    assert drops.action_words == ROLLOUT_WORDS == ("Wait one moment", "Wait two moments", "Wait four moments")
    assert drops.action_space.n == 3
    assert drops.observation_space.contains(drops.reset(seed=0)[0])


@pytest.mark.sims
@pytest.mark.parametrize("size", [(64, 64), (96, 96), (128, 128), (32, 48)])
def test_size_is_height_and_width(size: tuple[int, int]) -> None:
    env = Drops(size=size)
    assert env.reset(seed=0)[0].shape == (*size, 3)
    assert env.mask().shape == size
    env.close()


@pytest.mark.sims
def test_equal_seeds_give_equal_worlds_in_two_instances(drops: Drops) -> None:
    other = Drops()
    assert digest(other, 11) == digest(drops, 11) != digest(drops, 12)
    other.close()


@pytest.mark.sims
def test_equal_seeds_give_equal_worlds_in_two_processes(drops: Drops) -> None:
    code = "from tests.sims.test_drops import Drops, digest; print(digest(Drops(), 11))"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(drops, 11)


@pytest.mark.sims
@pytest.mark.parametrize("seed", range(5))
def test_four_moments_are_four_times_one_moment(drops: Drops, seed: int) -> None:
    drops.reset(seed=seed)
    for _ in range(3):
        slow = [drops.step(ONE) for _ in range(4)][-1]
    drops.reset(seed=seed)
    for _ in range(3):
        fast = drops.step(FOUR)
    np.testing.assert_array_equal(fast[0], slow[0])
    for name in ("poses", "velocities", "centers", "time"):
        np.testing.assert_array_equal(fast[-1][name], slow[-1][name])


@pytest.mark.sims
def test_time_goes_by_in_moments(drops: Drops) -> None:
    _, info = drops.reset(seed=1)
    assert info["time"] == 0.0
    for action, moments in enumerate(WAITS):
        before = drops.time
        *_, info = drops.step(action)
        assert info["time"] - before == pytest.approx(moments * FRAME_INTERVAL)
        assert info["action_text"] == ROLLOUT_WORDS[action]


@pytest.mark.sims
def test_a_body_falls_as_bodies_fall(drops: Drops) -> None:
    _, info = drops.reset(seed=seed_of("ball"))
    start, velocity = info["poses"][0, :3], info["velocities"][0, :3]
    *_, info = drops.step(ONE)
    time = FRAME_INTERVAL
    expected = start + velocity * time - np.array([0.0, 0.0, 9.81]) * time**2 / 2
    # A solver in steps of h is behind the parabola by g t h / 2.
    np.testing.assert_allclose(info["poses"][0, :3], expected, atol=9.81 * time * 0.004 / 2 + 1e-9)
    np.testing.assert_allclose(info["velocities"][0, :3], velocity - np.array([0.0, 0.0, 9.81]) * time, atol=1e-6)


@pytest.mark.sims
def test_bodies_stay_in_the_tank_and_come_to_rest(drops: Drops) -> None:
    speeds = []
    for seed in range(15):
        *_, info = drops.reset(seed=seed)
        for _ in range(20):
            *_, info = drops.step(FOUR)
            assert (np.abs(info["poses"][:, :2]) <= np.array(TANK) + 0.05).all()
            assert (info["poses"][:, 2] > 0.0).all()
        speeds.append(np.abs(info["velocities"][:, :3]).max())
    assert np.median(speeds) < 0.05


@pytest.mark.sims
def test_bodies_that_meet_change_their_ways(drops: Drops) -> None:
    """Momentum along x changes in mid-air only where bodies collide."""
    met = 0
    for seed in range(30):
        _, info = drops.reset(seed=seed)
        for _ in range(4):
            before = info
            *_, info = drops.step(ONE)
            in_air = info["poses"][:, 2].min() > 0.9 and np.abs(info["poses"][:, 0]).max() < 0.6
            met += bool(in_air and np.abs(info["velocities"][:, 0] - before["velocities"][:, 0]).max() > 0.2)
    assert met > 0


@pytest.mark.sims
def test_a_restored_state_has_the_same_future(drops: Drops) -> None:
    drops.reset(seed=4)
    drops.step(FOUR)
    state, frame = drops.state, drops.step(ONE)[0]
    later = [drops.step(action)[0] for action in (ONE, FOUR, TWO)]
    drops.set_state(state)
    np.testing.assert_array_equal(drops.state, state)
    np.testing.assert_array_equal(drops.step(ONE)[0], frame)
    np.testing.assert_array_equal([drops.step(action)[0] for action in (ONE, FOUR, TWO)], later)


@pytest.mark.sims
def test_the_mask_shows_each_body_around_its_center(drops: Drops) -> None:
    seen = 0
    for seed in range(12):
        drops.reset(seed=seed)
        mask, centers = drops.mask(), drops.centers()
        assert set(np.unique(mask)) <= set(range(-1, len(drops.plan.bodies)))
        for number, name in enumerate(drops.plan.names):
            rows, columns = np.nonzero(mask == number)
            if len(drops.plan.bodies) == 1 and name in ("ball", "die", "crate", "book", "plank", "pill"):
                np.testing.assert_allclose((columns.mean() + 0.5, rows.mean() + 0.5), centers[number], atol=1.0)
                seen += 1
            assert abs(columns.mean() - centers[number, 0]) < 12
    assert seen > 0


def grown(mask: np.ndarray) -> np.ndarray:
    """A mask and the pixels beside it, which edges are blended into."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.any([padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0)


@pytest.mark.sims
def test_only_what_moves_changes(drops: Drops) -> None:
    """Away from the bodies and their shadows nothing changes: the camera and the tank stand still."""
    for seed in range(6):
        frame, _ = drops.reset(seed=seed)
        before = drops.mask() >= 0
        after_frame, *_ = drops.step(ONE)
        covered = grown(before | (drops.mask() >= 0))
        changed = np.abs(after_frame.astype(int) - frame.astype(int)).max(axis=-1) > 8
        assert changed[covered].mean() > 0.3
        assert not (changed & ~covered)[:30].any()  # shadows fall below


@pytest.mark.sims
def test_visible_bodies_are_nearest_first_and_large_enough(drops: Drops) -> None:
    for seed in range(10):
        drops.reset(seed=seed)
        drops.step(FOUR)
        counts = [(drops.mask() == number).sum() for number in range(len(drops.plan.bodies))]
        away = drops._view().distances(drops.poses[:, :3])
        expected = [drops.plan.names[i] for i in np.argsort(away) if counts[i] >= 0.004 * 64 * 64]
        assert list(drops.visible()) == expected


@pytest.mark.sims
def test_asking_changes_nothing(drops: Drops) -> None:
    drops.reset(seed=3)
    quiet = [drops.step(ONE)[0] for _ in range(6)]
    drops.reset(seed=3)
    asked = []
    for _ in range(6):
        asked.append(drops.step(ONE)[0])
        drops.mask(), drops.visible(), drops.state, drops.centers()
    np.testing.assert_array_equal(asked, quiet)


@pytest.mark.sims
def test_horizon_truncates() -> None:
    env = Drops(horizon=2, size=(16, 16))
    env.reset(seed=0)
    assert [env.step(ONE)[2:4] for _ in range(2)] == [(False, False), (False, True)]
    env.reset()
    assert env.step(ONE)[3] is False
    env.close()


@pytest.mark.sims
def test_reset_without_a_seed_draws_drops_from_the_last_seed(drops: Drops) -> None:
    drops.reset(seed=8)
    first = [drops.reset()[1]["drop"] for _ in range(3)]
    drops.reset(seed=8)
    assert [drops.reset()[1]["drop"] for _ in range(3)] == first
    assert len(set(first)) == 3


@pytest.mark.sims
def test_bad_states_options_and_actions_are_refused(drops: Drops) -> None:
    drops.reset(seed=0)
    before = drops.state
    for state in ((1.0, 2.0), np.full_like(before, np.nan)):
        with pytest.raises(StateError, match="finite numbers, a state of drop"):
            drops.set_state(state)
    with pytest.raises(ConfigError, match="'color'"):
        drops.reset(options={"color": 1})
    for action in (3, -1, "Wait one moment", 0.5):
        with pytest.raises(ActionError, match=r"0\.\.2"):
            drops.step(action)
    np.testing.assert_array_equal(drops.state, before)


@pytest.mark.sims
def test_a_step_needs_a_reset() -> None:
    env = Drops(size=(16, 16))
    for use in (lambda: env.step(0), lambda: env.state, env.mask, env.visible, env.centers, lambda: env.time):
        with pytest.raises(SimulatorError, match=r"reset\(\) before"):
            use()
    env.close()


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="train"):
        Drops(split="training")
    with pytest.raises(ConfigError, match="16 x 16"):
        Drops(size=(8, 64))


def test_a_missing_simulator_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name}", name="mujoco")

    monkeypatch.setattr(opening_module.importlib, "import_module", nothing)
    with pytest.raises(MissingExtraError, match=r"drop simulator needs mujoco.*bagel-world\[sims\]"):
        Drops()
