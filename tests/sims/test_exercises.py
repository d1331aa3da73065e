"""Exercises: what is asked about a view is what can be seen in it."""

from __future__ import annotations

import json

import numpy as np

from bagel_world.actions import NO, YES
from bagel_world.sims.captions import read_decision, read_whereabouts
from bagel_world.sims.exercises import JUDGE, THOUGHT, Exercise, about_drop, about_house, exercises_of
from bagel_world.sims.plans import HousePlan
from tests.sims.test_sightings import house

HERE = (0.0, 0.0, 0.0, 0.0)


def asked(plan: HousePlan, visible: tuple[str, ...], seed: int = 0) -> list[Exercise]:
    return list(about_house(plan, HERE, visible, np.random.default_rng(seed)))


def answers(exercises: list[Exercise], kind: str) -> list[str]:
    return [each.answer for each in exercises if each.kind == kind]


def test_every_side_with_one_object_is_asked_about() -> None:
    exercises = asked(house(("duck", 4.0, 0.0), ("cone", 4.0, -1.8), ("chair", 4.0, 1.8)), ("duck", "cone", "chair"))
    assert answers(exercises, "ahead") == ["duck"]
    assert answers(exercises, "left") == ["cone"]
    assert answers(exercises, "right") == ["chair"]


def test_a_side_with_two_objects_is_not_asked_about() -> None:
    exercises = asked(house(("duck", 4.0, 0.0), ("cone", 6.0, 0.3), ("chair", 4.0, 1.8)), ("duck", "cone", "chair"))
    assert answers(exercises, "ahead") == []
    assert answers(exercises, "right") == ["chair"]


def test_an_object_on_the_border_keeps_all_sides_from_being_asked_about() -> None:
    border = 4.0 * np.tan(np.deg2rad(15.5))
    exercises = asked(house(("duck", 4.0, 0.0), ("cone", 4.0, float(border))), ("duck", "cone"))
    assert answers(exercises, "ahead") == answers(exercises, "right") == []


def test_what_the_simulator_does_not_count_as_visible_is_no_answer() -> None:
    exercises = asked(house(("duck", 4.0, 0.0)), ())
    assert [each.kind for each in exercises if each.answer == "duck"] == []
    in_view = [each for each in exercises if each.kind == "view"]
    assert [each.answer for each in in_view] == [NO]
    assert "duck" not in in_view[0].question  # perhaps a picture shows it, tiny


def test_yes_is_asked_of_what_is_clear_and_no_of_what_is_away() -> None:
    plan = house(("duck", 4.0, 0.0), ("cone", -4.0, 0.0))
    named = {name: set() for name in (YES, NO)}
    for seed in range(50):
        for each in asked(plan, ("duck",), seed):
            if each.kind == "view":
                named[each.answer] |= each.mentions
    assert named[YES] == {"duck"}
    assert {"cone", "barrel", "blue ball"} < named[NO]
    assert "duck" not in named[NO]


def test_thoughts_and_judgments_agree_with_the_house() -> None:
    plan = house(("duck", 1.3, 0.0), ("cone", 4.0, -1.8), ("chair", -4.0, 0.0))
    exercises = asked(plan, ("duck", "cone"))
    found = {}
    for each in exercises:
        if each.kind == THOUGHT:
            decision = read_decision(each.answer)
            assert decision is not None
            (name,) = each.mentions
            assert name in each.question
            found[name] = (read_whereabouts(decision[0]), decision[1])
    assert found == {"duck": ("ahead", "Stay"), "cone": ("left", "Look left"), "chair": ("hidden", "Look left")}
    judged = {each.question: each.answer for each in exercises if each.kind == JUDGE}
    assert judged == {
        "Is the goal reached: stand in front of the duck?": YES,
        "Is the goal reached: stand in front of the cone?": NO,
        "Is the goal reached: stand in front of the chair?": NO,
    }


def test_nobody_judges_at_a_hair_from_the_border() -> None:
    assert answers(asked(house(("duck", 1.55, 0.0)), ("duck",)), JUDGE) == []
    assert answers(asked(house(("duck", 1.65, 0.0)), ("duck",)), JUDGE) == [NO]


def drop(bodies: list[str], visible: tuple[str, ...], *, falling: bool = True) -> list[Exercise]:
    return list(about_drop("train", bodies, visible, falling, np.random.default_rng(0)))


def test_drops_are_counted_where_all_of_them_are_seen() -> None:
    assert answers(drop(["crate", "ball", "crate"], ("crate", "ball", "crate")), "count") == ["three"]
    assert answers(drop(["crate", "ball"], ("crate",)), "count") == []


def test_what_falls_alone_is_named_while_it_falls() -> None:
    assert answers(drop(["hammer"], ("hammer",)), "falling") == ["hammer"]
    assert answers(drop(["hammer"], ("hammer",), falling=False), "falling") == []
    assert answers(drop(["hammer", "can"], ("hammer", "can")), "falling") == []


def test_a_body_that_hides_is_no_answer_to_what_is_in_view() -> None:
    for each in drop(["crate", "ball"], ("crate",)):
        if each.kind == "body":
            assert each.mentions == {"crate"} if each.answer == YES else not each.mentions & {"crate", "ball"}


def row(metadata: dict[str, object], *, visible: list[list[str]], poses: object = None) -> dict[str, object]:
    steps = ["Stay"] * (len(visible) - 1)
    return {"metadata": json.dumps(metadata), "visible": visible, "poses": poses, "action_texts": steps}


def test_stored_episodes_give_exercises_for_every_frame() -> None:
    rng = np.random.default_rng(0)
    table = row({"source": "bagel_world.sims.Turntable", "object": "mug"}, visible=[["mug"], ["mug"]])
    assert [[each.answer for each in frame] for frame in exercises_of(table, rng)] == [["mug"], ["mug"]]
    heights = [[[0.0, 0.0, 1.0, 1, 0, 0, 0]], [[0.0, 0.0, 0.5, 1, 0, 0, 0]], [[0.0, 0.0, 0.49, 1, 0, 0, 0]]]
    facts = {"source": "bagel_world.sims.Drops", "split": "train", "bodies": ["die"], "body_poses": heights}
    falls = exercises_of(row(facts, visible=[["die"]] * 3), rng)
    assert [[each.kind == "falling" for each in frame].count(True) for frame in falls] == [1, 0, 0]
    assert exercises_of(row({"source": "CarRacing-v3"}, visible=[[], []]), rng) == [[], []]
