"""`bagel-world eval calibration`: on recorded footage, with a table and a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.cli import main
from bagel_world.episodes import write_shard
from bagel_world.types import Episode
from bagel_world.world.fake_views import draw_room, move_view


def walk(number: int) -> Episode:
    frames = [draw_room(number, 64, 64)]
    actions = tuple(action_from_id(each, NAVIGATE_WORDS) for each in np.random.default_rng(number).integers(0, 4, 12).tolist())
    for action in actions:
        frames.append(move_view(frames[-1], action.text))
    rng = np.random.default_rng(number)  # as a camera: no two pictures of a view are equal
    shown = (np.stack(frames) // 4 * 4 + rng.integers(0, 3, (len(frames), 64, 64, 3))).astype(np.uint8)
    return Episode(frames=shown, actions=actions, metadata={"episode_id": f"walk-{number}"})


def test_a_report_with_every_scorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shard(tmp_path / "footage", 0, [walk(number) for number in range(4)])
    words = [
        "eval",
        "calibration",
        "--checkpoint",
        "fake",
        "--data",
        str(tmp_path / "footage"),
        "--n",
        "16",
        "--out",
        str(tmp_path),
    ]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code in (0, None)
    report = json.loads((tmp_path / "calibration.json").read_text())
    values = {(row["metric"], row["name"]): row for row in report["rows"]}
    assert values["auc", "goal_image, real frames"]["value"] == 1.0
    assert values["auc", "random, imagined frames"]["n"] == 16
    assert report["setting"]["steps"] == 3
    assert "--n 16" in report["command"]
    assert "success_accuracy" in capsys.readouterr().out
