from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from bagel_world.errors import RecordingError
from bagel_world.video.sidecar import Word, find_sidecar, read_sidecar, words_between
from tests.video.conftest import source_of

WORDS = (
    Word(start=0.0, end=0.5, text="Move forward"),
    Word(start=0.5, end=1.0, text="Look left"),
    Word(start=2.0, end=math.inf, text="Stay"),
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "start,end,text\n0.5,1.0,Look left\n0,0.5,Move forward\n2.0,,Stay\n"),
        ("a.csv", "\ufeffstart, text, end\n0, Move forward, 0.5\n\n0.5, Look left, 1.0\n2, Stay,\n"),
        (
            "a.json",
            '[{"start": 0, "end": 0.5, "text": "Move forward"}, {"start": 0.5, "end": 1, "text": "Look left"},'
            ' {"start": 2, "text": "Stay"}]',
        ),
    ],
)
def test_words_are_read_in_the_order_of_time(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_sidecar(tmp_path / name).words == WORDS


def test_an_open_end_is_the_next_begin_and_a_license_travels(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"license": "CC0-1.0", "actions": [{"start": 0, "text": "a"}, {"start": 3, "end": 4, "text": "b"}]}')
    found = read_sidecar(path)
    assert found.license == "CC0-1.0"
    assert [(word.start, word.end) for word in found.words] == [(0.0, 3.0), (3.0, 4.0)]


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", ""), ("a.csv", "start,end,text\n"), ("a.json", "[]"), ("a.json", '{"actions": []}')]
)
def test_a_file_without_rows_has_no_words(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_sidecar(tmp_path / name).words == ()


def test_a_text_may_have_any_line_break(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes('start,end,text\r\n0,1,"Pan\nright"\r\n1,2,Pan\u2028left\r\n'.encode())
    assert [word.text for word in read_sidecar(tmp_path / "a.csv").words] == ["Pan\nright", "Pan\u2028left"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "begin,end,what\n0,1,a\n", "start, text is missing"),
        ("a.csv", "start,end,text\n0,soon,a\n", "Row 1"),
        ("a.csv", "start,end,text\n1,1,a\n", "Row 1"),
        ("a.csv", "start,end,text\n0,2,a\n1,3,b\n", "the next begins at 1 s"),
        ("a.csv", "start,end,text\nnan,2,a\n", "Row 1"),
        ("a.json", "{", "cannot be read"),
        ("a.json", '"words"', "list of objects"),
        ("a.json", '[{"start": 0, "text": 3}]', "Row 1"),
        ("a.json", '{"actions": [], "license": 3}', "license in words"),
        ("a.json", "[" * 100_000, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(RecordingError, match=said):
        read_sidecar(tmp_path / name)


def test_bytes_that_are_no_text_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00start")
    with pytest.raises(RecordingError, match="cannot be read"):
        read_sidecar(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (0.0, 0.5, "Move forward"),
        (0.5, 1.0, "Look left"),
        (0.0, 1.0, "Move forward, then Look left"),
        (0.1, 0.4, "Move forward"),
        (1.0, 2.0, ""),
        (2.5, 3.0, "Stay"),
        (0.4, 0.9, "Look left"),
    ],
)
def test_words_between_two_times(start: float, end: float, said: str) -> None:
    assert words_between(WORDS, start, end) == said


def test_files_are_looked_for_beside_films_and_in_folders(tmp_path: Path) -> None:
    film = tmp_path / "walk.mp4"
    film.write_bytes(b"")
    folder = tmp_path / "frames"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "0.png")
    assert find_sidecar(source_of(film)) is None
    assert find_sidecar(source_of(folder)) is None
    for path in (tmp_path / "walk.json", tmp_path / "frames.csv"):
        path.write_text("")
    assert find_sidecar(source_of(film)) == tmp_path / "walk.json"
    assert find_sidecar(source_of(folder)) == tmp_path / "frames.csv"
    (tmp_path / "walk.csv").write_text("")
    (folder / "actions.json").write_text("")
    assert find_sidecar(source_of(film)) == tmp_path / "walk.csv"
    assert find_sidecar(source_of(folder)) == folder / "actions.json"
