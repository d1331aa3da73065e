"""Bagel: embed a pack, run the two experts over it, read logits or velocities off the end.

Knows nothing of time: a loop over denoising steps, generated tokens or environment steps lives in the world room.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bagel_world.model.attention import Backend, Plan, make_plan, pick_backend
from bagel_world.model.cache import Workspace
from bagel_world.model.config import BagelConfig
from bagel_world.model.layers import Connector, TimestepEmbedding, position_table
from bagel_world.model.mot import Mot, Streams, Wanted
from bagel_world.model.packing import Packed
from bagel_world.model.vit import Vit

INITIAL_STD = 0.02
"""Standard deviation of fresh weights."""


class Bagel(nn.Module):
    """Everything of a checkpoint but the autoencoder."""

    def __init__(self, config: BagelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.llm_config.hidden_size
        self.embed_tokens = nn.Embedding(config.llm_config.vocab_size, width)
        self.mot = Mot(config.llm_config)
        self.lm_head = nn.Linear(width, config.llm_config.vocab_size, bias=False)
        self.vit = Vit(config.vit_config)
        self.connector = Connector(config.vit_config.hidden_size, width)
        self.latent_in = nn.Linear(config.latent_size, width)
        self.latent_out = nn.Linear(width, config.latent_size)
        self.timestep_embedding = TimestepEmbedding(width)
        # The tables are used as stored, rounding and all, and never trained.
        self.latent_positions = _fixed(position_table(config.max_latent_size, width))
        self.vit_positions = _fixed(position_table(config.vit_max_num_patch_per_side, width))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embed_tokens.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of weights, streams and cache."""
        return self.embed_tokens.weight.dtype

    @property
    def cache_shape(self) -> tuple[int, int, int]:
        """(layers, kv heads, head size) of keys and values."""
        config = self.config.llm_config
        return config.num_hidden_layers, config.num_key_value_heads, config.head_size

    def embed_vit(self, packed: Packed) -> Float[Tensor, "v d"]:
        """ViT tokens as they enter the decoder."""
        assert packed.vit_patches is not None
        features = self.vit(packed.vit_patches, packed.vit_positions, packed.vit_lengths)
        return self.connector(features) + self.vit_positions[packed.vit_positions]

    def embed_latents(self, packed: Packed) -> Float[Tensor, "l d"]:
        """Latent tokens as they enter the decoder: projection + timestep + position."""
        assert packed.latents is not None
        times = self.timestep_embedding(packed.timesteps)[packed.latent_images]
        return self.latent_in(packed.latents.to(self.dtype)) + times + self.latent_positions[packed.latent_positions]

    def embed(self, packed: Packed, *, frozen: bool = False) -> Streams:
        """What enters the decoder, by expert; `frozen` lets no gradient into the understanding side."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            text = self.embed_tokens(packed.text_ids)
            understand = text if packed.vit_patches is None else torch.cat((text, self.embed_vit(packed)))
        generate = text[:0] if packed.latents is None else self.embed_latents(packed)
        return Streams(understand, generate)

    def hidden(
        self,
        packed: Packed,
        past: Workspace | None = None,
        *,
        plan: Plan | None = None,
        backend: Backend | None = None,
        frozen: bool = False,
        wanted: Wanted | None = None,
    ) -> Streams:
        """Hidden states after the final norms.

        Args:
            packed: the tokens.
            past: cached keys and values, one row per sample; the pass writes its own behind them.
            plan: how to attend, where the caller runs the same layout many times; made here otherwise.
            backend: "sdpa", "padded" or "flex"; chosen by device where None. With a past it is always "sdpa".
            frozen: let no gradient into or through the understanding expert.
            wanted: the rows whose states are asked for, where not all are.
        """
        if plan is None:
            plan = self.plan(packed, past, backend)
        return self.mot(self.embed(packed, frozen=frozen), packed.positions, plan, past, frozen=frozen, wanted=wanted)

    def remember(self, packed: Packed, past: Workspace) -> None:
        """Write the keys and values of a pack behind the past, and nothing else."""
        self.mot.remember(self.embed(packed), packed.positions, self.plan(packed, past), past)

    def plan(self, packed: Packed, past: Workspace | None = None, backend: Backend | None = None) -> Plan:
        """How to attend over this pack."""
        if past is not None:
            return past.plan(packed.layouts, packed.order)
        backend = backend or pick_backend(self.device, packed.layouts, training=torch.is_grad_enabled())
        return make_plan(packed.layouts, packed.order, backend)

    def logits(self, understand: Float[Tensor, "t d"]) -> Float[Tensor, "t y"]:
        """Next-token logits of understanding states."""
        return self.lm_head(understand)

    def velocity(self, packed: Packed, past: Workspace | None = None, *, plan: Plan | None = None) -> Float[Tensor, "l z"]:
        """Velocity (noise - data) at every latent token of the pack, clean ones included."""
        return self.latent_out(self.hidden(packed, past, plan=plan).generate)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Fresh weights for training from scratch: normal(0.02) matrices, zero biases, unit norms, zero velocity head."""
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            if name.endswith("norm.weight"):
                parameter.fill_(1.0)
            elif parameter.ndim < 2 or name.startswith("latent_out."):
                parameter.zero_()
            else:
                parameter.normal_(0.0, INITIAL_STD, generator=generator)


def _fixed(table: Tensor) -> nn.Parameter:
    return nn.Parameter(table, requires_grad=False)
