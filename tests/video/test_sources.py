from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from bagel_world.errors import RecordingError
from bagel_world.video.sources import find_sources, natural


def image(path: Path, color: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (color, 0, 0)).save(path)
    return path


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["b1.png", "a10.png", "a2.png", "a.png", "a02b.png"]
    assert sorted(map(Path, names), key=natural) == [Path(each) for each in ("a2.png", "a02b.png", "a10.png", "a.png", "b1.png")]


def test_films_and_image_folders_are_found_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mkv", "deep/er/c.gif", "notes.txt", "deep/.hidden.mp4", ".cache/d.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    for place in (10, 9, 100):
        image(tmp_path / "walk" / f"{place}.png")
    found = find_sources([tmp_path, tmp_path / "b.mp4"])
    assert [Path(source.name).relative_to(tmp_path).as_posix() for source in found.sources] == [
        "a.mkv",
        "b.mp4",
        "deep/er/c.gif",
        "walk",
    ]
    assert [path.name for path in found.sources[3].images] == ["9.png", "10.png", "100.png"]
    assert [source.kind for source in found.sources] == ["film", "film", "film", "images"]
    assert found.ignored == {".txt": 1}
    assert found.empty == ()


def test_an_empty_folder_is_said_and_a_missing_path_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = find_sources([tmp_path / "empty"])
    assert found.sources == ()
    assert found.empty == ((str(tmp_path / "empty"), "There is no film or image in this folder. Give one that holds some."),)
    with pytest.raises(RecordingError, match="does not exist"):
        find_sources([tmp_path / "mispelled"])


def test_a_file_that_is_named_counts_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "film.dat"
    path.write_bytes(b"x")
    assert [source.path for source in find_sources([path]).sources] == [path]


def test_a_key_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    a, b, c = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"
    a.write_bytes(bytes(5_000_000))
    shutil.copy(a, b)
    c.write_bytes(bytes(4_999_999) + b"1")
    image(tmp_path / "one/1.png")
    image(tmp_path / "two/1.png")
    image(tmp_path / "three/1.png", color=1)
    keys = {Path(source.name).name: source.key() for source in find_sources([tmp_path]).sources}
    assert keys["a.mp4"] == keys["b.mp4"] != keys["c.mp4"]
    assert keys["one"] == keys["two"] != keys["three"]
    assert {len(key) for key in keys.values()} == {32}
