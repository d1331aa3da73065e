"""A training that is killed at any moment, again and again, ends as one that was left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bagel_world.episodes import sample_from_episode, write_samples, write_shard
from bagel_world.types import Action, Episode
from tests.training.walks import make_walks

ROOT = Path(__file__).parents[2]
PACE = {"seconds", "tokens_per_second", "data_wait", "mfu"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Walks and samples together, with a state every few steps."""
    walks = make_walks(episodes=6)
    episodes = []
    for number, (start, end) in enumerate(pairwise(walks.starts.tolist())):
        actions = tuple(Action(text=word) for word in walks.actions[start + 1 : end])
        episodes.append(Episode(frames=np.array(walks.frames[start:end]), actions=actions, metadata={"episode_id": f"e{number}"}))
    for split, part in (("train", episodes[:4]), ("validation", episodes[4:])):
        write_shard(tmp_path / split, 0, part)
        write_samples(tmp_path / f"{split}-samples", [sample_from_episode(e, source="walks", license="CC0-1.0") for e in part])
    settings = {
        "preset": "tiny",
        "train": str(tmp_path / "train"),
        "validation": str(tmp_path / "validation"),
        "samples": [{"folder": str(tmp_path / "train-samples")}],
        "validation_samples": [{"folder": str(tmp_path / "validation-samples"), "split": "train"}],
        "device": "cpu",
        "autoencoder": {"steps": 48, "batch": 2, "validate_every": 24, "save_every": 24, "normalize_at": [0.5]},
        "mot": {
            "steps": 40,
            "batch": 2,
            "packs": 1,
            "pack": {"tokens": 256},
            "segments": {"vit": False},
            "walk": {"frames": 3},
            "validation_windows": 2,
            "validation_packs": 1,
            "validate_every": 10,
            "preview_every": 12,
            "save_every": 12,
        },
        "world": {
            "capabilities": {"imagine": True, "write": False, "vit": False},
            "context": {"see": "latents"},
            "sampling": {"default": {"evaluations": 1}},
        },
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def _start(recipe: Path, run: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bagel_world", "train", str(recipe), "--resume", "--set", f"run={run}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]


def _kill(recipe: Path, run: Path, at: str, after: float) -> bool:
    """Start a training and kill it so many seconds after it wrote a file or folder of this name; False where it ended before.

    The name is waited for without a pause: a save of a small state takes milliseconds, and a busy machine may miss it.
    """
    began = time.time_ns()
    process = _start(recipe, run)
    while process.poll() is None and not any(_written(path) > began for path in run.glob(at)):
        pass
    time.sleep(after)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors[-3000:]
    return process.returncode != 0


def _written(path: Path) -> int:
    """When, in nanoseconds; 0 for what has gone since it was seen."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name not in PACE} for row in rows]


def _files(run: Path) -> dict[str, bytes]:
    """What a run leaves, without what names the run or tells of its pace."""
    files = (path for path in run.rglob("*") if path.is_file())
    return {str(path.relative_to(run)): path.read_bytes() for path in files if path.name not in ("log.jsonl", "recipe.json")}


def _same(whole: Path, killed: Path) -> None:
    for stage in ("autoencoder", "mot"):
        assert _rows(killed / stage / "log.jsonl") == _rows(whole / stage / "log.jsonl"), stage
    one, other = _files(whole), _files(killed)
    assert set(one) == set(other)
    assert [name for name in one if one[name] != other[name]] == []


SAVES = [
    ("*tokenizer", 0.0),
    ("autoencoder/.unfinished-state-*", 0.0),
    ("autoencoder/.unfinished-state-*/tensors.safetensors", 0.001),
    ("ae.safetensors.part", 0.0),
    ("mot/.unfinished-state-*", 0.0),
    ("mot/.unfinished-state-*/tensors.safetensors", 0.001),
    ("mot/state-*", 0.0),
    ("checkpoint/ema.safetensors.part", 0.0),
]
DELAYS = np.random.default_rng(0).uniform(0.0, 0.3, 4).tolist()
ANYWHERE = list(zip(("cache/*", "autoencoder/log.jsonl", "mot/log.jsonl", "mot/state-*"), DELAYS, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("moments", [SAVES, ANYWHERE], ids=["while it saves", "anywhere"])
def test_a_training_killed_again_and_again_equals_one_never_stopped(
    recipe: Path, tmp_path: Path, moments: list[tuple[str, float]]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _finish(_start(recipe, whole))
    kills = [_kill(recipe, killed, at, after) for at, after in moments]
    assert sum(kills) > len(kills) // 2
    _finish(_start(recipe, killed))
    _same(whole, killed)
