"""The same environment tests for the torch-free world and, where it is shipped, for the real checkpoint."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import bagel_world
from bagel_world.envs import WorldEnv, register_all
from bagel_world.envs.registry import NAVIGATE_ID
from bagel_world.world.fake import FakeWorld

ROOT = Path(bagel_world.__file__).resolve().parents[1]

register_all()


def hash_frames(frames: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest()


def walk(env: gym.Env[Any, Any], actions: list[Any]) -> list[np.ndarray]:
    return [env.step(action)[0] for action in actions]


@pytest.fixture(params=["fake", "nano"])
def checkpoint(request: pytest.FixtureRequest) -> str:
    nano = ROOT / "bagel_world" / "assets" / "nano" / "ema.safetensors"
    if request.param == "nano" and not nano.is_file():
        pytest.skip("assets/nano is not here")
    return request.param


@pytest.fixture
def make(checkpoint: str) -> Callable[..., WorldEnv]:
    """The bare environment of the checkpoint, through gym.make."""

    def made(**settings: Any) -> WorldEnv:
        env = gym.make(NAVIGATE_ID, checkpoint=checkpoint, **settings).unwrapped
        assert isinstance(env, WorldEnv)
        return env

    return made


@pytest.fixture
def fake() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """What a program prints, run in a new interpreter with warnings as errors."""

    def run(program: str) -> str:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
