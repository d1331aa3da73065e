"""Speaking: the text side of a world: it answers, thinks, judges, and writes behind a context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bagel_world.actions import goal_question
from bagel_world.errors import ActionError, CapabilityError, ConfigError
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.types import Thought
from bagel_world.world.config import ContextConfig, WritingConfig, read_setting
from bagel_world.world.context import Context, Reader, fork_all
from bagel_world.world.generate import generate_tokens, generator_of
from bagel_world.world.likelihood import yes_chances
from bagel_world.world.prefill import Prefill
from bagel_world.world.prompts import Purpose, open_prompt
from bagel_world.world.writing import Answer, Draft, Piece


class Speaking:
    """The protocols `Thinker` and `Writer` over a loaded model; `BagelWorld` adds what imagines.

    Attributes:
        checkpoint: the model and its tokenizer.
        writing: how text is generated.
        context_settings: how much a context shows and keeps.
    """

    checkpoint: Checkpoint
    writing: WritingConfig
    context_settings: ContextConfig
    _reader: Reader
    _prefill: Prefill

    def ask(self, context: Context, question: str, *, think: bool = False, seed: int | None = None) -> Answer:
        """The answer to a question about a context; the context itself stays as it was.

        Args:
            context: what has been seen and said.
            question: in words.
            think: reason first. A context that did not begin with the thinking prompt is rebuilt with it in front, and so read
                anew.
            seed: for sampled text (`writing` with a temperature); 0 where None.

        Raises:
            CapabilityError: this checkpoint was never taught to write.
        """
        return self.ask_many([context], [question], think=think, seeds=[seed or 0])[0]

    def ask_many(
        self, contexts: Sequence[Context], questions: Sequence[str], *, think: bool = False, seeds: Sequence[int] | None = None
    ) -> list[Answer]:
        """The answers to a question about each context, all in one batch; what contexts share is read once.

        Args:
            contexts: one per question; the same one several times for several questions about it.
            questions: in words.
            think: reason first, as in `ask`.
            seeds: one whole number per question, for sampled text; 0 where None. Answer i depends on question i, context i and
                seed i alone.
        """
        check_list("contexts", contexts)
        check_list("questions", questions)
        seeds = [0] * len(contexts) if seeds is None else seeds
        if len(contexts) != len(questions):
            raise ConfigError(f"Expected one question per context, got {len(contexts)} contexts and {len(questions)} questions.")
        self._check_writes()
        check_pairs(contexts, seeds)
        self._prefill.check(contexts)
        different = list(dict.fromkeys(contexts))
        opened = [self._opened(each, "answer") for each in different] if think else different
        ready = dict(zip(different, self._shown(opened), strict=True))
        asked = [ready[each].say(question) for each, question in zip(contexts, questions, strict=True)]
        return [draft.answer for draft in self._written(asked, seeds)]

    def _opened(self, context: Context, purpose: Purpose) -> Context:
        """The context with the thinking prompt for this purpose in front of its own, where it does not begin with it."""
        own = self.checkpoint.config.world.prompts
        said = "" if context.prompt is None else context.prompt.text
        opening = open_prompt(purpose, own, said)
        return context if opening == said else context.with_prompt(opening)

    def _shown(self, contexts: Sequence[Context]) -> list[Context]:
        """Forks of the contexts, their last frames shown to the ViT too where the settings feed latents only."""
        forks = fork_all(contexts)
        if self.context_settings.see != "latents":
            return forks
        return [each.look_again() if each.frames else each for each in forks]

    def think(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Thought]:
        """A thought about what comes next, for every context; `context.say(thought)` makes it part of the context.

        The contexts stay as they were. One that did not begin with the thinking prompt (`begin(think=True)`) is rebuilt with it
        in front, and so read anew every time.

        Returns:
            Thoughts without their marks; one without words where the model had nothing to think.

        Raises:
            CapabilityError: this checkpoint was never taught to write.
        """
        self._check_writes()
        check_pairs(contexts, seeds)
        self._prefill.check(contexts)
        drafts = self._written(self._shown([self._opened(each, "imagine") for each in contexts]), seeds)
        return [Thought(text=draft.words if draft.thought is None else draft.thought) for draft in drafts]

    def _written(self, contexts: Sequence[Context], seeds: Sequence[int]) -> list[Draft]:
        """What the model writes behind these contexts, to the end."""
        drafts = [Draft(self.writing) for _ in contexts]
        for _ in self._write(contexts, seeds, drafts):
            pass
        return drafts

    def read(self, prompt: str | None = None, *, think: bool = False) -> Context:
        """An empty context to be written behind: laid out as `ask` does, but every frame is shown to the ViT.

        Args:
            prompt: a text that opens it and never leaves it.
            think: open it with the thinking prompt, in front of `prompt`.
        """
        see = "both" if self.context_settings.see == "latents" else self.context_settings.see
        empty = Context(replace(self._reader, settings=self.context_settings.model_copy(update={"see": see})))
        opening = open_prompt("answer", self.checkpoint.config.world.prompts, prompt or "") if think else prompt
        return empty.with_prompt(opening) if opening else empty

    def write(
        self,
        contexts: Sequence[Context],
        *,
        seeds: Sequence[int],
        settings: Mapping[str, Any] | None = None,
        starts: Sequence[str] | None = None,
    ) -> Iterator[list[Piece]]:
        """Write behind contexts as they are, piece by piece; they stay as they were.

        Args:
            contexts: one per text; `read` begins such contexts.
            seeds: one whole number per context, for sampled text. Text i depends on context i and seed i alone.
            settings: fields of `WritingConfig` over those of this world.
            starts: words that a text has to begin with, one per context.

        Yields:
            Once per token a piece of every text. Whoever stops asking for more stops the writing.

        Raises:
            CapabilityError: this checkpoint was never taught to write.
            ConfigError: a setting that is unknown or out of range, or starts that are no texts, one per context.
        """
        self._check_writes()
        check_pairs(contexts, seeds)
        self._prefill.check(contexts)
        if starts is not None:
            check_list("starts", starts)
            if len(starts) != len(contexts) or not all(isinstance(each, str) for each in starts):
                raise ConfigError(f"Expected a text to begin with per context ({len(contexts)}), got {list(starts)!r:.80}.")
        writing = read_setting(WritingConfig, self.writing.model_dump(), settings or {})
        return self._write(contexts, seeds, [Draft(writing) for _ in contexts], starts)

    @torch.inference_mode()
    def _write(
        self, contexts: Sequence[Context], seeds: Sequence[int], drafts: Sequence[Draft], starts: Sequence[str] | None = None
    ) -> Iterator[list[Piece]]:
        """Let the drafts grow until all of them have ended."""
        if not contexts:
            return
        tokenizer = self.checkpoint.tokenizer
        steps = generate_tokens(
            self.checkpoint,
            self._prefill.fill(contexts),
            drafts[0].settings,
            generators=[generator_of(seed) for seed in seeds],
            starts=[tokenizer.encode(start)[1:-1] for start in starts or [""] * len(contexts)],
        )
        written = [[tokenizer.begin] for _ in contexts]
        for step in steps:
            pieces = []
            for ids, token, draft in zip(written, step, drafts, strict=True):
                ids += [] if token is None else [token]
                pieces.append(draft.grow(tokenizer.decode(ids), closed=token == tokenizer.end))
            yield pieces
            if all(draft.ending for draft in drafts):
                return

    def _check_writes(self) -> None:
        if not self.can_write:
            raise CapabilityError(
                "This checkpoint was taught to imagine frames, not to write: it can neither answer nor think nor judge. "
                "Load one that can, such as 'nano-worlds' or 'ByteDance-Seed/BAGEL-7B-MoT'."
            )

    @property
    def can_write(self) -> bool:
        """Whether this checkpoint was taught to answer, think and judge."""
        return self.checkpoint.config.world.capabilities.write

    @torch.inference_mode()
    def judge(self, contexts: Sequence[Context], goals: Sequence[str]) -> list[float]:
        """How likely each context has reached its goal, by the model's own word.

        It is shown the last frame once more and asked `actions.goal_question`; what counts is the probability of "yes" against
        that of "no". All contexts are read in one batch, and stay as they were.

        Args:
            contexts: each with at least one frame.
            goals: in words, one per context.

        Returns:
            P(yes), 0..1, one per context.

        Raises:
            CapabilityError: this checkpoint was never taught to write.
            ConfigError: another number of goals than of contexts, or a context without a frame.
        """
        self._check_writes()
        check_list("contexts", contexts)
        check_list("goals", goals)
        self._prefill.check(contexts)
        if len(contexts) != len(goals):
            raise ConfigError(f"Expected one goal per context, got {len(contexts)} contexts and {len(goals)} goals.")
        blank = [goal for goal in goals if not isinstance(goal, str) or not goal.strip()]
        if blank:
            raise ActionError(f"Expected goals in words, such as 'stand in front of the duck', got {blank[0]!r:.80}.")
        if not all(each.frames for each in contexts):
            raise ConfigError("Expected contexts with at least one frame to judge, got one without. Begin with `observe`.")
        if not contexts:
            return []
        asked = [each.say(goal_question(goal)) for each, goal in zip(self._shown(contexts), goals, strict=True)]
        return yes_chances(self.checkpoint, self._prefill.fill(asked))


def check_list(name: str, given: Any) -> None:
    """Check that something is a list, not a single one.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(given, str) or not isinstance(given, (Sequence, np.ndarray)):
        raise ConfigError(f"Expected a list of {name}, got {type(given).__name__}. Put a single one into a list.")


def check_pairs(contexts: Sequence[Context], seeds: Sequence[int]) -> None:
    """Check that every context has its seed.

    Raises:
        ConfigError: it has not, or one of them is no list, or a seed no whole number.
    """
    check_list("contexts", contexts)
    check_list("seeds", seeds)
    wrong = [seed for seed in seeds if isinstance(seed, bool) or not isinstance(seed, (int, np.integer))]
    if wrong:
        raise ConfigError(f"Expected whole numbers as seeds, got {wrong[0]!r:.40}.")
    if len(contexts) != len(seeds):
        raise ConfigError(f"Expected one seed per context, got {len(contexts)} contexts and {len(seeds)} seeds.")
