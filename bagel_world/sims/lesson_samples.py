"""Samples of lessons, laid out as a world lays out what it is asked.

    a question   picture(vae, vit)  question  answer  [question  answer] ...
    a judgment   picture(vae, vit)  "Is the goal reached: ...?"  answer
    a thought    prompt  picture(vae, vit)  goal  thought and action
    a foresight  prompt  picture(vae)  action  picture(vit)  thought

In front of the picture there may be the walk that led to it: frame(vae), action, frame(vae), action. The picture itself is shown
as latents and then through the ViT, as `ask` shows the last frame; a foresight has an action in between, as `think` has. With
more than one question, the later ones stand further behind than a world puts them, which costs little and spares reading the
picture again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

from bagel_world.episodes.samples import ImagePart, Sample, TextPart, check_sample
from bagel_world.episodes.shards import read_rows
from bagel_world.sims.captions import THINK_PROMPT
from bagel_world.sims.exercises import FORESIGHT, QUESTIONS, THOUGHT
from bagel_world.sims.lessons import Lesson, Place


def read_pictures(folders: Sequence[Path], lessons: Iterable[Lesson]) -> dict[Place, bytes]:
    """The PNG bytes of all frames that these lessons show, as they are stored.

    Raises:
        RecordingError: a folder without shards, or a damaged one.
    """
    wanted: dict[tuple[int, int], set[int]] = defaultdict(set)
    for each in lessons:
        folder, row, frame = each.place
        wanted[folder, row].update(range(frame - len(each.before), frame + 1))
    pictures = {}
    for folder in sorted({key[0] for key in wanted}):
        for row, values in enumerate(read_rows(folders[folder], ("frames",))):
            pictures |= {Place(folder, row, frame): values["frames"][frame] for frame in wanted.get((folder, row), ())}
    return pictures


def to_sample(lesson: Lesson, pictures: Mapping[Place, bytes], *, license: str, think_prompt: str = THINK_PROMPT) -> Sample:
    """The sample of a lesson.

    Its metadata tell its "kind" (question, thought, foresight or judge), the kinds of its exercises in order ("asked"), and
    where the picture comes from ("episode_id", "frame", "scene").

    Args:
        lesson: what is asked.
        pictures: from `read_pictures`.
        license: terms of use.
        think_prompt: opens the sample of a thought or foresight.
    """
    first = lesson.exercises[0].kind
    kind = "question" if first in QUESTIONS else first
    thinks, foresees = first in (THOUGHT, FORESIGHT), first == FORESIGHT
    parts: list[TextPart | ImagePart] = [TextPart(text=think_prompt, role="question")] if thinks else []
    folder, row, frame = lesson.place
    for back, action in zip(range(len(lesson.before), 0, -1), lesson.before, strict=True):
        parts.append(ImagePart(image=pictures[Place(folder, row, frame - back)], vae=True))
        parts.append(TextPart(text=action, role="action"))
    parts.append(ImagePart(image=pictures[lesson.place], vae=True, vit=not foresees))
    for each in lesson.exercises:
        parts.append(TextPart(text=each.question, role="action" if foresees else "question"))
        if foresees:
            parts.append(ImagePart(image=pictures[lesson.place], vae=False, vit=True))
        parts.append(TextPart(text=each.answer, loss=True, role="thought" if thinks else "answer"))
    asked = "|".join(each.question for each in lesson.exercises)
    return check_sample(
        {
            "sample_id": f"{lesson.episode_id}/{frame}/{kind}-{crc32(asked.encode()):08x}",
            "parts": tuple(parts),
            "source": lesson.source,
            "license": license,
            "split": lesson.split,
            "metadata": {
                "kind": kind,
                "asked": [each.kind for each in lesson.exercises],
                "episode_id": lesson.episode_id,
                "frame": frame,
                "scene": lesson.scene,
            },
        }
    )
