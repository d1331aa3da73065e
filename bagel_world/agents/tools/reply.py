"""Reply: what a tool answers: words for the model, pictures for whoever can see, facts for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from bagel_world.images import png_base64
from bagel_world.types import Frame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A frame and what it shows.

    Attributes:
        label: one line.
        frame: uint8, shape (height, width, 3).
    """

    label: str
    frame: Frame

    def within(self, side: int) -> Picture:
        """The picture whose longer side is at most this; nothing is enlarged."""
        if max(self.frame.shape[:2]) <= side:
            return self
        image = Image.fromarray(self.frame)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        return Picture(label=self.label, frame=np.asarray(image))

    @property
    def base64(self) -> str:
        """The frame as PNG in base64."""
        return png_base64(self.frame)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reply:
    """What a tool answers.

    Attributes:
        text: for a language model; says everything that the pictures do not.
        pictures: frames, in the order that the text numbers them.
        facts: JSON values for programs; the same that the text says.
    """

    text: str
    pictures: tuple[Picture, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
