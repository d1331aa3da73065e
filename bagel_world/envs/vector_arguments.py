"""What a caller of a vector environment hands over, read and checked: one value per sub-environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from bagel_world.envs.session import Session
from bagel_world.envs.spaces import as_list
from bagel_world.errors import ActionError, ConfigError, StateError


def read_mode(mode: str | AutoresetMode) -> AutoresetMode:
    """The autoreset mode of this name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = [known.value for known in AutoresetMode]
        raise ConfigError(f"Expected autoreset_mode as one of {known}, got {mode!r}.") from error


def read_seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """The seed of every reset: seed + i, or as listed; None goes on with the generator.

    Raises:
        ConfigError: another number of seeds.
    """
    if seed is None:
        return [None] * count
    if isinstance(seed, (int, np.integer)):
        return [int(seed) + place for place in range(count)]
    seeds = as_list(seed)
    if seeds is None or len(seeds) != count:
        raise ConfigError(f"Expected a whole number as seed, or one per sub-environment ({count}), got {seed!r:.80}.")
    return seeds


def read_mask(mask: Any, count: int) -> npt.NDArray[np.bool_]:
    """Which sub-environments a reset means: all where None.

    Raises:
        ConfigError: not a mask, or one that means none.
    """
    if mask is None:
        return np.ones(count, np.bool_)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (count,) or not mask.any():
        raise ConfigError(f"Expected reset_mask as bool, shape ({count},), with at least one True, got {mask!r:.80}.")
    return mask


def read_actions(actions: Any, count: int) -> list[Any]:
    """One action per sub-environment.

    Raises:
        ActionError: another number of them.
    """
    listed = as_list(actions)
    if listed is None or len(listed) != count:
        raise ActionError(f"Expected {count} actions, one per sub-environment, got {actions!r:.80}.")
    return listed


def read_rows(actions: Any, count: int) -> list[list[Any]]:
    """One row of actions per sub-environment.

    Raises:
        ActionError: another number of rows, or something in the place of a row.
    """
    rows = [row for row in map(as_list, as_list(actions) or ()) if row is not None]
    if len(rows) != count or len(rows) != len(actions):
        raise ActionError(
            f"Expected {count} rows of actions, one per sub-environment, such as [[0, 1], [2]], got {actions!r:.80}."
        )
    return rows


def read_place(place: Any, count: int) -> int:
    """The place of a sub-environment.

    Raises:
        StateError: there is no such place.
    """
    if isinstance(place, bool) or not isinstance(place, (int, np.integer)) or not 0 <= place < count:
        raise StateError(f"Expected the place of a sub-environment, 0..{count - 1}, got {place!r:.80}.")
    return int(place)


def read_reseed(reseed: Any, count: int) -> list[int | None]:
    """The seed with which every walk goes on: reseed + i, or as listed; None goes on with its own noise.

    Raises:
        StateError: another number of seeds, or something in the place of a seed.
    """
    if reseed is None:
        return [None] * count
    listed = as_list(reseed)
    if listed is None:
        return [Session.check_seed(reseed) + place for place in range(count)]
    if len(listed) != count:
        raise StateError(f"Expected one seed per sub-environment ({count}), got {len(listed)}.")
    return [None if seed is None else Session.check_seed(seed) for seed in listed]


def read_branch_seeds(reseed: Any, count: int) -> list[Any]:
    """Per sub-environment the seeds of its futures: None, one for all of them, or one per future.

    Raises:
        StateError: another number of rows.
    """
    listed = as_list(reseed)
    if listed is None:
        return [reseed] * count
    if len(listed) != count:
        raise StateError(f"Expected one seed for all or a row per sub-environment ({count}), got {len(listed)}.")
    return listed
