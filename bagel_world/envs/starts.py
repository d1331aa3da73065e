"""Where a walk begins: what a reset asks for, read and checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bagel_world.actions import action_from_id, action_from_text
from bagel_world.envs.spaces import as_list
from bagel_world.errors import ActionError, ConfigError, nearest
from bagel_world.images import fit_image
from bagel_world.types import Episode, Frame
from bagel_world.world.protocol import Context, World
from bagel_world.world.scoring import Goal

RESET_OPTIONS = ("image", "goal_image", "goal_text", "prompt", "history", "state")
"""What `reset(options=...)` understands."""

MAX_PROMPT_LENGTH = 8192
"""Longest prompt, in characters."""

_BEGINNINGS = ("image", "history", "state")
_BATCH_AXES = 4  # of several images


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """Frames at the world's size and the words between them.

    Attributes:
        frames: n + 1 frames, n from 0 on.
        words: n texts.
    """

    frames: tuple[Frame, ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """What a reset asks for.

    Attributes:
        history: the past to begin with; None means one of the starting episodes.
        goal: what is to be reached.
        prompt: the text that opens the context.
        state: a saved state that takes the place of all the others.
    """

    history: History | None = None
    goal: Goal = field(default_factory=Goal)
    prompt: str | None = None
    state: Any = None


def read_options(options: Mapping[str, Any] | None, defaults: Mapping[str, Any], world: World) -> Start:
    """What these reset options ask for.

    Args:
        options: the caller's; may be None.
        defaults: the environment's own; a beginning (image, history or state) of the caller's replaces that of the defaults.
        world: gives the frame size and the action words.

    Raises:
        ConfigError: an unknown option, two beginnings at once, something beside a state, or a malformed one.
        ImageError: an image that cannot be read.
        ActionError: an action of the history, or a goal in words, that cannot be read.
    """
    options = options_of(options)
    _check_names(options)
    _check_names(defaults)
    given = {name: value for name, value in options.items() if value is not None}
    _check_beginnings(given)
    _check_beginnings(defaults)
    if any(name in given for name in _BEGINNINGS):
        defaults = {name: value for name, value in defaults.items() if name not in _BEGINNINGS}
    merged = given if "state" in given else {**defaults, **given}
    if "state" in merged:
        if len(merged) > 1:
            raise ConfigError(f"A state brings everything with it, got also {sorted(set(merged) - {'state'})}. Pass it alone.")
        return Start(state=merged["state"])
    return Start(
        history=_read_history(merged, world),
        goal=_read_goal(merged, world.frame_size),
        prompt=_read_prompt(merged.get("prompt")),
    )


def options_of(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of reset options; empty where there are none.

    Raises:
        ConfigError: they are no mapping.
    """
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(f"Expected reset options as a dictionary, such as {{'goal_text': ...}}, got {options!r:.80}.")
    return dict(options or {})


def check_starts(starts: Sequence[Any]) -> Sequence[Any]:
    """The same, when they are a list of episodes or images.

    Raises:
        ConfigError: they are not; a single image would pass for as many as it has rows.
    """
    single = isinstance(starts, (str, bytes, Episode)) or (isinstance(starts, np.ndarray) and starts.ndim < _BATCH_AXES)
    if single or not isinstance(starts, (Sequence, np.ndarray)):
        raise ConfigError(
            f"Expected starts as a list of episodes or images, got {type(starts).__name__}. Put a single one into a list."
        )
    return starts


def read_starts(starts: Sequence[Any], world: World, start_frames: int) -> tuple[History, ...]:
    """The first frames of every starting episode; a single image is an episode of one frame."""
    size = world.frame_size
    histories = []
    for start in starts:
        if isinstance(start, Episode):
            frames = tuple(fit_image(frame, size) for frame in start.frames[:start_frames])
            histories.append(History(frames=frames, words=tuple(action.text for action in start.actions[: len(frames) - 1])))
        else:
            histories.append(History(frames=(fit_image(start, size),)))
    return tuple(histories)


def begin_context(world: World, history: History, prompt: str | None, *, think: bool = False) -> Context:
    """A context that has seen and done what the history holds; with `think`, one in which every frame is thought about."""
    context = (world.begin(prompt, think=True) if think else world.begin(prompt)).observe(history.frames[0])
    for word, frame in zip(history.words, history.frames[1:], strict=True):
        context = context.say(word).observe(frame)
    return context


def _check_names(options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in RESET_OPTIONS:
            raise ConfigError(f"There is no reset option {name!r}. {nearest(str(name), RESET_OPTIONS)}")


def _check_beginnings(options: Mapping[str, Any]) -> None:
    beginnings = [name for name in _BEGINNINGS if name in options]
    if len(beginnings) > 1:
        raise ConfigError(f"An episode begins with one of {', '.join(_BEGINNINGS)}, got {' and '.join(beginnings)}. Keep one.")


def _read_goal(options: Mapping[str, Any], size: tuple[int, int]) -> Goal:
    image, text = options.get("goal_image"), options.get("goal_text")
    if text is not None and not (isinstance(text, str) and text.strip()):
        got = "an empty text" if isinstance(text, str) else repr(text)[:80]
        raise ActionError(f"Expected goal_text as words, such as 'stand in front of the duck', got {got}.")
    return Goal(
        image=None if image is None else fit_image(image, size), text=None if text is None else action_from_text(text).text
    )


def _read_prompt(prompt: Any) -> str | None:
    if prompt is None:
        return None
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > MAX_PROMPT_LENGTH:
        raise ConfigError(f"Expected a prompt of 1..{MAX_PROMPT_LENGTH} characters of text, got {prompt!r:.80}.")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"Expected a prompt that can be written as UTF-8, got {prompt!r:.80} ({error.reason}).") from error
    return prompt


def _read_history(options: Mapping[str, Any], world: World) -> History | None:
    if "image" in options:
        return History(frames=(fit_image(options["image"], world.frame_size),))
    if "history" not in options:
        return None
    history = options["history"]
    if isinstance(history, Episode):
        history = {"frames": history.frames, "actions": [action.text for action in history.actions]}
    if not isinstance(history, Mapping) or set(history) != {"frames", "actions"}:
        raise ConfigError(f"Expected history as {{'frames': [...], 'actions': [...]}} or an Episode, got {history!r:.80}.")
    frames, actions = (as_list(history[name]) for name in ("frames", "actions"))
    if frames is None or actions is None:
        raise ConfigError(f"Expected lists of frames and actions in a history, got {history!r:.80}.")
    if not frames or len(actions) != len(frames) - 1:
        raise ConfigError(f"Expected n + 1 frames and n actions in a history, got {len(frames)} frames, {len(actions)} actions.")
    words = tuple(_word_of(action, world.action_words) for action in actions)
    return History(frames=tuple(fit_image(frame, world.frame_size) for frame in frames), words=words)


def _word_of(action: Any, words: tuple[str, ...]) -> str:
    return (action_from_text(action, words) if isinstance(action, str) else action_from_id(action, words)).text
