"""BagelWorld: the World and Thinker protocols over a loaded model.

The only place above the model room that knows a device, a dtype or a generator. It holds no state beside its settings: all that
happened is in the contexts that callers hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bagel_world import __version__
from bagel_world.episodes.shards import read_episodes
from bagel_world.errors import CapabilityError, ConfigError
from bagel_world.images import ImageLike, to_frame
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.packing import from_tokens, pack, to_tokens
from bagel_world.types import Episode, Frame, Thought
from bagel_world.world.config import ContextConfig, SamplingConfig, WritingConfig, read_sampling, read_setting
from bagel_world.world.context import Context, Reader, restore
from bagel_world.world.generate import Canvas, generate_ids, generate_latents
from bagel_world.world.prefill import Prefill, pixels_of, vit_segment
from bagel_world.world.prompts import prompt, split_thought
from bagel_world.world.weights import find_folder, load_shared, pick_device, pick_dtype

STARTS_FOLDER = "starts"
"""Held-out episodes in a checkpoint folder that walks may start from."""


class Answer(str):
    """The words of an answer; `thought` is what was thought before, if anything."""

    thought: Thought | None = None


class BagelWorld:
    """A world whose next frame is imagined by BAGEL.

    Attributes:
        checkpoint: the model and its tokenizer; shared with other worlds of the same weights.
        sampling: how a frame is painted.
        writing: how text is generated.
        context_settings: how much a context shows and keeps.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        sampling: str | Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        writing: Mapping[str, Any] | None = None,
    ) -> None:
        own = checkpoint.config.world
        self.checkpoint = checkpoint
        self.sampling: SamplingConfig = read_sampling(sampling, own.sampling)
        self.context_settings: ContextConfig = read_setting(ContextConfig, own.context, context or {})
        self.writing: WritingConfig = read_setting(WritingConfig, writing or {})
        self._reader = Reader(checkpoint.config, checkpoint.tokenizer, self.context_settings)
        self._prefill = Prefill(checkpoint)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "nano",
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        sampling: str | Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        writing: Mapping[str, Any] | None = None,
    ) -> BagelWorld:
        """Load a checkpoint.

        Args:
            name: "nano" (shipped with the package), a folder in the published layout, or a hub id.
            device: "auto", "cpu", "cuda", "cuda:1", ...
            dtype: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32" or "bfloat16".
            sampling: the name of a preset ("exact", "fast", or the checkpoint's own), or fields of `SamplingConfig` over the
                checkpoint's default.
            context: fields of `ContextConfig` over the checkpoint's default.
            writing: fields of `WritingConfig`.

        Raises:
            UnknownNameError: no such checkpoint or preset.
            CheckpointError: the folder is damaged or incomplete.
            DeviceError: this machine lacks the device.
            ConfigError: a setting that is unknown or out of range.
        """
        picked = pick_device(device)
        checkpoint = load_shared(find_folder(name), picked, pick_dtype(dtype, picked))
        return cls(checkpoint, sampling=sampling, context=context, writing=writing)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the frames this checkpoint was taught."""
        return self.checkpoint.config.world.frame_size

    @property
    def action_words(self) -> tuple[str, ...]:
        """The discrete actions this checkpoint was taught."""
        return self.checkpoint.config.world.action_words

    @property
    def provenance(self) -> dict[str, Any]:
        """What decides the frames beside contexts and seeds: weights, sampler, context policy, versions, threads."""
        return {
            "weights": self.checkpoint.fingerprint,
            "sampling": self.sampling.model_dump(mode="json"),
            "context": self.context_settings.model_dump(mode="json"),
            "device": self.checkpoint.bagel.device.type,
            "dtype": str(self.checkpoint.bagel.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "versions": {"bagel_world": __version__, "torch": torch.__version__},
        }

    @cached_property
    def starts(self) -> tuple[Episode, ...]:
        """The held-out episodes that came with the checkpoint."""
        folder = self.checkpoint.folder
        if folder is None or not (folder / STARTS_FOLDER).is_dir():
            return ()
        return tuple(read_episodes(folder / STARTS_FOLDER))

    def begin(self, prompt: str | None = None) -> Context:
        """An empty context; `prompt` is a text that opens it and never leaves it."""
        empty = Context(self._reader)
        return empty if prompt is None else empty.with_prompt(prompt)

    def observe(self, frame: ImageLike, *, generator: torch.Generator | None = None) -> Context:
        """A context that begins with this frame."""
        return self.begin().observe(frame, generator=generator)

    def restore(self, state: dict[str, Any]) -> Context:
        """The context whose `get_state` gave this value."""
        return restore(self._reader, state)

    @torch.inference_mode()
    def imagine(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Frame]:
        """The next frame of every context, all in one batch.

        Args:
            contexts: one per world or branch.
            seeds: one whole number per context. Frame i depends on context i and seed i alone, up to float tolerance.

        Returns:
            uint8 frames of the size of each context's last frame, or of `frame_size` where it has none.
        """
        return [frame for frame, _ in self._imagine(contexts, seeds)]

    @torch.inference_mode()
    def advance(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Context]:
        """Every context with its next frame imagined, as `imagine` would, and seen.

        Where the context settings say `reuse_latents`, the latents of that frame are remembered instead of encoding it again.
        """
        pairs = self._imagine(contexts, seeds)
        return [context.observe_imagined(*pair) for context, pair in zip(contexts, pairs, strict=True)]

    def _imagine(self, contexts: Sequence[Context], seeds: Sequence[int]) -> list[tuple[Frame, torch.Tensor]]:
        """Frame and latents of every context."""
        _check_pairs(contexts, seeds)
        if not contexts:
            return []
        canvases, patch = self._canvases(contexts, seeds), self.checkpoint.config.latent_patch_size
        tokens = generate_latents(self.checkpoint, canvases, self.sampling)
        latents = [from_tokens(each, canvas.grid, patch) for each, canvas in zip(tokens, canvases, strict=True)]
        return list(zip(self._paint(latents), latents, strict=True))

    def _canvases(self, contexts: Sequence[Context], seeds: Sequence[int]) -> list[Canvas]:
        config, guidance = self.checkpoint.config, self.sampling.guidance
        full = self._prefill.fill(contexts)
        no_image = self._prefill.fill(contexts, "no_image") if guidance.image_scale > 1 else [None] * len(contexts)
        canvases = []
        for context, seed, whole, blind in zip(contexts, seeds, full, no_image, strict=True):
            height, width = context.frames[-1].shape[:2] if context.frames else self.frame_size
            grid = (height // config.latent_stride, width // config.latent_stride)
            # Drawn on the CPU, alone: the same on every device and in every batch.
            noise = torch.randn((grid[0] * grid[1], config.latent_size), generator=torch.Generator().manual_seed(int(seed)))
            canvases.append(Canvas(noise=noise, grid=grid, full=whole, no_text=context.node.no_text, no_image=blind))
        return canvases

    def _paint(self, latents: Sequence[torch.Tensor]) -> list[Frame]:
        """Decode latents, one batch per size."""
        frames: dict[int, Frame] = {}
        for shape in dict.fromkeys(each.shape for each in latents):
            rows = [row for row, each in enumerate(latents) if each.shape == shape]
            pixels = self.checkpoint.vae.decode(torch.stack([latents[row] for row in rows])).float().cpu().numpy()
            frames |= {row: to_frame(each) for row, each in zip(rows, pixels, strict=True)}
        return [frames[row] for row in range(len(latents))]

    @torch.inference_mode()
    def ask(self, context: Context, question: str, *, think: bool = False, seed: int | None = None) -> Answer:
        """The answer to a question about a context; the context itself stays as it was.

        Args:
            context: what has been seen and said.
            question: in words.
            think: reason first. A context that did not begin with the thinking prompt is rebuilt once with it in front.
            seed: for sampled text (`writing` with a temperature); 0 where None.

        Raises:
            CapabilityError: this checkpoint was never taught to write.
        """
        self._check_writes()
        if think and context.prompt is None:
            context = context.with_prompt(prompt("answer", self.checkpoint.config.world.prompts))
        thought, words = split_thought(self._write([self._shown(context).say(question)], [seed or 0])[0])
        answer = Answer(words)
        answer.thought = None if thought is None else Thought(text=thought)
        return answer

    def _shown(self, context: Context) -> Context:
        """The context with its last frame shown to the ViT too, where the settings feed latents only."""
        if self.context_settings.see != "latents" or not context.frames:
            return context
        return context.append(self._reader.seen(context.frames[-1], see="vit"))

    @torch.inference_mode()
    def think(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Thought]:
        """A thought about what comes next, for every context; `context.say(thought)` makes it part of the context.

        Raises:
            CapabilityError: this checkpoint was never taught to write.
        """
        self._check_writes()
        _check_pairs(contexts, seeds)
        opening = prompt("imagine", self.checkpoint.config.world.prompts)
        contexts = [each if each.prompt else each.with_prompt(opening) for each in contexts]
        return [Thought(text=split_thought(text)[0] or text) for text in self._write(contexts, seeds)]

    def _write(self, contexts: Sequence[Context], seeds: Sequence[int]) -> list[str]:
        generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        written = generate_ids(self.checkpoint, self._prefill.fill(contexts), self.writing, generators=generators)
        return [self.checkpoint.tokenizer.decode(ids) for ids in written]

    def _check_writes(self) -> None:
        if not self.checkpoint.config.world.capabilities.write:
            raise CapabilityError(
                "This checkpoint was taught to imagine frames, not to write: it can neither answer nor think. "
                "Load one that can, such as 'ByteDance-Seed/BAGEL-7B-MoT'."
            )

    @torch.inference_mode()
    def similarity(self, frames: Sequence[Frame], goals: Sequence[Frame]) -> list[float]:
        """Cosine of the model's own features of each frame and its goal, averaged over places; 1 for equal frames.

        Features are the ViT's, or the autoencoder's latents where the checkpoint's ViT was never trained
        (`capabilities.vit`).
        """
        if len(frames) != len(goals):
            raise ConfigError(f"Expected as many goals as frames, got {len(frames)} frames and {len(goals)} goals.")
        # Goals repeat from step to step and from branch to branch: every picture is looked at once.
        pictures = {id(frame): frame for frame in (*frames, *goals)}
        if not pictures:
            return []
        features = dict(zip(pictures, self._features(list(pictures.values())), strict=True))
        pairs = [(features[id(frame)], features[id(goal)]) for frame, goal in zip(frames, goals, strict=True)]
        return [float(torch.cosine_similarity(one, other, dim=-1).mean()) for one, other in pairs]

    def _features(self, frames: Sequence[Frame]) -> list[torch.Tensor]:
        """[places, features] of every frame."""
        checkpoint = self.checkpoint
        device = checkpoint.bagel.device
        seen = [self._reader.seen(frame).frame for frame in frames]
        if checkpoint.config.world.capabilities.vit:
            packed = pack([[vit_segment(checkpoint, each)] for each in seen], checkpoint.rules, device=device)
            assert packed.vit_patches is not None
            features = checkpoint.bagel.vit(packed.vit_patches, packed.vit_positions, packed.vit_lengths)
            return list(features.float().split(packed.vit_lengths))
        patch = checkpoint.config.latent_patch_size
        return [to_tokens(checkpoint.vae.encode(pixels_of([each], device))[0], patch) for each in seen]


def _check_pairs(contexts: Sequence[Context], seeds: Sequence[int]) -> None:
    if len(contexts) != len(seeds):
        raise ConfigError(f"Expected one seed per context, got {len(contexts)} contexts and {len(seeds)} seeds.")
