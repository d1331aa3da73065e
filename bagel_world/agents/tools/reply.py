"""Reply: what a tool answers: words for the model, pictures for whoever can see, facts for programs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

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

    def base64(self, side: int) -> str:
        """The frame as PNG in base64.

        Args:
            side: a longer side than this is scaled down to it; nothing is enlarged.
        """
        image = Image.fromarray(self.frame)
        if max(image.size) > side:
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        return base64.b64encode(buffer.getvalue()).decode("ascii")


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
