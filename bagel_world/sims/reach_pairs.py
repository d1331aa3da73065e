"""Pairs that teach reach: how far it really is from frames of recorded walks to pictures and objects of the same house."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from bagel_world.errors import RecordingError
from bagel_world.sims.geodesic import Geodesic
from bagel_world.sims.plans import draw_plan
from bagel_world.sims.sightings import sightings
from bagel_world.types import Episode

CELL = 0.25
"""Side of a cell in meters: half as fine as where success is decided, and four times as fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachPairs:
    """Pairs of a frame and a goal, with what the simulator knows of them.

    Attributes:
        frames: int64, shape (pairs,): places of frames in the footage, all walks end to end.
        goals: int64, shape (pairs,): of goal pictures likewise, or of objects in `names`.
        meters: float32, shape (pairs,): of walking from where the frame was seen to where the picture was taken, or to the
            object's surface.
        bearings: float32, shape (pairs,): radians from the view axis to the goal's place, positive to the left.
        visible: bool, shape (pairs,): whether the frame shows the goal; False for pictures, where nobody asked.
        houses: int64, shape (pairs,): numbers of the houses; equal ones are of one house.
        names: of objects; empty where goals are pictures.
    """

    frames: npt.NDArray[np.int64]
    goals: npt.NDArray[np.int64]
    meters: npt.NDArray[np.float32]
    bearings: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    houses: npt.NDArray[np.int64]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many."""
        return len(self.frames)


def reach_pairs(
    episodes: Iterable[Episode], names: Sequence[str], *, goals: int = 6, seed: int = 0
) -> tuple[ReachPairs, ReachPairs]:
    """Pairs with goal pictures and pairs with objects.

    Goal pictures are frames of the same house, of the same walk or of another one.

    Args:
        episodes: walks of `record_walk`, those of one house one after the other.
        names: of all objects there may be; a pair's goal is a place in it.
        goals: pictures per walk that serve as goals.
        seed: decides which.

    Raises:
        RecordingError: footage of something else than houses.
    """
    pictures: list[tuple[npt.NDArray[Any], ...]] = []
    objects: list[tuple[npt.NDArray[Any], ...]] = []
    offset = 0
    numbers: dict[tuple[str, int], int] = {}
    for number, (house, walks) in enumerate(groupby(episodes, key=_house)):
        rng = np.random.default_rng((seed, number))
        together = list(walks)
        poses = np.concatenate([_poses(each) for each in together])
        seen = [names_seen for each in together for names_seen in _seen(each)]
        ways = Geodesic(draw_plan(*house), cell=CELL)
        places = np.arange(offset, offset + len(poses))
        chosen = rng.choice(len(poses), size=min(goals * len(together), len(poses)), replace=False)
        here = np.full(len(poses), numbers.setdefault(house, len(numbers)))
        pictures += [(*each, here) for each in _to_pictures(ways, poses, places, np.sort(chosen))]
        objects += [(*each, here) for each in _to_objects(ways, poses, places, seen, names)]
        offset += len(poses)
    return _joined(pictures, ()), _joined(objects, tuple(names))


def _house(episode: Episode) -> tuple[str, int]:
    try:
        return str(episode.metadata["split"]), int(episode.metadata["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(
            f"Expected a walk through a house, which tells its split and seed, got one without {error}."
        ) from error


def _poses(episode: Episode) -> npt.NDArray[np.float64]:
    if episode.poses is None:
        raise RecordingError(f"Expected a walk with poses, got {episode.metadata.get('episode_id')!r} without. Record it anew.")
    return np.asarray(episode.poses, dtype=np.float64)


def _seen(episode: Episode) -> tuple[tuple[str, ...], ...]:
    if episode.visible is None:
        raise RecordingError(
            f"Expected a walk that tells what is in view, got {episode.metadata.get('episode_id')!r} without. Record it anew."
        )
    return episode.visible


def _to_pictures(
    ways: Geodesic, poses: npt.NDArray[np.float64], places: npt.NDArray[np.int64], goals: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    for goal in goals.tolist():
        x, z = float(poses[goal, 0]), float(poses[goal, 2])
        field = ways.to_point(x, z)
        meters = np.array([ways.at(field, float(pose[0]), float(pose[2])) for pose in poses])
        yield places, np.full(len(poses), places[goal]), meters, _bearings(poses, x, z), np.zeros(len(poses), np.bool_)


def _to_objects(
    ways: Geodesic,
    poses: npt.NDArray[np.float64],
    places: npt.NDArray[np.int64],
    seen: Sequence[Sequence[str]],
    names: Sequence[str],
) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    sights = [sightings(ways.plan, pose, visible) for pose, visible in zip(poses, seen, strict=True)]
    for place, target in enumerate(ways.plan.objects):
        if target.kind.name not in names:
            continue
        field = ways.to_object(place)
        meters = np.array([ways.at(field, float(pose[0]), float(pose[2])) for pose in poses])
        visible = np.array([each[place].clear for each in sights])
        goal = np.full(len(poses), list(names).index(target.kind.name))
        yield places, goal, meters, _bearings(poses, target.x, target.z), visible


def _bearings(poses: npt.NDArray[np.float64], x: float, z: float) -> npt.NDArray[np.float64]:
    toward = np.arctan2(poses[:, 2] - z, x - poses[:, 0])
    return (toward - np.deg2rad(poses[:, 3]) + np.pi) % (2 * np.pi) - np.pi


def _joined(parts: Sequence[tuple[npt.NDArray[Any], ...]], names: tuple[str, ...]) -> ReachPairs:
    if not parts:
        parts = [tuple(np.empty(0) for _ in range(6))]
    frames, goals, meters, bearings, visible, houses = (np.concatenate(each) for each in zip(*parts, strict=True))
    there = np.isfinite(meters)
    return ReachPairs(
        frames=frames[there].astype(np.int64),
        goals=goals[there].astype(np.int64),
        meters=meters[there].astype(np.float32),
        bearings=bearings[there].astype(np.float32),
        visible=visible[there].astype(np.bool_),
        houses=houses[there].astype(np.int64),
        names=names,
    )
