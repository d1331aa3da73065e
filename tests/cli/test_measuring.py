"""`bagel-world eval open-loop`, `eval control` and `bench`, on the world without a model."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.cli import main
from bagel_world.episodes import write_shard
from bagel_world.episodes.manifest import write_manifest
from bagel_world.evaluation.subject import Subject
from bagel_world.types import Episode
from bagel_world.world.fake_views import draw_room, move_view
from tests.episodes.test_manifest import MANIFEST
from tests.evaluation.conftest import walk_room
from tests.evaluation.tables import fall, spin

COMMANDS = {"open-loop": ["eval", "open-loop"], "control": ["eval", "control"], "bench": ["bench"]}


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


def walk(number: int, split: str) -> Episode:
    rng = np.random.default_rng(number)
    actions = tuple(action_from_id(int(each), NAVIGATE_WORDS) for each in [0, 1, 2, 3, *rng.integers(0, 4, 8)])
    frames = [draw_room(number, 64, 64)]
    for action in actions:
        frames.append(move_view(frames[-1], action.text))
    return Episode(frames=np.stack(frames), actions=actions, metadata={"episode_id": f"{split}-{number}", "split": split})


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Folders `test` and `train` of fake walks."""
    for place, split in enumerate(("test", "train")):
        write_shard(tmp_path / split, 0, [walk(100 * place + number, split) for number in range(4)])
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_is_measured_and_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*COMMANDS[name], "--help") == 0
    out = " ".join(capsys.readouterr().out.split())
    for word in ("--checkpoint", "--json", "--out", "Example: bagel-world", {"bench": "--quick"}.get(name, "--seed")):
        assert word in out


def test_open_loop_writes_figures_pictures_and_the_command(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "open-loop", "--checkpoint", "fake", "--data", footage / "test", "--n", "8", "--rollouts", "3"]
    assert run(*words, "--out", footage / "out", "--json", footage / "figures.json") == 0
    shown = capsys.readouterr().out
    assert "psnr_db" in shown
    assert "95 % interval" in shown
    report = json.loads((footage / "figures.json").read_text())
    assert report["checkpoint_hash"] == "fake-noise1"
    assert all(set(row) == {"metric", "name", "n", "value", "low", "high"} for row in report["rows"])
    assert report["compute"]["frames_imagined"] == 8 + 3 * 11
    command = shlex.split(report["command"])
    assert command[:3] == ["bagel-world", "eval", "open-loop"]
    assert command[command.index("--n") + 1] == "8"
    assert command[command.index("--seed") + 1] == "0"
    for sheet in ("next", "rollouts"):
        with Image.open(footage / "out" / f"open_loop_{sheet}.png") as picture:
            assert picture.size[0] > 400


def test_the_same_command_measures_turntables(tmp_path: Path) -> None:
    write_shard(tmp_path / "test", 0, [spin(number, side=96) for number in range(3)])
    words = ["eval", "open-loop", "--checkpoint", "fake", "--data", tmp_path / "test", "--n", "12", "--rollouts", "2"]
    assert run(*words, "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "open_loop.json").read_text())
    names = {row["name"] for row in report["rows"] if row["metric"] == "psnr_db"}
    assert {"imagined, 30 degrees", "copy last, new yaws", "imagined, 45 degrees, new yaws"} <= names
    assert any("no figures of the object" in note for note in report["notes"])


def test_control_of_drops_needs_no_probe(tmp_path: Path) -> None:
    write_shard(tmp_path / "test", 0, [fall(number, side=64) for number in range(3)])
    words = ["eval", "control", "--checkpoint", "fake", "--data", tmp_path / "test", "--n", "4", "--out", tmp_path / "out"]
    assert run(*words) == 0
    report = json.loads((tmp_path / "out" / "control.json").read_text())
    assert [row["metric"] for row in report["rows"]] == ["counterfactual_gap"]
    assert "probe" not in report["setting"]


def test_a_folder_that_is_missing_or_empty_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "missing", tmp_path / "empty"):
        assert run("eval", "open-loop", "--checkpoint", "fake", "--data", folder) == 2
        error = capsys.readouterr().err
        assert f"found none in {folder}" in error
        assert error.count("\n") == 1


def test_asking_for_more_than_there_is_says_how_much_there_is(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "open-loop", "--checkpoint", "fake", "--data", footage / "test", "--n", "5000", "--out", footage / "out"]
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert "at least 5000 stretches" in error
    assert "found 36. Ask for fewer with --n" in error
    assert not (footage / "out").exists()


