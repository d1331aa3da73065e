"""The sample: what the trainer reads, as a list of parts in the order in which the model sees them.

A part is a text (with loss where the model shall learn to say it) or an image. An image is a condition (shown clean through the
VAE, through the ViT, or both), a target (painted from noise), or both: then it is painted first and shown clean behind that, for
what follows.

    a navigation step     image(vae, vit)  text(action)  image(target, vae, vit)  text(action)  image(target)
    an edit               image(vae, vit)  text(action)  image(target)
    text to image         text(caption)  image(target)
    a question            image(vit)  text(question)  text(answer, loss)
    thinking, then acting image(vae, vit)  text(thought, loss)  text(action)  image(target)

A sample knows where it comes from and under which license, so that a mixture of sources stays accountable.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from bagel_world.episodes.schema import encode_png
from bagel_world.errors import RecordingError
from bagel_world.images import MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, read_image
from bagel_world.types import Episode, Frame

Role = Literal["action", "caption", "thought", "question", "answer"]
"""What a text is: what is done (or to be changed), what an image shows, reasoning, and the two sides of a conversation."""

MIN_IMAGE_SIDE = 8
"""Shortest side of an image, in pixels: anything smaller is a placeholder or a mistake."""

MAX_TEXT_LENGTH = 32_768
"""Longest text of a part, in characters; the trainer's limit in tokens comes on top."""

_SETTINGS = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class TextPart(BaseModel):
    """A text, word for word as the model reads or says it (a thought with its `<think>` marks)."""

    model_config = _SETTINGS

    kind: Literal["text"] = "text"
    text: str
    """At least one character; not blank where it has loss."""
    loss: bool = False
    """Whether the model learns to say it. Otherwise it is only read."""
    role: Role

    @model_validator(mode="after")
    def _sayable(self) -> Self:
        if not self.text or (self.loss and not self.text.strip()):
            raise ValueError(f"expected words, got {self.text!r}. Leave the part out, or write what the model shall read or say")
        if len(self.text) > MAX_TEXT_LENGTH:
            raise ValueError(
                f"expected at most {MAX_TEXT_LENGTH} characters, got {len(self.text)} ({self.text[:30]!r}...). Shorten it"
            )
        if not _is_unicode(self.text):
            raise ValueError(f"expected text that can be written as UTF-8, got {self.text[:40]!r}. Retype it")
        return self


class ImagePart(BaseModel):
    """An image as an encoded file (PNG, JPEG, WebP, ...), and what it is for. At least one of the three uses is on."""

    model_config = _SETTINGS

    kind: Literal["image"] = "image"
    image: bytes = Field(repr=False)
    """The bytes of the file."""
    vae: bool = False
    """Shown clean as VAE latents: what later images are painted after."""
    vit: bool = False
    """Shown through the ViT: what is recognised in it."""
    target: bool = False
    """Painted from noise, with loss; where it is also shown, it is shown behind that."""
    time: float | None = None
    """Seconds since the sample began; None where images have no time."""

    @field_validator("image")
    @classmethod
    def _readable(cls, data: bytes) -> bytes:
        width, height = _size(data)
        if min(width, height) < MIN_IMAGE_SIDE:
            raise ValueError(f"expected sides of at least {MIN_IMAGE_SIDE} pixels, got {width} x {height}. Leave the image out")
        if max(width, height) > MAX_IMAGE_SIDE or width * height > MAX_IMAGE_PIXELS:
            raise ValueError(
                f"expected at most {MAX_IMAGE_SIDE} pixels a side and {MAX_IMAGE_PIXELS} in all, got {width} x {height}. "
                "Scale it down"
            )
        return data

    @model_validator(mode="after")
    def _used(self) -> Self:
        if not (self.vae or self.vit or self.target):
            raise ValueError("expected an image that is used: as vae or vit (a condition), as target, or both. Switch one on")
        if self.time is not None and not (math.isfinite(self.time) and self.time >= 0):
            raise ValueError(f"expected a time in seconds of at least 0, got {self.time!r}. Count from the first image")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, as stored in the file's head; the picture itself is not decoded."""
        return _size(self.image)

    def frame(self) -> Frame:
        """The decoded image: uint8, shape (height, width, 3).

        Raises:
            ImageError: the file is damaged behind its head.
        """
        return read_image(self.image)


Part = Annotated[TextPart | ImagePart, Field(discriminator="kind")]


