"""`bagel-world replay`: equal episodes, others, and those that cannot be replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from bagel_world.cli import main
from bagel_world.world.fake import FakeWorld
from bagel_world.world.record import load_episode, save_episode
from bagel_world.world.rollout import rollout
from bagel_world.world.weights import shipped
from tests.model.folder import write_folder

WORDS = ("Look left", "Move forward", "open the [door]")


def call(*words: str | Path) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code or 0


def rewrite(folder: Path, change: Any) -> None:
    """The episode's JSON with its provenance changed."""
    content = json.loads((folder / "episode.json").read_text())
    change(content["metadata"]["provenance"])
    (folder / "episode.json").write_text(json.dumps(content))


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    world = FakeWorld(seed=3, max_frames=4)
    return save_episode(tmp_path / "walk", rollout(world, world.observe(world.starts[1].frames[0]), WORDS, seed=2))


def test_an_equal_episode_exits_with_0(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("replay", walk, "--out", tmp_path / "again") == 0
    shown = capsys.readouterr().out
    assert "All 4 frames are equal" in shown
    assert "Not as recorded" not in shown
    np.testing.assert_array_equal(load_episode(tmp_path / "again").frames, load_episode(walk).frames)


def test_a_frame_that_differs_exits_with_1(walk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = walk / "frames" / "0003.png"
    frame = iio.imread(path)
    frame[5, 6, 1] ^= 4
    iio.imwrite(path, frame)
    assert call("replay", walk) == 1
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if "open the [door]" in line]
    assert line.split()[1] == "3"
    assert "0.01 %" in line
    assert " 4 " in line
    assert "1 of 4 frames differ. Weights, settings and versions are as recorded" in shown


def test_other_versions_with_equal_frames_are_told_and_exit_with_0(walk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(walk, lambda provenance: provenance["world"].update(versions={"bagel_world": "0.0.1"}))
    assert call("replay", walk) == 0
    assert "versions.bagel_world was '0.0.1', is None" in capsys.readouterr().out


def test_what_cannot_be_replayed_is_one_sentence(walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = save_episode(tmp_path / "real", FakeWorld().starts[0])
    rewrite(walk, lambda provenance: provenance.pop("start"))
    for folder, message in (
        (real, "Only what a world imagined can be replayed"),
        (walk, "start: Field required"),
        (tmp_path / "missing", "Expected a saved episode"),
    ):
        assert call("replay", folder) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_other_weights_show_other_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "own.png"
    iio.imwrite(picture, np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    weights = [write_folder(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    walk = tmp_path / "walk"
    assert call("rollout", *WORDS, "--image", picture, "--checkpoint", weights[0], "--out", walk) == 0
    assert call("replay", walk) == 0
    assert "All 4 frames are equal" in capsys.readouterr().out
    assert call("replay", walk, "--checkpoint", weights[1]) == 1
    shown = capsys.readouterr().out
    assert "Not as recorded: weights was" in shown
    assert "3 of 4 frames differ" in shown


@pytest.mark.skipif("nano" not in shipped(), reason="the checkpoint nano is not in the package")
def test_the_shipped_world_replays_bit_for_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("rollout", *["Look left"] * 2, *["Move forward"] * 8, "--out", tmp_path) == 0
    assert call("replay", tmp_path) == 0
    assert "All 11 frames are equal" in capsys.readouterr().out


def test_weights_without_a_name_are_asked_for(walk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def forget(provenance: Any) -> None:
        provenance["world"] = {"weights": "of somebody"}
        provenance.pop("checkpoint", None)

    if "nano" not in shipped():
        pytest.skip("the checkpoint nano is not in the package")
    rewrite(walk, forget)
    assert call("replay", walk) == 2
    assert "--checkpoint" in capsys.readouterr().err
