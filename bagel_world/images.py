"""Images in and out: frames (uint8 HWC, 0..255) and pixels (float32 CHW, -1..1), and how sizes are chosen.

The only file that knows ranges and channel order. Numpy and Pillow, no torch: a simulator or a data loader can use it
without paying for the model.
"""

from __future__ import annotations

import base64
import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bagel_world.errors import ImageError, OutputError
from bagel_world.types import Frame

Pixels = npt.NDArray[np.float32]
"""An image as the model sees it: float32, shape (3, height, width), RGB, -1..1."""

ImageLike = npt.NDArray[Any] | Image.Image | str | os.PathLike[str] | bytes | bytearray | memoryview
"""What `read_image` takes."""

MAX_IMAGE_PIXELS = 64_000_000
"""Largest image that is decoded, in pixels: a few bytes of file can claim gigabytes of picture."""

MAX_IMAGE_SIDE = 16_384
"""Longest side of an image that is decoded, in pixels."""

# What Pillow's decoders raise for damaged files.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
)

_FLOAT_SLACK = 1e-3  # interpolation overshoots [0, 1] by rounding errors; anything beyond is another range


def read_image(image: ImageLike) -> Frame:
    """The frame in an array, a Pillow image, a file or the bytes of a file.

    Arrays have shape (height, width) or (height, width, channels) with 1 (gray), 3 (RGB) or 4 (RGBA) channels and are uint8,
    bool, uint16 in 0..65535 or float in 0..1. Transparency is put on white. Photos are turned upright where they carry an EXIF
    orientation. Of an animation, the first picture counts.

    Args:
        image: array, Pillow image of any mode, path, or encoded bytes.

    Returns:
        uint8, shape (height, width, 3), RGB; never shares memory with the input.

    Raises:
        ImageError: unreadable, empty, not finite, of a wrong shape, type or range, over `MAX_IMAGE_PIXELS` or `MAX_IMAGE_SIDE`.
    """
    if isinstance(image, np.ndarray):
        return _frame_from_array(image)
    if isinstance(image, Image.Image):
        return _frame_from_picture(image, "the Pillow image")
    if isinstance(image, (bytes, bytearray, memoryview)):
        data = bytes(image)
        return _frame_from_file(io.BytesIO(data), f"the {len(data)} bytes")
    if isinstance(image, (str, os.PathLike)):
        return _frame_from_path(Path(image))
    raise ImageError(
        f"Expected an image as a numpy array, a Pillow image, a path or bytes, got {type(image).__name__}. "
        "A tensor becomes an array with tensor.cpu().numpy()."
    )


def image_size(data: bytes) -> tuple[int, int]:
    """The (width, height) of the picture in the bytes of a file, as its header says; nothing is decoded.

    Raises:
        ImageError: no picture, or one over Pillow's own limit.
    """
    with _opened(io.BytesIO(data), f"the {len(data)} bytes") as picture:
        return picture.width, picture.height