class Sample(BaseModel):
    """One example: parts in sequence order, and where they come from."""

    model_config = _SETTINGS

    sample_id: str = Field(min_length=1)
    """Unique within its source."""
    parts: tuple[Part, ...]
    """What the model sees and learns, in order."""
    source: str = Field(min_length=1)
    """The data set, film or simulator it was made from."""
    license: str = Field(min_length=1)
    """SPDX identifier, or words where there is none ("proprietary", "unknown")."""
    split: str = Field(default="train", min_length=1)
    """train, validation, test, ..."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    """Anything else that is worth keeping, as JSON values."""

    @model_validator(mode="after")
    def _teaches(self) -> Self:
        latest = 0.0
        for place, part in enumerate(self.parts):
            if isinstance(part, ImagePart) and part.time is not None:
                if part.time < latest:
                    raise ValueError(
                        f"part {place} (image) lies at {part.time:g} s, before an earlier part at {latest:g} s. "
                        "Put the parts in the order of time"
                    )
                latest = part.time
        if not (any(part.loss for part in self.texts) or any(part.target for part in self.images)):
            raise ValueError("nothing in it is learned: no part has a text with loss or an image as target. Mark what to learn")
        return self

    @property
    def texts(self) -> tuple[TextPart, ...]:
        """The texts, in order."""
        return tuple(part for part in self.parts if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """The images, in order."""
        return tuple(part for part in self.parts if isinstance(part, ImagePart))


def check_sample(values: Mapping[str, Any]) -> Sample:
    """The sample of plain values (as of JSON or a table row).

    Raises:
        RecordingError: something is wrong; the message names the sample, the part by its place, and the field.
    """
    try:
        return Sample.model_validate(values)
    except ValidationError as error:
        name = values.get("sample_id") or "without an id"
        found = "; ".join(_finding(each) for each in error.errors(include_url=False, include_context=False))
        raise RecordingError(f"Sample {name!r} cannot be used: {found}.") from error


def sample_from_episode(
    episode: Episode,
    *,
    source: str,
    license: str,
    sample_id: str | None = None,
    split: str | None = None,
    start: int = 0,
    frames: int | None = None,
    vit: bool = True,
    question: str | None = None,
    decisions: bool = False,
    seconds_per_step: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Sample:
    """Frames and action words of a walk, every frame but the first also as a target.

    Layout: [question] frame, [thought] action, frame, [thought] action, frame, ... A thought becomes a text with loss,
    "<think>thought</think>action", in front of the plain action that the next frame is painted after: the model learns to decide,
    and a world may as well be told only the action. The last frame is a target alone, as nothing follows it.

    Args:
        episode: the walk; its frames are stored as PNG.
        source: where it comes from.
        license: under which terms.
        sample_id: None makes it from the episode's "episode_id" and the window.
        split: None takes the episode's "split", or "train".
        start: first frame of the window.
        frames: frames in the window; None for all that are left.
        vit: whether frames are shown through the ViT as well.
        question: said before the first frame, for example the goal that the thoughts are about.
        decisions: write a deciding text with loss before every action, the bare action where nobody thought. Otherwise only where
            the episode has a thought.
        seconds_per_step: gives every frame its time; None leaves it out.
        metadata: added to the episode's own.

    Raises:
        RecordingError: the window has fewer than two frames or leaves the episode, or the parts make no valid sample.
    """
    total = len(episode.frames)
    count = total - start if frames is None else frames
    if start < 0 or count < 2 or start + count > total:
        raise RecordingError(
            f"Expected a window of two or more of {total} frames, got {count} from {start}. Record longer or cut shorter."
        )
    name = episode.metadata.get("episode_id", "episode")
    parts: list[TextPart | ImagePart] = [] if question is None else [TextPart(text=question, role="question")]
    for place in range(start, start + count):
        shown = place + 1 < start + count
        image = encode_png(episode.frames[place])
        time = None if seconds_per_step is None else (place - start) * seconds_per_step
        if place > start:
            parts.extend(_step_texts(episode, place - 1, decisions=decisions))
        parts.append(ImagePart(image=image, vae=shown, vit=shown and vit, target=place > start, time=time))
    return check_sample(
        {
            "sample_id": sample_id or f"{name}/{start}-{start + count - 1}",
            "parts": tuple(parts),
            "source": source,
            "license": license,
            "split": split or str(episode.metadata.get("split") or "train"),
            "metadata": {**episode.metadata, **(metadata or {})},
        }
    )


def _step_texts(episode: Episode, place: int, *, decisions: bool) -> Sequence[TextPart]:
    action = TextPart(text=episode.actions[place].text, role="action")
    thought = None if episode.thoughts is None else episode.thoughts[place]
    if thought is not None:
        return TextPart(text=f"<think>{thought.text}</think>{action.text}", loss=True, role="thought"), action
    return (TextPart(text=action.text, loss=True, role="answer"), action) if decisions else (action,)


def _size(data: bytes) -> tuple[int, int]:
    """(width, height) from an image file's head."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = str(error).split(" <")[0] or type(error).__name__
        raise ValueError(f"expected the bytes of an image file, got {len(data)} unreadable bytes ({reason})") from error


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _finding(error: Any) -> str:
    """One finding of pydantic in words: the part by place and kind, the field, what is wrong."""
    place = [str(each) for each in error["loc"]]
    message = error["msg"].removeprefix("Value error, ")
    if place[:1] == ["parts"] and len(place) > 1:
        kind = f" ({place[2]})" if len(place) > 2 else ""
        field = f", {'.'.join(place[3:])}" if len(place) > 3 else ""
        return f"part {place[1]}{kind}{field}: {message}"
    return f"{'.'.join(place)}: {message}" if place else message
