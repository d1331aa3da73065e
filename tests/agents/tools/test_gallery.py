"""What a session may read: files in its folders, whatever a caller writes."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bagel_world.agents.tools.gallery import Gallery
from bagel_world.errors import AccessError, ConfigError, ImageError

RED = (200, 30, 20)


def save(path: Path, color: tuple[int, int, int] = RED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), color).save(path)
    return path


def claim(path: Path, width: int, height: int) -> Path:
    """A PNG whose header claims this size and that holds not one row of it: decoding it fails, reading its header does not."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "open" / "duck.png")
    save(tmp_path / "open" / "deep" / "cup.png")
    save(tmp_path / "secret" / "key.png")
    return tmp_path / "open"


@pytest.fixture
def gallery(folder: Path) -> Gallery:
    return Gallery([folder], max_pixels=16_000_000)


@pytest.mark.parametrize("name", ["duck.png", "deep/cup.png", "deep/../duck.png", "./duck.png"])
def test_pictures_inside_are_opened(gallery: Gallery, name: str) -> None:
    np.testing.assert_array_equal(gallery.open(name), np.full((3, 4, 3), RED, dtype=np.uint8))


def test_a_whole_path_inside_is_opened(gallery: Gallery, folder: Path) -> None:
    assert gallery.open(str(folder / "duck.png")).shape == (3, 4, 3)


@pytest.mark.parametrize(
    "name",
    [
        "../secret/key.png",
        "deep/../../secret/key.png",
        "../open/../secret/key.png",
        "/etc/passwd",
        "..",
        ".",
        "",
        "duck.png\0.txt",
        "~",
    ],
)
def test_nothing_outside_is_read(gallery: Gallery, name: str) -> None:
    with pytest.raises(AccessError):
        gallery.open(name)


def test_whether_something_exists_outside_is_not_told(gallery: Gallery) -> None:
    words = []
    for name in ("../secret/key.png", "../secret/nob.png"):
        with pytest.raises(AccessError) as caught:
            gallery.open(name)
        words.append(str(caught.value).replace(name, "NAME"))
    assert words[0] == words[1]


def test_a_link_out_of_the_folder_is_not_followed(gallery: Gallery, folder: Path) -> None:
    (folder / "link.png").symlink_to(folder.parent / "secret" / "key.png")
    (folder / "way").symlink_to(folder.parent / "secret", target_is_directory=True)
    for name in ("link.png", "way/key.png", str(folder / "way" / "key.png")):
        with pytest.raises(AccessError, match="There is no picture"):
            gallery.open(name)


def test_a_link_within_the_folder_is_followed(gallery: Gallery, folder: Path) -> None:
    (folder / "alias.png").symlink_to(folder / "duck.png")
    np.testing.assert_array_equal(gallery.open("alias.png"), gallery.open("duck.png"))


def test_a_link_to_itself_ends(gallery: Gallery, folder: Path) -> None:
    (folder / "loop.png").symlink_to(folder / "loop.png")
    with pytest.raises(AccessError):
        gallery.open("loop.png")


def test_a_neighbor_whose_name_begins_alike_is_outside(folder: Path) -> None:
    save(folder.parent / "opened" / "other.png")
    with pytest.raises(AccessError):
        Gallery([folder], max_pixels=100).open("../opened/other.png")


@pytest.mark.parametrize(
    "address",
    [
        "http://a.example/x.png",
        "https://a.example",
        "FILE:///etc/passwd",
        "s3://b/x.png",
        " ftp://x/y",
        "data:image/png;base64,AA",
        "www.a.example",
    ],
)
def test_addresses_are_refused_in_words(gallery: Gallery, address: str) -> None:
    with pytest.raises(AccessError, match="Addresses are not fetched") as caught:
        gallery.open(address)
    assert "duck.png" in str(caught.value)


def test_fifty_megapixels_are_refused_before_they_are_decoded(gallery: Gallery, folder: Path) -> None:
    claim(folder / "huge.png", 10_000, 5_000)
    with pytest.raises(ImageError, match="10000 x 5000 = 50000000"):
        gallery.open("huge.png")


def test_a_claim_of_gigapixels_is_refused(gallery: Gallery, folder: Path) -> None:
    claim(folder / "giga.png", 40_000, 40_000)
    with pytest.raises(ImageError, match="Scale it down"):
        gallery.open("giga.png")


def test_the_limit_itself_is_allowed(folder: Path) -> None:
    assert Gallery([folder], max_pixels=12).open("duck.png").shape == (3, 4, 3)
    with pytest.raises(ImageError, match="at most 11 pixels, got 4 x 3 = 12"):
        Gallery([folder], max_pixels=11).open("duck.png")


def test_what_is_no_picture_is_said_to_be_none(gallery: Gallery, folder: Path) -> None:
    (folder / "text.png").write_text("not a picture")
    with pytest.raises(ImageError, match=r"'text.png' cannot be opened.*no picture"):
        gallery.open("text.png")
    with pytest.raises(AccessError, match="no picture 'deep'"):
        gallery.open("deep")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_does_not_hang(gallery: Gallery, folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(AccessError, match=r"no picture 'pipe.png'"):
        gallery.open("pipe.png")


def test_a_misspelled_name_gets_a_hint(gallery: Gallery) -> None:
    with pytest.raises(AccessError, match=r"Did you mean .duck\.png."):
        gallery.open("dukc.png")


def test_endless_names_are_cut_in_the_words(gallery: Gallery) -> None:
    with pytest.raises(AccessError) as caught:
        gallery.open("x" * 100_000)
    assert len(str(caught.value)) < 400


def test_without_folders_nothing_is_opened(folder: Path) -> None:
    with pytest.raises(AccessError, match="given no folders"):
        Gallery(max_pixels=100).open(str(folder / "duck.png"))


def test_a_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Expected a folder"):
        Gallery([tmp_path / "nowhere"], max_pixels=100)
