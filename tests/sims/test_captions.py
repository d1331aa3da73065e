"""Captions: every form can be read back, and says what is the case."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS, NO, YES, goal_question
from bagel_world.errors import ConfigError
from bagel_world.sims import captions
from bagel_world.sims.captions import (
    GOALS,
    IN_VIEW,
    OUT_OF_VIEW,
    decision,
    distance_words,
    draw_goal,
    draw_thought,
    judge_question,
    next_action,
    number_word,
    read_decision,
    read_goal,
    read_whereabouts,
    whereabouts,
    with_article,
)
from bagel_world.sims.exhibits import FAMILIAR as EXHIBITS
from bagel_world.sims.palettes import FAMILIAR, NOVEL
from bagel_world.sims.sightings import Sighting

DRAWS = 400


def sighting(bearing: float, distance: float = 2.0, *, visible: bool = True, name: str = "duck") -> Sighting:
    return Sighting(name=name, bearing=bearing, distance=distance, visible=visible, exposed=visible)


CASES = {
    "left": (sighting(25.0), "Look left"),
    "right": (sighting(-25.0), "Look right"),
    "ahead": (sighting(3.0), "Move forward"),
    "there": (sighting(-3.0, 0.7), "Stay"),
    "hidden": (sighting(120.0, visible=False), "Look left"),
}


def thoughts(goal: Sighting) -> set[str]:
    rng = np.random.default_rng(0)
    return {draw_thought(goal, rng) for _ in range(DRAWS)}


@pytest.mark.parametrize("name", CASES)
def test_every_thought_is_read_back_to_where_its_goal_is(name: str) -> None:
    goal, action = CASES[name]
    assert next_action(goal) == action
    forms = thoughts(goal)
    assert len(forms) >= 6 * 3  # every way to see it, with every way to go on
    for thought in forms:
        assert read_whereabouts(thought) == whereabouts(goal)
        assert read_decision(decision(thought, action)) == (thought, action)
        assert "duck" in thought


@pytest.mark.parametrize("kind", [*FAMILIAR.objects, *NOVEL.objects], ids=lambda kind: kind.name)
def test_the_name_of_no_object_confuses_the_reader(kind: object) -> None:
    name = getattr(kind, "name", "")
    for goal, _ in CASES.values():
        named = Sighting(name=name, bearing=goal.bearing, distance=goal.distance, visible=goal.visible, exposed=goal.exposed)
        assert {read_whereabouts(thought) for thought in thoughts(named)} == {whereabouts(goal)}


def test_mirrored_sides_give_mirrored_thoughts() -> None:
    other = {"left": "right", "right": "left"}
    mirrored = {re.sub("left|right", lambda found: other[found[0]], thought) for thought in thoughts(CASES["left"][0])}
    assert mirrored == thoughts(CASES["right"][0])


def test_thoughts_say_the_distance() -> None:
    assert all("two meters" in thought.lower() for thought in thoughts(sighting(0.0, 2.2)))
    assert all("half a meter" in thought.lower() for thought in thoughts(sighting(20.0, 0.5)))
    said = {
        0.0: "half a",
        0.74: "half a",
        0.75: "one",
        1.49: "one",
        1.5: "two",
        2.49: "two",
        2.5: "three",
        9.6: "ten",
        40.0: "ten",
    }
    for meters, number in said.items():
        assert distance_words(meters) == f"{number} meter{'' if number in ('half a', 'one') else 's'}"


@pytest.mark.parametrize(
    "text",
    [
        "The duck is somewhere.",
        "",
        "The duck is to the left. The duck is to the right.",
        "The duck is ahead. I do not see the duck.",
        "The duck is headless and leftover.",
    ],
)
def test_a_thought_that_says_nothing_or_two_things_is_read_as_none(text: str) -> None:
    assert read_whereabouts(text) is None


@pytest.mark.parametrize(
    "text",
    ["Look left", "<think>The duck is ahead.</think>", "<think>The duck", "<think> </think>Stay", "Stay<think>x</think>Stay", ""],
)
def test_what_is_no_thought_with_an_action_is_read_as_none(text: str) -> None:
    assert read_decision(text) is None


def test_the_judged_goal_is_what_a_world_is_asked() -> None:
    question = judge_question("pine tree")
    assert question == "Is the goal reached: stand in front of the pine tree?"
    assert read_goal(question) == "stand in front of the pine tree"
    # Said as a sentence, the same goal gives the same question.
    assert goal_question("Stand in front of the pine tree.") == question
    assert goal_question(read_goal(question)) == question
    with pytest.raises(ConfigError, match="Expected a question like 'Is the goal reached"):
        read_goal("Which object is ahead?")


def test_articles_and_numbers() -> None:
    assert [with_article(name) for name in ("duck", "office chair", "armchair", "pine tree")] == [
        "a duck",
        "an office chair",
        "an armchair",
        "a pine tree",
    ]
    assert [number_word(number) for number in (1, 2, 4)] == ["one", "two", "four"]


def test_goals_are_said_in_every_way() -> None:
    rng = np.random.default_rng(0)
    assert {draw_goal("cone", rng) for _ in range(100)} == {form.format(object="cone") for form in GOALS}
    assert len(IN_VIEW) >= 6
    assert len(OUT_OF_VIEW) >= 6


def test_few_words_say_everything() -> None:
    """Without the names of things, a small vocabulary has room for every word."""
    texts = [
        *(form for name in dir(captions) if name.isupper() and isinstance(form := getattr(captions, name), str)),
        *(
            form
            for name in dir(captions)
            if name.isupper() and isinstance(forms := getattr(captions, name), tuple)
            for form in forms
        ),
        *(distance_words(meters) for meters in range(12)),
        *NAVIGATE_WORDS,
        YES,
        NO,
    ]
    words = {word.lower() for text in texts for word in re.findall(r"[A-Za-z]+", re.sub(r"\{\w+\}", "", text))}
    assert len(words) < 110
    names = {word for name in [*EXHIBITS, *(kind.name for kind in FAMILIAR.objects)] for word in name.split()}
    assert len(words | names) < 150
