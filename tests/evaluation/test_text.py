"""Text: a world that says what a script tells it, and figures worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.episodes.schema import encode_png
from bagel_world.errors import CapabilityError, ConfigError
from bagel_world.evaluation.asked import asked_in, draw_asked
from bagel_world.evaluation.ranking import area_under_curve, auc_interval
from bagel_world.evaluation.report import Row
from bagel_world.evaluation.subject import Subject
from bagel_world.evaluation.text import TextConfig, measure_text
from bagel_world.types import Thought
from bagel_world.world.fake import FakeWorld
from bagel_world.world.protocol import World
from bagel_world.world.writing import Answer

LEFT = "<think>The duck is to the left, two meters away. I turn left.</think>Look left"
RIGHT = "<think>I see the duck to the right, two meters away. I turn right.</think>Look right"
HIDDEN = "<think>I do not see the duck. I turn left and look again.</think>Look left"


def image(level: int) -> ImagePart:
    return ImagePart(image=encode_png(np.full((48, 48, 3), level, np.uint8)), vae=True, vit=True)


def sample(number: int, *pairs: tuple[str, str, str], before: Sequence[str] = ()) -> Sample:
    """Sample `number` of (kind, question, answer)s about a picture of that gray level, behind a walk."""
    thinks = pairs[0][0] == "thought"
    parts: list[Any] = [TextPart(text="Think, then act.", role="question")] if thinks else []
    for back, action in enumerate(before):
        parts += [image(200 + back), TextPart(text=action, role="action")]
    parts.append(image(number))
    for _, question, answer in pairs:
        parts += [TextPart(text=question, role="question"), TextPart(text=answer, role="answer", loss=True)]
    return Sample(
        sample_id=f"s{number}",
        parts=tuple(parts),
        source="tests",
        license="MIT",
        metadata={"asked": [kind for kind, _, _ in pairs], "scene": f"house {number}"},
    )


def spoken(text: str) -> Answer:
    """What `BagelWorld` makes of a text: the words, and the thought beside them."""
    thought, closed, words = text.removeprefix("<think>").partition("</think>")
    answer = Answer(words if closed else text)
    answer.thought = Thought(text=thought) if closed else None
    return answer


class Scripted(FakeWorld):
    """Says what the script has for (gray level of the newest frame, question or goal)."""

    def __init__(self, script: dict[tuple[int, str], Any]) -> None:
        super().__init__(frame_size=(48, 48))
        self.script = script
        self.asked: list[tuple[int, bool]] = []

    def ask_many(self, contexts: Any, questions: Any, *, think: bool = False, seeds: Any = None) -> list[str]:
        self.asked.append((len(contexts), think))
        assert len(seeds) == len(contexts)
        found = [
            self.script[int(context.frames[-1][0, 0, 0]), question] for context, question in zip(contexts, questions, strict=True)
        ]
        return [spoken(each) for each in found]

    def judge(self, contexts: Any, goals: Any) -> list[float]:
        return [self.script[int(context.frames[-1][0, 0, 0]), goal] for context, goal in zip(contexts, goals, strict=True)]


def measure(script: dict[tuple[int, str], Any], samples: Sequence[Sample], **config: Any) -> dict[tuple[str, str], Row]:
    subject = Subject(cast("World", Scripted(script)), "scripted")
    return {(row.metric, row.name): row for row in measure_text(subject, samples, TextConfig(**config)).rows}


AHEAD, VIEW = "Which object is ahead?", "Is there a duck in view?"


def test_exact_matches_by_kind_with_the_most_frequent_answer_beside() -> None:
    truths = ["duck", "duck", "cone", "chair"]
    samples = [sample(number, ("ahead", AHEAD, truth), ("view", VIEW, "yes")) for number, truth in enumerate(truths)]
    said = {(number, AHEAD): answer for number, answer in enumerate(["duck", "Duck ", "a cone", "chair"])}
    said |= {(number, VIEW): answer for number, answer in enumerate(["yes", "no", "no", "no"])}
    rows = measure(said, samples, batch=3)
    assert rows["exact_match", "all questions"].value == pytest.approx(4 / 8)
    assert rows["exact_match", "all questions: always the most frequent"].value == pytest.approx(6 / 8)
    ahead = rows["exact_match", "which object is ahead"]
    assert (ahead.n, ahead.value) == (4, 0.75)  # the case does not count, an article does
    assert ahead.low < 0.75 < ahead.high
    assert rows["exact_match", "which object is ahead: always the most frequent"].value == 0.5
    assert rows["exact_match", "is this object in view (house)"].value == 0.25
    assert rows["exact_match", "is this object in view (house): always the most frequent"].value == 1.0
    assert len(rows) == 6


GOAL = "Find the duck."


def test_thoughts_by_form_side_and_action() -> None:
    truths = [LEFT, RIGHT, HIDDEN, HIDDEN]
    samples = [sample(number, ("thought", GOAL, truth)) for number, truth in enumerate(truths)]
    said = {
        (0, GOAL): "<think>There is the duck, to the left. It is nine meters away. So I look left.</think>Look left",
        (1, GOAL): LEFT,  # well formed, wrong side, wrong action
        (2, GOAL): "<think>No duck in view. So I look left.</think>Fly away",  # right side, no action
        (3, GOAL): "Look left",  # no thought, right action
    }
    rows = measure(said, samples)
    values = {name: row.value for (_, name), row in rows.items()}
    assert values == {
        "well formed": 0.5,
        "names the side of the goal": 0.5,
        "names the side of the goal: always the most frequent": 0.5,
        "names the side of the goal, goal in view": 0.5,
        "names the side of the goal, goal out of view": 0.5,
        "acts as the policy": 0.5,
        "acts as the policy: always the most frequent": 0.75,
    }
    assert {row.n for row in rows.values()} == {4, 2}


def test_a_thought_that_is_left_in_the_answer_is_read_too() -> None:
    class Plain(Scripted):
        def ask_many(self, contexts: Any, questions: Any, *, think: bool = False, seeds: Any = None) -> list[str]:
            return [LEFT for _ in contexts]

    subject = Subject(cast("World", Plain({})), "plain")
    rows = measure_text(subject, [sample(0, ("thought", GOAL, LEFT))], TextConfig()).rows
    assert {row.value for row in rows} == {1.0}


STAND = "Is the goal reached: stand in front of the duck?"


def test_judgments_by_accuracy_and_ranking() -> None:
    truths = ["yes", "no", "yes", "no"]
    samples = [sample(number, ("judge", STAND, truth)) for number, truth in enumerate(truths)]
    chances = {(number, "stand in front of the duck"): chance for number, chance in enumerate([0.9, 0.6, 0.5, 0.1])}
    rows = measure(chances, samples)
    assert rows["judge_accuracy", "goal reached"].value == 0.75
    assert rows["judge_accuracy", "goal reached: always the most frequent"].value == 0.5
    assert rows["judge_auc", "goal reached"].value == 0.75  # one of four pairs stands the wrong way round
    assert {row.metric for row in rows.values()} == {"judge_accuracy", "judge_auc"}


def test_area_under_the_curve_by_hand() -> None:
    assert area_under_curve([3, 2, 1], [True, True, False]) == 1.0
    assert area_under_curve([1, 2, 3], [True, True, False]) == 0.0
    assert area_under_curve([1, 1], [True, False]) == 0.5
    assert area_under_curve([1, 2, 2, 3], [False, True, False, True]) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    with pytest.raises(ConfigError, match="true and false cases"):
        area_under_curve([1, 2], [True, True])


def test_the_interval_of_the_area_holds_it_and_shrinks() -> None:
    rng = np.random.default_rng(0)
    truths = np.arange(400) % 2 == 0
    scores = rng.normal(size=400) + truths
    wide, narrow = auc_interval(scores[:40], truths[:40]), auc_interval(scores, truths)
    assert wide.low < wide.value < wide.high
    assert narrow.low < 0.76 < narrow.high  # two unit normals, one apart: Phi(1 / sqrt 2)
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_every_question_is_asked_by_itself_behind_the_walk() -> None:
    walk = sample(9, ("ahead", AHEAD, "duck"), ("view", VIEW, "no"), before=("Look left", "Move forward"))
    asked = list(asked_in(walk))
    assert [(each.kind, each.question, each.truth) for each in asked] == [("ahead", AHEAD, "duck"), ("view", VIEW, "no")]
    assert {each.actions for each in asked} == {("Look left", "Move forward")}
    seen: list[Any] = []

    class Watching(Scripted):
        def ask_many(self, contexts: Any, questions: Any, *, think: bool = False, seeds: Any = None) -> list[str]:
            seen.extend(contexts)
            return ["duck" for _ in contexts]

    measure_text(Subject(cast("World", Watching({})), "watching"), [walk], TextConfig())
    levels = [[int(frame[0, 0, 0]) for frame in context.frames] for context in seen]
    assert levels == [[200, 201, 9]] * 2
    texts = [[item for item in context.items if isinstance(item, str)] for context in seen]
    assert texts == [["Look left", "Move forward"]] * 2


def test_thoughts_are_asked_for_with_think_and_without_the_prompt_of_the_sample() -> None:
    world = Scripted({(0, GOAL): LEFT, (1, AHEAD): "duck"})
    samples = [sample(0, ("thought", GOAL, LEFT)), sample(1, ("ahead", AHEAD, "duck"))]
    measure_text(Subject(cast("World", world), "scripted"), samples, TextConfig())
    assert world.asked == [(1, False), (1, True)]


def test_no_more_of_a_kind_than_wanted_drawn_by_the_seed() -> None:
    samples = [sample(number, ("ahead", AHEAD, "duck")) for number in range(20)]
    drawn = [{each.group for each in draw_asked(samples, most=5, seed=seed)} for seed in (0, 0, 1)]
    assert len(drawn[0]) == 5
    assert drawn[0] == drawn[1] != drawn[2]


def test_few_exercises_get_a_remark_and_mistakes_are_shown() -> None:
    samples = [sample(number, ("ahead", AHEAD, "duck")) for number in range(3)]
    script = {(number, AHEAD): "cone" if number else "duck" for number in range(3)}
    notes = measure_text(Subject(cast("World", Scripted(script)), "scripted"), samples, TextConfig()).notes
    assert any("'cone' for 'duck' (ahead, 2 times)" in note for note in notes)
    assert any("ahead 3" in note for note in notes)


def test_samples_of_other_origin_and_worlds_that_cannot_write_are_refused() -> None:
    other = sample(0, ("ahead", AHEAD, "duck")).model_copy(update={"metadata": {}})
    with pytest.raises(ConfigError, match="from-footage"):
        draw_asked([other], most=1, seed=0)
    broken = sample(0, ("ahead", AHEAD, "duck")).model_copy(update={"metadata": {"asked": ["ahead", "view"]}})
    with pytest.raises(ConfigError, match="Expected 2 questions"):
        list(asked_in(broken))

    class Mute(Scripted):
        @property
        def can_write(self) -> bool:
            return False

    with pytest.raises(CapabilityError, match="Measuring text"):
        measure_text(Subject(cast("World", Mute({})), "mute"), [sample(0, ("ahead", AHEAD, "duck"))], TextConfig())


def test_the_actions_of_thoughts_are_those_of_the_world() -> None:
    assert {LEFT.rpartition(">")[2], RIGHT.rpartition(">")[2]} <= set(NAVIGATE_WORDS)
