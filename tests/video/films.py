"""Films for tests: pictures with colors and structure at many scales, moving as a camera would, written by PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageFilter

from bagel_world.types import Frame

SIZE = (160, 96)
"""(width, height) of most films here."""


def photo(seed: int, width: int = 480, height: int = 288) -> Image.Image:
    """A picture of its own: a tone, noise at many scales, and shapes with edges."""
    random = np.random.default_rng(seed)
    values = np.tile(random.uniform(40, 215, 3), (height, width, 1))
    for cells in (2, 4, 8, 16, 32, 64):
        noise = random.uniform(0, 255, (max(1, cells * height // width), cells, 3)).astype(np.uint8)
        layer = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
        values += (layer - 127.5) * 0.9 / np.log2(cells * 2)
    for _ in range(60):
        x, y, wide, high = random.uniform(0, 1, 4) * (width, height, width / 6, height / 4)
        values[int(y) : int(y + high), int(x) : int(x + wide)] += random.uniform(-70, 70, 3)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def pan(seed: int, count: int, step: float = 2.0, size: tuple[int, int] = SIZE) -> list[Frame]:
    """A camera that moves by `step` pixels a frame over a photo, and back at its end."""
    picture = photo(seed)
    room = picture.width - size[0]
    frames = []
    for place in range(count):
        x = room - abs((place * step) % (2 * room) - room)
        frames.append(np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=(x, 40, x + size[0], 40 + size[1]))))
    return frames


def zoom(seed: int, count: int, rate: float = 0.99, size: tuple[int, int] = SIZE) -> list[Frame]:
    """A camera that comes closer."""
    picture = photo(seed)
    frames = []
    for place in range(count):
        width, height = picture.width * rate**place, picture.height * rate**place
        x, y = (picture.width - width) / 2, (picture.height - height) / 2
        frames.append(np.asarray(picture.resize(size, Image.Resampling.BOX, box=(x, y, x + width, y + height))))
    return frames


def faded(frames: Sequence[Frame], start: float, end: float) -> list[Frame]:
    """Frames whose light goes from one share to another."""
    shares = np.linspace(start, end, len(frames))
    return [(frame * share).astype(np.uint8) for frame, share in zip(frames, shares, strict=True)]


def mixed(before: Sequence[Frame], after: Sequence[Frame]) -> list[Frame]:
    """A cross-fade from one row of frames to another, equally long."""
    shares = np.linspace(0, 1, len(before) + 2)[1:-1]
    return [(a * (1 - x) + b * x).astype(np.uint8) for a, b, x in zip(before, after, shares, strict=True)]


def blurry(frames: Iterable[Frame], sigma: float = 8.0) -> list[Frame]:
    """Frames out of focus."""
    return [np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(sigma))) for frame in frames]


def boxed(frames: Iterable[Frame], top: int = 0, bottom: int = 0, left: int = 0, right: int = 0) -> list[Frame]:
    """Frames with black borders around them."""
    return [np.pad(frame, ((top, bottom), (left, right), (0, 0))) for frame in frames]


def black(count: int, size: tuple[int, int] = SIZE) -> list[Frame]:
    """Frames without light."""
    return [np.zeros((size[1], size[0], 3), dtype=np.uint8)] * count


def write_film(
    path: Path,
    frames: Sequence[Frame],
    *,
    fps: int = 24,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    crf: int = 16,
    gop: int = 250,
    pixel_aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode frames; `times` in seconds where they do not come at one rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"fflags": "+bitexact", **(options or {})}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p" if codec != "gif" else "rgb8"
        if codec == "libx264":
            stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "g": str(gop)}
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if times is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for place, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if times is not None:
                picture.pts, picture.time_base = round(times[place] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def turned_by(path: Path, degrees: int) -> Path:
    """Mark an mp4 as to be shown turned clockwise, as phones do: the matrix in its track header."""
    data = bytearray(path.read_bytes())
    sine, cosine = {90: (1, 0), 180: (0, -1), 270: (-1, 0)}[degrees]
    matrix = np.array([cosine, sine, 0, -sine, cosine, 0, 0, 0, 0x4000], dtype=np.int64) * 0x10000
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    data[place : place + 36] = matrix.astype(">i4").tobytes()
    path.write_bytes(bytes(data))
    return path
