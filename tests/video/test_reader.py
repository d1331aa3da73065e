from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from bagel_world.errors import RecordingError
from bagel_world.types import Frame
from bagel_world.video.reader import film_seconds, pictures_at, read_pictures
from tests.video.conftest import source_of
from tests.video.films import pan, turned_by, write_film


def read(path: Path, problems: list[str] | None = None) -> list[tuple[float, Frame]]:
    sink = [] if problems is None else problems
    return [(picture.time, picture.frame()) for picture in read_pictures(source_of(path), fps=10.0, problem=sink.append)]


def off(a: Frame, b: Frame) -> float:
    """Mean difference of two frames, 0..255."""
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.gif", "gif")])
def test_every_container_gives_its_pictures_in_time(tmp_path: Path, name: str, codec: str) -> None:
    frames = pan(0, 12)
    pictures = read(write_film(tmp_path / name, frames, fps=10, codec=codec))
    np.testing.assert_allclose([time for time, _ in pictures], np.arange(12) / 10, atol=2e-3)
    assert max(off(a, b) for (_, a), b in zip(pictures, frames, strict=True)) < (20 if codec == "gif" else 6)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_pictures_are_put_upright(tmp_path: Path, degrees: int) -> None:
    frames = pan(1, 4)
    source = source_of(turned_by(write_film(tmp_path / "phone.mp4", frames), degrees))
    for picture, frame in zip(read_pictures(source, fps=1), frames, strict=True):
        upright = np.rot90(frame, -degrees // 90)
        assert picture.size == (upright.shape[1], upright.shape[0])
        assert off(picture.frame(), upright) < 4
        assert picture.thumbnail(10, 20).shape == (20, 10, 3)
        assert picture.luma().shape == upright.shape[:2]
        assert off(picture.luma(), np.asarray(Image.fromarray(np.ascontiguousarray(upright)).convert("L"))) < 4


def test_pixels_become_square(tmp_path: Path) -> None:
    source = source_of(write_film(tmp_path / "wide.mp4", pan(2, 3), pixel_aspect=Fraction(3, 2)))
    picture = next(read_pictures(source, fps=1))
    assert picture.size == (240, 96)
    assert picture.frame().shape == (96, 240, 3)


@pytest.mark.parametrize("matrix", [1, 5])
def test_the_color_matrix_that_a_film_names_is_used(tmp_path: Path, matrix: int) -> None:
    """1 is BT.709, 5 is BT.601: taking one for the other turns saturated greens by more than ten steps."""
    color = np.tile(np.array([30, 200, 60], dtype=np.uint8), (64, 64, 1))
    path = tmp_path / "green.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "1", "colormatrix": {1: "bt709", 5: "bt470bg"}[matrix]}
        stream.codec_context.colorspace = matrix
        picture = av.VideoFrame.from_ndarray(color, format="rgb24").reformat(format="yuv420p", dst_colorspace=matrix)
        picture.colorspace = matrix
        container.mux(stream.encode(picture))
        container.mux(stream.encode())
    ((_, frame),) = read(path)
    assert off(frame, color) < 3


def test_variable_rates_keep_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.5, 0.6, 1.7]
    pictures = read(write_film(tmp_path / "phone.mp4", pan(3, 6), times=times))
    np.testing.assert_allclose([time for time, _ in pictures], times, atol=1e-3)


def test_a_stream_without_times_is_counted(tmp_path: Path) -> None:
    path = write_film(tmp_path / "bare.h264", pan(4, 20))
    times = np.array([time for time, _ in read(path)])
    assert len(times) == 20
    np.testing.assert_allclose(np.diff(times), times[1] - times[0])
    assert film_seconds(source_of(path), fps=1.0) is None


def test_a_film_may_change_its_size(tmp_path: Path) -> None:
    small, large = write_film(tmp_path / "a.h264", pan(5, 10)), write_film(tmp_path / "b.h264", pan(5, 10, size=(200, 120)))
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    pictures = read(both)
    assert [frame.shape for _, frame in pictures] == [(96, 160, 3)] * 10 + [(120, 200, 3)] * 10
    assert all(a < b for (a, _), (b, _) in pairwise(pictures))


def test_what_is_left_of_a_truncated_film_is_read(tmp_path: Path) -> None:
    path = write_film(tmp_path / "whole.mp4", pan(6, 96), options={"movflags": "faststart"})
    whole = read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    part = read(path)
    assert 10 < len(part) < 96
    assert all(off(a, b) == 0 for (_, a), (_, b) in zip(part[:10], whole[:10], strict=True))


def test_a_film_goes_on_at_the_next_key_frame_behind_damage(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", pan(11, 96), gop=24)
    whole = read(path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        start, length = packets[30].pos, packets[30].size
    data = bytearray(path.read_bytes())
    assert start is not None
    data[start : start + length] = b"\xff" * length
    path.write_bytes(data)
    problems: list[str] = []
    times = [round(time * 24) for time, _ in read(path, problems)]
    assert problems == ["Damaged packets are passed over (1), each up to the next key frame."]
    assert set(range(24)) <= set(times)
    assert not set(range(36, 48)) & set(times)
    assert set(range(48, 96)) <= set(times)
    assert len(whole) == 96


@pytest.mark.parametrize("content", [b"", b"not a film at all" * 100])
def test_what_is_no_film_is_said_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="cannot be opened as a film"):
        read(path)


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(RecordingError, match="no pictures"):
        read(path)


def test_a_folder_of_images_is_a_film(tmp_path: Path) -> None:
    frames = pan(7, 12)
    for place, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame{place}.png")
    (tmp_path / "frame3.png").write_bytes(b"damaged")
    problems: list[str] = []
    pictures = read(tmp_path, problems)
    kept = [place for place in range(12) if place != 3]
    assert [time for time, _ in pictures] == [place / 10 for place in kept]
    assert all(np.array_equal(frame, frames[place]) for (_, frame), place in zip(pictures, kept, strict=True))
    (problem,) = problems
    assert "frame3.png is passed over" in problem
    assert film_seconds(source_of(tmp_path), fps=10.0) == 1.2
    nearest = [picture and picture.time for picture in pictures_at(source_of(tmp_path), [0.04, 0.26, 0.3, 9.0], fps=10.0)]
    assert nearest == [0.0, None, None, 1.1]


def test_the_nearest_pictures_are_found(tmp_path: Path) -> None:
    source = source_of(write_film(tmp_path / "a.mp4", pan(8, 48)))
    times = [0.0, 0.019, 0.022, 1.0, 1.0, 1.4, 99.0]
    found = [picture.time for picture in pictures_at(source, times, fps=1.0) if picture]
    np.testing.assert_allclose(found, [0, 0, 1 / 24, 1, 1, 34 / 24, 47 / 24], atol=1e-4)


@pytest.mark.parametrize("name", ["long.mp4", "long.h264", "long.mkv"])
def test_jumping_ahead_finds_the_same_pictures(tmp_path: Path, name: str) -> None:
    source = source_of(write_film(tmp_path / name, pan(9, 600), fps=12))
    everything = list(read_pictures(source, fps=1.0))
    last = everything[-1].time
    times = [0.5, 17.0, 17.1, last - 2.0, last]
    expected = [min(everything, key=lambda picture: abs(picture.time - time)) for time in times]
    found = list(pictures_at(source, times, fps=1.0))
    for picture, wanted in zip(found, expected, strict=True):
        assert picture is not None
        assert picture.time == pytest.approx(wanted.time, abs=1e-6)
        assert np.array_equal(picture.frame(), wanted.frame())
