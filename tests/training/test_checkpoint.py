from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bagel_world.errors import TrainingError
from bagel_world.training import checkpoint
from bagel_world.training.checkpoint import load_state, part_of, save_state, states


def test_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    tensors = {"weights/a": torch.randn(3, 4), "optimizer/a": torch.tensor(3.0)}
    save_state(tmp_path, 7, tensors, {"updates": 5})
    found = load_state(tmp_path)
    assert found is not None
    step, loaded, facts = found
    assert step == 7
    assert facts["updates"] == 5
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert part_of(loaded, "weights/").keys() == {"a"}


def test_only_the_last_states_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    for step in (1, 2, 30):
        save_state(tmp_path, step, {"x": torch.tensor([float(step)])}, {})
    assert [path.name for path in states(tmp_path)] == ["state-00000002", "state-00000030"]
    found = load_state(tmp_path)
    assert found is not None
    assert found[1]["x"].item() == 30


def test_as_many_states_stay_as_are_asked_for_and_those_of_before_are_found(tmp_path: Path) -> None:
    for step in range(5):
        save_state(tmp_path, step, {"x": torch.ones(1)}, {}, keep=3)
    assert [path.name for path in states(tmp_path)] == ["state-00000002", "state-00000003", "state-00000004"]
    assert [path.name for path in states(tmp_path, 3)] == ["state-00000002", "state-00000003"]
    assert states(tmp_path, 1) == []


def test_no_state_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None


def test_a_full_disk_keeps_the_last_good_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, 1, {"x": torch.ones(1)}, {})

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", refuse)
    with pytest.raises(TrainingError, match=r"step 2 .*No space left.*state-00000001"):
        save_state(tmp_path, 2, {"x": torch.ones(1)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000001"]


def test_what_a_killed_save_left_is_swept_away_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".unfinished-state-00000003"
    left.mkdir()
    (left / "tensors.safetensors").write_bytes(b"half")
    assert load_state(tmp_path) is None
    save_state(tmp_path, 4, {"x": torch.ones(1)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000004"]


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    folder = save_state(tmp_path, 4, {"x": torch.ones(1)}, {})
    (folder / "tensors.safetensors").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="state-00000004"):
        load_state(tmp_path)
