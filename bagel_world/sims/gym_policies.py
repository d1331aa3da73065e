"""Policies for any Gymnasium environment: random, or a factory of the user's, named as "module:callable"."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

import gymnasium as gym
import numpy as np

from bagel_world.errors import ConfigError, UnknownNameError, nearest

Act = Callable[[Any, dict[str, Any]], Any]
"""From an observation and its info to an action."""

PolicyFactory = Callable[[gym.Env[Any, Any], np.random.Generator], Act]
"""Called once for every episode, before its reset, with the environment and where all random choices must come from."""

RANDOM = "random"


def random_policy(env: gym.Env[Any, Any], rng: np.random.Generator) -> Act:
    """Every action as likely as the environment's action space has it."""
    env.action_space.seed(int(rng.integers(2**31)))
    return lambda observation, info: env.action_space.sample()


def policy_factory(name: str) -> PolicyFactory:
    """The factory of this name: "random", or "module:callable".

    Raises:
        UnknownNameError: no such module or no such name in it.
        ConfigError: not of that form, or nothing that can be called.
    """
    if name == RANDOM:
        return random_policy
    module_name, separator, attribute = name.partition(":")
    if not (separator and module_name and attribute):
        raise ConfigError(f'Expected a policy as "random" or "module:callable", got {name!r}.')
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and something that it imports is not
        raise UnknownNameError(
            f"Expected a policy in an importable module, got {name!r}: there is no module {error.name!r}. "
            "Run in the folder that holds it, or install it."
        ) from error
    try:
        factory = getattr(module, attribute)
    except AttributeError as error:
        raise UnknownNameError(f"Module {module_name!r} has no {attribute!r}. {nearest(attribute, vars(module))}") from error
    if not callable(factory):
        raise ConfigError(f"Expected {name!r} to be called as policy(env, rng), but it is a {type(factory).__name__}.")
    return cast(PolicyFactory, factory)  # whether it is one shows when it is called


def start_policy(name: str, factory: PolicyFactory, env: gym.Env[Any, Any], rng: np.random.Generator) -> Act:
    """A policy for one episode.

    Raises:
        ConfigError: what the factory gives cannot be called.
    """
    act = factory(env, rng)
    if not callable(act):
        raise ConfigError(
            f"Expected the policy {name!r}, called as policy(env, rng), to return a function act(observation, info), "
            f"got {type(act).__name__}."
        )
    return act
