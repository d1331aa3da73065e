"""The tree of futures over a real model: the live context does not notice, and what is shared is read once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bagel_world import BagelWorld
from bagel_world.agents import Budget, Exhaustive, Planner
from bagel_world.agents.imagination import Draw, Imagination
from bagel_world.types import Action
from bagel_world.world.scoring import CallableScorer, Goal
from tests.model.folder import write_folder

WORDS = ("Look left", "Look right")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> BagelWorld:
    """A small random checkpoint."""
    folder: Path = write_folder(tmp_path_factory.mktemp("tiny"))
    return BagelWorld.from_pretrained(folder, device="cpu", sampling={"evaluations": 2, "guidance": {"text_scale": 1.0}})


def frame_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def tree_of(world: BagelWorld, **settings: object) -> Imagination:
    actions = [Action(text=word, id=place) for place, word in enumerate(WORDS)]
    scorer = CallableScorer(lambda frame, goal: float(frame.mean() / 255))
    return Imagination(world, world.observe(frame_of(0)), Goal(text="x"), scorer=scorer, actions=actions, **settings)


def test_a_live_context_goes_on_as_if_nobody_had_planned(world: BagelWorld) -> None:
    live, other = (world.observe(frame_of(0)).say("Look left").observe(frame_of(1)) for _ in range(2))
    Planner(world, Exhaustive(depth=2), lambda frame, goal: 0.0, words=WORDS).plan(live, "x")
    (after,) = world.imagine([live.say("Look right")], seeds=[3])
    (untouched,) = world.imagine([other.say("Look right")], seeds=[3])
    np.testing.assert_array_equal(after, untouched)


def test_a_tree_is_what_one_gets_step_by_step(world: BagelWorld) -> None:
    tree = tree_of(world, seed=5, step=2)
    ends = tree.follow([(one, two) for one in tree.actions for two in tree.actions])
    assert tree.imagined == 2 + 4
    for end in ends:
        context = world.observe(frame_of(0))
        for place, action in enumerate(end.actions):
            seed = int(np.random.SeedSequence(5, spawn_key=(2 + place, 0)).generate_state(1, np.uint64)[0] >> np.uint64(1))
            (context,) = world.advance([context.say(action.text)], seeds=[seed])
        gap = np.abs(context.frames[-1].astype(int) - end.frame)
        assert gap.max() <= 1  # a batch may differ in the last digit


def test_what_is_known_is_not_imagined_again(world: BagelWorld) -> None:
    tree = tree_of(world, budget=Budget(frames=3))
    left, right = tree.actions
    (one,) = tree.grow([(tree.root, left, 0)])
    assert tree.grow([(tree.root, left, 0), (tree.root, left, 0)]) == [one, one]
    assert tree.imagined == 1
    assert tree.affordable([(left, right), (right, left), (right,)]) == [(left, right), (right,)]
    assert tree.affordable([(left, right), (left, right, left)]) == [(left, right), (left, right, left)]
    (redrawn,) = tree.grow([(tree.root, left, 1)])
    assert redrawn is not one
    assert (redrawn.frame != one.frame).any()
    assert tree.left == 1


def test_scores_are_asked_once_and_count_as_the_scorer_says(world: BagelWorld) -> None:
    tree = tree_of(world)
    nodes = tree.follow([(action,) for action in tree.actions])
    assert tree.score(nodes) == tree.score(nodes) == [float(node.frame.mean() / 255) for node in nodes]
    assert tree.cost.model_calls == 1  # a scoring function calls no model
    assert tree.cost.imagined_frames == 2
    assert tree.seed_for(Draw.CHOICE) != tree.seed_for(Draw.PROPOSAL)
