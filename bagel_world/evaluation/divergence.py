"""Divergence: the real and the imagined world under the same actions, and how far apart they are after every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bagel_world.actions import action_from_text
from bagel_world.errors import ActionError, ConfigError
from bagel_world.evaluation.features import FeatureDistance
from bagel_world.evaluation.metrics import Values, mean_interval, psnr
from bagel_world.evaluation.report import Row, by_metric, make_row
from bagel_world.evaluation.sheets import Strip
from bagel_world.evaluation.subject import Subject, seed_for
from bagel_world.evaluation.windows import Window, cut_window
from bagel_world.types import Action, Episode, Frame

_COLUMNS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """A walk in two worlds.

    Attributes:
        window: the real frames and actions; the first `window.context` frames were given to the imagined world.
        imagined: uint8, shape (steps, height, width, 3): what it showed after each of the further actions.
        psnr_db: per step, shape (steps,), imagined against real.
        still_psnr_db: the last given frame against real: what a world that never moves would reach.
        features: feature distances per step, shape (steps,); None where nothing measured them.
        still_features: those of the last given frame.
    """

    window: Window
    imagined: Frame
    psnr_db: Values
    still_psnr_db: Values
    features: Values | None = None
    still_features: Values | None = None

    @property
    def real(self) -> Frame:
        """uint8, shape (steps, height, width, 3): what the real world showed after each of the further actions."""
        return self.window.frames[self.window.context :]

    def captions(self) -> tuple[str, ...]:
        """What was done and how far apart the worlds are then, per step."""
        features = [""] * len(self.imagined) if self.features is None else [f", features {each:.3f}" for each in self.features]
        return tuple(
            f"{step}. {action.text}: {signal:.1f} dB{feature}"
            for step, (action, signal, feature) in enumerate(zip(self.window.asked, self.psnr_db, features, strict=True), 1)
        )

    def rows(self) -> tuple[Row, ...]:
        """Every step's figures, and their means over the walk; of one walk, hence without intervals."""
        return by_metric(self._rows())

    def strips(self) -> list[Strip]:
        """The walk in lines of eight steps, real above imagined, every step with its PSNR."""
        words = [f"{step}. {signal:.1f} dB" for step, signal in enumerate(self.psnr_db, 1)]
        columns = min(_COLUMNS, len(words))
        missing = -len(words) % columns
        blank = np.full((missing, *self.real.shape[1:]), 255, np.uint8)
        words += [""] * missing
        real, imagined = (np.concatenate([each, blank]) for each in (self.real, self.imagined))
        return [
            Strip(
                captions=tuple(words[at : at + columns]), rows={"real": real[at:][:columns], "imagined": imagined[at:][:columns]}
            )
            for at in range(0, len(words), columns)
        ]

    def _rows(self) -> Iterator[Row]:
        figures = {"imagined": self.psnr_db, "last given frame": self.still_psnr_db}
        yield from _rows_of("psnr_db", figures)
        if self.features is not None and self.still_features is not None:
            figures = {"imagined": self.features, "last given frame": self.still_features}
            yield from _rows_of("effnet_lite_feature_distance", figures)


def drive(simulator: Any, words: Sequence[str], *, seed: int) -> Episode:
    """What a real simulator shows under these actions.

    Args:
        simulator: an environment with `action_words` and discrete actions whose observations are frames; left open.
        words: some of its action words.
        seed: decides where it begins.

    Raises:
        ActionError: words that the simulator does not know.
        ConfigError: no words, or the simulator's episode ended before the last of them.
    """
    actions = [_known(word, simulator.action_words) for word in words]
    if not actions:
        raise ConfigError("Expected at least one action to drive the simulator with, got none.")
    frame, _ = simulator.reset(seed=seed)
    frames = [frame]
    for place, action in enumerate(actions):
        frame, _, terminated, truncated, _ = simulator.step(action.id)
        frames.append(frame)
        if (terminated or truncated) and place + 1 < len(actions):
            raise ConfigError(f"The simulator's episode ended after {place + 1} of {len(actions)} actions. Ask for fewer.")
    source = f"{type(simulator).__module__}.{type(simulator).__qualname__}"
    return Episode(frames=np.stack(frames), actions=tuple(actions), metadata={"source": source, "reset_seed": seed})


def measure_divergence(
    subject: Subject, episode: Episode, *, context: int = 2, seed: int = 0, perceive: FeatureDistance | None = None
) -> Divergence:
    """Let a world imagine, from its own frames, what a real one showed under the same actions.

    Args:
        subject: the imagined world.
        episode: the real one's frames and actions, from `drive` or from recorded footage.
        context: real frames, with the actions between them, that the imagined world begins with.
        seed: decides its noise.
        perceive: feature distance; left out where None.

    Raises:
        ConfigError: frames of another size, or no action after the context.
    """
    if not 1 <= context <= len(episode):
        raise ConfigError(f"Expected a context of 1..{len(episode)} of the {len(episode.frames)} frames, got {context}.")
    subject.check_footage(episode.frames)
    window = cut_window(episode, 0, context=context, horizon=len(episode) + 1 - context)
    words = [action.text for action in window.asked]
    seeds = [seed_for(seed, step) for step in range(len(words))]
    imagined = subject.roll([subject.context_of(window)], [words], [seeds])[0]
    real = window.frames[context:]
    still = np.repeat(window.seen[-1:], len(real), axis=0)
    return Divergence(
        window=window,
        imagined=imagined,
        psnr_db=psnr(imagined, real),
        still_psnr_db=psnr(still, real),
        features=None if perceive is None else perceive(imagined, real),
        still_features=None if perceive is None else perceive(still, real),
    )


def _rows_of(metric: str, figures: dict[str, Values]) -> Iterator[Row]:
    for label, values in figures.items():
        # The steps of one walk resemble each other: they are one group, and there is no interval around their mean.
        yield make_row(metric, f"{label}, all steps", len(values), mean_interval(values, groups=np.zeros(len(values))))
        for step, value in enumerate(values, 1):
            yield make_row(metric, f"{label}, step {step}", 1, mean_interval([value]))


def _known(word: str, words: tuple[str, ...]) -> Action:
    action = action_from_text(word, words)
    if action.id is None:
        raise ActionError(f"Expected one of the simulator's actions {words}, got {word!r:.80}. It obeys no other words.")
    return action
