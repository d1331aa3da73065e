"""Teaching a reach network: pairs of a frame and a goal in, the distance between them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.reach import ReachNet
from bagel_world.training.optim import OptimizerConfig, rate_factor
from bagel_world.types import Frame

_SIDE_WEIGHT = 0.5
_WARM_UP = 0.05
"""Share of the steps."""

_LOOKS = 64
"""Frames that are looked at at a time."""


class ReachTraining(BaseModel):
    """How a reach network is taught."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=6000, gt=0)
    batch: int = Field(default=256, gt=0, description="Pairs per step of each kind of goal.")
    rate: float = Field(default=6e-4, gt=0, description="Of AdamW at its height; warm-up over 5 %, then half a cosine.")
    weight_decay: float = Field(default=0.05, ge=0)
    seen_share: float = Field(default=0.5, ge=0, le=1, description="Pairs with objects whose frame shows the object.")
    near_share: float = Field(default=0.3, ge=0, le=1, description="Pairs with pictures that lie near.")
    near_within: float = Field(default=2.0, gt=0, description="Meters that count as near.")
    blur_share: float = Field(default=0.5, ge=0, le=1, description="Frames that are blurred, as imagined ones are.")
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Pairs of one kind of goal, as arrays; see `bagel_world.sims.reach_pairs.ReachPairs`, whose fields these are.

    Attributes:
        pictures: whether goals are pictures; else they are names.
        favored: int64, shape (favored,): places of pairs that are drawn more often than they come.
        share: of the drawn pairs that come from those.
    """

    frames: Tensor
    goals: Tensor
    meters: Tensor
    bearings: Tensor
    visible: Tensor
    pictures: bool
    favored: Tensor
    share: float

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Places of so many pairs."""
        many = round(self.share * count) if len(self.favored) else 0
        plain = torch.randint(len(self.frames), (count - many,), generator=generator)
        if not many:
            return plain
        return torch.cat([plain, self.favored[torch.randint(len(self.favored), (many,), generator=generator)]])


