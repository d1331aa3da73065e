"""Pictures: one moment of a film, upright, converted only when somebody looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation
from PIL import Image

from bagel_world.errors import RecordingError
from bagel_world.images import read_image
from bagel_world.types import Frame

_HD_HEIGHT = 720  # films of this height and more that do not name their color matrix are taken as BT.709, as players do
_UNSPECIFIED = 2  # FFmpeg's number for a color matrix that the film does not name


class Picture(Protocol):
    """One picture of a film, upright and with square pixels."""

    @property
    def time(self) -> float:
        """Seconds since the first picture."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        ...

    def frame(self) -> Frame:
        """The picture itself: uint8, shape (height, width, 3), RGB."""
        ...

    def thumbnail(self, width: int, height: int) -> Frame:
        """The picture scaled by averaging, whatever that does to its aspect: uint8, shape (height, width, 3)."""
        ...

    def luma(self) -> npt.NDArray[np.uint8]:
        """Brightness of every pixel: uint8, shape (height, width)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedPicture:
    """A picture as the decoder left it."""

    time: float
    raw: VideoFrame
    turns: int
    """Quarter turns, counter-clockwise, that put it upright."""
    pixel_aspect: Fraction
    """Width of a pixel over its height."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        width, height = self._unturned_size()
        return (height, width) if self.turns % 2 else (width, height)

    def frame(self) -> Frame:
        """The picture itself: uint8, shape (height, width, 3), RGB."""
        return self._rgb(*self._unturned_size(), Interpolation.BICUBIC)

    def thumbnail(self, width: int, height: int) -> Frame:
        """The picture scaled by averaging: uint8, shape (height, width, 3)."""
        return self._rgb(*((height, width) if self.turns % 2 else (width, height)), Interpolation.AREA)

    def luma(self) -> npt.NDArray[np.uint8]:
        """Brightness of every pixel: uint8, shape (height, width)."""
        width, height = self._unturned_size()
        return self._upright(_converted(self.raw, format="gray", width=width, height=height, threads=1))

    def _unturned_size(self) -> tuple[int, int]:
        return max(1, round(self.raw.width * self.pixel_aspect)), self.raw.height

    def _rgb(self, width: int, height: int, interpolation: Interpolation) -> Frame:
        untold = self.raw.colorspace == _UNSPECIFIED and self.raw.height >= _HD_HEIGHT
        translucent = any(component.is_alpha for component in self.raw.format.components) or self.raw.format.has_palette
        pixels = _converted(
            self.raw,
            format="rgba" if translucent else "rgb24",
            width=width,
            height=height,
            interpolation=interpolation,
            src_colorspace=Colorspace.ITU709 if untold else None,
            threads=1,
        )
        return self._upright(read_image(pixels) if translucent else pixels)

    def _upright(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return np.ascontiguousarray(np.rot90(pixels, self.turns))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePicture:
    """A picture from an image file."""

    time: float
    pixels: Frame

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def frame(self) -> Frame:
        """The picture itself: uint8, shape (height, width, 3), RGB."""
        return self.pixels

    def thumbnail(self, width: int, height: int) -> Frame:
        """The picture scaled by averaging: uint8, shape (height, width, 3)."""
        return np.array(Image.fromarray(self.pixels).resize((width, height), Image.Resampling.BOX))

    def luma(self) -> npt.NDArray[np.uint8]:
        """Brightness of every pixel: uint8, shape (height, width)."""
        return np.array(Image.fromarray(self.pixels).convert("L"))


def _converted(raw: VideoFrame, **wanted: Any) -> npt.NDArray[np.uint8]:
    try:
        return np.asarray(raw.to_ndarray(**wanted), dtype=np.uint8)
    except (av.FFmpegError, ValueError, NotImplementedError) as error:
        reason = f"{raw.format.name}: {reason_of(error)}"
        raise RecordingError(f"Its pictures cannot be converted ({reason}). Re-encode it, or leave it out.") from error


def reason_of(error: Exception) -> str:
    """What FFmpeg or Python says, without file names and numbers."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
