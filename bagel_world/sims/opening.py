"""Opening a simulator that MuJoCo draws: the settings it takes, and the sentence for a machine that cannot render."""

from __future__ import annotations

import importlib
from typing import Any

from bagel_world.errors import ConfigError, MissingExtraError, SimulatorError

SYSTEM_PACKAGES = "libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri libglu1-mesa"
"""What gives a Debian or Ubuntu machine without a display its OpenGL."""

RENDER_MODES = ("rgb_array",)

SMALLEST = 16
"""Least height and width of a frame in pixels."""


def check_settings(size: tuple[int, int], horizon: int | None, render_mode: str | None) -> tuple[int, int]:
    """The (height, width) that was asked for.

    Raises:
        ConfigError: frames too small, a horizon below one step, or another render mode.
    """
    height, width = (int(each) for each in size)
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"Expected frames of at least {SMALLEST} x {SMALLEST} pixels, got size={size!r}. Pass size=(height, width)."
        )
    if horizon is not None and horizon < 1:
        raise ConfigError(f"Expected a horizon of at least one step, got {horizon!r}. Pass None for no limit.")
    if render_mode not in (None, *RENDER_MODES):
        raise ConfigError(f'Expected render_mode "rgb_array" or None, got {render_mode!r}.')
    return height, width


def open_stage(height: int, width: int, simulator: str) -> Any:
    """The module `stage` and a `Stage`, both from MuJoCo.

    Args:
        height: of the frames in pixels.
        width: of the frames in pixels.
        simulator: how a message calls it: "The turntable simulator".

    Raises:
        MissingExtraError: MuJoCo is not installed.
        SimulatorError: this machine cannot render.
    """
    try:
        module = importlib.import_module("bagel_world.sims.stage")
    except ModuleNotFoundError as error:
        if error.name in ("mujoco", "OpenGL"):
            raise MissingExtraError("mujoco", "sims", simulator) from error
        raise
    except (ImportError, OSError, AttributeError, RuntimeError) as error:  # what PyOpenGL raises where a library is missing
        raise no_rendering(simulator, error) from error
    try:
        return module, module.Stage(height, width)
    except Exception as error:  # every driver fails in its own way, and all of it means one thing to the caller
        raise no_rendering(simulator, error) from error


def no_rendering(simulator: str, error: Exception) -> SimulatorError:
    """The error of a machine that cannot render."""
    return SimulatorError(
        f"{simulator} needs OpenGL without a display (EGL), which this machine does not offer "
        f"({type(error).__name__}: {error}). On Debian or Ubuntu: apt-get install {SYSTEM_PACKAGES}"
    )