class ResizeRule(BaseModel):
    """How an image of any size becomes one the model can cut into patches, as the published program does it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_side: int = Field(gt=0, description="Longest side after resizing, in pixels; smaller images are not enlarged to it.")
    min_side: int = Field(gt=0, description="Shortest side aimed at, in pixels; a long thin image may end below it.")
    stride: int = Field(gt=0, description="Both sides become a multiple of this, in pixels.")
    max_pixels: int = Field(default=14 * 14 * 9 * 1024, gt=0, description="Area all images of one sample share, in pixels.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.min_side > self.max_side:
            raise ValueError(f"min_side must not exceed max_side, got {self.min_side} > {self.max_side}. Swap or equal them.")
        if self.stride > self.max_side:
            raise ValueError(f"stride must not exceed max_side, got {self.stride} > {self.max_side}. Raise max_side.")
        return self

    def size(self, width: int, height: int, images: int = 1) -> tuple[int, int]:
        """The (width, height) an image of this size is resized to, when `images` of them share a sample.

        Raises:
            ImageError: a side or the number of images is below 1.
        """
        if min(width, height, images) < 1:
            raise ImageError(f"Expected sides and a number of images of at least 1, got {width} x {height}, images={images}.")
        factor = min(self.max_side / max(width, height), 1.0)
        factor = max(factor, self.min_side / min(width, height))
        width, height = self._scale(width, height, factor)
        budget = self.max_pixels / images
        if width * height > budget:
            # The published program takes the ratio of areas as the factor of the sides (no square root); so do we.
            width, height = self._scale(width, height, budget / (width * height))
        if max(width, height) > self.max_side:
            width, height = self._scale(width, height, self.max_side / max(width, height))
        return width, height

    def apply(self, frame: Frame, images: int = 1) -> Frame:
        """The frame at `size`, by Pillow's antialiased bicubic filter; the very same array where the size is already right.

        Raises:
            ImageError: not a frame.
        """
        _check_frame(frame)
        height, width = frame.shape[:2]
        target = self.size(width, height, images)
        if target == (width, height):
            return frame
        return np.array(Image.fromarray(frame).resize(target, Image.Resampling.BICUBIC))

    def _scale(self, width: int, height: int, factor: float) -> tuple[int, int]:
        return self._divisible(round(width * factor)), self._divisible(round(height * factor))

    def _divisible(self, side: int) -> int:
        return max(self.stride, round(side / self.stride) * self.stride)


def to_pixels(frame: Frame) -> Pixels:
    """The frame as the model sees it: float32, channels first, (v / 255 - 0.5) / 0.5, in [-1, 1].

    Leading axes are kept: (..., height, width, 3) becomes (..., 3, height, width).

    Raises:
        ImageError: not uint8 RGB.
    """
    _check_frame(frame, batched=True)
    scaled = (frame.astype(np.float32) / 255.0 - 0.5) / 0.5
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))


def to_frame(pixels: npt.NDArray[np.floating[Any]]) -> Frame:
    """The frame in decoded pixels: clamp(y * 0.5 + 0.5, 0, 1) * 255, truncated to whole numbers as the published program does.

    Leading axes are kept: (..., 3, height, width) becomes (..., height, width, 3).

    Raises:
        ImageError: not floating point, or channels not first.
        OutputError: not finite.
    """
    if not np.issubdtype(pixels.dtype, np.floating) or pixels.ndim < 3 or pixels.shape[-3] != 3:
        raise ImageError(f"Expected float pixels of shape (..., 3, height, width), got {pixels.dtype} {pixels.shape}.")
    if not np.isfinite(pixels).all():
        raise OutputError("Expected finite pixels, got NaN or infinity. The model's output broke: check its weights and dtype.")
    scaled = np.clip(pixels.astype(np.float32) * 0.5 + 0.5, 0.0, 1.0) * 255.0
    return np.ascontiguousarray(np.moveaxis(scaled.astype(np.uint8), -3, -1))


def png_base64(frame: Frame) -> str:
    """A frame as PNG in base64, as messages carry pictures."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def center_crop(frame: Frame, aspect: tuple[int, int]) -> Frame:
    """The largest centered part of the frame that has this aspect, to the nearest pixel.

    Args:
        frame: uint8, shape (height, width, 3).
        aspect: (height, width), any positive numbers in the wanted ratio, such as a frame size.

    Raises:
        ImageError: not a frame, or an aspect that is not positive.
    """
    _check_frame(frame)
    if min(aspect) <= 0:
        raise ImageError(f"Expected an aspect (height, width) of positive numbers, got {aspect!r}.")
    height, width = frame.shape[:2]
    if height * aspect[1] > width * aspect[0]:
        kept_height, kept_width = max(1, round(width * aspect[0] / aspect[1])), width
    else:
        kept_height, kept_width = height, max(1, round(height * aspect[1] / aspect[0]))
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return np.ascontiguousarray(frame[top : top + kept_height, left : left + kept_width])


def fit_image(image: ImageLike, frame_size: tuple[int, int]) -> Frame:
    """Any image as a frame of this size: cropped around its center to the aspect, then resized (bicubic, antialiased).

    Args:
        image: what `read_image` takes.
        frame_size: (height, width) in pixels.

    Raises:
        ImageError: not an image.
    """
    cropped = center_crop(read_image(image), frame_size)
    if cropped.shape[:2] == frame_size:
        return cropped
    height, width = frame_size
    return np.array(Image.fromarray(cropped).resize((width, height), Image.Resampling.BICUBIC))


def _frame_from_array(array: npt.NDArray[Any]) -> Frame:
    if array.ndim == 4:
        raise ImageError(f"Expected one image, got a batch of shape {array.shape}. Pass its images one by one.")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        raise ImageError(
            f"Expected shape (height, width) or (height, width, channels) with 1, 3 or 4 channels, got {array.shape}. "
            "Channels come last."
        )
    _check_size(array.shape[1], array.shape[0], "the array")
    channels = _to_bytes(array).reshape(*array.shape[:2], -1)
    if channels.shape[-1] == 4:
        return _on_white(Image.fromarray(channels))
    return np.array(np.broadcast_to(channels, (*channels.shape[:2], 3)))


