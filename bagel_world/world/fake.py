"""FakeWorld: a deterministic world of numpy alone, for tests, documentation and the development of agents.

It follows both protocols to the letter and knows nothing of models: turning rolls the view around a closed strip, walking
enlarges its middle, waiting rolls it down, staying keeps it, and a little noise depends on the seed and on everything the
context holds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bagel_world.actions import ROLLOUT_WORDS, ROTATE_WORDS, TASK_WORDS, TURNS
from bagel_world.errors import ConfigError, StateError
from bagel_world.images import read_image
from bagel_world.types import Action, Episode, Frame, Thought
from bagel_world.world.config import WritingConfig, read_setting
from bagel_world.world.fake_views import COLORS, VIEWS_PER_TURN, color_share, draw_room, fit_view, move_view, view_cosine
from bagel_world.world.prompts import THINK_CLOSE, THINK_OPEN, open_prompt
from bagel_world.world.tasks import pick_task
from bagel_world.world.writing import Draft, Piece

_FRAME_TOKENS = 16
_START_WALKS = ((1, 0), (2, 0), (0, 1), (1, 1))
_START_WORDS = {
    "navigate": ("Look left", "Move forward", "Look right"),
    "rotate": (ROTATE_WORDS[2], ROTATE_WORDS[4], ROTATE_WORDS[0]),
    "rollout": ROLLOUT_WORDS,
}
_SIZES = {"navigate": (64, 64), "rotate": (96, 96), "rollout": (64, 64)}
_STEPS_PER_TURN = {"navigate": VIEWS_PER_TURN, "rotate": 360 // TURNS[0], "rollout": VIEWS_PER_TURN}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FakeContext:
    """What a FakeWorld has seen and said: a value.

    Attributes:
        items: frames and texts in order; a thought keeps its type.
        prompt: the text that opens the context and never leaves it.
        digest: a hash of all that was ever seen and said, dropped frames included.
        dropped_frames: frames that have left the window.
        max_frames: the window: the first frame stays as a sink, the rest are the most recent ones.
    """

    items: tuple[Frame | str | Thought, ...] = ()
    prompt: str | None = None
    digest: bytes = b""
    dropped_frames: int = 0
    max_frames: int = 8

    def observe(self, frame: Any) -> Self:
        """This context with one more frame (array, PIL image or path)."""
        seen = read_image(frame)
        seen.flags.writeable = False
        return self._with(seen, b"frame" + str(seen.shape).encode() + seen.tobytes())

    def say(self, text: str | Thought) -> Self:
        """This context with one more text or thought; a thought without words is none."""
        if isinstance(text, Thought):
            if not text.text.strip():
                return self
            return self._with(text, b"thought" + text.text.encode())
        return self._with(text, b"text" + text.encode())

    def fork(self) -> Self:
        """The context itself: a value needs no copy."""
        return self

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames in the window, oldest first; read-only arrays."""
        return tuple(item for item in self.items if isinstance(item, np.ndarray))

    @property
    def tokens(self) -> int:
        """One token per word, `_FRAME_TOKENS` per frame."""
        return sum(_FRAME_TOKENS if isinstance(item, np.ndarray) else len(_text_of(item).split()) for item in self.items)

    @property
    def spoken(self) -> str:
        """The texts said since the newest frame: what is being done."""
        said: list[str] = []
        for item in reversed(self.items):
            if isinstance(item, np.ndarray):
                break
            if isinstance(item, str):
                said.append(item)
        return " ".join(reversed(said))

    def get_state(self) -> dict[str, Any]:
        """JSON values and arrays from which `FakeWorld.restore` rebuilds this context."""
        return {
            "items": [{"thought": item.text} if isinstance(item, Thought) else item for item in self.items],
            "prompt": self.prompt,
            "digest": self.digest.hex(),
            "dropped_frames": self.dropped_frames,
            "max_frames": self.max_frames,
        }

    def _with(self, item: Frame | str | Thought, content: bytes) -> Self:
        digest = hashlib.blake2b(self.digest + content, digest_size=16).digest()
        return replace(self, items=(*self.items, item), digest=digest)._inside_window()

    def _inside_window(self) -> Self:
        places = [place for place, item in enumerate(self.items) if isinstance(item, np.ndarray)]
        if len(places) <= self.max_frames:
            return self
        # A frame leaves with the words that followed it; the first frame stays.
        kept = self.items[: places[1]] + self.items[places[2] :]
        return replace(self, items=kept, dropped_frames=self.dropped_frames + 1)._inside_window()


