"""Kinds of footage: what is particular about measuring houses, turntables and drops. The protocol itself is `open_loop`'s."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bagel_world.actions import NAVIGATE_WORDS, ROLLOUT_WORDS, ROTATE_WORDS, TURNS
from bagel_world.errors import ConfigError, MissingExtraError, SimulatorError
from bagel_world.evaluation.body_positions import position_rows
from bagel_world.evaluation.compared import COPY_LAST, LEAST_REGION, Compared, Mask
from bagel_world.evaluation.linear_motion import move_on
from bagel_world.evaluation.report import Row
from bagel_world.evaluation.scenes import DropScenes, Owners, Scenes, TableScenes
from bagel_world.evaluation.turned import turn_view
from bagel_world.evaluation.windows import Window
from bagel_world.sims.drops import Drops
from bagel_world.sims.house import FIELD_OF_VIEW, TURN_STEP, House
from bagel_world.sims.naming import public_name
from bagel_world.sims.turntable import Turntable
from bagel_world.types import Episode, Frame

MOVING_LEVELS = 8
"""A pixel moves where the truth differs from the last given frame by more than this, of 255, in any color."""

LINEAR = "linear motion"

WARPED = "warped last frame"

STAY = "Stay"

_TURNED = {"Look left": TURN_STEP, "Look right": -TURN_STEP}
_FURTHEST = 179.0  # degrees: beyond, nothing of a picture is left, and its edges stand for all


@dataclass(frozen=True, slots=True, kw_only=True)
class Studied:
    """What is known about the asked frames of some windows, apart from the world under test.

    Attributes:
        baselines: label -> what a simple rule expects, uint8, shape (n, steps, height, width, 3).
        regions: name -> the pixels that matter, bool, shape (n, steps, height, width).
        owners: which body each pixel shows, (n, steps, height, width); None where unknown.
        notes: what could not be found out.
    """

    baselines: dict[str, Frame] = field(default_factory=dict)
    regions: dict[str, Mask] = field(default_factory=dict)
    owners: Owners | None = None
    notes: tuple[str, ...] = ()


class FootageKind(ABC):
    """Footage of one simulator.

    Attributes:
        name: for files.
        task: what a world is loaded for; None for its default task.
        words: the actions of that task.
        rivals: baselines over which the gain is told.
        shown_first: the samples with which a contact sheet begins.
        needs_poses: whether new views are told from poses.
    """

    name: str
    task: str | None
    words: tuple[str, ...]
    rivals: tuple[str, ...] = (COPY_LAST,)
    shown_first: str
    needs_poses = True

    @abstractmethod
    def samples(self, windows: Sequence[Window], words: tuple[str, ...]) -> dict[str, Mask]:
        """Name -> which windows it stands for, by their first asked frame; the world knows these action words."""

    def study(self, windows: Sequence[Window]) -> Studied:
        """What is known about the asked frames."""
        return Studied()

    def more_rows(self, windows: Sequence[Window], compared: Compared, studied: Studied) -> Iterator[Row]:
        """Figures about the first asked frames that only this kind has."""
        return iter(())

    def caption(self, word: str) -> str:
        """An action in the few words that fit above a frame."""
        return word

    def objects(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """The kinds of the objects of an episode, in the order in which scenes number their pixels; none where unknown."""
        return ()

    def open_scenes(self, size: tuple[int, int]) -> Scenes:
        """What tells which pixels show which object, for frames of this size.

        Raises:
            ConfigError: nobody knows that for this kind of footage.
        """
        raise ConfigError(
            f"Expected footage of turntables or drops, whose objects are known pixel by pixel, got footage of kind {self.name!r}."
        )


class HouseFootage(FootageKind):
    """Walks through houses."""

    name, task, words = "house", "navigate", NAVIGATE_WORDS
    rivals = (COPY_LAST, WARPED)
    shown_first = "new-view turns"

    def samples(self, windows: Sequence[Window], words: tuple[str, ...]) -> dict[str, Mask]:
        """All, where the picture changed, per action, and turns into new views."""
        said = _said(windows)
        samples = _all_and_changed(windows)
        samples |= {word: said == word for word in sorted(set(said.tolist()), key=_place_in(words))}
        turned = np.isin(said, tuple(_TURNED))
        return {**samples, self.shown_first: turned & _new_views(windows)}

    def study(self, windows: Sequence[Window]) -> Studied:
        """The last given frame, turned as far as the actions turn."""
        return Studied(baselines={WARPED: np.stack([warp_on(window) for window in windows])})


class OtherFootage(HouseFootage):
    """Footage from elsewhere: measured as that of houses, but for what only their camera is known to do."""

    task = None
    rivals = (COPY_LAST,)

    def study(self, windows: Sequence[Window]) -> Studied:
        """Nothing is known."""
        return Studied()


class TableFootage(FootageKind):
    """Objects that the camera goes around; the object's own pixels are a region.

    Args:
        open_scenes: makes what builds the turntables again, from the size of the frames.
    """

    name, task, words = "turntable", "rotate", ROTATE_WORDS
    shown_first = "new yaws"

    def __init__(self, open_scenes: Callable[[tuple[int, int]], Scenes] = TableScenes) -> None:
        self._open_scenes = open_scenes

    def samples(self, windows: Sequence[Window], words: tuple[str, ...]) -> dict[str, Mask]:
        """All, where the picture changed, by degrees, and yaws that no frame of the context lies within 15 degrees of."""
        said, new = _said(windows), _new_views(windows)
        samples = _all_and_changed(windows)
        turns = {f"{degrees} degrees": np.isin(said, turns_by(degrees)) for degrees in TURNS}
        samples |= {**turns, STAY: said == STAY, self.shown_first: new}
        return samples | {f"{name}, new yaws": turned & new for name, turned in turns.items()}

    def study(self, windows: Sequence[Window]) -> Studied:
        """The pixels of the object."""
        owners, notes = _owners_of(windows, self.open_scenes, "the object")
        if owners is None:
            return Studied(notes=notes)
        asked = _asked(owners, windows)
        return Studied(regions={"object": asked == 0}, owners=asked)

    def objects(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """The one that stands on the table."""
        return (str(metadata["object"]),)

    def open_scenes(self, size: tuple[int, int]) -> Scenes:
        """The turntables."""
        return self._open_scenes(size)

    def caption(self, word: str) -> str:
        """Side and degrees."""
        if word not in ROTATE_WORDS[:-1]:
            return word
        return f"{'left' if degrees_of(word) > 0 else 'right'} {abs(degrees_of(word))}"


class DropFootage(FootageKind):
    """Falling bodies; what moves is a region, and linear motion a baseline.

    Args:
        open_scenes: makes what lets the bodies fall again, from the size of the frames.
    """

    name, task, words = "drops", "rollout", ROLLOUT_WORDS
    rivals = (COPY_LAST, LINEAR)
    shown_first, needs_poses = "something moves", False

    def __init__(self, open_scenes: Callable[[tuple[int, int]], Scenes] = DropScenes) -> None:
        self._open_scenes = open_scenes

    def samples(self, windows: Sequence[Window], words: tuple[str, ...]) -> dict[str, Mask]:
        """All, those in which something moves, and by wait."""
        said = _said(windows)
        moves = moving_parts(windows)[:, 0].sum(axis=(1, 2)) >= LEAST_REGION
        samples = {"all actions": np.ones(len(windows), np.bool_), self.shown_first: moves}
        return samples | {word: said == word for word in self.words if (said == word).any()}

    def study(self, windows: Sequence[Window]) -> Studied:
        """The moving part, and where linear motion would bring the bodies."""
        regions = {"moving": moving_parts(windows)}
        owners, notes = _owners_of(windows, self.open_scenes, "bodies and linear motion")
        if owners is None or windows[0].context < 2:
            return Studied(regions=regions, notes=notes)
        expected = np.stack([go_on(window, each) for window, each in zip(windows, owners, strict=True)])
        return Studied(regions=regions, baselines={LINEAR: expected}, owners=_asked(owners, windows))

    def more_rows(self, windows: Sequence[Window], compared: Compared, studied: Studied) -> Iterator[Row]:
        """How far from their places the bodies appear."""
        if studied.owners is None:
            return
        moved = np.full((len(windows), int(studied.owners.max()) + 1), np.nan)
        for place, window in enumerate(windows):
            centers = _slice(window, "centers")[window.context - 1 :][:2]
            distances = np.linalg.norm(centers[1] - centers[0], axis=1)[: moved.shape[1]]
            moved[place, : len(distances)] = distances
        yield from position_rows(compared, studied.owners[:, 0], moved)

    def objects(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        """The bodies."""
        return tuple(metadata["bodies"])

    def open_scenes(self, size: tuple[int, int]) -> Scenes:
        """The drops."""
        return self._open_scenes(size)


def warp_on(window: Window) -> Frame:
    """The last given frame of a walk, turned by the asked turns so far; uint8, shape (steps, height, width, 3)."""
    turns = np.cumsum([_TURNED.get(action.text, 0.0) for action in window.asked])
    aside = ((turns + 180.0) % 360.0 - 180.0).clip(-_FURTHEST, _FURTHEST)
    return np.stack([turn_view(window.seen[-1], each, field_of_view=FIELD_OF_VIEW) for each in aside.tolist()])


def go_on(window: Window, owners: Owners) -> Frame:
    """What linear motion expects at every asked time of a window, uint8, shape (steps, height, width, 3)."""
    given = window.context
    times, centers, poses = (_slice(window, name) for name in ("times", "centers", "body_poses"))
    order = np.argsort(-poses[given - 1, :, 1], kind="stable").tolist()  # y goes away from the camera
    aheads = times[given:] - times[given - 1]
    start = (window.seen, owners[:given], centers[:given], times[:given].tolist(), order)
    return np.stack([move_on(*start, ahead) for ahead in aheads.tolist()])


def moving_parts(windows: Sequence[Window]) -> Mask:
    """Where the asked frames differ from the last given one, bool, shape (n, steps, height, width)."""
    asked = np.stack([window.frames[window.context :] for window in windows]).astype(np.int16)
    last = np.stack([window.seen[-1] for window in windows]).astype(np.int16)[:, None]
    return np.abs(asked - last).max(axis=-1) > MOVING_LEVELS


def turns_by(degrees: int) -> tuple[str, ...]:
    """The two actions that turn by so many degrees."""
    place = TURNS.index(degrees)
    return ROTATE_WORDS[place], ROTATE_WORDS[place + len(TURNS)]


def degrees_of(word: str) -> int:
    """What an action of a turntable adds to the yaw, in degrees; to the left adds."""
    place = ROTATE_WORDS.index(word)
    return (*TURNS, *(-degrees for degrees in TURNS), 0)[place]


def kind_of(source: str | None) -> FootageKind:
    """The kind of footage of a simulator, as manifests ("simulator") and episodes ("source") name it.

    Footage from elsewhere is measured as that of houses is.
    """
    return _KINDS.get(source or "", OtherFootage)()


def kind_of_episode(episode: Episode) -> FootageKind:
    """The kind of footage that an episode is."""
    return kind_of(episode.metadata.get("source"))


_KINDS: dict[str, type[HouseFootage | TableFootage | DropFootage]] = {
    public_name(House): HouseFootage,
    public_name(Turntable): TableFootage,
    public_name(Drops): DropFootage,
}


def _said(windows: Sequence[Window]) -> np.ndarray:
    return np.array([window.asked[0].text for window in windows])


def _new_views(windows: Sequence[Window]) -> Mask:
    return np.array([window.new_view for window in windows])


def _all_and_changed(windows: Sequence[Window]) -> dict[str, Mask]:
    moved = np.array([window.moved for window in windows])
    return {"all actions": np.ones(len(windows), np.bool_), "picture changed": moved}


def _place_in(words: tuple[str, ...]) -> Any:
    return lambda word: words.index(word) if word in words else len(words)


def _slice(window: Window, name: str) -> np.ndarray:
    """What the metadata tell about every frame of a window."""
    return np.asarray(window.metadata[name][window.start :][: len(window.frames)], dtype=np.float64)


def _asked(owners: Owners, windows: Sequence[Window]) -> Owners:
    return owners[:, windows[0].context :]


def _owners_of(
    windows: Sequence[Window], open_scenes: Callable[[tuple[int, int]], Scenes], what: str
) -> tuple[Owners | None, tuple[str, ...]]:
    """Which body each pixel of the windows shows, or a note why nobody knows."""
    height, width = windows[0].frames.shape[1:3]
    try:
        with closing(open_scenes((height, width))) as scenes:
            return np.stack([scenes.owners(window) for window in windows]), ()
    except (MissingExtraError, SimulatorError) as error:
        return None, (f"There are no figures of {what}: {error}",)
