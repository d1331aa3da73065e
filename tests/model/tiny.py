"""Random models of a few hundred numbers, in float64 and with odd sizes, and the same weights for the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from torch import Tensor

from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import published_parameters
from bagel_world.model.config import BagelConfig
from bagel_world.model.packing import PackingRules
from tests import oracle
from tests.oracle import Gap, Latent, Segment, Sizes, Text, Vit

few = settings(
    max_examples=6,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
"""Random models are slow to run through the oracle: a few, mostly the same ones every time, and no minutes of shrinking."""

VOCABULARY = 24
START_OF_IMAGE, END_OF_IMAGE = 3, 7
BEGIN, END = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model twice: the package's module, and its weights by published name."""

    config: BagelConfig
    bagel: Bagel
    rules: PackingRules
    weights: dict[str, Tensor]
    sizes: Sizes


@st.composite
def configs(draw: st.DrawFn) -> BagelConfig:
    """Shapes with odd head counts, one key head, several key heads, and patches of any size."""
    heads, kv_heads = draw(st.sampled_from([(1, 1), (3, 1), (3, 3), (4, 2), (5, 1), (6, 3)]))
    head_size = draw(st.sampled_from([4, 8]))
    vit_heads = draw(st.sampled_from([1, 2, 3]))
    return tiny_config(
        llm_config={
            "hidden_size": heads * head_size,
            "intermediate_size": draw(st.integers(3, 9)),
            "num_hidden_layers": draw(st.integers(1, 2)),
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "vocab_size": VOCABULARY,
            "rms_norm_eps": draw(st.sampled_from([1e-6, 1e-2])),
            "rope_theta": draw(st.sampled_from([100.0, 1e6])),
        },
        vit_config={
            "hidden_size": vit_heads * 4,
            "image_size": 8,
            "intermediate_size": 5,
            "num_attention_heads": vit_heads,
            "num_hidden_layers": draw(st.integers(2, 3)),
            "patch_size": 2,
        },
        z_channels=draw(st.integers(1, 3)),
        latent_patch_size=draw(st.integers(1, 2)),
    )


def tiny_config(
    *, llm_config: dict[str, Any], vit_config: dict[str, Any], z_channels: int, latent_patch_size: int
) -> BagelConfig:
    return BagelConfig.model_validate(
        {
            "llm_config": llm_config,
            "vit_config": vit_config,
            "vae_config": {"ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "downsample": 2, "z_channels": z_channels},
            "latent_patch_size": latent_patch_size,
            "max_latent_size": 3,
            "vit_max_num_patch_per_side": 4,
        }
    )


def randomize(module: torch.nn.Module, seed: int, spread: float = 0.4) -> None:
    """Weights large enough that every part matters: a wrong expert, position or mask shows in the first digits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            draw = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(1 + spread * draw if "norm" in name and name.endswith("weight") else spread * draw)


def make(config: BagelConfig, seed: int, dtype: torch.dtype = torch.float64) -> Model:
    bagel = Bagel(config).to(dtype)
    randomize(bagel, seed)
    rules = PackingRules(
        start_of_image=START_OF_IMAGE,
        end_of_image=END_OF_IMAGE,
        vit_patch=config.vit_config.patch_size,
        vit_side=config.vit_max_num_patch_per_side,
        latent_side=config.max_latent_size,
    )
    dumped = config.model_dump(mode="json")
    sizes = oracle.sizes_of(
        dumped, dumped["llm_config"], dumped["vit_config"], {"<|vision_start|>": START_OF_IMAGE, "<|vision_end|>": END_OF_IMAGE}
    )
    weights = {name: value.detach().double() for name, value in published_parameters(bagel).items()}
    return Model(config=config, bagel=bagel, rules=rules, weights=weights, sizes=sizes)


models = st.builds(make, configs(), st.integers(0, 1000))

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3))
"""Rows and columns of an image, in patches."""

TIMES = st.sampled_from([0.0, 0.25, 0.625, 1.0])
"""Exactly representable in float32, which packs keep times in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A segment before the model is known, whose sizes decide its numbers."""

    kind: str
    shape: tuple[int, int] = (1, 1)
    seed: int = 0
    time: float = 0.0
    loss: bool = False

    def build(self, config: BagelConfig) -> Segment:
        generator = torch.Generator().manual_seed(self.seed)
        match self.kind:
            case "text":
                ids = torch.randint(VOCABULARY, (self.shape[0] * self.shape[1] + 1,), generator=generator)
                return Text(ids=ids.tolist(), loss=self.loss)
            case "vit":
                patch = config.vit_config.patch_size
                size = (3, self.shape[0] * patch, self.shape[1] * patch)
                return Vit(pixels=torch.rand(size, generator=generator, dtype=torch.float64) * 2 - 1)
            case "gap":
                return Gap(advance=self.shape[0])
            case _:
                tokens = torch.randn(self.shape[0] * self.shape[1], config.latent_size, generator=generator, dtype=torch.float64)
                return Latent(tokens=tokens, grid=self.shape, time=self.time, noised=self.kind == "noised")


@st.composite
def drafts(draw: st.DrawFn, kinds: tuple[str, ...] = ("text", "vit", "clean", "noised", "gap")) -> Draft:
    kind = draw(st.sampled_from(kinds))
    return Draft(
        kind=kind,
        shape=draw(SHAPES),
        seed=draw(st.integers(0, 1000)),
        time=draw(TIMES) if kind == "noised" else 0.0,
        loss=kind == "text" and draw(st.booleans()),
    )


CONTEXT_KINDS = ("text", "vit", "clean", "gap")
"""What a context may hold: an image being painted is never kept."""


def samples(
    *, most: int = 3, kinds: tuple[str, ...] = ("text", "vit", "clean", "noised", "gap")
) -> st.SearchStrategy[list[list[Draft]]]:
    """Several samples of several segments; each begins with a text, so that none is empty."""
    sample = st.lists(drafts(kinds), max_size=4).map(lambda rest: [Draft(kind="text", shape=(1, 2), seed=len(rest)), *rest])
    return st.lists(sample, min_size=1, max_size=most)
