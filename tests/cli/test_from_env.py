from __future__ import annotations

from pathlib import Path

import pytest

from bagel_world.cli import main
from bagel_world.episodes import EpisodeFolder, read_manifest, shard_path

WALK = "tests.sims.drawn_env:Walk"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["data", "from-env", *map(str, words)])
    return int(stop.value.code or 0)


def test_an_environment_becomes_episodes_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    words = (WALK, tmp_path, "--episodes", 40, "--steps", 3, "--size", "8x10", "--words", "Left, Right", "--option", "height=20")
    assert run(*words) == 0
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(whole) == ["episodes-00000.parquet", "episodes-00001.parquet", "manifest.json"]
    episodes = EpisodeFolder(tmp_path)
    assert len(episodes) == 40
    assert episodes[0].frames.shape == (4, 8, 10, 3)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.complete
    assert manifest.action_words == ("Left", "Right")
    assert manifest.settings == {"options": {"height": 20}, "policy": "random", "frames": "auto", "resized": True}
    assert manifest.finished_frames == 160
    assert manifest.command.endswith("--split train --seed 0 --license unknown --option height=20")

    shard_path(tmp_path, 1).unlink()
    assert run(*words) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


def test_a_policy_in_the_folder_one_stands_in_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy_from_here.py").write_text("def left(env, rng):\n    return lambda observation, info: 0\n")
    monkeypatch.chdir(tmp_path)
    assert run(WALK, "out", "--episodes", 2, "--steps", 3, "--policy", "policy_from_here:left") == 0
    assert {action.id for episode in EpisodeFolder("out") for action in episode.actions} == {0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["CartPole-v99"], "CartPole"),
        (["tests.sims.drawn_env:Blind"], "Expected an environment with frames"),
        ([WALK, "--policy", "greedy"], 'Expected a policy as "random" or "module:callable"'),
        ([WALK, "--words", "one"], "Expected 2 action words"),
        ([WALK, "--size", "big"], "SIDE or HEIGHTxWIDTH"),
        ([WALK, "--size", "0"], "SIDE or HEIGHTxWIDTH"),
        ([WALK, "--option", "height"], "name=value"),
        ([WALK, "--option", "depth=3"], "depth"),
        ([WALK, "--frames", "camera"], "auto, render, observation"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words[0], tmp_path / "out", *words[1:]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_recording_in_the_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WALK, tmp_path, "--episodes", 2, "--steps", 3) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run(WALK, tmp_path, "--episodes", 2, "--steps", 4) == 2
    assert "steps: 3 there, 4 asked for" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
