"""A training that is killed at any moment, again and again, ends as one that was left alone.

Moments inside of a save last milliseconds and would be missed from outside, so there the process kills itself, by Python's audit
events, at a chosen change of the file system; other moments are hit from outside, after a delay.
"""

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
DOOMED = """
import os, runpy, signal, sys
from fnmatch import fnmatch

event, pattern = sys.argv.pop(1), sys.argv.pop(1)

def die(name, arguments):
    if name == event and any(fnmatch(str(each), pattern) for each in arguments[:2]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
runpy.run_module("bagel_world", run_name="__main__", alter_sys=True)
"""


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
        "decoder": {
            "steps": 12,
            "batch": 4,
            "windows": 6,
            "context": 2,
            "ahead": 1,
            "validation_frames": 2,
            "validate_every": 6,
            "save_every": 4,
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


def _start(recipe: Path, run: Path, *program: str) -> subprocess.Popen[str]:
    words = [sys.executable, *(program or ("-m", "bagel_world")), "train", str(recipe), "--resume", "--set", f"run={run}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, cwd=ROOT, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]


def _kill_after(recipe: Path, run: Path, at: str, seconds: float) -> bool:
    """Start a training and kill it so many seconds after it wrote a file or folder of this name; False where it ended before."""
    began = time.time_ns()
    process = _start(recipe, run)
    while process.poll() is None and not any(_written(path) > began for path in run.glob(at)):
        time.sleep(0.001)
    time.sleep(seconds)
    process.kill()
    return _killed(process)


def _killed(process: subprocess.Popen[str]) -> bool:
    _, errors = process.communicate(timeout=300)
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
    logs = [str(path.relative_to(whole)) for path in whole.rglob("log.jsonl")]
    assert len(logs) == 3  # of the autoencoder, the world model and the decoder
    for log in logs:
        assert _rows(killed / log) == _rows(whole / log), log
    one, other = _files(whole), _files(killed)
    assert set(one) == set(other)
    assert [name for name in one if one[name] != other[name]] == []


SAVES = [
    ("os.rename", "*/tokenizer"),
    ("os.mkdir", "*/autoencoder/.unfinished-state-*"),
    ("open", "*/autoencoder/.unfinished-state-*/facts.json"),
    ("os.rename", "*/autoencoder/state-00000048"),
    ("os.rename", "*/ae.safetensors"),
    ("os.mkdir", "*/mot/.unfinished-state-*"),
    ("os.rename", "*/mot/state-00000024"),
    ("os.rmdir", "*/mot/state-00000012"),
    ("os.rename", "*/decoder/*/imagined-*.safetensors.part"),
    ("os.mkdir", "*/decoder/*/.unfinished-state-*"),
    ("os.rename", "*/decoder/*/state-00000008"),
    ("os.rename", "*/decoder/*/ae.safetensors"),
    ("os.rename", "*/checkpoint/ema.safetensors"),
]
DELAYS = np.random.default_rng(0).uniform(0.0, 0.3, 4).tolist()
ANYWHERE = list(zip(("cache/*", "autoencoder/log.jsonl", "mot/log.jsonl", "mot/state-*"), DELAYS, strict=True))


@pytest.fixture
def whole(recipe: Path, tmp_path: Path) -> Path:
    """A run that nobody stopped."""
    _finish(_start(recipe, tmp_path / "whole"))
    return tmp_path / "whole"


@pytest.mark.slow
def test_a_training_killed_inside_of_each_save_equals_one_never_stopped(recipe: Path, tmp_path: Path, whole: Path) -> None:
    killed = tmp_path / "killed"
    for event, pattern in SAVES:
        assert _killed(_start(recipe, killed, "-c", DOOMED, event, pattern)), f"no {event} of {pattern}"
    _finish(_start(recipe, killed))
    _same(whole, killed)


@pytest.mark.slow
def test_a_training_killed_anywhere_equals_one_never_stopped(recipe: Path, tmp_path: Path, whole: Path) -> None:
    killed = tmp_path / "killed"
    kills = [_kill_after(recipe, killed, at, seconds) for at, seconds in ANYWHERE]
    assert sum(kills) > len(kills) // 2
    _finish(_start(recipe, killed))
    _same(whole, killed)
