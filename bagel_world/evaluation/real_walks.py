"""Real walks: what the simulator shows where imagined walks began, under the same actions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing

import numpy as np
import numpy.typing as npt

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import ConfigError, MissingExtraError, SimulatorError
from bagel_world.evaluation.scenes import OTHER_SHARE, share_of_others
from bagel_world.sims.house import House
from bagel_world.sims.naming import public_name
from bagel_world.types import Episode, Frame


def real_walks(starts: Sequence[Episode], first: Frame, words: npt.NDArray[np.str_]) -> Frame | None:
    """The frames of houses under the actions of imagined walks.

    Args:
        starts: the episodes that the walks may have begun in.
        first: the walks' first frames, uint8, shape (walks, height, width, 3).
        words: action words, shape (steps, walks).

    Returns:
        uint8, shape (walks, steps + 1, height, width, 3); None where a first frame is in no episode that tells its house and its
        pose, for words that houses do not know, where the simulator is not installed or cannot draw, and where it now
        draws another house than was recorded.
    """
    found = [_begin(starts, frame) for frame in first]
    begins = [each for each in found if each is not None]
    if len(begins) < len(found) or not np.isin(words, NAVIGATE_WORDS).all():
        return None
    try:
        found_again = _walks(begins, (first.shape[1], first.shape[2]), words)
    except (MissingExtraError, SimulatorError, ConfigError):  # not installed; cannot draw; no such pose in the house of today
        return None
    pairs = zip(found_again[:, 0], first, strict=True)
    return found_again if all(share_of_others(*pair) <= OTHER_SHARE for pair in pairs) else None


def _begin(starts: Sequence[Episode], frame: Frame) -> tuple[Episode, int] | None:
    """The episode of a house that holds this frame, and its place there."""
    for episode in starts:
        if episode.poses is not None and episode.metadata.get("source") == public_name(House):
            for place, each in enumerate(episode.frames):
                if np.array_equal(each, frame):
                    return episode, place
    return None


def _walks(begins: Sequence[tuple[Episode, int]], size: tuple[int, int], words: npt.NDArray[np.str_]) -> Frame:
    with ExitStack() as opened:
        splits = {str(episode.metadata["split"]) for episode, _ in begins}
        houses = {split: opened.enter_context(closing(House(split=split, size=size))) for split in sorted(splits)}
        return np.stack(
            [
                _walk(houses[str(episode.metadata["split"])], episode, place, said)
                for (episode, place), said in zip(begins, words.T, strict=True)
            ]
        )


def _walk(house: House, episode: Episode, place: int, words: npt.NDArray[np.str_]) -> Frame:
    assert episode.poses is not None
    pose = tuple(float(each) for each in episode.poses[place])
    frames = [house.reset(options={"house": int(episode.metadata["seed"]), "pose": pose})[0]]
    frames += [house.step(NAVIGATE_WORDS.index(word))[0] for word in words.tolist()]
    return np.stack(frames)