class FakeWorld:
    """A world and a thinker without a model.

    Args:
        task: "navigate", "rotate" or "rollout": decides the action words, the starts and the frame size where none is given;
            the same words do the same in all of them.
        seed: decides the rooms of `starts` and nothing else.
        frame_size: (height, width) in pixels; the width is a multiple of `VIEWS_PER_TURN`, to rotate of 24, so that turns close
            exactly. None gives 64 x 64, to rotate 96 x 96.
        action_words: other discrete actions than those of the task; any words work too.
        max_frames: frames a context keeps, at least 2.
        noise: each pixel value is changed by up to this much, 0..255; 0 makes turning exactly reversible.

    Attributes:
        task: what it is used for.
        model_calls: calls of `imagine`, `similarity`, `explain`, `think`, `ask`, `write` and `judge` so far; a batch counts
            once.

    Raises:
        ConfigError: a setting out of range.
        UnknownNameError: no such task.
    """

    def __init__(
        self,
        *,
        task: str | None = None,
        seed: int = 0,
        frame_size: tuple[int, int] | None = None,
        action_words: tuple[str, ...] | None = None,
        max_frames: int = 8,
        noise: int = 1,
    ) -> None:
        self.task = pick_task(task, TASK_WORDS)
        height, width = _SIZES[self.task] if frame_size is None else frame_size
        if height < 1 or width < 1 or width % _STEPS_PER_TURN[self.task]:
            steps = _STEPS_PER_TURN[self.task]
            raise ConfigError(f"Expected a frame_size whose width is a multiple of {steps}, got {frame_size!r}.")
        if max_frames < 2:
            raise ConfigError(f"Expected max_frames of at least 2 (the first and the newest frame), got {max_frames!r}.")
        if not 0 <= noise <= 255:
            raise ConfigError(f"Expected noise in 0..255, got {noise!r}.")
        self._seed = seed
        self._frame_size = (height, width)
        self._action_words = TASK_WORDS[self.task] if action_words is None else tuple(action_words)
        self._max_frames = max_frames
        self._noise = noise
        self._starts: tuple[Episode, ...] | None = None
        self.model_calls = 0

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of every frame."""
        return self._frame_size

    @property
    def action_words(self) -> tuple[str, ...]:
        """The discrete actions; the id is the place in the tuple."""
        return self._action_words

    @property
    def provenance(self) -> dict[str, Any]:
        """What decides the frames, as JSON values."""
        return {
            "world": "fake",
            "weights": f"fake-noise{self._noise}",
            "seed": self._seed,
            "frame_size": list(self._frame_size),
            "max_frames": self._max_frames,
        }

    @property
    def starts(self) -> tuple[Episode, ...]:
        """Short walks through rooms drawn by the seed, made without noise."""
        if self._starts is None:
            self._starts = tuple(self._walk(room, *walk) for room, walk in enumerate(_START_WALKS * 2))
        return self._starts

    def begin(self, prompt: str | None = None, *, think: bool = False) -> FakeContext:
        """An empty context; the thinking prompt opens it where `think`, then `prompt`."""
        prompt = open_prompt("imagine", {}, prompt or "") if think else prompt
        digest = b"" if prompt is None else hashlib.blake2b(b"prompt" + prompt.encode(), digest_size=16).digest()
        return FakeContext(prompt=prompt, digest=digest, max_frames=self._max_frames)

    def observe(self, frame: Any) -> FakeContext:
        """Short for `begin().observe(frame)`."""
        return self.begin().observe(frame)

    def imagine(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Frame]:
        """The next frame of every context: its newest frame moved by what was said, plus noise."""
        _require_own(contexts)
        self.model_calls += 1
        return [self._imagine_one(context, seed) for context, seed in zip(contexts, seeds, strict=True)]

    def advance(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Any]:
        """Every context with its next frame imagined and seen."""
        frames = self.imagine(contexts, seeds=seeds)
        return [context.observe(frame) for context, frame in zip(contexts, frames, strict=True)]

    def similarity(self, frames: Sequence[Frame], goals: Sequence[Frame]) -> list[float]:
        """The cosine of the frames' coarse pictures, each without its mean: 1 for equal frames, in [-1, 1]."""
        self.model_calls += 1
        return [view_cosine(frame, goal) for frame, goal in zip(frames, goals, strict=True)]

    def explain(
        self, contexts: Sequence[Any], frames: Sequence[Frame], *, words: Sequence[str], seeds: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """Which words lead from each context nearest to its frame: normal likelihoods of what they do without noise."""
        _require_own(contexts)
        self.model_calls += 1
        rows = [self._explain_one(context, frame, words) for context, frame, _ in zip(contexts, frames, seeds, strict=True)]
        return np.stack(rows) if rows else np.zeros((0, len(words)))

    @property
    def can_write(self) -> bool:
        """It can."""
        return True

    def think(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Thought]:
        """A sentence about the newest frame and what is being done, for every context."""
        self.model_calls += 1
        return [
            Thought(text=f"The view is mostly {_color_of(context)}. I {context.spoken or 'wait'}. ({seed % 100})")
            for context, seed in zip(contexts, seeds, strict=True)
        ]

    def ask(self, context: Any, question: str, *, think: bool = False, seed: int | None = None) -> str:
        """The color of the newest frame, whatever the question."""
        self.model_calls += 1
        return f"It is mostly {_color_of(context)}."

    def ask_many(
        self, contexts: Sequence[Any], questions: Sequence[str], *, think: bool = False, seeds: Sequence[int] | None = None
    ) -> list[str]:
        """The color of the newest frame of every context."""
        self.model_calls += 1
        return [f"It is mostly {_color_of(context)}." for context, _ in zip(contexts, questions, strict=True)]

    def read(self, prompt: str | None = None, *, think: bool = False) -> FakeContext:
        """An empty context; the thinking prompt opens it where `think`."""
        return self.begin(open_prompt("answer", {}, prompt or "") if think else prompt or None)

    def reply(self, context: Any) -> str:
        """The text that `write` writes behind a context: the color of the newest frame. A subclass may say something else."""
        thought = f"{THINK_OPEN}I look.{THINK_CLOSE} " if THINK_OPEN in (context.prompt or "") else ""
        return f"{thought}It is mostly {_color_of(context)}."

    def write(
        self,
        contexts: Sequence[Any],
        *,
        seeds: Sequence[int],
        settings: Mapping[str, Any] | None = None,
        starts: Sequence[str] | None = None,
    ) -> Iterator[list[Piece]]:
        """Write `reply` behind every context, one word per token."""
        drafts = [Draft(read_setting(WritingConfig, settings or {})) for _ in contexts]
        self.model_calls += 1
        texts = [
            start + self.reply(context) for context, start, _ in zip(contexts, starts or [""] * len(contexts), seeds, strict=True)
        ]
        return _played(drafts, texts)

    def judge(self, contexts: Sequence[Any], goals: Sequence[str]) -> list[float]:
        """How much of the newest frame's light is of the colors that the goal names, 0..1."""
        self.model_calls += 1
        return [color_share(context.frames[-1], goal) for context, goal in zip(contexts, goals, strict=True)]

    def restore(self, state: dict[str, Any]) -> FakeContext:
        """The context whose `get_state` gave this value.

        Raises:
            StateError: not a state of a FakeContext.
        """
        try:
            items = tuple(_item_of(item) for item in state["items"])
            prompt, digest = state["prompt"], bytes.fromhex(state["digest"])
            dropped, most = state["dropped_frames"], state["max_frames"]
            counts = all(isinstance(each, int) and not isinstance(each, bool) for each in (dropped, most))
            if not counts or dropped < 0 or most < 1 or len(digest) not in (0, 16) or not isinstance(prompt, str | None):
                raise ValueError("a window, a digest and a prompt of its kind")
            return FakeContext(items=items, prompt=prompt, digest=digest, dropped_frames=dropped, max_frames=most)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"Expected the state of a FakeWorld context, got one without {error}. Save it again.") from error

    def _imagine_one(self, context: FakeContext, seed: int) -> Frame:
        frames = context.frames
        height, width = self._frame_size
        room = int.from_bytes(context.digest[:4], "big")
        last = fit_view(frames[-1], self._frame_size) if frames else draw_room(room, height, width)
        moved = move_view(last, context.spoken)
        if self._noise == 0:
            return moved.copy()
        generator = np.random.default_rng([int(seed) & (2**64 - 1), *np.frombuffer(context.digest or bytes(16), "<u4").tolist()])
        noise = generator.integers(-self._noise, self._noise, size=moved.shape, dtype=np.int16, endpoint=True)
        return np.clip(moved + noise, 0, 255).astype(np.uint8)

    def _explain_one(self, context: FakeContext, frame: Frame, words: Sequence[str]) -> npt.NDArray[np.float64]:
        last, shown = (fit_view(each, self._frame_size) for each in (context.frames[-1], frame))
        missed = [np.square(move_view(last, word).astype(np.float64) - shown).mean() for word in words]
        chances = np.exp(-(np.array(missed) - min(missed)) / (2 * max(1, self._noise) ** 2))
        return chances / chances.sum()

    def _walk(self, room: int, turns: int, steps: int) -> Episode:
        height, width = self._frame_size
        frames = [draw_room(self._seed * 1000 + room, height, width)]
        often, rarely, once = _START_WORDS[self.task]
        words = [often] * turns + [rarely] * steps + [once]
        for word in words:
            frames.append(move_view(frames[-1], word))
        actions = tuple(Action(text=word, id=_place_of(word, self._action_words)) for word in words)
        metadata = {"episode_id": f"fake-{self._seed}-{room}", "source": "fake", "task": self.task}
        metadata |= {"seed": self._seed, "split": "test"}
        return Episode(frames=np.stack(frames), actions=actions, metadata=metadata)


