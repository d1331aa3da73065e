"""Recording any Gymnasium environment: shard i is a function of the settings and i alone, so recordings can stop and go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from pydantic import Field, JsonValue

from bagel_world.episodes.manifest import AssetLicense, Manifest, package_versions
from bagel_world.episodes.shards import count_frames, shard_path, write_shard
from bagel_world.sims.gym_footage import FailedEpisodeError, frame_reader, open_env, record_episode, words_of
from bagel_world.sims.gym_policies import RANDOM, policy_factory, start_policy
from bagel_world.sims.shard_plan import ShardPlan
from bagel_world.types import Episode

_LOG = logging.getLogger(__name__)

_PACKAGES = ("bagel-world", "gymnasium", "numpy", "pillow", "pyarrow")
_SALT = 3
_ATTEMPTS = 3  # draws of an episode: what fails so often fails everywhere
_NO_BYTE = 256  # above what a split's name is made of
_SEED_LIMIT = 2**31  # the largest seed that every environment takes


class GymRecording(ShardPlan):
    """What to record."""

    env: str
    """The environment's id, as `gymnasium.make` takes it."""
    options: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the environment."""
    policy: str = RANDOM
    """ "random", or "module:callable"."""
    words: tuple[str, ...] = ()
    """What its discrete actions are called; empty asks the environment."""
    frames: str = "auto"
    """One of `gym_footage.FRAME_SOURCES`."""
    split: str = "train"
    """The split that all episodes belong to."""
    steps: int = Field(default=64, ge=1)
    """Most actions of an episode; an environment may end one before."""
    size: tuple[int, int] | None = None
    """(height, width) that frames are cropped and resized to; None leaves them."""
    seed: int = Field(default=0, ge=0)
    """Another seed means other episodes."""
    license: str = "unknown"
    """Terms of use of the pictures."""

    def open(self) -> gym.Env[Any, Any]:
        """The environment; see `gym_footage.open_env` for what may be wrong with it."""
        return open_env(self.env, self.options, self.frames)

    def manifest(self, env: gym.Env[Any, Any], folder: str | Path, *, command: str) -> Manifest:
        """The manifest of a folder that holds this recording, or the part of it that is there."""
        read = frame_reader(env, self.frames)
        observation, _ = env.reset(seed=0)
        shown = read(observation).shape[:2]
        height, width = shown if self.size is None else self.size
        return Manifest(
            simulator=self.env,
            split=self.split,
            seed=self.seed,
            episodes=self.episodes,
            steps=self.steps,
            episodes_per_house=1,
            episodes_per_shard=self.episodes_per_shard,
            frame_size=(height, width),
            action_words=words_of(env, self.words),
            licenses=(AssetLicense(name=self.env, license=self.license, source=_home_of(env)),),
            command=command,
            packages=package_versions((*_PACKAGES, *_package_of(env))),
            settings={
                "options": dict(self.options),
                "policy": self.policy,
                "frames": self.frames,
                "resized": self.size is not None,
            },
            finished_episodes=self.finished_in(folder),
            finished_frames=count_frames(folder),
        )


def record_gym_shard(recording: GymRecording, shard: int, folder: str | Path, env: gym.Env[Any, Any]) -> Path:
    """Record one shard, unless it is there already; returns its path.

    Args:
        recording: the settings.
        shard: which shard, in `range(recording.shards)`.
        folder: where shards lie.
        env: from `recording.open()`.

    Raises:
        RecordingError: the shard could not be written.
        ActionError, SimulatorError: see `gym_footage.record_episode`; an episode that fails is drawn anew twice.
    """
    if not recording.lacks(folder, shard):
        return shard_path(folder, shard)
    return write_shard(folder, shard, (_record_one(recording, number, env) for number in recording.episodes_of(shard)))


def _record_one(recording: GymRecording, number: int, env: gym.Env[Any, Any]) -> Episode:
    """An episode; where one fails another is drawn in its place, and somebody is told."""
    for attempt in range(_ATTEMPTS - 1):
        try:
            return _attempt(recording, number, env, attempt)
        except FailedEpisodeError as error:
            _LOG.warning("episode %d is drawn anew: %s", number, error)
    return _attempt(recording, number, env, _ATTEMPTS - 1)


def _attempt(recording: GymRecording, number: int, env: gym.Env[Any, Any], attempt: int) -> Episode:
    again = (_NO_BYTE + attempt,) if attempt else ()
    rng = np.random.default_rng((recording.seed, number, _SALT, *recording.split.encode(), *again))
    seed = int(rng.integers(_SEED_LIMIT))
    act = start_policy(recording.policy, policy_factory(recording.policy), env, rng)
    return record_episode(
        env,
        act,
        read=frame_reader(env, recording.frames),
        words=words_of(env, recording.words),
        steps=recording.steps,
        seed=seed,
        size=recording.size,
        metadata={
            "episode_id": f"{recording.env}-{recording.split}-{recording.seed}-{number:06d}",
            "source": recording.env,
            "split": recording.split,
            "policy": recording.policy,
        },
    )


def _home_of(env: gym.Env[Any, Any]) -> str:
    kind = type(env.unwrapped)
    return f"{kind.__module__}.{kind.__qualname__}"


def _package_of(env: gym.Env[Any, Any]) -> tuple[str, ...]:
    """The installed distributions that the environment's module comes from."""
    module = type(env.unwrapped).__module__.partition(".")[0]
    return tuple(metadata.packages_distributions().get(module, ()))
