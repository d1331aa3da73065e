"""`bagel-world eval divergence`: on recorded footage, and in the real house."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.cli import main
from bagel_world.episodes import write_shard
from bagel_world.types import Episode
from bagel_world.world.fake_views import draw_room, move_view


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["eval", "divergence", "--checkpoint", "fake", *(str(each) for each in arguments)])
    return int(stop.value.code or 0)


def walk(number: int) -> Episode:
    frames = [draw_room(number, 64, 64)]
    actions = tuple(action_from_id(each, NAVIGATE_WORDS) for each in np.random.default_rng(number).integers(0, 4, 12).tolist())
    for action in actions:
        frames.append(move_view(frames[-1], action.text))
    return Episode(frames=np.stack(frames), actions=actions, metadata={"episode_id": f"walk-{number}"})


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    write_shard(tmp_path / "footage", 0, [walk(number) for number in range(2)])
    return tmp_path / "footage"


def test_a_recorded_walk(footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("--data", footage, "--episode", "1", "--steps", "6", "--given", "3", "--out", out) == 0
    assert "figures of one walk" in capsys.readouterr().out
    report = json.loads((out / "divergence.json").read_text())
    assert report["setting"]["actions"] == [action.text for action in walk(1).actions[:8]]
    assert report["compute"]["frames_imagined"] == 6
    steps = [row for row in report["rows"] if row["metric"] == "psnr_db" and row["name"].startswith("imagined, step")]
    assert len(steps) == 6
    movie = iio.imread(out / "divergence.mp4", plugin="pyav")
    assert movie.shape == (6, 288, 516, 3)
    real = iio.imread(out / "divergence.gif")[0][32:, :256]
    expected = walk(1).frames[3].repeat(4, axis=0).repeat(4, axis=1)
    assert np.abs(real.astype(int) - expected).mean() < 8  # a palette of 256 colors
    assert iio.imread(out / "divergence_sheet.png").shape[1] > 6 * 128


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--episode", "2"), "--episode 0..1"), (("Stay",), "bring their actions"), (("--given", "13"), "context of 1..12")],
)
def test_what_is_not_there_is_one_sentence(
    words: tuple[str, ...], message: str, footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--data", footage, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.sims
def test_the_real_house_obeys_the_same_words(tmp_path: Path) -> None:
    from bagel_world.sims.house import House

    words = ("Look left", "Look left", "Move forward", "Look right")
    assert run(*words, "--house", "7", "--given", "1", "--out", tmp_path) == 0
    report = json.loads((tmp_path / "divergence.json").read_text())
    assert report["setting"]["actions"] == list(words)
    house = House(split="test")
    house.reset(seed=7)
    frame = [house.step(NAVIGATE_WORDS.index(word))[0] for word in words][-1]
    house.close()
    sheet = iio.imread(tmp_path / "divergence_sheet.png")
    enlarged = frame.repeat(2, axis=0).repeat(2, axis=1)
    corners = np.argwhere((sheet[:-127, :-127] == enlarged[0, 0]).all(axis=-1))
    assert any(np.array_equal(sheet[y : y + 128, x : x + 128], enlarged) for y, x in corners.tolist())
    assert run("--house", "7", "--steps", "3", "--out", tmp_path / "explored") == 0
    explored = json.loads((tmp_path / "explored" / "divergence.json").read_text())
    assert len(explored["setting"]["actions"]) == 4
