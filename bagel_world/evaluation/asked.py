"""Asked: the exercises in samples of `bagel-world data from-footage`, each by itself, as a world under test is given them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.errors import ConfigError
from bagel_world.evaluation.subject import seed_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One exercise of a sample.

    Attributes:
        kind: as `sims.exercises.KINDS`.
        frames: PNG bytes of the walk, the picture it is about last.
        actions: the words between them.
        question: in words; the goal, for a thought.
        truth: what the sample teaches to say.
        group: exercises about one scene resemble each other.
    """

    kind: str
    frames: tuple[ImagePart, ...]
    actions: tuple[str, ...]
    question: str
    truth: str
    group: str


def asked_in(sample: Sample) -> Iterator[Asked]:
    """The exercises of a sample, each by itself; none in a sample of another origin."""
    kinds = sample.metadata.get("asked")
    if not isinstance(kinds, list):
        return
    actions = tuple(part.text for part in sample.texts if part.role == "action")
    pairs = list(_pairs(sample.texts))
    if len(pairs) != len(kinds):
        raise ConfigError(
            f"Expected {len(kinds)} questions with answers in sample {sample.sample_id!r}, as its metadata say, got "
            f"{len(pairs)}. Make the samples again with: bagel-world data from-footage"
        )
    group = str(sample.metadata.get("scene") or sample.metadata.get("episode_id") or sample.sample_id)
    for kind, (question, answer) in zip(kinds, pairs, strict=True):
        yield Asked(kind=str(kind), frames=sample.images, actions=actions, question=question.text, truth=answer.text, group=group)


def _pairs(texts: Sequence[TextPart]) -> Iterator[tuple[TextPart, TextPart]]:
    return ((before, part) for before, part in pairwise(texts) if part.loss)


def draw_asked(samples: Iterable[Sample], *, most: int, seed: int) -> list[Asked]:
    """The exercises to give, kind by kind, at most `most` of each; drawn by the seed.

    Raises:
        ConfigError: there are none.
    """
    by_kind: dict[str, list[Asked]] = {}
    for sample in samples:
        for each in asked_in(sample):
            by_kind.setdefault(each.kind, []).append(each)
    if not by_kind:
        raise ConfigError(
            "Expected samples with questions about what is seen, got none. Make some: bagel-world data from-footage"
        )
    drawn = []
    for place, kind in enumerate(sorted(by_kind)):
        order = np.random.default_rng(seed_for(seed, place)).permutation(len(by_kind[kind]))
        drawn += [by_kind[kind][int(each)] for each in order[:most]]
    return drawn
