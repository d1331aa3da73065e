from __future__ import annotations

import os
from pathlib import Path

import pytest

from bagel_world.files import replace_text, replacing


def test_a_text_replaces_another_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "facts.json"
    replace_text(path, "one")
    replace_text(path, "two \u00e9")
    assert path.read_text(encoding="utf-8") == "two \u00e9"
    assert os.listdir(path.parent) == ["facts.json"]


def test_what_was_there_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "facts.json"
    replace_text(path, "one")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("write_text", "mkdir"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, refuse)
            with pytest.raises(OSError, match="No space left"):
                replace_text(path, "two")
        assert path.read_text() == "one"


def test_bytes_take_the_name_when_all_are_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "shard"
    for content in (b"one", b"two"):
        with replacing(path) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"one"
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["shard"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_bytes_alone(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "shard"
    path.write_bytes(b"one")

    def stop() -> None:
        with replacing(path) as file:
            file.write(b"half of tw")
            raise error

    with pytest.raises(type(error)):
        stop()
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["shard"]
