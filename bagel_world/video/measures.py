"""What is measured on pictures: brightness, colors, structure, blur, black borders, perceptual hashes. Pure numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from bagel_world.types import Frame

Floats = npt.NDArray[np.float32]

HASH_SIDE = 16
HASH_WORDS = HASH_SIDE * HASH_SIDE // 64
"""64-bit words in a perceptual hash."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_BINS = 5  # per channel of the joint color histogram
_GAMMA = 0.6  # spreads dark values, so that dark films have more than one color
_NOISE = 1e-3  # variance per pixel that keeps flat pictures from correlating
_BLUR_REACH = 11  # pixels of the blur that a picture is compared with
_ROUGHNESS = 1.5  # brightness, 0..255
_FLAT = 8.0  # spread of brightness below which a picture shows nothing
_DCT_SIDE = 32


def brightness(pictures: npt.NDArray[np.uint8]) -> Floats:
    """Luma of RGB pictures: shape (..., height, width), 0..255."""
    return pictures.astype(np.float32) @ _LUMA


def color_histogram(picture: Frame) -> Floats:
    """Shares of 5 x 5 x 5 colors; shape (125,), sums to 1."""
    parts = _BIN_OF[picture].reshape(-1, 3)
    counts = np.bincount((parts[:, 0] * _BINS + parts[:, 1]) * _BINS + parts[:, 2], minlength=_BINS**3)
    return (counts / len(parts)).astype(np.float32)


def color_distance(a: Floats, b: Floats) -> float:
    """How much of one histogram would have to move to make the other: 0 equal, 1 nothing in common."""
    return float(0.5 * np.abs(a - b).sum())


def structure_distance(a: Floats, b: Floats) -> float:
    """How badly one picture matches the other at the best shift: 0 for equal or shifted pictures, 1 for unrelated ones.

    One minus the correlation of brightness where both overlap, at about the shift that correlates best; shifts reach a third of
    the width and of the height. A pan is a shift; a change of light does not change the correlation.

    Args:
        a: brightness, shape (height, width).
        b: the same shape.
    """
    dy, dx = _best_shift(a - a.mean(), b - b.mean())
    height, width = a.shape
    overlap_a = a[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    overlap_b = b[max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
    return float(np.clip(1.0 - max(_correlation(overlap_a, overlap_b), _correlation(a, b)), 0.0, 1.0))


def blur(luma: npt.NDArray[np.uint8]) -> float:
    """How blurred a picture is: 0 sharp, 1 no detail at all; 0 for a flat one, which has nothing to be blurred.

    How little changes when it is blurred once more, by F. Crete et al., "The blur effect: perception and estimation with a
    new no-reference perceptual blur metric", 2007. Contrast and brightness matter little.

    Args:
        luma: shape (height, width); the measure depends on the size, so compare pictures of about one size.
    """
    values = luma.astype(np.float32)
    if min(values.shape) <= _BLUR_REACH or float(values.std()) < _FLAT:
        return 0.0
    worst = 0.0
    for axis in (0, 1):
        sums = np.cumsum(values, axis=axis, dtype=np.float64)
        ahead, behind = (np.take(sums, range(*part), axis=axis) for part in _windows(values.shape[axis]))
        again = (ahead - behind) / _BLUR_REACH
        inner = np.take(values, range(_BLUR_REACH // 2 + 1, _BLUR_REACH // 2 + 1 + again.shape[axis]), axis=axis)
        change_again = np.abs(np.diff(again, axis=axis))
        # The steps of rounding and of a codec's blocks are no detail.
        change = np.maximum(np.abs(np.diff(inner, axis=axis)) - _ROUGHNESS, 0.0)
        lost = float(np.maximum(change - change_again, 0.0).sum())
        worst = max(worst, 1.0 - lost / max(float(change.sum()), 1e-6))
    return worst


def content_box(luma: npt.NDArray[np.uint8], black_level: int) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) of what lies inside black borders, ends excluded; None for a black picture."""
    rows = np.flatnonzero(luma.max(axis=1) > black_level)
    columns = np.flatnonzero(luma.max(axis=0) > black_level)
    if not len(rows) or not len(columns):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def perceptual_hash(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """256 bits that pictures which look alike share: shape (4,).

    The signs, against their median, of the 16 x 16 slowest cosines of the picture at 32 x 32 pixels, the mean left out.
    """
    small = np.asarray(Image.fromarray(luma).resize((_DCT_SIDE, _DCT_SIDE), Image.Resampling.BOX), dtype=np.float32)
    slow = (_COSINES @ small @ _COSINES.T).ravel()
    bits = slow > np.median(slow[1:])
    bits[0] = False
    return np.packbits(bits).view(np.uint64)


def color_print(picture: Frame) -> npt.NDArray[np.uint8]:
    """Mean colors of the four quarters: uint8, shape (12,). Tells pictures of one structure and other colors apart."""
    return np.asarray(Image.fromarray(picture).resize((2, 2), Image.Resampling.BOX)).reshape(12)


def _best_shift(a: Floats, b: Floats) -> tuple[int, int]:
    """(dy, dx) such that b[y + dy, x + dx] looks like a[y, x]."""
    height, width = a.shape
    padded = (2 * height, 2 * width)
    product = np.conj(np.fft.rfft2(a, padded)) * np.fft.rfft2(b, padded)
    likeness = np.fft.irfft2(product, padded)
    reach_y, reach_x = height // 3, width // 3
    rows, columns = np.arange(-reach_y, reach_y + 1), np.arange(-reach_x, reach_x + 1)
    overlap = (height - np.abs(rows))[:, None] * (width - np.abs(columns))[None]
    # The root prefers larger overlaps a little: a thin strip correlates with anything.
    window = likeness[np.ix_(rows, columns)] / np.sqrt(overlap)
    row, column = np.unravel_index(int(np.argmax(window)), window.shape)
    return int(rows[row]), int(columns[column])


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (np.sqrt(float((a * a).sum()) * float((b * b).sum())) + _NOISE * a.size))


def _windows(length: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Places of the running sums whose difference is a moving sum over `_BLUR_REACH` values."""
    return (_BLUR_REACH, length), (0, length - _BLUR_REACH)


def _cosines() -> Floats:
    places, waves = np.arange(_DCT_SIDE), np.arange(HASH_SIDE)[:, None]
    return np.cos(np.pi * (2 * places + 1) * waves / (2 * _DCT_SIDE)).astype(np.float32)


_COSINES = _cosines()
_BIN_OF = np.minimum((np.arange(256) / 255.0) ** _GAMMA * _BINS, _BINS - 1).astype(np.int32)
