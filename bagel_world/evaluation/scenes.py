"""Scenes: what footage was recorded in, built again to tell which pixels show what, and how it looks from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bagel_world.actions import WAITS
from bagel_world.errors import ConfigError, SimulatorError
from bagel_world.evaluation.windows import NEW_VIEW_DEGREES, NEW_VIEW_METERS, Window
from bagel_world.types import Episode, Frame

Owners = npt.NDArray[np.int32]
"""Which body each pixel shows, shape (frames, height, width), by its number in the scene; -1 is none of them."""

OTHER_SHARE = 0.02
"""A picture in which a larger share of pixels differs is one of another scene."""

_OTHER_LEVELS = 8
_TRIES = 64  # places drawn around one, of which most are free


class Scenes(Protocol):
    """What a simulator can still tell about recorded frames."""

    def owners(self, window: Window) -> Owners:
        """Which body each pixel of every frame of a window shows.

        Raises:
            SimulatorError: the scene cannot be built again.
        """
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class _Simulators:
    """Simulators of one kind, one per split, opened when first needed.

    Args:
        size: (height, width) of the footage in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._open: dict[str, Any] = {}

    def close(self) -> None:
        """Give the OpenGL contexts back."""
        for each in self._open.values():
            each.close()
        self._open.clear()

    def _opened(self, kind: Callable[..., Any], split: str) -> Any:
        if split not in self._open:
            self._open[split] = kind(split=split, size=self._size)
        return self._open[split]


class HouseScenes(_Simulators):
    """Houses, seen from places near those of recorded frames."""

    def view_near(self, episode: Episode, place: int, rng: np.random.Generator) -> Frame | None:
        """What is seen from a pose drawn within `NEW_VIEW_METERS` and `NEW_VIEW_DEGREES` of a frame's; None where none is free.

        Raises:
            SimulatorError: nobody knows where the frame was seen from, or the house looks different when it is built again.
        """
        from bagel_world.sims.house import House

        if episode.poses is None:
            raise SimulatorError("Expected footage with the pose of every frame, got footage without poses.")
        split, seed = _scene_of(episode.metadata)
        house, pose = self._opened(House, split), episode.poses[place]
        shown, _ = house.reset(options={"house": seed, "pose": pose})
        _require_same(shown, episode.frames[place], episode.metadata)
        for _ in range(_TRIES):
            meters, angle = NEW_VIEW_METERS * np.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * np.pi)
            turn = rng.uniform(-NEW_VIEW_DEGREES, NEW_VIEW_DEGREES)
            try:
                return house.set_pose(pose + np.array([meters * np.cos(angle), 0.0, meters * np.sin(angle), turn]))
            except ConfigError:  # something is in the way
                continue
        return None


class TableScenes(_Simulators):
    """Turntables; the object is body 0."""

    def owners(self, window: Window) -> Owners:
        """0 where a pixel shows the object, -1 elsewhere; see `Scenes`."""
        table = self._table(window)
        masks = []
        for frame, pose in zip(window.frames, _poses(window), strict=True):
            _require_same(table.set_yaw(float(pose[3])), frame, window.metadata)
            masks.append(np.where(table.mask(), 0, -1).astype(np.int32))
        return np.stack(masks)

    def views(self, window: Window, yaws: Sequence[float]) -> Frame:
        """The real frames of a window's turntable from these yaws (degrees): uint8, shape (yaws, height, width, 3)."""
        table = self._table(window)
        return np.stack([table.set_yaw(float(yaw)) for yaw in yaws])

    def _table(self, window: Window) -> Any:
        from bagel_world.sims.turntable import Turntable

        split, seed = _scene_of(window.metadata)
        table = self._opened(Turntable, split)
        table.reset(options={"table": seed, "yaw": float(_poses(window)[0, 3])})
        return table


class DropScenes(_Simulators):
    """Drops; bodies are numbered as the metadata name them."""

    def owners(self, window: Window) -> Owners:
        """The body behind every pixel; see `Scenes`."""
        from bagel_world.sims.drops import FRAME_INTERVAL, Drops

        split, seed = _scene_of(window.metadata)
        drops, passed, masks = self._opened(Drops, split), 0, []
        shown, _ = drops.reset(options={"drop": seed})
        times = window.metadata["times"][window.start :][: len(window.frames)]
        for frame, time in zip(window.frames, times, strict=True):
            moments = round(time / FRAME_INTERVAL)
            for wait in waits_for(moments - passed):
                shown = drops.step(WAITS.index(wait))[0]
            passed = moments
            _require_same(shown, frame, window.metadata)
            masks.append(drops.mask())
        return np.stack(masks)


def waits_for(moments: int) -> list[int]:
    """Waits that add up to so many moments, longest first."""
    waits = []
    for wait in sorted(WAITS, reverse=True):
        waits += [wait] * (moments // wait)
        moments %= wait
    return waits


def _scene_of(metadata: Mapping[str, Any]) -> tuple[str, int]:
    if "split" not in metadata or "seed" not in metadata:
        raise SimulatorError("Expected footage whose metadata name split and seed of its scene, got footage from elsewhere.")
    return str(metadata["split"]), int(metadata["seed"])


def _poses(window: Window) -> npt.NDArray[np.float64]:
    if window.poses is None:
        raise SimulatorError("Expected footage with the yaw of every frame, got footage without poses.")
    return window.poses


def share_of_others(drawn: Frame, recorded: Frame) -> float:
    """The share of pixels that differ by more than renderers do."""
    return float((np.abs(drawn.astype(np.int16) - recorded.astype(np.int16)).max(axis=-1) > _OTHER_LEVELS).mean())


def _require_same(drawn: Frame, recorded: Frame, metadata: Mapping[str, Any]) -> None:
    """Another renderer may differ a little; another scene must not pass for this one."""
    other = share_of_others(drawn, recorded)
    if other > OTHER_SHARE:
        raise SimulatorError(
            f"Episode {metadata.get('episode_id')} looks different when its scene is built again: {other:.0%} of "
            "the pixels differ. It was recorded with another version of the simulator; record it again to measure inside regions."
        )