def _to_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The values of an image array on the scale 0..255."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return np.round(array / 257.0).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(
            f"Expected values as uint8 (0..255), uint16 (0..65535), bool or float (0..1), got {array.dtype}. "
            "Whole numbers in 0..255 become a frame with array.astype(np.uint8)."
        )
    if not np.isfinite(array).all():
        raise ImageError("Expected finite values, got NaN or infinity. Look at what made this image.")
    low, high = float(array.min()), float(array.max())
    if low < -_FLOAT_SLACK or high > 1.0 + _FLOAT_SLACK:
        raise ImageError(
            f"Expected float values in 0..1, got {low:g}..{high:g}. Divide 0..255 by 255; turn -1..1 into a frame with to_frame."
        )
    return np.round(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)


def _frame_from_path(path: Path) -> Frame:
    try:
        with path.open("rb") as file:
            return _frame_from_file(file, str(path))
    except FileNotFoundError:
        raise ImageError(
            f"Expected an image file, but {str(path)!r} does not exist. Check the path; URLs are not fetched."
        ) from None
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageError(f"Could not open {str(path)!r} as an image file: {error}. Give the path of a readable file.") from error


def _frame_from_file(file: Any, name: str) -> Frame:
    with _opened(file, name) as picture:
        return _frame_from_picture(picture, name)


@contextmanager
def _opened(file: Any, name: str) -> Iterator[Image.Image]:
    """The picture of a file, not decoded yet; what Pillow raises until it is closed becomes an `ImageError`."""
    try:
        with Image.open(file) as picture:
            yield picture
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"Expected an image of at most {MAX_IMAGE_PIXELS} pixels, got more in {name}. Scale it down.") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"Expected an image, but found no picture in {name}. PNG and JPEG are safe.") from error
    except ImageError:
        raise
    except _DECODE_ERRORS as error:
        raise _undecodable(name, error) from error


def _frame_from_picture(picture: Image.Image, name: str) -> Frame:
    _check_size(picture.width, picture.height, name)
    try:
        upright = ImageOps.exif_transpose(picture)
        return _decode(upright)
    except ImageError:
        raise
    except _DECODE_ERRORS as error:
        raise _undecodable(name, error) from error


def _undecodable(name: str, error: Exception) -> ImageError:
    reason = str(error) or type(error).__name__
    return ImageError(f"Could not decode {name}: {reason}. It is closed, damaged or cut short; save it again.")


def _decode(picture: Image.Image) -> Frame:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _decode_deep(picture)
    if picture.has_transparency_data:
        straight = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode, picture.mode)  # premultiplied modes convert only to these
        return _on_white(picture.convert(straight).convert("RGBA"))
    return np.array(picture.convert("RGB"))


def _decode_deep(picture: Image.Image) -> Frame:
    """A gray picture of 16 or 32 bits, which Pillow would clip instead of scale."""
    values = np.array(picture)
    if np.issubdtype(values.dtype, np.integer):
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise ImageError(f"Expected whole numbers in 0..65535, got {low}..{high} (mode {picture.mode}). Scale them first.")
        values = values.astype(np.uint16)
    frame = _frame_from_array(values)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        frame[values == transparent] = 255
    return frame


def _on_white(picture: Image.Image) -> Frame:
    paper = Image.new("RGB", picture.size, (255, 255, 255))
    paper.paste(picture, mask=picture.getchannel("A"))
    return np.array(paper)


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"Expected an image with pixels in it, got {width} x {height} in {name}.")
    if max(width, height) > MAX_IMAGE_SIDE or width * height > MAX_IMAGE_PIXELS:
        raise ImageError(
            f"Expected an image of at most {MAX_IMAGE_PIXELS} pixels and {MAX_IMAGE_SIDE} a side, "
            f"got {width} x {height} in {name}. Scale it down."
        )


def _check_frame(frame: Frame, *, batched: bool = False) -> None:
    right_rank = frame.ndim >= 3 if batched else frame.ndim == 3
    if frame.dtype != np.uint8 or not right_rank or frame.shape[-1] != 3 or 0 in frame.shape:
        wanted = "(..., height, width, 3)" if batched else "(height, width, 3)"
        raise ImageError(f"Expected a uint8 frame of shape {wanted}, got {frame.dtype} {frame.shape}. read_image makes one.")