class Sights:
    """What a network's eyes see of footage, looked at once: as it is, blurred, and both in a mirror.

    The eyes are not taught, so nothing is lost; it takes 76 KB per frame of 64 pixels.

    Args:
        net: has the eyes.
        frames: uint8, shape (frames, height, width, 3): the footage, all walks end to end; resized as needed.
        seed: decides how much each frame is blurred.
        progress: is called with the number of frames that were seen, and all.
    """

    def __init__(
        self, net: ReachNet, frames: Frame, *, seed: int = 0, progress: Callable[[int, int], None] = lambda done, all_: None
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._device = net.places.device
        self._features: Tensor | None = None
        for start in range(0, len(frames), _LOOKS):
            pixels = net.pixels(frames[start : start + _LOOKS]).to(self._device)
            variants = torch.cat([pixels, _blurred(pixels, generator)])
            with torch.autocast(self._device.type, torch.bfloat16):
                seen = torch.stack([net.see(variants), net.see(variants.flip(3))]).half()
            seen = seen.unflatten(1, (2, -1)).flatten(0, 1)
            if self._features is None:
                self._features = torch.empty(4, len(frames), *seen.shape[2:], dtype=torch.half, device=self._device)
            self._features[:, start : start + _LOOKS] = seen
            progress(min(start + _LOOKS, len(frames)), len(frames))

    def of(self, places: Tensor, mirrored: Tensor, blurred: Tensor) -> Tensor:
        """Features of frames, float, shape (batch, places, features); the flags are bool, shape (batch,)."""
        assert self._features is not None
        return self._features[2 * mirrored.long() + blurred.long(), places].float()


class ReachTrainer:
    """Teaches a network in place, on the device where it is.

    Args:
        net: the network.
        frames: uint8, shape (frames, height, width, 3): the footage, all walks end to end; resized as needed.
        lessons: of pictures, of names, or both.
        config: how.
        bfloat16: compute in half precision.
        looking: is called with the number of frames that were looked at, and all.

    Raises:
        TrainingError: nothing to learn from.
    """

    def __init__(
        self,
        net: ReachNet,
        frames: Frame,
        lessons: tuple[Lesson, ...],
        config: ReachTraining,
        *,
        bfloat16: bool = False,
        looking: Callable[[int, int], None] = lambda done, all_: None,
    ) -> None:
        self.net, self.config = net, config
        self.lessons = tuple(each for each in lessons if len(each.frames))
        if not self.lessons:
            raise TrainingError(
                "Expected pairs of frames and goals, got none. Record houses with bagel-world record --sim house."
            )
        self._sights = Sights(net, frames, seed=config.seed, progress=looking)
        self._device = net.places.device
        self._bfloat16 = bfloat16
        self._generator = torch.Generator().manual_seed(config.seed)
        self._schedule = OptimizerConfig(schedule="cosine", warmup_steps=round(_WARM_UP * config.steps))
        decayed = [each for each in net.parameters() if each.ndim > 1]
        others = [each for each in net.parameters() if each.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=config.rate, betas=(0.9, 0.98))
        self.step = 0

    def train(self, progress: Callable[[int, int, dict[str, float]], None] | None = None) -> None:
        """Teach until the last step."""
        self.net.train()
        while self.step < self.config.steps:
            figures = self.learn()
            if progress is not None:
                progress(self.step, self.config.steps, figures)
        self.net.eval()

    def learn(self) -> dict[str, float]:
        """One step; its losses by kind of goal."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.rate * rate_factor(self.step, self.config.steps, self._schedule)
        losses: dict[str, Tensor] = {}
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            for lesson in self.lessons:
                losses["picture" if lesson.pictures else "name"] = self._loss(lesson)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise TrainingError(f"The loss of step {self.step} is {float(total.detach())}. Teach with a lower rate.")
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self._optimizer.step()
        self.step += 1
        return {name: float(each.detach()) for name, each in losses.items()}

    def _loss(self, lesson: Lesson) -> Tensor:
        rows = lesson.draw(self.config.batch, self._generator)
        mirrored = torch.rand(len(rows), generator=self._generator) < 0.5
        here = self.net.look(self._seen(lesson.frames[rows], mirrored))
        if lesson.pictures:
            there = self.net.look(self._seen(lesson.goals[rows], mirrored))
        else:
            there = self.net.hear(lesson.goals[rows].to(self._device))
        far, side = self.net(here, there)
        meters = lesson.meters[rows].to(self._device)
        bearings = torch.where(mirrored, -lesson.bearings[rows], lesson.bearings[rows]).to(self._device)
        loss = far_loss(far.float(), meters, self.net.config.meters)
        way = F.mse_loss(side[:, :2].float(), torch.stack([bearings.sin(), bearings.cos()], dim=1))
        loss = loss + _SIDE_WEIGHT * way
        if not lesson.pictures:
            seen = lesson.visible[rows].to(self._device).float()
            loss = loss + _SIDE_WEIGHT * F.binary_cross_entropy_with_logits(side[:, 2].float(), seen)
        return loss

    def _seen(self, places: Tensor, mirrored: Tensor) -> Tensor:
        blurred = torch.rand(len(places), generator=self._generator) < self.config.blur_share
        return self._sights.of(places, mirrored, blurred).to(self._device)


def _blurred(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Every picture by an amount of its own, from hardly to 5 pixels."""
    factor = int(torch.randint(2, 6, (), generator=generator))
    low = F.interpolate(pixels, scale_factor=1 / factor, mode="bilinear", antialias=True, align_corners=False)
    back = F.interpolate(low, size=pixels.shape[2:], mode="bilinear", align_corners=False)
    return pixels.lerp(back, torch.rand(len(pixels), generator=generator).to(pixels.device)[:, None, None, None])


def far_loss(logits: Tensor, meters: Tensor, bins: tuple[float, ...]) -> Tensor:
    """Cross-entropy with the two bins between which a distance lies, each by how near it is (two-hot)."""
    edges = torch.tensor(bins, device=meters.device)
    meters = meters.clamp(float(edges[0]), float(edges[-1]))
    upper = torch.bucketize(meters, edges).clamp(1, len(bins) - 1)
    share = (meters - edges[upper - 1]) / (edges[upper] - edges[upper - 1])
    logs = logits.log_softmax(dim=-1)
    low, high = logs.gather(1, upper[:, None] - 1)[:, 0], logs.gather(1, upper[:, None])[:, 0]
    return -((1 - share) * low + share * high).mean()
