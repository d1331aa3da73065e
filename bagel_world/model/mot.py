"""Mixture-of-Transformers: two experts per layer that share nothing but attention (arXiv 2505.14683, section 2).

Tokens travel in two streams, one per expert, and meet in attention alone: there the streams are joined, attended in the order
the plan says, and parted again. Training, prefill, decoding and denoising are the same code; what differs is the plan and
whether a workspace with a past is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bagel_world.model.attention import Plan, attend
from bagel_world.model.cache import Workspace
from bagel_world.model.config import TextConfig
from bagel_world.model.layers import RmsNorm, rotary_tables, rotate


@dataclass(frozen=True, slots=True)
class Streams:
    """Hidden states by expert, in the order of computation: `understand` first, then `generate`; either may have no rows."""

    understand: Float[Tensor, "u d"]
    generate: Float[Tensor, "g d"]

    def joined(self) -> Float[Tensor, "s d"]:
        """Both streams behind each other."""
        return torch.cat((self.understand, self.generate))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows of each stream that are read off the end: the last layer stops where the others have been seen."""

    understand: Int[Tensor, " a"]
    generate: Int[Tensor, " b"]


class Expert(nn.Module):
    """One expert's weights of one layer."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width, head = config.hidden_size, config.head_size
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.attention_norm = RmsNorm(width, config.rms_norm_eps)
        self.q = nn.Linear(width, self.heads * head)
        self.k = nn.Linear(width, self.kv_heads * head)
        self.v = nn.Linear(width, self.kv_heads * head)
        self.o = nn.Linear(self.heads * head, width, bias=False)
        self.q_norm = RmsNorm(head, config.rms_norm_eps)
        self.k_norm = RmsNorm(head, config.rms_norm_eps)
        self.mlp_norm = RmsNorm(width, config.rms_norm_eps)
        self.gate = nn.Linear(width, config.intermediate_size, bias=False)
        self.up = nn.Linear(width, config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, width, bias=False)

    def project(self, x: Float[Tensor, "t d"], qk_dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, normed per head in `qk_dtype`, and values: [t, heads, e]."""
        y = self.attention_norm(x)
        q = self.q_norm(self.q(y).unflatten(-1, (self.heads, -1)).to(qk_dtype))
        k = self.k_norm(self.k(y).unflatten(-1, (self.kv_heads, -1)).to(qk_dtype))
        return q, k, self.v(y).unflatten(-1, (self.kv_heads, -1))

    def finish(self, x: Float[Tensor, "t d"], attended: Float[Tensor, "t n e"]) -> Float[Tensor, "t d"]:
        """Output projection and MLP, each with its residual."""
        x = x + self.o(attended.flatten(1))
        y = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class MotBlock(nn.Module):
    """One layer: both experts around one attention."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.understand = Expert(config)
        self.generate = Expert(config)

    def forward(
        self,
        streams: Streams,
        rotary: tuple[Tensor, Tensor],
        layer: int,
        plan: Plan,
        past: Workspace | None,
        frozen: bool,
        wanted: Wanted | None = None,
    ) -> Streams:
        """Run the layer; an expert without tokens is not touched.

        Args:
            streams: hidden states.
            rotary: tables in the order of computation.
            layer: this layer's number, its place in the workspace.
            plan: how to attend.
            past: cached keys and values, where there are any.
            frozen: let no gradient into or through the understanding expert.
            wanted: rows that go on; all where None.
        """
        split = len(streams.understand)
        q, k, v = self.project(streams, rotary, frozen)
        attended = attend(q, k, v, plan) if past is None else past.attend(layer, q, k, v, plan)
        understand, generate = streams.understand, streams.generate
        seen = attended[:split], attended[split:]
        if wanted is not None:
            understand, generate = understand[wanted.understand], generate[wanted.generate]
            seen = seen[0][wanted.understand], seen[1][wanted.generate]
        if len(understand):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                understand = self.understand.finish(understand, seen[0])
        if len(generate):
            generate = self.generate.finish(generate, seen[1])
        return Streams(understand, generate)

    def project(self, streams: Streams, rotary: tuple[Tensor, Tensor], frozen: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of both streams behind each other, at their rotary positions."""
        dtype = streams.understand.dtype
        # The published weights expect queries and keys in float32 whenever latents are in the pass, for both experts.
        qk_dtype = torch.float32 if len(streams.generate) and dtype == torch.bfloat16 else dtype
        parts = []
        if len(streams.understand):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
                parts.append(self.understand.project(streams.understand, qk_dtype))
        if len(streams.generate):
            parts.append(self.generate.project(streams.generate, qk_dtype))
        q, k, v = (each[0] if len(each) == 1 else torch.cat(each) for each in zip(*parts, strict=True))
        return rotate(q, rotary).to(dtype), rotate(k, rotary).to(dtype), v


class Mot(nn.Module):
    """All layers and the final norm of each expert."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(MotBlock(config) for _ in range(config.num_hidden_layers))
        self.understand_norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.generate_norm = RmsNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        streams: Streams,
        positions: Int[Tensor, " s"],
        plan: Plan,
        past: Workspace | None = None,
        *,
        frozen: bool = False,
        wanted: Wanted | None = None,
    ) -> Streams:
        """Hidden states after the final norms.

        Args:
            streams: embedded tokens.
            positions: rotary positions in the order of computation.
            plan: how to attend.
            past: cached keys and values; the pass writes its own behind them.
            frozen: let no gradient into or through the understanding expert ("freeze understanding").
            wanted: rows whose hidden states are given, in this order; all where None.
        """
        rotary = self._rotary(streams, positions)
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            streams = layer(streams, rotary, number, plan, past, frozen, wanted if number == last else None)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            understand = self.understand_norm(streams.understand)
        return Streams(understand, self.generate_norm(streams.generate))

    def remember(self, streams: Streams, positions: Int[Tensor, " s"], plan: Plan, past: Workspace) -> None:
        """Only write keys and values behind the past: the last layer ends where it has its own."""
        rotary = self._rotary(streams, positions)
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, MotBlock)
            if number == last:
                _, k, v = layer.project(streams, rotary, frozen=False)
                past.write(number, k, v, plan)
            else:
                streams = layer(streams, rotary, number, plan, past, False)

    def _rotary(self, streams: Streams, positions: Int[Tensor, " s"]) -> tuple[Tensor, Tensor]:
        return rotary_tables(positions, self.config.head_size, self.config.rope_theta, streams.understand.dtype)
