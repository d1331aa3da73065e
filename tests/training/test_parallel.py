"""Two processes are one: equal losses and weights, and states that either can go on from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from bagel_world.episodes import Sample, TextPart, sample_from_episode, write_samples
from bagel_world.errors import ConfigError, TrainingError
from bagel_world.model.checkpoint import load
from bagel_world.training.checkpoint import load_state, save_state, states
from bagel_world.training.config import read_recipe
from bagel_world.training.optim import OptimizerConfig
from bagel_world.training.parallel import check_shardable
from bagel_world.training.ranks import Ranks
from bagel_world.training.stages import Stages
from bagel_world.types import Action, Episode
from tests.model.folder import write_folder
from tests.training.small_run import main
from tests.training.walks import make_walks

ROOT = Path(__file__).parents[2]


def _two(folder: Path, dtype: str, steps: int, **changes: object) -> None:
    _launch("tests.training.small_run", str(folder), dtype, str(steps), json.dumps(changes))


def _launch(module: str, *arguments: str) -> None:
    """Two processes of a module."""
    done = _launched(module, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]


def _launched(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", module]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _losses(folder: Path) -> list[list[float]]:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text(encoding="utf-8").splitlines()]


def _same_state(one: Path, other: Path, within: float) -> None:
    first, second = load_state(one / "run"), load_state(other / "run")
    assert first is not None
    assert second is not None
    assert first[0] == second[0]
    assert set(first[1]) == set(second[1])
    for name, tensor in first[1].items():
        torch.testing.assert_close(tensor, second[1][name], rtol=0, atol=within, msg=name)


def test_two_processes_equal_one_and_either_goes_on_from_the_other(tmp_path: Path) -> None:
    one, turns = tmp_path / "one", tmp_path / "turns"
    one.mkdir()
    turns.mkdir()
    main(one, "float64", 20)
    _two(turns, "float64", 8, recompute=True)
    main(turns, "float64", 12)
    _two(turns, "float64", 20)
    _same_state(one, turns, within=1e-7)
    torch.testing.assert_close(torch.tensor(_losses(one)), torch.tensor(_losses(turns)), rtol=0, atol=1e-7)
    figures = [json.loads((folder / "figures.json").read_text(encoding="utf-8")) for folder in (one, turns)]
    assert figures[1] == pytest.approx(figures[0], abs=1e-7)


def _samples(folder: Path) -> str:
    """Walks, and now and then words alone: a pack of those has nothing to teach the generation expert."""
    walks = make_walks(episodes=7)
    samples = []
    for number, (start, end) in enumerate(pairwise(walks.starts.tolist())):
        actions = tuple(Action(text=word) for word in walks.actions[start + 1 : end])
        walk = Episode(frames=np.array(walks.frames[start:end]), actions=actions, metadata={"episode_id": f"e{number}"})
        split = "train" if number else "validation"
        samples.append(sample_from_episode(walk, source="tests", license="CC0-1.0", split=split, frames=3))
        if number < 2:
            parts = (TextPart(text="Which way? " * 18, role="question"), TextPart(text="Ahead.", role="answer", loss=True))
            samples.append(Sample(sample_id=f"q{number}", parts=parts, source="tests", license="CC0-1.0", split=split))
    write_samples(folder, samples)
    return str(folder)


@pytest.mark.parametrize(
    ("trains", "tokens"),
    [(None, 256), (["generate"], 64)],
    ids=["everything learns", "a pack of words alone reaches nothing that learns"],
)
def test_the_command_trains_by_two_processes_as_by_one(tmp_path: Path, trains: list[str] | None, tokens: int) -> None:
    mot = {"steps": 12, "batch": 4, "pack": {"tokens": tokens}, "validation_packs": 2, "validate_every": 10, "save_every": 5}
    optimizer = {"matrix_rate": 0.0, "rate": 1e-3, "warmup_steps": 1}
    recipe = {
        "preset": "tiny",
        "autoencoder_from": str(write_folder(tmp_path / "tiny")),
        "samples": [{"folder": _samples(tmp_path / "samples")}],
        "run": str(tmp_path / "one"),
        "workers": 1,
        "mot": {**mot, "trains": trains, "text_weight": 0.25, "segments": {"vit": False}, "optimizer": optimizer},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    two = ("train", str(path), "--set", f"run={tmp_path / 'two'}")
    if trains is None:
        short = _launched("bagel_world", *two, "--set", "mot.pack.tokens=16")
        assert short.returncode
        assert "cannot be packed" in short.stderr
        assert not (tmp_path / "two" / "mot").exists()
    _launch("bagel_world", *two, *["--resume"] * (trains is None))
    stages = Stages(read_recipe(path), resume=False)
    vae, tokenizer = stages.autoencoder(), stages.tokenizer()
    stages.export(stages.mot(vae, tokenizer), vae, tokenizer)
    one, two = (json.loads((tmp_path / name / "mot.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    assert two == pytest.approx(one, abs=1e-5)
    assert load(tmp_path / "two" / "checkpoint").config == load(tmp_path / "one" / "checkpoint").config


def test_losses_agree_in_float32_too(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    main(tmp_path / "one", "float32", 5)
    _two(tmp_path / "two", "float32", 5)
    torch.testing.assert_close(
        torch.tensor(_losses(tmp_path / "one"))[:, :4], torch.tensor(_losses(tmp_path / "two"))[:, :4], rtol=0, atol=1e-5
    )


def test_a_dense_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="one process"):
        check_shardable(OptimizerConfig(matrix_rate=0.0), lora=False, dense=True)


def test_what_needs_whole_matrices_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Muon moves whole ones. Set mot.optimizer.matrix_rate to 0"):
        check_shardable(OptimizerConfig(), lora=False)
    with pytest.raises(ConfigError, match="Low-rank updates are trained by one process"):
        check_shardable(OptimizerConfig(matrix_rate=0), lora=True)
    check_shardable(OptimizerConfig(matrix_rate=0), lora=False)


@pytest.mark.parametrize(("count", "parts"), [(2, [3, 2]), (3, [2, 2, 1]), (4, [2, 2, 1, 0])])
def test_rows_are_those_of_chunks(count: int, parts: list[int]) -> None:
    rows = [torch.arange(5)[Ranks(rank, count, torch.device("cpu")).rows(5)].tolist() for rank in range(count)]
    assert [len(each) for each in rows] == parts
    assert [row for part in rows for row in part] == [0, 1, 2, 3, 4]


class _Pretended(Ranks):
    """Processes that take turns in one."""

    __slots__ = ()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        return values


def test_a_state_of_several_files_is_read_by_any_number_and_needs_all_of_them(tmp_path: Path) -> None:
    tensors = {"weights/a": torch.arange(10.0).view(5, 2), "optimizer/a/step": torch.tensor(3.0)}
    last, *others = (_Pretended(rank, 3, torch.device("cpu")) for rank in (0, 1, 2))
    folder = tmp_path / ".unfinished-state-00000007"
    folder.mkdir()

    def own(ranks: Ranks) -> dict[str, torch.Tensor]:
        return {name: each[ranks.rows(len(each))] if each.ndim else each for name, each in tensors.items()}

    kept = {}
    for ranks in others:
        save_state(tmp_path, 7, own(ranks), {}, ranks=ranks)
        (file,) = folder.iterdir()
        kept[file.name] = file.read_bytes()
        file.unlink()
    save_state(tmp_path, 7, own(last), {"note": 1}, ranks=last)
    (state,) = states(tmp_path)
    for name, data in kept.items():
        (state / name).write_bytes(data)
    for ranks in (None, last, *others, _Pretended(1, 2, torch.device("cpu")), _Pretended(3, 4, torch.device("cpu"))):
        found = load_state(tmp_path, ranks)
        assert found is not None
        expected = tensors if ranks is None else own(ranks)
        assert found[0] == 7
        assert {name: each.tolist() for name, each in found[1].items()} == {
            name: each.tolist() for name, each in expected.items()
        }
    (state / next(iter(kept))).unlink()
    with pytest.raises(TrainingError, match="is no state"):
        load_state(tmp_path)
