"""Recorder: writes every episode to a folder, with the provenance that imagines it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from bagel_world.actions import action_from_text
from bagel_world.envs.dynamics import NO_ACTION
from bagel_world.envs.session import Draw, Session
from bagel_world.envs.task_env import TaskEnv
from bagel_world.envs.world_env import WorldEnv
from bagel_world.envs.wrappers.stateful import StatefulWrapper
from bagel_world.errors import ConfigError
from bagel_world.types import Action, Episode, Frame, Thought
from bagel_world.world.provenance import IMAGINED, PROVENANCE, Provenance
from bagel_world.world.record import save_episode, save_movie

MOVIES = ("gif", "mp4")

_FOLDER = re.compile(r"episode-(\d+)")


@dataclass(slots=True, kw_only=True)
class Take:
    """An episode while it happens."""

    provenance: Provenance
    frames: list[Frame]
    actions: list[Action] = field(default_factory=list)
    thoughts: list[Thought | None] = field(default_factory=list)
    seeds: list[int | None] = field(default_factory=list)
    thought_seeds: list[int | None] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False


class Recorder(StatefulWrapper, RecordConstructorArgs):
    """Writes `episode-00000`, `episode-00001`, ... below a folder: lossless frames, `episode.json`, and a movie.

    An episode is written when it ends, and an unfinished one at the next reset, `set_state` or `close`. `set_state` begins
    another recording; branches are not recorded. `bagel-world replay` imagines any of them again. The frames are the world's
    own, whatever wrappers show.

    Args:
        env: a `WorldEnv`, wrapped or not.
        folder: where episodes go; numbers go on after those that are there.
        movie: "gif", "mp4", or None for none.
        fps: frames per second of the movie.

    Raises:
        ConfigError: not a `WorldEnv`, or no such kind of movie.
        RecordingError: an episode could not be written.
    """

    def __init__(
        self, env: gym.Env[Any, Any], folder: str, movie: Literal["gif", "mp4"] | None = "gif", fps: float = 4.0
    ) -> None:
        if not isinstance(env.unwrapped, WorldEnv):
            raise ConfigError(f"Expected a WorldEnv to record, got {env.unwrapped}. For others: `bagel-world data from-env`.")
        if movie is not None and movie not in MOVIES:
            raise ConfigError(f"Expected movie as one of {MOVIES} or None, got {movie!r}.")
        RecordConstructorArgs.__init__(self, folder=str(folder), movie=movie, fps=fps)
        StatefulWrapper.__init__(self, env)
        self.folder = Path(folder)
        self._world_env = env.unwrapped
        self._movie = movie
        self._fps = fps
        self._take: Take | None = None

    def begin(self, observation: Any, info: dict[str, Any], memory: Any) -> tuple[Any, dict[str, Any]]:
        """Write what was not finished, and begin to record."""
        self._begin()
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step, recorded; the episode is written if it was the last."""
        before = self._world_env.session
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._take is not None:
            self._take.rewards.append(float(reward))
            self._take.terminated, self._take.truncated = bool(terminated), bool(truncated)
            self._add(self._take, before, info)
            if terminated or truncated:
                self._write()
        return observation, reward, terminated, truncated, info

    def set_state(self, state: Mapping[str, Any] | bytes, reseed: int | None = None) -> None:
        """Go on from a saved state, in another recording."""
        super().set_state(state, reseed=reseed)
        self._begin()

    def close(self) -> None:
        """Write what was not finished, and close the environment."""
        self._write()
        super().close()

    def _begin(self) -> None:
        self._write()
        session = self._world_env.session
        provenance = Provenance.of(self._world_env.world, session.context, seeds=[], checkpoint=self._checkpoint)
        self._take = Take(provenance=provenance, frames=[session.frame])

    @property
    def _checkpoint(self) -> str | None:
        """The name of the weights, where the environment loaded them by one."""
        return self._world_env.checkpoint if isinstance(self._world_env, TaskEnv) else None

    def _add(self, take: Take, before: Session, info: dict[str, Any]) -> None:
        valid, thinks = info["action_valid"], self._world_env.dynamics.config.think
        take.frames.append(self._world_env.session.frame)
        take.actions.append(action_from_text(info["action_text"], self._world_env.action_words) if valid else NO_ACTION)
        take.thoughts.append(Thought(text=info["thought"]) if thinks and valid else None)
        take.seeds.append(before.seed_for(Draw.FRAME, info.get("draw", 0)) if valid else None)
        take.thought_seeds.append(before.seed_for(Draw.THOUGHT) if thinks and valid else None)

    def _write(self) -> None:
        take, self._take = self._take, None
        if take is None or not take.actions:
            return
        thinks = self._world_env.dynamics.config.think
        seeds = {"seeds": tuple(take.seeds), "thought_seeds": tuple(take.thought_seeds) if thinks else None}
        metadata = {
            "source": IMAGINED,
            PROVENANCE: take.provenance.model_copy(update=seeds).to_json(),
            "rewards": take.rewards,
            "terminated": take.terminated,
            "truncated": take.truncated,
        }
        episode = Episode(
            frames=np.stack(take.frames),
            actions=tuple(take.actions),
            thoughts=tuple(take.thoughts) if thinks else None,
            metadata=metadata,
        )
        folder = save_episode(self._next_folder(), episode)
        if self._movie is not None:
            save_movie(folder / f"walk.{self._movie}", episode.frames, fps=self._fps)

    def _next_folder(self) -> Path:
        there = [_FOLDER.fullmatch(path.name) for path in self.folder.iterdir()] if self.folder.is_dir() else []
        number = max((int(match[1]) for match in there if match), default=-1) + 1
        return self.folder / f"episode-{number:05d}"
