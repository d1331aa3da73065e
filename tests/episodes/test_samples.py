"""The sample format: what it accepts, what it refuses and in which words, and samples made of episodes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from bagel_world.episodes.samples import MAX_TEXT_LENGTH, ImagePart, Sample, TextPart, check_sample, sample_from_episode
from bagel_world.errors import ImageError, RecordingError
from bagel_world.types import Action, Episode, Thought
from tests.episodes.drawn import picture, walk_sample

IMAGE: dict[str, Any] = {"kind": "image", "image": picture(0), "vae": True}
TARGET: dict[str, Any] = {"kind": "image", "image": picture(1), "target": True}
WORDS: dict[str, Any] = {"kind": "text", "text": "Go", "role": "action"}


def check(*parts: dict[str, Any], **more: Any) -> Sample:
    return check_sample({"sample_id": "one", "source": "s", "license": "CC0-1.0", "parts": parts, **more})


def plain(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, format="PNG")
    return buffer.getvalue()


def test_a_sample_survives_json() -> None:
    sample = walk_sample()
    assert Sample.model_validate_json(sample.model_dump_json()) == sample


def test_parts_are_frozen_and_know_their_kind() -> None:
    sample = check(IMAGE, WORDS, TARGET)
    assert [type(part) for part in sample.parts] == [ImagePart, TextPart, ImagePart]
    assert (len(sample.texts), len(sample.images)) == (1, 2)
    with pytest.raises(ValidationError):
        sample.parts[1].text = "Stop"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([IMAGE, {**WORDS, "text": ""}, TARGET], r"part 1 \(text\): expected words, got ''"),
        ([IMAGE, {**WORDS, "text": " ", "loss": True}], r"part 1 \(text\): expected words, got ' '"),
        (
            [{**WORDS, "text": "a" * (MAX_TEXT_LENGTH + 1)}, TARGET],
            r"part 0 \(text\): expected at most 32768 characters, got 32769",
        ),
        ([{**WORDS, "text": "a\ud800"}, TARGET], r"part 0 \(text\): expected text that can be written as UTF-8"),
        ([{**WORDS, "role": "acton"}, TARGET], r"part 0 \(text\), role: Input should be 'action'"),
        ([{**WORDS, "lose": True}, TARGET], r"part 0 \(text\), lose: Extra inputs"),
        ([WORDS, {"kind": "image", "image": picture(0)}], r"part 1 \(image\): expected an image that is used"),
        (
            [WORDS, {**TARGET, "image": b"nothing"}],
            r"part 1 \(image\), image: expected the bytes of an image file, got 7 unreadable",
        ),
        (
            [WORDS, {**TARGET, "image": picture(0, (1, 1))}],
            r"part 1 \(image\), image: expected sides of at least 8 pixels, got 1 x 1",
        ),
        ([WORDS, {**TARGET, "image": plain(20000, 16)}], r"part 1 \(image\), image: expected at most 16384 .* got 20000 x 16"),
        ([WORDS, {**TARGET, "time": float("nan")}], r"part 1 \(image\): expected a time in seconds"),
        ([WORDS, {**TARGET, "time": -1}], r"part 1 \(image\): expected a time in seconds"),
        ([{**IMAGE, "time": 2}, WORDS, {**TARGET, "time": 1}], r"part 2 \(image\) lies at 1 s, before an earlier part at 2 s"),
        ([{"kind": "sound"}, TARGET], r"part 0: Input tag 'sound'"),
        ([IMAGE, WORDS], r"nothing in it is learned"),
        ([], r"nothing in it is learned"),
    ],
)
def test_what_is_refused_names_the_part(parts: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(RecordingError, match=rf"Sample 'one' cannot be used: .*{words}"):
        check(*parts)


def test_every_wrong_part_is_named_at_once() -> None:
    with pytest.raises(RecordingError, match=r"part 0 .*; part 2 "):
        check({**WORDS, "text": ""}, TARGET, {**WORDS, "role": "x"})


@pytest.mark.parametrize("field", ["sample_id", "source", "license", "split"])
def test_provenance_is_not_empty(field: str) -> None:
    with pytest.raises(RecordingError, match=field):
        check(TARGET, **{field: ""})


def test_an_image_tells_its_size_without_decoding_and_its_damage_when_decoded() -> None:
    whole = picture(3, (40, 30))
    part = ImagePart(image=whole[: len(whole) // 2], vae=True)
    assert part.size == (40, 30)
    with pytest.raises(ImageError, match="cut short"):
        part.frame()
    np.testing.assert_array_equal(ImagePart(image=whole, vit=True).frame(), np.asarray(Image.open(io.BytesIO(whole))))


# --- episodes


def told(sample: Sample) -> list[Any]:
    """The parts in short: texts with a mark where they have loss, images by their uses."""
    return [
        f"{part.role}: {part.text}{'!' if part.loss else ''}"
        if isinstance(part, TextPart)
        else tuple(name for name in ("target", "vae", "vit") if getattr(part, name))
        for part in sample.parts
    ]


@pytest.fixture
def walk() -> Episode:
    return Episode(
        frames=np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8),
        actions=tuple(Action(text=text) for text in ("Move forward", "Look left", "Stay")),
        thoughts=(None, Thought(text="The duck is left."), None),
        metadata={"episode_id": "walk-1", "split": "validation", "seed": 3},
    )


def test_a_walk_becomes_frames_and_words(walk: Episode) -> None:
    sample = sample_from_episode(walk, source="house", license="Apache-2.0", seconds_per_step=0.5)
    assert told(sample) == [
        ("vae", "vit"),
        "action: Move forward",
        ("target", "vae", "vit"),
        "thought: <think>The duck is left.</think>Look left!",
        "action: Look left",
        ("target", "vae", "vit"),
        "action: Stay",
        ("target",),
    ]
    for frame, image in zip(walk.frames, sample.images, strict=True):
        np.testing.assert_array_equal(image.frame(), frame)
    assert [image.time for image in sample.images] == [0.0, 0.5, 1.0, 1.5]
    assert (sample.sample_id, sample.split, sample.metadata["seed"]) == ("walk-1/0-3", "validation", 3)


def test_a_window_with_a_goal_and_decisions(walk: Episode) -> None:
    sample = sample_from_episode(
        walk, source="house", license="x", start=1, frames=3, vit=False, question="Find the duck.", decisions=True
    )
    assert told(sample) == [
        "question: Find the duck.",
        ("vae",),
        "thought: <think>The duck is left.</think>Look left!",
        "action: Look left",
        ("target", "vae"),
        "answer: Stay!",
        "action: Stay",
        ("target",),
    ]
    np.testing.assert_array_equal(sample.images[0].frame(), walk.frames[1])
    assert all(image.time is None for image in sample.images)


@pytest.mark.parametrize("window", [{"frames": 1}, {"start": 3}, {"start": -1}, {"start": 2, "frames": 3}])
def test_a_window_outside_the_walk_is_refused(walk: Episode, window: dict[str, int]) -> None:
    with pytest.raises(RecordingError, match="two or more of 4 frames"):
        sample_from_episode(walk, source="house", license="x", **window)


def test_episodes_of_the_recorder_become_samples(make_episode: Callable[..., Episode]) -> None:
    sample = sample_from_episode(make_episode(2), source="house", license="x", metadata={"note": "hi"})
    assert [text.text for text in sample.texts if text.role == "action"] == ["Open the door", "Move forward", "Move forward"]
    assert sample.metadata["note"] == "hi"
