"""`bagel-world eval closed-loop`, with a world and a house without pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bagel_world.cli import closed_loop, main
from bagel_world.world.scoring import RandomScorer
from tests.evaluation.closed.paper_house import PaperHouse


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.setattr(closed_loop, "House", lambda split, size: PaperHouse(split))
    monkeypatch.setattr(closed_loop, "_scorer", lambda name: RandomScorer())
    command = ["eval", "closed-loop", "--checkpoint", "fake", "--n", "3", "--stop-at", "0.9", "--out", str(tmp_path)]
    return [*command, "--turns", "1", "--steps", "1", "--rollouts", "1", "--rollouts", "2", "--movies", "1"]


def test_outcomes_figures_and_movies_are_written_and_a_second_run_adds_nothing(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 0
    assert "success_rate" in capsys.readouterr().out
    lines = (tmp_path / "outcomes.jsonl").read_text()
    outcomes = [json.loads(line) for line in lines.splitlines()]
    names = {each["contestant"] for each in outcomes}
    assert len(outcomes) == 3 * len(names) == 18
    assert "planner, learned world, 2 rollouts" in names
    assert "thought only" not in names  # it could not see the goal picture
    report = json.loads((tmp_path / "closed_loop.json").read_text())
    assert {row["n"] for row in report["rows"] if row["metric"] == "success_rate"} == {1, 3}
    assert any("goal picture" in note for note in report["notes"])
    assert list((tmp_path / "movies").glob("*.gif"))
    assert run(*words) == 0
    assert (tmp_path / "outcomes.jsonl").read_text() == lines


def test_contestants_can_be_chosen_and_settings_are_not_mixed(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--only", "random actions") == 0
    outcomes = [json.loads(line) for line in (tmp_path / "outcomes.jsonl").read_text().splitlines()]
    assert {each["contestant"] for each in outcomes} == {"random actions"}
    capsys.readouterr()
    assert run(*words, "--seed", "5") == 2
    assert "other settings (seed)" in capsys.readouterr().err
    assert run(*words, "--rollouts", "3") == 2  # controls and bounds get the most rollouts: others would stand beside them
    assert "other settings (most_rollouts)" in capsys.readouterr().err
    assert run(*words, "--only", "nobody") == 2
    assert "No contestant" in capsys.readouterr().err


def test_doom_has_no_objects_to_look_for(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words, "--sim", "doom", "--goal", "object") == 2
    assert "hold no objects" in capsys.readouterr().err


@pytest.mark.doom
@pytest.mark.parametrize(
    ("goal", "scorer", "said"),
    [
        ("image", "judge", "reads goals in words. Choose --goal object"),
        ("object", "effnet", "compares pictures. Choose --goal image"),
        ("object", "goal_image", "compares pictures. Choose --goal image"),
    ],
)
def test_scorers_that_cannot_tell_such_goals_apart_are_refused(
    goal: str, scorer: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "closed-loop", "--checkpoint", "fake", "--goal", goal, "--scorer", scorer, "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_doom_is_another_place(words: list[str], tmp_path: Path) -> None:
    assert run(*words, "--sim", "doom", "--only", "random actions") == 0
    report = json.loads((tmp_path / "closed_loop.json").read_text())
    assert report["data"] == "3 missions in the rooms of Doom"
