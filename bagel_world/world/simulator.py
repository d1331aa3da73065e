"""BagelWorld: the World and Thinker protocols over a loaded model.

The only place above the model room that knows a device, a dtype or a generator. It holds no state beside its settings: all that
happened is in the contexts that callers hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bagel_world import __version__
from bagel_world.episodes.shards import read_episodes, shard_paths
from bagel_world.errors import CapabilityError, ConfigError, ImageError
from bagel_world.images import ImageLike, to_frame
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.packing import from_tokens, pack, to_tokens
from bagel_world.types import Episode, Frame
from bagel_world.world.config import ContextConfig, SamplingConfig, WritingConfig, read_sampling, read_setting
from bagel_world.world.context import Context, Reader, restore
from bagel_world.world.generate import Canvas, generate_latents, generator_of
from bagel_world.world.likelihood import action_chances
from bagel_world.world.prefill import Prefill, pixels_of, vit_segment
from bagel_world.world.prompts import open_prompt
from bagel_world.world.speaking import Speaking, check_pairs
from bagel_world.world.tasks import episodes_of, pick_task
from bagel_world.world.weights import find_folder, load_shared, pick_device, pick_dtype

STARTS_FOLDER = "starts"
"""Held-out episodes in a checkpoint folder that walks may start from."""


def start_folders(checkpoint: Path) -> list[Path]:
    """Where the held-out episodes of a checkpoint folder lie: in `starts/` and in the folders there."""
    root = checkpoint / STARTS_FOLDER
    found = [root, *sorted(root.iterdir())] if root.is_dir() else []
    return [each for each in found if each.is_dir() and shard_paths(each)]


class BagelWorld(Speaking):
    """A world whose next frame is imagined by BAGEL.

    Attributes:
        checkpoint: the model and its tokenizer; shared with other worlds of the same weights.
        task: what it is used for; decides `action_words` and `starts` and nothing else.
        sampling: how a frame is painted.
        writing: how text is generated.
        context_settings: how much a context shows and keeps.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        task: str | None = None,
        sampling: str | Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        writing: Mapping[str, Any] | None = None,
    ) -> None:
        own = checkpoint.config.world
        self.checkpoint = checkpoint
        self.task = pick_task(task, own.tasks)
        self.sampling: SamplingConfig = read_sampling(sampling, own.sampling)
        self.context_settings: ContextConfig = read_setting(ContextConfig, own.context, context or {})
        self.writing: WritingConfig = read_setting(WritingConfig, writing or {})
        self._reader = Reader(checkpoint.config, checkpoint.tokenizer, self.context_settings, checkpoint.origin)
        self._prefill = Prefill(checkpoint)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "nano",
        *,
        task: str | None = None,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        sampling: str | Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        writing: Mapping[str, Any] | None = None,
    ) -> BagelWorld:
        """Load a checkpoint.

        Args:
            name: "nano" (shipped with the package), a folder in the published layout, or a hub id.
            task: one of those it was taught ("navigate", "rotate", "rollout", ...); None takes its default one. Worlds of one
                checkpoint share their weights, whatever their tasks.
            device: "auto", "cpu", "cuda", "cuda:1", ...
            dtype: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32" or "bfloat16".
            sampling: the name of a preset ("exact", "fast", or the checkpoint's own), or fields of `SamplingConfig` over the
                checkpoint's default.
            context: fields of `ContextConfig` over the checkpoint's default.
            writing: fields of `WritingConfig`.

        Raises:
            UnknownNameError: no such checkpoint, task or preset.
            CapabilityError: a task that this checkpoint was never taught.
            CheckpointError: the folder is damaged or incomplete.
            DeviceError: this machine lacks the device.
            ConfigError: a setting that is unknown or out of range.
        """
        picked = pick_device(device)
        checkpoint = load_shared(find_folder(name), picked, pick_dtype(dtype, picked))
        return cls(checkpoint, task=task, sampling=sampling, context=context, writing=writing)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the frames this checkpoint was taught."""
        return self.checkpoint.config.world.frame_size

    @property
    def action_words(self) -> tuple[str, ...]:
        """The discrete actions of the task."""
        return self.tasks[self.task]

    @property
    def tasks(self) -> dict[str, tuple[str, ...]]:
        """All tasks of the checkpoint with their discrete actions."""
        return self.checkpoint.config.world.tasks

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
        """The held-out episodes of the task that came with the checkpoint."""
        folder = self.checkpoint.folder
        sources = [] if folder is None else start_folders(folder)
        return episodes_of(self.task, (episode for source in sources for episode in read_episodes(source)), self.tasks)

    def begin(self, prompt: str | None = None, *, think: bool = False) -> Context:
        """An empty context.

        Args:
            prompt: a text that opens it and never leaves it.
            think: open it with the thinking prompt, in front of `prompt`: for walks in which every frame is thought about.
        """
        opening = open_prompt("imagine", self.checkpoint.config.world.prompts, prompt or "") if think else prompt
        empty = Context(self._reader)
        return empty if opening is None else empty.with_prompt(opening)

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

        Raises:
            CapabilityError: this checkpoint was never taught to imagine.
        """
        return [frame for frame, _ in self.imagine_with_latents(contexts, seeds=seeds)]

    @torch.inference_mode()
    def advance(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Context]:
        """Every context with its next frame imagined, as `imagine` would, and seen.

        Where the context settings say `reuse_latents`, the latents of that frame are remembered instead of encoding it again.
        """
        pairs = self.imagine_with_latents(contexts, seeds=seeds)
        return [context.observe_imagined(*pair) for context, pair in zip(contexts, pairs, strict=True)]

    @torch.inference_mode()
    def imagine_with_latents(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[tuple[Frame, torch.Tensor]]:
        """What `imagine` gives, each frame with the latents that it was decoded from, to see both later (`observe_imagined`).

        Args:
            contexts: one per world or branch.
            seeds: one whole number per context.

        Returns:
            Pairs of a uint8 frame and its latents, shape (channels, latent height, latent width).

        Raises:
            CapabilityError: this checkpoint was never taught to imagine.
        """
        self._check_imagines()
        check_pairs(contexts, seeds)
        if not contexts:
            return []
        canvases, patch = self._canvases(contexts, seeds), self.checkpoint.config.latent_patch_size
        tokens = generate_latents(self.checkpoint, canvases, self.sampling)
        latents = [from_tokens(each, canvas.grid, patch) for each, canvas in zip(tokens, canvases, strict=True)]
        return list(zip(self._paint(latents), latents, strict=True))

    def _check_imagines(self) -> None:
        if not self.checkpoint.config.world.capabilities.imagine:
            raise CapabilityError(
                "This checkpoint was taught to read and write, not to imagine frames (capabilities.imagine in its "
                "bagel_world.json). Load one that can, such as 'nano'."
            )

    def _canvases(self, contexts: Sequence[Context], seeds: Sequence[int]) -> list[Canvas]:
        config, branches = self.checkpoint.config, self.sampling.guidance.branches
        full = self._prefill.fill(contexts)
        no_image = self._prefill.fill(contexts, "no_image") if "no_image" in branches else [None] * len(contexts)
        canvases = []
        for context, seed, whole, blind in zip(contexts, seeds, full, no_image, strict=True):
            height, width = context.frames[-1].shape[:2] if context.frames else self.frame_size
            grid = (height // config.latent_stride, width // config.latent_stride)
            noise = torch.randn((grid[0] * grid[1], config.latent_size), generator=generator_of(seed))
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
    def explain(
        self, contexts: Sequence[Context], frames: Sequence[Frame], *, words: Sequence[str], seeds: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """Which of these words happened between each context and the frame that came next, by the model's own expectations.

        A diffusion classifier (Li et al. 2023, arXiv 2303.16203): the words after which the frame is least surprising, measured
        by the flow-matching loss of its latents with the same noise for all words. `bagel-world eval calibration` measures how
        often that is the true action.

        Args:
            contexts: each ends with the frame before; what was done is not said yet.
            frames: the frame that followed, one per context.
            words: at least one; different.
            seeds: of the noise, one whole number per context.

        Returns:
            Probabilities, shape (contexts, words).

        Raises:
            CapabilityError: this checkpoint was never taught to imagine.
            ConfigError: another number of frames or seeds than of contexts, or no words.
        """
        self._check_imagines()
        check_pairs(contexts, seeds)
        self._prefill.check(contexts)
        if len(frames) != len(contexts) or not words:
            raise ConfigError(
                f"Expected a frame per context and some words, got {len(contexts)} contexts, {len(frames)} frames and "
                f"{len(words)} words."
            )
        if not contexts:
            return np.zeros((0, len(words)))
        device = self.checkpoint.bagel.device
        latents = [self.checkpoint.vae.encode(pixels_of([self._reader.seen(each).frame], device))[0] for each in frames]
        forks = {id(context): context.fork() for context in contexts}
        said = {place: [fork.say(word) for word in words] for place, fork in forks.items()}  # siblings share their past
        branches = self._prefill.fill([each for context in contexts for each in said[id(context)]])
        return action_chances(self.checkpoint, branches, latents, seeds, len(words))

    @torch.inference_mode()
    def similarity(self, frames: Sequence[Frame], goals: Sequence[Frame]) -> list[float]:
        """Cosine of the model's own features of each frame and its goal, averaged over places; 1 for equal frames.

        Features are the ViT's, or the autoencoder's latents where the checkpoint's ViT was never trained
        (`capabilities.vit`).

        Raises:
            ConfigError: another number of goals than of frames.
            ImageError: a frame and its goal are of different shapes.
        """
        frames, goals = list(frames), list(goals)  # one object per picture, also where they come as an array
        if len(frames) != len(goals):
            raise ConfigError(f"Expected as many goals as frames, got {len(frames)} frames and {len(goals)} goals.")
        # Goals repeat from step to step and from branch to branch: every picture is looked at once.
        pictures = {id(frame): frame for frame in (*frames, *goals)}
        if not pictures:
            return []
        features = dict(zip(pictures, self._features(list(pictures.values())), strict=True))
        pairs = [(features[id(frame)], features[id(goal)]) for frame, goal in zip(frames, goals, strict=True)]
        for frame, goal, (one, other) in zip(frames, goals, pairs, strict=True):
            if one.shape != other.shape:
                raise ImageError(
                    f"Expected a frame and a goal of one size, got {frame.shape} and {goal.shape} (height, width, channels). "
                    "Bring both to the world's frame_size."
                )
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
