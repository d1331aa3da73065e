"""Subject: the world under test, with a count of what it was asked and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from bagel_world.errors import ConfigError
from bagel_world.evaluation.windows import Window
from bagel_world.images import to_frame, to_pixels
from bagel_world.types import Frame
from bagel_world.world.protocol import Context, World

FAKE_CHECKPOINT = "fake"
"""The name of `FakeWorld`, for development."""

T = TypeVar("T")


class Track(Protocol):
    """Shows progress through a sequence; `rich.progress.Progress.track` bound to a console is one."""

    def __call__(self, items: Sequence[T], what: str) -> Iterable[T]:
        """The items, one by one."""
        ...


def untracked(items: Sequence[T], what: str) -> Iterable[T]:
    """The items, in silence."""
    return items


class Subject:
    """A world under test.

    Args:
        world: what is measured.
        name: how the user called it.

    Attributes:
        frames_imagined: frames that were asked of the world.
        calls: batches they were asked in.
        seconds: wall time of these calls, prefill and decoding included.
        texts: answers, thoughts and judgments that were asked of it.
        text_seconds: wall time of them.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.frames_imagined = 0
        self.calls = 0
        self.seconds = 0.0
        self.texts = 0
        self.text_seconds = 0.0

    @classmethod
    def load(
        cls,
        name: str,
        *,
        task: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        sampling: str | Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Subject:
        """The checkpoint of this name: "nano", a folder, a hub id, or "fake"; for one of its tasks or its default one."""
        if name == FAKE_CHECKPOINT:
            if context:
                raise ConfigError(f"The checkpoint 'fake' keeps a fixed context, got {sorted(context)}. Leave them out.")
            from bagel_world.world.fake import FakeWorld

            return cls(FakeWorld(task=task), name)
        from bagel_world.world.simulator import BagelWorld

        # World cannot say that a world takes the contexts it gave itself, so the checker is told so.
        world = BagelWorld.from_pretrained(name, task=task, device=device, dtype=dtype, sampling=sampling, context=context)
        return cls(cast("World", world), name)

    @property
    def words(self) -> tuple[str, ...]:
        """The action words of the world."""
        return self.world.action_words

    @property
    def weights(self) -> str:
        """The hash that names the weights."""
        return str(self.world.provenance["weights"])

    @property
    def setting(self) -> dict[str, Any]:
        """Sampling, context, device, versions and threads: what a figure depends on beside the weights."""
        return {key: value for key, value in self.world.provenance.items() if key != "weights"}

    @property
    def compute(self) -> dict[str, Any]:
        """What the evaluation asked of the world so far."""
        evaluations = self.world.provenance.get("sampling", {}).get("evaluations")
        spoken = {"texts": self.texts, "ms_per_text": round(1000 * self.text_seconds / self.texts, 3)} if self.texts else {}
        return spoken | {
            "frames_imagined": self.frames_imagined,
            "imagine_calls": self.calls,
            "model_calls_per_frame": evaluations,
            "ms_per_step": round(1000 * self.seconds / self.frames_imagined, 3) if self.frames_imagined else None,
        }

    def context_of(self, window: Window) -> Context:
        """The context of a window: its given frames and the actions between them; what to do next is not yet said."""
        context = self.world.observe(window.seen[0])
        for action, frame in zip(window.actions, window.seen[1:], strict=False):
            context = context.say(action.text).observe(frame)
        return context

    def imagine(self, contexts: Sequence[Context], seeds: Sequence[int]) -> Frame:
        """The next frame of every context in one batch, stacked."""
        return np.stack([context.frames[-1] for context in self.advance(contexts, seeds)])

    def advance(self, contexts: Sequence[Context], seeds: Sequence[int]) -> list[Context]:
        """Every context with its next frame imagined and seen, in one batch."""
        began = time.perf_counter()
        after = self.world.advance(contexts, seeds=seeds)
        self.seconds += time.perf_counter() - began
        self.calls += 1
        self.frames_imagined += len(contexts)
        return after

    def ask(self, contexts: Sequence[Context], questions: Sequence[str], *, think: bool, seeds: Sequence[int]) -> Sequence[str]:
        """The answers to a question about each context, in one batch."""
        thinker: Any = self.world
        return self._spoken(len(contexts), lambda: thinker.ask_many(contexts, questions, think=think, seeds=seeds))

    def judge(self, contexts: Sequence[Context], goals: Sequence[str]) -> list[float]:
        """P(yes) of each goal, in one batch."""
        thinker: Any = self.world
        return self._spoken(len(contexts), lambda: thinker.judge(contexts, goals))

    def _spoken(self, count: int, call: Callable[[], T]) -> T:
        began = time.perf_counter()
        said = call()
        self.text_seconds += time.perf_counter() - began
        self.texts += count
        return said

    def roll(self, contexts: Sequence[Context], words: Sequence[Sequence[str]], seeds: Sequence[Sequence[int]]) -> Frame:
        """Imagine on from its own frames.

        Args:
            contexts: n of them.
            words: per context, one text per step.
            seeds: per context, one per step.

        Returns:
            uint8, shape (n, steps, height, width, 3).
        """
        steps = []
        for step in range(len(words[0])):
            said = [context.say(each[step]) for context, each in zip(contexts, words, strict=True)]
            contexts = self.advance(said, [each[step] for each in seeds])
            steps.append(np.stack([context.frames[-1] for context in contexts]))
        return np.stack(steps, axis=1)

    def reconstruct(self, frames: Frame) -> Frame | None:
        """The frames after the world's own autoencoder: the best it could show; None where it has none."""
        checkpoint: Any = getattr(self.world, "checkpoint", None)
        if checkpoint is None:
            return None
        import torch

        device = checkpoint.bagel.device
        with torch.inference_mode():
            parts = [
                checkpoint.vae.decode(checkpoint.vae.encode(torch.from_numpy(to_pixels(part)).to(device))).float().cpu().numpy()
                for part in np.array_split(frames, -(-len(frames) // 32))
            ]
        return to_frame(np.concatenate(parts))

    def check_footage(self, frames: Frame) -> None:
        """Check that footage has the size that this world imagines.

        Raises:
            ConfigError: another size.
        """
        size = (frames.shape[-3], frames.shape[-2])
        if size != tuple(self.world.frame_size):
            raise ConfigError(
                f"Expected footage of {_size(self.world.frame_size)} pixels, which checkpoint {self.name!r} imagines, got "
                f"{_size(size)}. Record some with: bagel-world record --size {self.world.frame_size[0]}"
            )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def seed_for(seed: int, *path: int) -> int:
    """A seed of its own for every place in an evaluation, below 2**63."""
    return int(np.random.SeedSequence(seed, spawn_key=path).generate_state(1, np.uint64)[0] >> np.uint64(1))


def batches(count: int, size: int) -> list[range]:
    """`range(count)` in pieces of at most `size`."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
