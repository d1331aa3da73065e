"""Control: do the imagined frames obey the actions?

Counterfactuals (other actions, other seeds), walks that must lead back to where they began, standing still, what an
independent probe reads from the frames, and from how far around an object they look. Truth comes from recorded footage; only
the views around objects are drawn by a simulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from bagel_world.actions import ROTATE_WORDS
from bagel_world.errors import CapabilityError, ConfigError, MissingExtraError, SimulatorError
from bagel_world.evaluation.futures import FUTURES, future_strips, gap_row, imagine_futures, is_free_ahead, probe_rows, stay_rows
from bagel_world.evaluation.kinds import FootageKind, OtherFootage, kind_of_episode, moving_parts
from bagel_world.evaluation.loops import (
    FORWARD,
    FULL_TURN,
    HOUSE_LOOPS,
    LEFT,
    TABLE_LOOPS,
    draw_places,
    loop_rows,
    read_turn_row,
    turn_strips,
    walk_loop,
)
from bagel_world.evaluation.open_loop import Findings
from bagel_world.evaluation.probe import ActionProbe
from bagel_world.evaluation.report import Row, by_metric
from bagel_world.evaluation.scenes import TableScenes
from bagel_world.evaluation.sheets import Strip
from bagel_world.evaluation.subject import Subject, Track, seed_for, untracked
from bagel_world.evaluation.windows import Window, draw_windows, scenes_note
from bagel_world.evaluation.yaws import yaw_rows
from bagel_world.types import Episode

TABLE_TURN = "12 x 30 degrees to the left"


class ControlConfig(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=256, ge=1)
    """Places from which all actions are imagined."""
    loops: int = Field(default=64, ge=1)
    """Places from which walks that return are imagined, and from which yaws are told."""
    context: int = Field(default=4, ge=1)
    """Real frames that are given."""
    seed: int = Field(default=0, ge=0)
    """Decides windows and noise."""
    batch: int = Field(default=16, ge=1)
    """Places imagined at a time."""


@dataclass(slots=True, kw_only=True)
class _Found:
    rows: list[Row] = field(default_factory=list)
    sheets: dict[str, list[Strip]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def findings(self) -> Findings:
        return Findings(rows=by_metric(self.rows), sheets=self.sheets, notes=tuple(self.notes))


def measure_control(
    subject: Subject,
    episodes: Sequence[Episode],
    probe: ActionProbe | None,
    config: ControlConfig,
    *,
    kind: FootageKind | None = None,
    track: Track = untracked,
) -> Findings:
    """Impose actions and look whether the frames obey.

    Args:
        subject: the world under test, with the action words of the footage.
        episodes: footage it never saw.
        probe: reads actions from frames; trained on other footage, with the subject's action words. Drops need none.
        config: what to measure.
        kind: of the footage; None reads it from the first episode.
        track: shows progress.

    Raises:
        CapabilityError: the world lacks the action words by which such footage is measured.
        ConfigError: the footage has another frame size, too little of it, or no action that the world knows.
    """
    kind = kind_of_episode(episodes[0]) if kind is None else kind
    windows, places = check_control(subject, episodes, kind, config)
    found = _Found(notes=[*scenes_note(window.group for window in windows)])
    if len(windows) < config.n:
        found.notes.append(f"{config.n - len(windows)} of {config.n} places were left out: actions that the world does not know.")
    if kind.name == "drops":
        _measure_waits(subject, windows, kind, config, track, found)
        return found.findings()
    if probe is None:
        raise ConfigError(f"Expected a probe that reads the actions of {kind.name} footage, got none. Train one first.")
    futures = imagine_futures(subject, windows, seed=config.seed, batch=config.batch, track=track)
    found.rows += [gap_row(futures, config.seed), *stay_rows(subject, futures, config.seed)]
    found.rows += probe_rows(probe, futures, subject.words, config.seed)
    found.sheets["futures"] = future_strips(futures, [kind.caption(word) for word in subject.words])
    if kind.name == "turntable":
        _measure_yaws(subject, places, config, track, found)
    _measure_loops(subject, places, kind, probe, config, track, found)
    return found.findings()


def check_control(
    subject: Subject, episodes: Sequence[Episode], kind: FootageKind, config: ControlConfig
) -> tuple[list[Window], list[Window]]:
    """Where all actions are imagined, and where walks that return begin; whether control can be measured there.

    Raises:
        CapabilityError: the world lacks the action words by which such footage is measured.
        ConfigError: the footage has another frame size, too little of it, or no action that the world knows.
    """
    missing = [word for word in kind.words if word not in subject.words]
    if missing and isinstance(kind, OtherFootage):
        raise CapabilityError(
            f"This footage is from elsewhere and would be measured as that of houses, by their actions, of which checkpoint "
            f"{subject.name!r} was not taught {missing}. `bagel-world eval open-loop` measures footage with any actions."
        )
    if missing:
        raise CapabilityError(f"This footage shows actions that checkpoint {subject.name!r} was not taught: {missing}.")
    subject.check_footage(episodes[0].frames)
    windows = draw_windows(episodes, n=config.n, context=config.context, horizon=1, seed=seed_for(config.seed, FUTURES))
    windows = [window for window in windows if window.asked[0].text in subject.words]
    if not windows:
        raise ConfigError(f"Expected footage with some of the actions {list(subject.words)}, found none of them.")
    places = [] if kind.name == "drops" else draw_places(episodes, n=config.loops, context=config.context, seed=config.seed)
    return windows, places


def _measure_waits(
    subject: Subject, windows: Sequence[Window], kind: FootageKind, config: ControlConfig, track: Track, found: _Found
) -> None:
    """The gap between waits, where anything moves: when all has come to rest, every wait leads to the same frame."""
    moving = [window for window, parts in zip(windows, moving_parts(windows), strict=True) if parts.any()]
    found.notes.append(f"Something moves in {len(moving)} of {len(windows)} windows; only those count.")
    if not moving:
        return
    futures = imagine_futures(subject, moving, seed=config.seed, batch=config.batch, track=track)
    found.rows.append(gap_row(futures, config.seed))
    found.sheets["futures"] = future_strips(futures, [kind.caption(word) for word in subject.words])


def _measure_yaws(subject: Subject, places: Sequence[Window], config: ControlConfig, track: Track, found: _Found) -> None:
    """How far the imagined views have turned."""
    futures = imagine_futures(subject, places, seed=config.seed, batch=config.batch, track=track)
    height, width = places[0].frames.shape[1:3]
    try:
        with closing(TableScenes((height, width))) as scenes:
            found.rows += yaw_rows(subject, futures, scenes, config.seed)
    except (MissingExtraError, SimulatorError) as error:
        found.notes.append(f"There are no figures of yaws: {error}")


def _measure_loops(
    subject: Subject,
    places: Sequence[Window],
    kind: FootageKind,
    probe: ActionProbe,
    config: ControlConfig,
    track: Track,
    found: _Found,
) -> None:
    """Walks that must return."""
    loops, turn, turned = (HOUSE_LOOPS, FULL_TURN, LEFT) if kind.name == "house" else (TABLE_LOOPS, TABLE_TURN, ROTATE_WORDS[1])
    for number, (name, words) in enumerate(loops.items()):
        free = places if FORWARD not in words else [place for place in places if is_free_ahead(place)]
        if not free:
            found.notes.append(
                f"The walk {name!r} was left out: at none of {len(places)} places is the way ahead known to be free."
            )
            continue
        walked = walk_loop(subject, free, words, number, seed=config.seed, batch=config.batch, track=track)
        found.rows += loop_rows(subject, name, free, walked, config.seed)
        if name == turn:
            found.rows.append(read_turn_row(probe, free, walked, subject.words.index(turned), config.seed))
            found.sheets["full_turn"] = turn_strips(free, walked)
