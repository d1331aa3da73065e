"""A small training that one process or several run: `torchrun -m tests.training.small_run FOLDER DTYPE STEPS CHANGES`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import packing_rules
from bagel_world.training.data.batches import WalkBatches
from bagel_world.training.data.feeds import WalkFeed
from bagel_world.training.data.interleave import WalkConfig, WalkSampler
from bagel_world.training.optim import OptimizerConfig
from bagel_world.training.ranks import Ranks, join_ranks
from bagel_world.training.trainer import MotConfig, Trainer
from tests.training.walks import make_config, make_latents, make_tokenizer

SLICES = 2


def small_config(steps: int, **changes: object) -> MotConfig:
    """A recipe that several processes can follow."""
    return MotConfig.model_validate(
        {
            "steps": steps,
            "batch": 4,
            "walk": WalkConfig(frames=3, copies=1, predict_actions=True, imagined_share=0.5),
            "text_weight": 0.25,
            "optimizer": OptimizerConfig(matrix_rate=0.0, rate=1e-3, warmup_steps=1, schedule="constant"),
            "validation_windows": 2,
            "validate_every": 10,
            "save_every": 4,
            "preview_every": 10**6,
            **changes,
        }
    )


def small_trainer(folder: Path, config: MotConfig, dtype: torch.dtype, ranks: Ranks | None) -> Trainer:
    """The trainer, before its first step; it keeps its losses in `losses.jsonl`."""
    shape, tokenizer = make_config(), make_tokenizer()
    bagel = Bagel(shape)
    bagel.initialize(torch.Generator().manual_seed(0))
    latents = make_latents(folder / f"cache-{0 if ranks is None else ranks.rank}")
    rules = packing_rules(shape, tokenizer)
    samplers = [WalkSampler(latents, tokenizer, config.walk, seed=seed) for seed in (0, 1)]

    def note(step: int, steps: int, losses: dict[str, float]) -> None:
        del steps
        with (folder / "losses.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([step, losses["loss"], losses["velocity"], losses["text"], losses["gradient"]]) + "\n")

    return Trainer(
        bagel.to(dtype),
        config,
        train=WalkFeed(WalkBatches(samplers[0], rules, batch=config.batch, slices=SLICES)),
        validation=WalkFeed(WalkBatches(samplers[1], rules, batch=2, slices=1)),
        run=folder / "run",
        workers=1,
        progress=note,
        ranks=ranks,
    )


def main(folder: Path, dtype: str, steps: int, **changes: object) -> None:
    """Train in this process, one of several, from the newest state on."""
    ranks = join_ranks(torch.device("cpu"))
    trainer = small_trainer(folder, small_config(steps, **changes), getattr(torch, dtype), ranks)
    trainer.resume()
    figures = trainer.train()
    if ranks is None or ranks.leads:
        (folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), **json.loads(sys.argv[4]))
    # All is on disk. Threads of torch's process groups abort the interpreter's own exit once in some twenty runs (torch 2.13).
    os._exit(0)