def test_an_unknown_checkpoint_is_one_sentence(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("eval", "open-loop", "--checkpoint", "nnao", "--data", footage / "test") == 2
    assert "There is no checkpoint 'nnao'" in capsys.readouterr().err


def test_the_probe_must_not_be_trained_on_the_test(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "control", "--checkpoint", "fake", "--data", footage / "test", "--probe-data", footage / "test"]
    assert run(*words) == 2
    assert "other footage than the test" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("episodes", "said"),
    [
        ([spin(number, side=64) for number in range(3)], "Expected --probe-data to name footage of house"),
        ([walk_room(number, size=(48, 48), split="train") for number in range(3)], "which checkpoint 'fake' imagines"),
        ([walk_room(number, size=(64, 64), steps=1, split="train") for number in range(3)], "it lacks"),
    ],
)
def test_a_probe_is_trained_on_footage_that_fits_or_not_at_all(
    footage: Path, episodes: list[Episode], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shard(footage / "other", 0, episodes)
    words = ["eval", "control", "--checkpoint", "fake", "--data", footage / "test", "--probe-data", footage / "other"]
    assert run(*words, "--n", "6", "--loops", "4", "--probe", footage / "probe") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (footage / "probe").exists()


def test_a_probe_is_not_trained_on_the_split_of_the_test(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shard(footage / "other", 0, [walk_room(number, size=(64, 64)) for number in range(3)])
    for folder in (footage / "test", footage / "other"):
        write_manifest(folder, MANIFEST.model_copy(update={"split": "test", "frame_size": (64, 64)}))
    words = ["eval", "control", "--checkpoint", "fake", "--data", footage / "test", "--probe-data", footage / "other"]
    assert run(*words, "--n", "6", "--loops", "4") == 2
    assert "another split than the test" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", ["open-loop", "control", "solvers", "calibration"])
def test_where_a_report_cannot_go_nothing_is_measured(
    footage: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Subject, "load", lambda *_, **__: pytest.fail("it began"))
    (footage / "file").write_text("")
    words = ["eval", command, "--checkpoint", "fake", "--data", footage / "test"]
    assert run(*words, "--out", footage / "file" / "x") == 2
    assert "Choose another place" in " ".join(capsys.readouterr().err.split())
    assert run(*words, "--out", footage / "out", "--json", footage) == 2
    assert "--json to name a file" in " ".join(capsys.readouterr().err.split())
    assert not (footage / "out").exists()


def test_footage_of_the_train_split_is_remarked(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(footage / "train", MANIFEST.model_copy(update={"split": "train", "frame_size": (64, 64)}))
    words = ["eval", "open-loop", "--checkpoint", "fake", "--data", footage / "train", "--n", "8", "--rollouts", "2"]
    assert run(*words, "--out", footage / "out") == 0
    assert "learned it by heart" in " ".join(capsys.readouterr().out.split())


def test_control_trains_a_probe_and_keeps_it(
    footage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bagel_world.cli import control
    from bagel_world.evaluation.probe import ProbeConfig

    monkeypatch.setattr(control, "ProbeConfig", lambda: ProbeConfig(pairs=20, steps=2, batch=4, width=8))
    words = ["eval", "control", "--checkpoint", "fake", "--data", footage / "test", "--probe-data", footage / "train"]
    words += ["--probe", footage / "probe", "--out", footage / "out", "--n", "6", "--loops", "4"]
    assert run(*words) == 0
    assert "counterfactual_gap" in capsys.readouterr().out
    report = json.loads((footage / "out" / "control.json").read_text())
    assert {row["metric"] for row in report["rows"]} >= {"counterfactual_gap", "stay_psnr_db", "return_psnr_db", "probe_accuracy"}
    assert report["setting"]["probe"]["config"]["steps"] == 2
    stored = (footage / "probe" / "probe.safetensors").read_bytes()
    assert run(*words) == 0
    assert (footage / "probe" / "probe.safetensors").read_bytes() == stored


def test_open_loop_trains_a_recognizer_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bagel_world.cli import open_loop
    from bagel_world.evaluation.recognizer import RecognizerConfig

    for split, count in (("train", "30"), ("test", "5")):
        words = ["record", tmp_path / split, "--sim", "turntable", "--split", split, "--episodes", count, "--steps", "4"]
        assert run(*words, "--size", "96") == 0
    monkeypatch.setattr(open_loop, "RecognizerConfig", lambda: RecognizerConfig(pictures=200, steps=2, batch=4, width=8))
    words = ["eval", "open-loop", "--checkpoint", "fake", "--data", tmp_path / "test", "--out", tmp_path / "out"]
    words += ["--n", "4", "--rollouts", "4", "--horizon", "2", "--recognizer", tmp_path / "recognizer"]
    assert run(*words) == 0
    report = json.loads((tmp_path / "out" / "open_loop.json").read_text())
    names = {row["name"] for row in report["rows"] if row["metric"] == "recognized_rate"}
    assert {"real, step 2", "imagined, step 2", "copy last context frame, step 1"} <= names
    assert report["setting"]["recognizer"]["config"]["steps"] == 2
    stored = (tmp_path / "recognizer" / "recognizer.safetensors").read_bytes()
    assert run(*words) == 0
    assert (tmp_path / "recognizer" / "recognizer.safetensors").read_bytes() == stored


def test_a_recognizer_is_not_trained_on_the_test_nor_on_objects_nobody_knows(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shard(tmp_path / "tables", 0, [spin(number, side=96) for number in range(3)])
    words = ["eval", "open-loop", "--checkpoint", "fake", "--recognizer", tmp_path / "recognizer", "--out", tmp_path / "out"]
    for data, said in ((footage / "test", "turntables or drops"), (tmp_path / "tables", "other footage than the test")):
        assert run(*words, "--data", data, "--train-data", data, "--n", "2", "--rollouts", "2") == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "recognizer").exists()
    assert not (tmp_path / "out").exists()


def test_bench_writes_its_figures_and_says_when_they_are_not_to_be_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "--checkpoint", "fake", "--quick", "--out", tmp_path) == 0
    assert "too few steps" in capsys.readouterr().out
    report = json.loads((tmp_path / "bench.json").read_text())
    assert {row["metric"] for row in report["rows"]} == {
        "env_steps_per_second",
        "ms_per_batch_step",
        "ms_by_history",
        "ms_restore",
    }
    assert "--quick" in shlex.split(report["command"])


@pytest.mark.parametrize("command", ["solvers", "long"])
def test_commands_that_end_in_a_figure_ask_for_matplotlib_first(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as where it is not installed
    assert run("eval", command)
    assert "matplotlib" in capsys.readouterr().err
