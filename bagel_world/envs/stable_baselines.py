"""WorldVecEnv: a batch of walks for Stable-Baselines3, whose vector environments have an interface of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList

from bagel_world.envs.vector_env import WorldVectorEnv
from bagel_world.errors import ConfigError, MissingExtraError

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise MissingExtraError("stable_baselines3", "dev", "Training with Stable-Baselines3") from error


class WorldVecEnv(VecEnv):
    """The walks of a `WorldVectorEnv`, stepped in one batch, as Stable-Baselines3 expects them.

    It shows what `DummyVecEnv` over as many `WorldEnv` would, with one call of the world per step instead of one per walk.

    Args:
        env: with autoreset mode "SameStep", the one Stable-Baselines3 knows.

    Raises:
        ConfigError: another autoreset mode.
    """

    def __init__(self, env: WorldVectorEnv) -> None:
        if env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ConfigError(
                f"Stable-Baselines3 begins an episode in the step that ended the last one: expected "
                f"autoreset_mode='SameStep', got {env.autoreset_mode.value!r}."
            )
        self.env = env
        self.render_mode = env.render_mode
        self._listed = DictInfoToList(env)
        self._actions: Any = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Begin an episode everywhere, with the seeds and options that were set before, if any.

        Raises:
            ConfigError: other options for some walks than for others.
        """
        if any(each != self._options[0] for each in self._options):
            raise ConfigError(
                "The walks begin together, with the same options: expected equal ones, got several. "
                "Reset the WorldVectorEnv with a reset_mask where walks are to begin differently."
            )
        seeded = any(seed is not None for seed in self._seeds)
        observations, infos = self._listed.reset(seed=self._seeds if seeded else None, options=self._options[0] or None)  # type: ignore[arg-type]
        self.reset_infos = list(infos)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: Any) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Any:
        """One step of all walks, in one batch."""
        observations, rewards, terminated, truncated, listed = self._listed.step(self._actions)
        infos = []
        for place, info in enumerate(listed):
            over = bool(terminated[place] or truncated[place])
            shown = dict(info["final_info"]) if over else dict(info)
            shown["TimeLimit.truncated"] = bool(truncated[place] and not terminated[place])
            if over:
                shown["terminal_observation"] = info["final_obs"]
                self.reset_infos[place] = {name: value for name, value in info.items() if not name.startswith("final_")}
            infos.append(shown)
        return observations, rewards.astype(np.float32), terminated | truncated, infos

    def close(self) -> None:
        """Close the window, if there is one; the world lives on."""
        self.env.close()

    def get_images(self) -> Sequence[Any]:
        """The newest frames."""
        return self.env.render() or ()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, which is the same for all walks."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the environment; only of all walks at once.

        Raises:
            ConfigError: of some walks only.
        """
        self._check_all(indices, "an attribute is set for")
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """What a method of the environment returns, once per walk.

        Raises:
            ConfigError: of some walks only.
        """
        self._check_all(indices, "a method is called for")
        result = getattr(self.env, method_name)(*method_args, **method_kwargs)
        return [result] * self.num_envs

    def _check_all(self, indices: Any, what: str) -> None:
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ConfigError(f"The walks share one environment: {what} all of them. Leave indices out.")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No walk is wrapped."""
        return [False for _ in self._get_indices(indices)]
