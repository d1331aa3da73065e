"""Small made-up samples for the tests of this room and of training."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from bagel_world.episodes.samples import ImagePart, Sample, TextPart


def picture(number: int, size: tuple[int, int] = (16, 12), kind: str = "PNG") -> bytes:
    """An image file of random pixels; size is (width, height)."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


def walk_sample(number: int = 0, *, split: str = "train", source: str = "tests", license: str = "CC0-1.0") -> Sample:
    """Frame, action, frame, thought, action, frame."""
    first, second, third = (picture(3 * number + each) for each in range(3))
    return Sample(
        sample_id=f"walk-{number}",
        source=source,
        license=license,
        split=split,
        parts=(
            ImagePart(image=first, vae=True, vit=True, time=0.0),
            TextPart(text="Move forward", role="action"),
            ImagePart(image=second, vae=True, vit=True, target=True, time=0.5),
            TextPart(text="<think>Zurück?</think>Look left", role="thought", loss=True),
            TextPart(text="Look left", role="action"),
            ImagePart(image=third, target=True, time=1.0),
        ),
        metadata={"seed": number, "nested": {"a": [1, None, "ü"]}},
    )
