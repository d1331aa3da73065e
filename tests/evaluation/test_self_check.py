"""Reading actions from frames: right for a world that obeys, and counted rightly for one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bagel_world.evaluation.self_check import SelfCheckConfig, measure_self_check
from bagel_world.evaluation.subject import Subject
from bagel_world.types import Action, Episode
from bagel_world.world.fake import FakeWorld
from tests.evaluation.conftest import FRAME_SIZE

CONFIG = SelfCheckConfig(n=48, context=2)


def values_of(world: FakeWorld, episodes: Sequence[Episode]) -> dict[tuple[str, str], float]:
    rows = measure_self_check(Subject(world, "fake"), episodes, CONFIG)
    return {(row.metric, row.name): row.value for row in rows}


def test_a_world_that_obeys_is_read_rightly(episodes: Sequence[Episode]) -> None:
    values = values_of(FakeWorld(frame_size=FRAME_SIZE, noise=0), episodes)
    assert {value for (metric, _), value in values.items() if metric == "action_read_rightly"} == {1.0}
    assert values["agreement", "real frames, all actions"] > 0.9
    assert ("action_read_rightly", "imagined frames, picture changed") in values


def test_a_world_that_turns_the_wrong_way_reads_the_wrong_action(episodes: Sequence[Episode]) -> None:
    class Mirrored(FakeWorld):
        def _imagine_one(self, context: Any, seed: int) -> np.ndarray:
            spoken = context.spoken
            turned = {"Look left": "Look right", "Look right": "Look left"}.get(spoken, spoken)
            before = self.begin().observe(context.frames[-1]).say(turned)
            return super()._imagine_one(before, seed)

    values = values_of(Mirrored(frame_size=FRAME_SIZE, noise=0), episodes)
    for side in ("left", "right"):
        assert values["action_read_rightly", f"real frames, Look {side}"] == 1.0
        assert values["action_read_rightly", f"imagined frames, Look {side}"] == 0.0
    assert values["action_read_rightly", "imagined frames, Stay"] == 1.0


def test_pairs_whose_words_the_world_does_not_know_are_left_out(episodes: Sequence[Episode]) -> None:
    world = FakeWorld(frame_size=FRAME_SIZE, action_words=("Look left", "Look right"))
    rows = measure_self_check(Subject(world, "fake"), episodes, CONFIG)
    assert {row.name.split(", ")[1] for row in rows} == {"all actions", "picture changed", "Look left", "Look right"}
    assert max(row.n for row in rows) < CONFIG.n


def test_of_equally_likely_actions_none_is_read(episodes: Sequence[Episode]) -> None:
    class Unsure(FakeWorld):
        def explain(self, contexts: Any, frames: Any, *, words: Any = None, seeds: Any = None) -> np.ndarray:
            return np.full((len(contexts), len(words)), 1 / len(words))

    values = values_of(Unsure(frame_size=FRAME_SIZE), episodes)
    assert values["action_read_rightly", "real frames, all actions"] == 0.25


def test_fewer_pairs_than_were_asked_for_are_all_taken(episodes: Sequence[Episode]) -> None:
    rows = measure_self_check(Subject(FakeWorld(frame_size=FRAME_SIZE), "fake"), episodes[:1], SelfCheckConfig(n=500, context=2))
    assert rows[0].n == len(episodes[0].frames) - 2


def test_without_a_word_that_the_world_knows_there_are_no_rows(episodes: Sequence[Episode]) -> None:
    strange = [replace(each, actions=tuple(Action(text="Jump") for _ in each.actions)) for each in episodes]
    assert measure_self_check(Subject(FakeWorld(frame_size=FRAME_SIZE), "fake"), strange, CONFIG) == ()
