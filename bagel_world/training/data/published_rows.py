"""Rows of BAGEL's own fine-tuning data, and the way between them and samples.

| files | a row holds | becomes |
|---|---|---|
| parquet | `image` (bytes), `captions` (JSON: name -> caption) | one of the captions, then the image as target |
| parquet | `image_list` (bytes), `instruction_list` (phrasings per step) | a start image, then steps, see `edit_sample` |
| JSON lines | `conversations` ([{"from", "value"}]), `image` (file names) | questions and answers, images through the ViT |

Which caption, phrasing or step is drawn anew every time. A column `bagel_world` (JSON), which the published program ignores,
carries what its layout has no place for when our samples are exported to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from bagel_world.episodes.samples import ImagePart, Sample, TextPart, check_sample
from bagel_world.errors import RecordingError
from bagel_world.training.data.segments import learned_parts

OWN_COLUMN = "bagel_world"

IMAGE_MARK = "<image>"

_ANSWERING = frozenset({"gpt", "assistant"})
_SPEAKERS = _ANSWERING | {"human", "user", "system"}

_FARTHEST = 2
"""Steps from the start of an edit to its end, at most."""

Row = Mapping[str, Any]
_Choice = TypeVar("_Choice")


def caption_sample(row: Row, rng: np.random.Generator | None, facts: Row) -> Sample:
    """One of a row's captions (a single space where it has none), then its image as target.

    Args:
        row: image, captions.
        rng: chooses; None takes the first.
        facts: sample_id, source, license and so on, where the row's own column does not say.

    Raises:
        RecordingError: captions that are no JSON object of texts, an unreadable image.
    """
    try:
        captions = json.loads(row["captions"])
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordingError(f"Expected captions as JSON, got {row['captions']!r:.80} ({error}).") from error
    if not isinstance(captions, dict) or not all(isinstance(each, str) for each in captions.values()):
        raise RecordingError(f'Expected captions as JSON like {{"0": "a duck on a table"}}, got {row["captions"]!r:.80}.')
    texts = [_checked(_text(each, "caption")) for each in captions.values() if each] or [_text(" ", "caption")]
    parts = [_one(texts, rng), {"kind": "image", "image": row["image"], "target": True}]
    return _sample(row, parts, facts)


def edit_sample(row: Row, rng: np.random.Generator, facts: Row) -> Sample:
    """A piece of a row: a random start, an end at most two steps later, and the instructions between.

    Of two steps, every other time the instructions are joined to one text and only the end is painted; otherwise both are. (The
    published program then paints one step earlier where the end is the row's last image; here the end stays the end.)

    Args:
        row: image_list, instruction_list.
        rng: chooses.
        facts: see `caption_sample`.

    Raises:
        RecordingError: fewer than two images, or not one list of phrasings per step.
    """
    images, steps = _edit_lists(row)
    start = int(rng.integers(len(images) - 1))
    end = int(rng.integers(start + 1, min(start + _FARTHEST, len(images) - 1) + 1))
    if end - start > 1 and rng.random() < 0.5:
        joined = " ".join(f"{_one(steps[place], rng)['text'].removesuffix('.')}." for place in range(start, end))
        return _sample(row, _edit_parts([images[start], images[end]], [_text(joined, "action")]), facts)
    words = [_one(steps[place], rng) for place in range(start, end)]
    return _sample(row, _edit_parts(images[start : end + 1], words), facts)


def whole_edit_sample(row: Row, facts: Row) -> Sample:
    """All images of a row, with the first phrasing of every step.

    Raises:
        RecordingError: as `edit_sample`.
    """
    images, steps = _edit_lists(row)
    return _sample(row, _edit_parts(images, [each[0] for each in steps]), facts)


def conversation_sample(record: Row, read: Callable[[str], bytes], facts: Row) -> Sample:
    """The turns of a conversation: the answers are learned, all else is read, and images go through the ViT.

    Answers are what "gpt" (or "assistant") says; what "human" (or "user") and "system" say is read.

    Args:
        record: conversations and, where there are images, image (one name or a list).
        read: the bytes of an image by its name.
        facts: see `caption_sample`.

    Raises:
        RecordingError: turns of another form or by another speaker, or more `<image>` marks than images, or fewer.
    """
    turns = record.get("conversations")
    names = record.get("image") or []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise RecordingError(f"Expected image as the name of a file or a list of names, got {names!r:.80}.")
    if record.get("video"):
        raise RecordingError("Expected images, got a video. Make samples of videos with `bagel-world data from-video`.")
    if not isinstance(turns, list) or not turns or not all(_is_turn(each) for each in turns):
        raise RecordingError(
            f'Expected conversations like [{{"from": "human", "value": "Where?"}}, {{"from": "gpt", "value": "Left."}}], '
            f"got {turns!r:.80}."
        )
    strangers = {each["from"] for each in turns} - _SPEAKERS
    if strangers:
        raise RecordingError(
            f"Expected turns from {', '.join(sorted(_SPEAKERS))}, got one from {min(strangers)!r:.40}. Rename it."
        )
    waiting = list(names)
    parts: list[Row] = []
    for turn in turns:
        if turn["from"] in _ANSWERING:
            parts.append(_text(turn["value"].strip(), "answer", loss=True))
            continue
        for number, piece in enumerate(turn["value"].split(IMAGE_MARK)):
            if number:
                if not waiting:
                    raise RecordingError(
                        f"Expected an image for every {IMAGE_MARK}, got more marks than the {len(names)} images."
                    )
                parts.append({"kind": "image", "image": read(waiting.pop(0)), "vit": True})
            if piece.strip():
                parts.append(_text(piece.strip(), "question"))
    if waiting:
        raise RecordingError(f"Expected an {IMAGE_MARK} for every image, got {len(waiting)} of {len(names)} images without one.")
    return _sample(record, parts, facts)


def row_of(sample: Sample) -> tuple[str, dict[str, Any]] | str:
    """The layout ("captions", "edits", "conversations") and the row of a sample, or why no layout has a place for it.

    In a conversation, "image" holds the bytes of the images; the exporter puts names in their place.
    """
    parts = learned_parts(sample)
    texts = [part for part in parts if isinstance(part, TextPart)]
    images = [part for part in parts if isinstance(part, ImagePart)]
    if not any(part.target for part in images):
        return _conversation_row(sample, images)
    if any(part.loss for part in texts):
        return "a text with loss beside painted images"
    if len(images) == 1:
        if len(parts) == 2 and parts[0] is texts[0]:
            row = {"image": images[0].image, "captions": json.dumps({"0": texts[0].text}, ensure_ascii=False)}
            return "captions", {**row, OWN_COLUMN: _own_column(sample)}
        return "not one caption before a single image"
    kinds = [part.kind for part in parts]
    if kinds != ["image", *["text", "image"] * (len(images) - 1)]:
        return "not one text between each two images"
    vit = images[0].vit
    uses = [(part.target, part.vae, part.vit) for part in images]
    if uses != [(False, True, vit), *[(True, True, vit)] * (len(images) - 2), (True, False, False)]:
        return "images used in another way than start, painted and shown, painted last"
    own = {
        "times": [part.time for part in images],
        "roles": [part.role for part in texts],
        "vit": vit,
    }
    row = {"image_list": [part.image for part in images], "instruction_list": [[part.text] for part in texts]}
    return "edits", {**row, OWN_COLUMN: _own_column(sample, **own)}


def _conversation_row(sample: Sample, images: Sequence[ImagePart]) -> tuple[str, dict[str, Any]] | str:
    if any(part.vae or not part.vit for part in images):
        return "a conversation about images that are not shown through the ViT alone"
    turns: list[dict[str, str]] = []
    for part in sample.parts:
        answer = isinstance(part, TextPart) and part.loss
        text = part.text if isinstance(part, TextPart) else IMAGE_MARK
        if isinstance(part, TextPart) and (IMAGE_MARK in text or text != text.strip() or (part.role == "answer") != answer):
            return "a conversation with texts that its turns would change"
        if answer or not turns or turns[-1]["from"] != "human":
            turns.append({"from": "gpt" if answer else "human", "value": text})
        elif isinstance(part, TextPart) and not turns[-1]["value"].endswith(IMAGE_MARK):
            return "a conversation with texts that its turns would change"
        else:
            turns[-1]["value"] += f"\n{text}"
    row = {"conversations": turns, "image": [part.image for part in images]}
    return "conversations", {**row, OWN_COLUMN: _own_column(sample)}


def _own_column(sample: Sample, **own: Any) -> str:
    fields = sample.model_dump(mode="json", exclude={"parts"})
    return json.dumps({"fields": fields, **own}, sort_keys=True, ensure_ascii=False)


def _edit_lists(row: Row) -> tuple[list[Row], list[list[Row]]]:
    """The images as start images, and the phrasings of every step as texts."""
    images, steps = row["image_list"] or [], row["instruction_list"] or []
    if not isinstance(steps, list) or not all(each is None or isinstance(each, (str, list)) for each in steps):
        raise RecordingError(f"Expected a list of phrasings per step, got {steps!r:.80}.")
    # A step with a single phrasing is sometimes written as a bare text.
    phrasings: list[list[str]] = [[each] if isinstance(each, str) else list(each or ()) for each in steps]
    if len(images) < 2 or len(phrasings) != len(images) - 1 or not all(phrasings):
        raise RecordingError(
            f"Expected two or more images and one list of phrasings per step between them, got {len(images)} images and "
            f"{[len(each) for each in phrasings]} phrasings."
        )
    if not all(isinstance(text, str) for each in phrasings for text in each):
        raise RecordingError(f"Expected phrasings as texts, got {phrasings!r:.80}.")
    own = _own(row)
    times, roles = own.get("times") or [None] * len(images), own.get("roles") or ["action"] * len(phrasings)
    lists = isinstance(times, list) and isinstance(roles, list)
    if not lists or len(times) != len(images) or len(roles) != len(phrasings):
        raise RecordingError(
            f"The column {OWN_COLUMN} is of another row: {times!r:.40} as times, {roles!r:.40} as roles, {len(images)} images."
        )
    shown = {"kind": "image", "vae": True, "vit": bool(own.get("vit", True))}
    started: list[Row] = [{**shown, "image": image, "time": time} for image, time in zip(images, times, strict=True)]
    return started, [[_checked(_text(text, role)) for text in each] for each, role in zip(phrasings, roles, strict=True)]


def _edit_parts(images: Sequence[Row], words: Sequence[Row]) -> list[Row]:
    parts: list[Row] = [images[0]]
    for place, (image, text) in enumerate(zip(images[1:], words, strict=True)):
        last = place + 1 == len(words)
        parts += [text, {**image, "target": True, **({"vae": False, "vit": False} if last else {})}]
    return parts


def _sample(row: Row, parts: Sequence[Row], facts: Row) -> Sample:
    fields = _own(row).get("fields", {})
    if not isinstance(fields, dict):
        raise RecordingError(f"Expected the fields in the column {OWN_COLUMN} as a JSON object, got {fields!r:.80}.")
    return check_sample({**facts, **fields, "parts": tuple(parts)})


def _own(row: Row) -> dict[str, Any]:
    try:
        own = json.loads(row.get(OWN_COLUMN) or "{}")
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordingError(f"Expected JSON in the column {OWN_COLUMN}, but {error}.") from error
    if not isinstance(own, dict):
        raise RecordingError(f"Expected a JSON object in the column {OWN_COLUMN}, got {own!r:.80}.")
    return own


def _text(text: str, role: str, *, loss: bool = False) -> Row:
    return {"kind": "text", "text": text, "role": role, "loss": loss}


def _checked(text: Row) -> Row:
    """The text itself, when it is fit for a sample: all that may be drawn are looked at, not only the one that is.

    Raises:
        RecordingError: it is not.
    """
    try:
        TextPart.model_validate(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise RecordingError(f"A text of role {text['role']} cannot be used: {reason}.") from error
    return text


def _one(choices: Sequence[_Choice], rng: np.random.Generator | None) -> _Choice:
    return choices[0 if rng is None else int(rng.integers(len(choices)))]


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and isinstance(turn.get("value"), str) and isinstance(turn.get("from"), str)
