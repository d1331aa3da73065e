from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.episodes.schema import encode_png
from bagel_world.video.account import Account
from bagel_world.video.captions import CaptionError, Change
from bagel_world.video.clips import Survey
from bagel_world.video.config import FootageConfig
from bagel_world.video.extraction import Shot
from bagel_world.video.interleaving import MAX_FAILURES, Captions, interleave


def shots(count: int, start: float = 3.0) -> list[Shot]:
    made = []
    for place in range(count):
        frame = np.full((16, 16, 3), place, dtype=np.uint8)
        made.append(Shot(time=start + place / 2, frame=frame, png=encode_png(frame)))
    return made


def layout(sample: Sample) -> list[object]:
    """Texts as they are; images as (value, uses, time)."""
    parts: list[object] = []
    for part in sample.parts:
        if isinstance(part, TextPart):
            parts.append((part.text, part.role, part.loss))
        else:
            assert isinstance(part, ImagePart)
            uses = "".join(name[0] for name in ("vae", "Vit", "target") if getattr(part, name.lower()))
            parts.append((int(part.frame()[0, 0, 0]), uses, part.time))
    return parts


def woven(texts: Sequence[str | None], **settings: object) -> list[Sample]:
    config = FootageConfig.model_validate({"source": "films", "captions": "test", **settings})
    return interleave(shots(len(texts) + 1), texts, film="a.mp4", key="0123456789abcdef0123", license="CC0-1.0", config=config)


def test_frames_and_texts_alternate() -> None:
    (sample,) = woven(["go", "stay"])
    assert layout(sample) == [
        (0, "vV", 0.0),
        ("go", "action", False),
        (1, "vVt", 0.5),
        ("stay", "action", False),
        (2, "t", 1.0),
    ]
    assert (sample.sample_id, sample.source, sample.license, sample.split) == (
        "0123456789abcdef/3.000-4.000",
        "films",
        "CC0-1.0",
        "train",
    )
    assert sample.metadata == {"film": "a.mp4", "start": 3.0, "end": 4.0, "captions": "test"}


def test_frames_may_stay_out_of_the_vit_and_texts_may_be_learned() -> None:
    (sample,) = woven(["go"], vit=False, text_loss=True)
    assert layout(sample) == [(0, "v", 0.0), ("go", "action", True), (1, "t", 0.5)]


def test_a_missing_text_ends_a_sample() -> None:
    samples = woven(["a", None, None, "b", "c", None])
    assert [[text.text for text in sample.texts] for sample in samples] == [["a"], ["b", "c"]]
    assert [[int(image.frame()[0, 0, 0]) for image in sample.images] for sample in samples] == [[0, 1], [3, 4, 5]]
    assert [sample.metadata["start"] for sample in samples] == [3.0, 4.5]
    assert woven([None, None]) == []


class Script:
    """Says what it is told to, one after the other."""

    needs_words = False

    def __init__(self, *texts: str | Exception) -> None:
        self.texts = list(texts)
        self.seen: list[Change] = []

    def caption(self, change: Change) -> str:
        self.seen.append(change)
        text = self.texts[len(self.seen) - 1]
        if isinstance(text, Exception):
            raise text
        return text


def account() -> Account:
    return Account("a.mp4", Survey(clips=(), pictures={}, cut={}, seconds=0.0), [])


def test_texts_are_cleaned_and_what_is_no_use_is_counted() -> None:
    script = Script("  Look\n left ", "", " \t", "word " * 10_000, CaptionError("no idea"), "\ud800", "Left<|im_end|>", "x" * 512)
    counted = account()
    texts = Captions(script, 512).between(shots(9), "a.mp4", (), counted)
    assert texts == ["Look left", None, None, None, None, None, None, "x" * 512]
    assert counted.samples == {"empty captions": 2, "long captions": 1, "failed captions": 3}
    assert counted.problems[0] == "No text at 5.00 s: no idea"
    assert [(seen.start, seen.end, seen.place) for seen in script.seen[:2]] == [(3.0, 3.5, 0), (3.5, 4.0, 1)]
    assert int(script.seen[1].before[0, 0, 0]) == 1
    assert int(script.seen[1].after[0, 0, 0]) == 2


def test_a_source_that_always_fails_stops_the_work() -> None:
    captions = Captions(Script(*[CaptionError("broken")] * MAX_FAILURES), 512)
    with pytest.raises(CaptionError, match=f"{MAX_FAILURES} captions in a row failed.*broken"):
        captions.between(shots(MAX_FAILURES + 1), "a.mp4", (), account())


def test_failures_now_and_then_do_not() -> None:
    texts = [*[CaptionError("broken")] * (MAX_FAILURES - 1), "fine"] * 3
    counted = account()
    assert Captions(Script(*texts), 512).between(shots(len(texts) + 1), "a.mp4", (), counted).count("fine") == 3
    assert counted.samples["failed captions"] == 3 * (MAX_FAILURES - 1)
