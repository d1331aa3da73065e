"""Windows: stretches of recorded episodes that an evaluation starts from, drawn by a seed; and what counts as a new view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bagel_world.errors import ConfigError
from bagel_world.sims.house import House
from bagel_world.sims.naming import public_name
from bagel_world.types import Action, Episode, Frame

NEW_VIEW_METERS = 0.25
NEW_VIEW_DEGREES = 15.0
"""A view is new when no frame of the context was seen from within both of these."""

ENOUGH_SCENES = 8
"""Scenes, below which a bootstrap over them says too little."""

SCENES = ("house", "table", "drop")
"""What metadata call the number of the scene; one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`context` frames that the model may see, and the steps after them that it is asked for.

    Attributes:
        frames: uint8, shape (context + horizon, height, width, 3).
        actions: the context + horizon - 1 actions between them.
        context: how many of the frames are given.
        poses: float64, shape (context + horizon, 4), as in `Episode`; None where unknown.
        group: windows of one group come from the same scene (or else episode) and resemble each other.
        house: (split, seed) from which the house can be drawn again; None for other footage.
        start: which frame of the episode is the first of these.
        metadata: that of the episode.
    """

    frames: Frame
    actions: tuple[Action, ...]
    context: int
    poses: npt.NDArray[np.float64] | None
    group: str
    house: tuple[str, int] | None = None
    start: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seen(self) -> Frame:
        """The frames of the context."""
        return self.frames[: self.context]

    @property
    def asked(self) -> tuple[Action, ...]:
        """The actions whose outcomes are asked for."""
        return self.actions[self.context - 1 :]

    @property
    def moved(self) -> bool:
        """Whether the first asked action changed the picture at all; "Stay" and walking into a wall do not."""
        return not np.array_equal(self.frames[self.context - 1], self.frames[self.context])

    @property
    def new_view(self) -> bool:
        """Whether the first asked frame shows a view that no context frame shows; False where poses are unknown."""
        return self.poses is not None and is_new_view(self.poses[: self.context], self.poses[self.context])


def is_new_view(known: npt.NDArray[np.float64], pose: npt.NDArray[np.float64]) -> bool:
    """Whether no known pose lies within both `NEW_VIEW_METERS` and `NEW_VIEW_DEGREES` of this one.

    Args:
        known: shape (n, 4): x, y, z in meters, yaw in degrees.
        pose: shape (4,).
    """
    meters = np.linalg.norm(known[:, :3] - pose[:3], axis=1)
    degrees = np.abs((known[:, 3] - pose[3] + 180.0) % 360.0 - 180.0)
    # Poses are sums of floats: a quarter of a meter is one also where it is a rounding error less.
    near = (meters <= NEW_VIEW_METERS + 1e-6) & (degrees <= NEW_VIEW_DEGREES + 1e-6)
    return not bool(near.any())


def cut_window(episode: Episode, start: int, *, context: int, horizon: int) -> Window:
    """The window of an episode whose first frame is frame `start`."""
    end = start + context + horizon
    metadata = episode.metadata
    made_here = metadata.get("source") == public_name(House) and "seed" in metadata
    return Window(
        frames=episode.frames[start:end].copy(),
        actions=episode.actions[start : end - 1],
        context=context,
        poses=None if episode.poses is None else episode.poses[start:end].copy(),
        group=_group_of(episode),
        house=(str(metadata["split"]), int(metadata["seed"])) if made_here else None,
        start=start,
        metadata=metadata,
    )


def _group_of(episode: Episode) -> str:
    """The scene that an episode was recorded in, or else the episode."""
    known = [episode.metadata[name] for name in (*SCENES, "episode_id") if name in episode.metadata]
    return str(known[0] if known else id(episode))


def scenes_note(groups: Iterable[str]) -> tuple[str, ...]:
    """A remark where intervals over scenes cannot be trusted, as there are so few."""
    count = len({*groups})
    if count >= ENOUGH_SCENES:
        return ()
    scenes = "one scene: intervals over scenes have no width" if count == 1 else f"{count} scenes: intervals are too narrow"
    return (f"The figures are of {scenes}. Measure on footage of {ENOUGH_SCENES} or more.",)


def draw_windows(
    episodes: Sequence[Episode], *, n: int, context: int, horizon: int, seed: int, asked_by: str = "--n", fewer: bool = False
) -> list[Window]:
    """`n` different windows, spread over the episodes as evenly as their lengths allow.

    Args:
        episodes: an `EpisodeFolder`, or any sequence; read one at a time.
        n: how many windows.
        context: frames that are given.
        horizon: steps that are asked for.
        seed: decides which windows.
        asked_by: the option that asked for so many, for the message where they are too many.
        fewer: be content with fewer, but at least one.

    Raises:
        ConfigError: the episodes hold fewer windows than that, or frames of several sizes.
    """
    rng = np.random.default_rng(seed)
    taken: list[Window] = []
    spare: list[tuple[int, int]] = []
    order = rng.permutation(len(episodes)).tolist()
    for rank, index in enumerate(order):
        wanted = -(-(n - len(taken)) // (len(order) - rank))
        if not wanted:
            break
        episode = episodes[index]
        starts = rng.permutation(max(len(episode.frames) - context - horizon + 1, 0)).tolist()
        taken += [cut_window(episode, start, context=context, horizon=horizon) for start in starts[:wanted]]
        spare += [(index, start) for start in starts[wanted:]]
    missing = n - len(taken)
    if fewer:
        missing = min(missing, len(spare))
    if missing > len(spare) or not taken:
        raise ConfigError(
            f"Expected at least {n} stretches of {context} frames and {horizon} further steps in {len(order)} episodes, found "
            f"{len(taken) + len(spare)}. Ask for fewer with {asked_by}, or record more."
        )
    for place in rng.permutation(len(spare))[:missing].tolist():
        index, start = spare[place]
        taken.append(cut_window(episodes[index], start, context=context, horizon=horizon))
    _require_one_size(taken)
    return taken


def _require_one_size(windows: Sequence[Window]) -> None:
    first = windows[0].frames.shape[1:3]
    other = next((each for each in windows if each.frames.shape[1:3] != first), None)
    if other is not None:
        sizes = [f"{each.frames.shape[1]} x {each.frames.shape[2]}" for each in (windows[0], other)]
        raise ConfigError(
            f"Expected footage with frames of one size, got {sizes[0]} and, in episode {other.metadata.get('episode_id')}, "
            f"{sizes[1]}. Put episodes of other sizes into a folder of their own."
        )
