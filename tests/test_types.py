from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from bagel_world.types import Action, Episode, Thought, Transition

FRAMES = np.zeros((3, 4, 6, 3), np.uint8)
ACTIONS = (Action(text="Move forward", id=0), Action(text="Turn to the door"))


def test_an_episode_has_one_action_between_two_frames() -> None:
    episode = Episode(frames=FRAMES, actions=ACTIONS)
    assert len(episode) == 2
    assert len(Episode(frames=FRAMES[:1], actions=())) == 0


def test_whatever_an_episode_carries_has_the_right_length() -> None:
    episode = Episode(
        frames=FRAMES,
        actions=ACTIONS,
        poses=np.zeros((3, 4)),
        visible=(("duckie",), (), ()),
        thoughts=(Thought(text="To the door."), None),
        metadata={"seed": 3},
    )
    assert episode.thoughts == (Thought(text="To the door."), None)
    assert episode.metadata == {"seed": 3}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"actions": ACTIONS[:1]}, "3 frames needs 2 actions, not 1"),
        ({"actions": (*ACTIONS, ACTIONS[0])}, "3 frames needs 2 actions, not 3"),
        ({"poses": np.zeros((2, 4))}, "3 frames needs 3 poses, not 2"),
        ({"visible": ((),)}, "3 frames needs 3 visible, not 1"),
        ({"thoughts": (None,) * 3}, "3 frames needs 2 thoughts, not 3"),
        ({"frames": FRAMES[0]}, r"not uint8 \(4, 6, 3\)"),
        ({"frames": FRAMES.astype(np.float32)}, "not float32"),
        ({"frames": FRAMES[..., :1]}, "must be uint8 with shape"),
        ({"frames": FRAMES[:0]}, "0 frames needs -1 actions"),
    ],
)
def test_an_episode_that_does_not_add_up_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Episode(**{"frames": FRAMES, "actions": ACTIONS, **fields})  # pyright: ignore[reportArgumentType]


def test_actions_and_thoughts_are_values() -> None:
    assert Action(text="Stay", id=3) == Action(text="Stay", id=3)
    assert Action(text="Stay", id=3) != Action(text="Stay")
    assert len({Thought(text="a"), Thought(text="a"), Thought(text="b")}) == 2


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Action(text="Stay"), "text"),
        (Thought(text="Hm."), "text"),
        (Transition(action=ACTIONS[0], frame=FRAMES[0]), "reward"),
        (Episode(frames=FRAMES, actions=ACTIONS), "actions"),
    ],
)
def test_values_do_not_change(value: object, name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, None)
    assert not hasattr(value, "__dict__")  # slots: no names but the declared ones either


def test_infos_are_not_shared_between_transitions() -> None:
    first, second = (Transition(action=ACTIONS[0], frame=FRAMES[0]) for _ in range(2))
    assert first.info == {}
    assert first.info is not second.info
