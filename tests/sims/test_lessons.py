"""Lessons: which pictures are asked about, how answers are balanced, and what a sample looks like."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.episodes.manifest import license_of
from bagel_world.episodes.schema import encode_png
from bagel_world.episodes.shards import read_rows, write_shard
from bagel_world.errors import ConfigError
from bagel_world.sims.captions import THINK_PROMPT, read_whereabouts
from bagel_world.sims.exercises import FORESIGHT, JUDGE, QUESTIONS, THOUGHT, Exercise
from bagel_world.sims.lesson_samples import read_pictures, to_sample
from bagel_world.sims.lessons import Lesson, LessonPlan, Place, balance, choose, survey
from bagel_world.sims.plans import draw_plan
from bagel_world.sims.sightings import sightings
from bagel_world.types import Episode
from tests.sims.test_visitor import STEPS, visit


def walk(seed: int) -> Episode:
    """Visits in house `seed` without rendering: frame i of it is of the gray level i, and all that is exposed is visible."""
    plan = draw_plan("train", seed)
    poses, actions = visit(plan, seed)
    names = [each.kind.name for each in plan.objects]
    return Episode(
        frames=np.stack([np.full((16, 16, 3), level, np.uint8) for level in range(STEPS + 1)]),
        actions=tuple(action_from_id(each, NAVIGATE_WORDS) for each in actions),
        poses=poses,
        visible=tuple(tuple(each.name for each in sightings(plan, pose, names) if each.exposed) for pose in poses),
        metadata={
            "episode_id": f"visits-{seed}", "source": "bagel_world.sims.House", "split": "train", "seed": seed, "house": seed,
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("visits")
    write_shard(folder, 0, [walk(seed) for seed in range(12)])
    return folder


PLAN = LessonPlan(questions=120, thoughts=40, judge=12, history=3)


@pytest.fixture(scope="module")
def offers(footage: Path) -> list[Lesson]:
    return list(survey([footage], PLAN))


def test_rows_without_frames_are_read_as_they_are_stored(footage: Path) -> None:
    rows = list(read_rows(footage, ("episode_id", "split")))
    assert rows[3] == {"episode_id": "visits-3", "split": "train"}
    whole = next(iter(read_rows(footage)))
    assert whole["frames"][5] == encode_png(np.full((16, 16, 3), 5, np.uint8))


@pytest.mark.parametrize(
    ("counts", "total", "expected"),
    [
        ({"duck": 9, "cone": 9, "chair": 9}, 6, {"duck": 2, "cone": 2, "chair": 2}),
        ({"duck": 1, "cone": 9, "chair": 9}, 7, {"duck": 1, "cone": 3, "chair": 3}),
        ({"duck": 1, "cone": 2}, 9, {"duck": 1, "cone": 2}),
        ({"yes: duck": 2, "yes: cone": 5, "no: duck": 90}, 10, {"yes: duck": 2, "yes: cone": 3, "no: duck": 5}),
        ({"yes: duck": 3, "no: far": 8, "no: hidden": 8}, 10, {"yes: duck": 3, "no: far": 2, "no: hidden": 1}),
    ],
)
def test_balance(counts: dict[str, int], total: int, expected: dict[str, int]) -> None:
    assert balance(counts, total) == expected


def test_answers_are_balanced_and_no_more_than_wanted(offers: list[Lesson]) -> None:
    chosen, account = choose(offers, PLAN)
    taken = Counter((each.kind, each.answer) for lesson in chosen for each in lesson.exercises)
    assert taken["view", "yes"] == taken["view", "no"] > 0
    assert taken[JUDGE, "yes"] == taken[JUDGE, "no"] == 6
    assert sum(n for (kind, _), n in taken.items() if kind == THOUGHT) == 40
    by_kind = Counter(each.kind for lesson in chosen for each in lesson.exercises)
    assert set(by_kind) == set(account.wanted) == {"ahead", "left", "right", "view", THOUGHT, FORESIGHT, JUDGE}
    assert all(by_kind[kind] <= wanted for kind, wanted in account.wanted.items())
    assert account.taken.total() == sum(by_kind.values())


def test_no_answer_about_a_picture_is_given_away_by_another(offers: list[Lesson]) -> None:
    chosen, _ = choose(offers, PLAN)
    together = [lesson.exercises for lesson in chosen if lesson.exercises[0].kind in QUESTIONS]
    assert any(len(exercises) > 1 for exercises in together)
    for exercises in together:
        assert len(exercises) <= PLAN.per_picture
        mentions = [name for each in exercises for name in each.mentions]
        assert len(mentions) == len(set(mentions))
    assert all(len(lesson.exercises) == 1 for lesson in chosen if lesson.exercises[0].kind not in QUESTIONS)


def test_the_same_plan_chooses_the_same_and_another_seed_another(offers: list[Lesson]) -> None:
    assert choose(offers, PLAN)[0] == choose(offers, PLAN)[0]
    assert choose(offers, PLAN)[0] != choose(offers, PLAN.model_copy(update={"seed": 1}))[0]


def test_half_of_the_lessons_show_the_walk_before(offers: list[Lesson]) -> None:
    chosen, _ = choose(offers, PLAN)
    lengths = Counter(len(lesson.before) for lesson in chosen)
    assert set(lengths) == {0, 1, 2, 3}
    assert 0.35 < lengths[0] / len(chosen) < 0.65


def test_without_history_every_picture_stands_alone(footage: Path) -> None:
    plan = PLAN.model_copy(update={"history": 0})
    assert {each.before for each in choose(list(survey([footage], plan)), plan)[0]} == {()}


def lesson(*exercises: Exercise, before: tuple[str, ...] = ()) -> Lesson:
    names = {"episode_id": "walk-1", "source": "tests", "split": "test", "scene": "house 7"}
    return Lesson(place=Place(0, 0, 2), before=before, exercises=exercises, **names)


def ask(kind: str, question: str, answer: str) -> Exercise:
    return Exercise(kind=kind, question=question, answer=answer, group=answer, mentions=frozenset())


PICTURES = {Place(0, 0, frame): encode_png(np.full((16, 16, 3), frame, np.uint8)) for frame in range(3)}


def test_a_question_is_a_picture_then_questions_and_answers() -> None:
    asked = (ask("ahead", "Which object is ahead?", "duck"), ask("view", "Is there a cone in view?", "no"))
    sample = to_sample(lesson(*asked), PICTURES, license="MIT")
    image, *texts = sample.parts
    assert image.kind == "image"
    assert (image.vae, image.vit, image.target) == (True, True, False)
    assert image.image == PICTURES[Place(0, 0, 2)]
    said = [(each.text, each.loss, each.role) for each in texts if each.kind == "text"]
    assert said == [
        ("Which object is ahead?", False, "question"),
        ("duck", True, "answer"),
        ("Is there a cone in view?", False, "question"),
        ("no", True, "answer"),
    ]
    assert sample.metadata == {
        "kind": "question", "asked": ["ahead", "view"], "episode_id": "walk-1", "frame": 2, "scene": "house 7",
    }  # fmt: skip
    assert (sample.license, sample.split) == ("MIT", "test")


def test_a_thought_begins_with_the_prompt_and_the_walk() -> None:
    thought = ask(THOUGHT, "Find the duck.", "<think>The duck is ahead.</think>Stay")
    sample = to_sample(lesson(thought, before=("Look left", "Stay")), PICTURES, license="MIT")
    kinds = [each.text if each.kind == "text" else (each.vae, each.vit) for each in sample.parts]
    shown = [(True, False), "Look left", (True, False), "Stay", (True, True)]
    assert kinds == [THINK_PROMPT, *shown, "Find the duck.", "<think>The duck is ahead.</think>Stay"]
    assert [each.image for each in sample.images] == [PICTURES[Place(0, 0, frame)] for frame in range(3)]
    assert [each.loss for each in sample.texts] == [False, False, False, False, True]


def test_a_foresight_shows_the_picture_again_behind_the_action() -> None:
    foresight = ask(FORESIGHT, "Look left", "<think>The duck will be ahead.</think>")
    sample = to_sample(lesson(foresight), PICTURES, license="MIT")
    kinds = [each.text if each.kind == "text" else (each.vae, each.vit) for each in sample.parts]
    assert kinds == [THINK_PROMPT, (True, False), "Look left", (False, True), "<think>The duck will be ahead.</think>"]
    assert [each.loss for each in sample.texts] == [False, False, True]


def test_foresights_are_about_the_action_that_was_taken_and_the_view_behind_it(footage: Path, offers: list[Lesson]) -> None:
    rows = list(read_rows(footage, ("action_texts", "poses", "visible", "metadata")))
    found = [(each.place, asked) for each in offers for asked in each.exercises if asked.kind == FORESIGHT]
    assert len(found) > 50
    for place, asked in found:
        row = rows[place.row]
        assert asked.question == row["action_texts"][place.frame]
        (name,) = asked.mentions
        plan = draw_plan("train", place.row)
        after = next(
            each for each in sightings(plan, row["poses"][place.frame + 1], row["visible"][place.frame + 1]) if each.name == name
        )
        assert read_whereabouts(asked.answer) == ("hidden" if after.hidden else after.side)


def test_pictures_are_passed_on_byte_by_byte(footage: Path, offers: list[Lesson]) -> None:
    chosen = [each for each in choose(offers, PLAN)[0] if each.before][:5]
    pictures = read_pictures([footage], chosen)
    shown = {Place(0, each.place.row, each.place.frame - back) for each in chosen for back in range(len(each.before) + 1)}
    assert set(pictures) == shown
    for place, data in pictures.items():
        assert data == encode_png(np.full((16, 16, 3), place.frame, np.uint8))


def test_samples_of_one_picture_have_names_of_their_own(footage: Path, offers: list[Lesson]) -> None:
    chosen, _ = choose(offers, PLAN)
    pictures = read_pictures([footage], chosen)
    names = [to_sample(each, pictures, license="MIT").sample_id for each in chosen]
    assert len(names) == len(set(names))


def test_footage_of_other_origin_is_refused_in_words(tmp_path: Path) -> None:
    episode = walk(0)
    write_shard(tmp_path, 0, [replace(episode, metadata={"episode_id": "car-1", "source": "CarRacing-v3"})])
    with pytest.raises(ConfigError, match="bagel-world record OUT --sim house"):
        choose(list(survey([tmp_path], PLAN)), PLAN)
    assert license_of(tmp_path) == "unknown"