def _place_of(word: str, words: tuple[str, ...]) -> int | None:
    return words.index(word) if word in words else None


def _text_of(item: Frame | str | Thought) -> str:
    return item.text if isinstance(item, Thought) else str(item)


def _item_of(value: Any) -> Frame | str | Thought:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return Thought(text=_text_of(value["thought"]))
    frame = np.array(value)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or not frame.size:
        raise ValueError("frames of uint8 (height, width, 3)")
    frame.flags.writeable = False
    return frame


def _played(drafts: Sequence[Draft], texts: Sequence[str]) -> Iterator[list[Piece]]:
    """Let drafts grow word by word until they read so."""
    words = [re.findall(r"\S+\s*|\s+", text) for text in texts]
    step = 0
    while not all(draft.ending for draft in drafts):
        step += 1
        yield [draft.grow("".join(each[:step]), closed=step > len(each)) for draft, each in zip(drafts, words, strict=True)]


def _color_of(context: FakeContext) -> str:
    frames = context.frames
    return "nothing" if not frames else COLORS[int(np.argmax(frames[-1].mean(axis=(0, 1))))]


def _require_own(contexts: Sequence[Any]) -> None:
    if not all(isinstance(context, FakeContext) for context in contexts):
        raise ConfigError("Expected contexts that a FakeWorld began, got one of another world. Begin anew with `observe`.")
