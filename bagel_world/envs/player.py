"""Player: a person's walk through a world, step by step, with undo, redo and other futures.

Every moment of the walk keeps the state of the environment, so that going back costs no model call and going on from there
shows what it would have shown the first time. It knows nothing of keys and screens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bagel_world.envs.world_env import WorldEnv
from bagel_world.errors import BagelWorldError
from bagel_world.types import Frame
from bagel_world.world.record import save_movie


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """A place in a walk.

    Attributes:
        state: of the environment, after what happened.
        frame: what is seen, uint8 (height, width, 3).
        context: the frames that the next one is imagined from, oldest first.
        info: of the step or the reset that led here.
        action: the words that led here; None at the beginning.
        reward: what the step paid.
        over: whether the episode ends here.
        seconds: how long the step took; None at the beginning.
    """

    state: dict[str, Any]
    frame: Frame
    context: tuple[Frame, ...]
    info: Mapping[str, Any]
    action: str | None = None
    reward: float = 0.0
    over: bool = False
    seconds: float | None = None


class Player:
    """A walk that can be taken back.

    Nothing here raises for what a person might ask: `message` says what came of it.

    Args:
        env: where to walk; it belongs to the player from here on.
        seed: of the first episode; a restart takes the next one.
        options: of every reset.
        clock: seconds.

    Attributes:
        message: one sentence about the last thing that was asked for; empty where there is nothing to say.

    Raises:
        BagelWorldError: the episode cannot begin.
    """

    def __init__(
        self,
        env: WorldEnv,
        *,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.env = env
        self.message = ""
        self._options = dict(options or {})
        self._clock = clock
        self._seed = seed
        self._draws = 0
        self._moments: list[Moment] = []
        self._place = 0
        self._begin()

    @property
    def now(self) -> Moment:
        """Where the walk stands."""
        return self._moments[self._place]

    @property
    def steps(self) -> int:
        """Steps from the beginning to here."""
        return self._place

    @property
    def redoable(self) -> int:
        """Steps that were taken back and can be taken again."""
        return len(self._moments) - 1 - self._place

    @property
    def frames(self) -> list[Frame]:
        """The walk so far, its beginning included."""
        return [moment.frame for moment in self._moments[: self._place + 1]]

    @property
    def goal(self) -> Frame | None:
        """The picture to reach, if there is one."""
        return self.env.session.goal.image

    def act(self, words: str) -> None:
        """Do something; what was taken back before is forgotten."""
        if self.now.over:
            self.message = "This walk is over: take a step back, or begin another."
            return
        try:
            moment = self._step(words)
        except BagelWorldError as error:
            self.message = str(error)
            return
        del self._moments[self._place + 1 :]
        self._moments.append(moment)
        self._place += 1
        self.message = moment.info["action_error"] or self._verdict(moment)

    def undo(self) -> None:
        """One step back."""
        if self._place == 0:
            self.message = "This is where the walk began."
            return
        self._go_to(self._place - 1)

    def redo(self) -> None:
        """Take the last undo back."""
        if not self.redoable:
            self.message = "There is no step to take again."
            return
        self._go_to(self._place + 1)

    def redraw(self) -> None:
        """The last step once more, with other noise: another future of the same action."""
        words = self.now.action
        if words is None:
            self.message = "There is no step yet to imagine anew."
            return
        self._place -= 1
        self._draws += 1
        self.env.set_state(self.now.state, reseed=self._draws)
        self.act(words)
        self.message = self.message or f"The same action with other noise ({self._draws})."

    def restart(self) -> None:
        """Begin another walk."""
        self._seed += 1
        self._begin()
        self.message = f"A new walk (seed {self._seed})."

    def save(self, path: Path, *, fps: float = 4.0) -> None:
        """Write the walk so far as a moving picture; the ending of the path chooses GIF or mp4."""
        try:
            save_movie(path, self.frames, fps=fps)
        except BagelWorldError as error:
            self.message = str(error)
            return
        self.message = f"Saved {len(self.frames)} frames to {path}."

    def _begin(self) -> None:
        _, info = self.env.reset(seed=self._seed, options=self._options)
        self._moments, self._place = [self._moment(info)], 0

    def _step(self, words: str) -> Moment:
        known = self.env.action_words
        by_id = self.env.dynamics.config.action_mode == "discrete" and words in known
        began = self._clock()
        _, reward, terminated, truncated, info = self.env.step(known.index(words) if by_id else words)
        seconds = self._clock() - began
        return self._moment(info, action=words, reward=float(reward), over=terminated or truncated, seconds=seconds)

    def _moment(self, info: Mapping[str, Any], **happened: Any) -> Moment:
        session = self.env.session
        return Moment(state=self.env.get_state(), frame=session.frame, context=session.context.frames, info=info, **happened)

    def _go_to(self, place: int) -> None:
        self.env.set_state(self._moments[place].state)
        self._place = place
        self.message = ""

    @staticmethod
    def _verdict(moment: Moment) -> str:
        if moment.info["success"]:
            return "You are there: the goal is reached."
        return "The walk ends here." if moment.over else ""
