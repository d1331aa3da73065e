"""The SigLIP-style vision transformer at native aspect ratio: images of any sizes packed back to back.

Patches through a linear layer plus learned positions, pre-norm layers with full attention inside each image, a final norm.
No class token, no pooling.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from bagel_world.model.attention import Plan, attend, plan_dense
from bagel_world.model.config import VitConfig


class WideLayerNorm(nn.LayerNorm):
    """Layer norm that computes in float32 at least, and returns the input's dtype."""

    def forward(self, input: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        if input.dtype not in (torch.bfloat16, torch.float16):
            return super().forward(input)
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(input.float(), self.normalized_shape, weight, bias, self.eps).to(input.dtype)


class VitLayer(nn.Module):
    """Attention and MLP, each behind a norm and with a residual."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.attention_norm = WideLayerNorm(width, eps=config.layer_norm_eps)
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = WideLayerNorm(width, eps=config.layer_norm_eps)
        self.fc1 = nn.Linear(width, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, width)

    def forward(self, x: Float[Tensor, "v d"], plan: Plan) -> Float[Tensor, "v d"]:
        y = self.attention_norm(x)
        q, k, v = (project(y).unflatten(-1, (self.heads, -1)) for project in (self.q, self.k, self.v))
        x = x + self.out(attend(q, k, v, plan).flatten(1))
        return x + self.fc2(F.gelu(self.fc1(self.mlp_norm(x)), approximate="tanh"))


class Vit(nn.Module):
    """Patches to features."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, width)
        self.position_embedding = nn.Embedding(config.side**2, width)
        self.layers = nn.ModuleList(VitLayer(config) for _ in range(config.stored_layers))
        self.final_norm = WideLayerNorm(width, eps=config.layer_norm_eps)

    def embed(self, patches: Float[Tensor, "v q"], positions: Int[Tensor, " v"]) -> Float[Tensor, "v d"]:
        """Patches plus their learned positions."""
        return self.patch_embedding(patches.to(self.patch_embedding.weight.dtype)) + self.position_embedding(positions)

    def forward(
        self, patches: Float[Tensor, "v q"], positions: Int[Tensor, " v"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "v d"]:
        """Features after the final norm.

        Args:
            patches: of all images, back to back.
            positions: row * side + column of each patch.
            lengths: patches per image.
        """
        plan = plan_dense([((length, "full"),) for length in lengths], torch.arange(len(patches), device=patches.device))
        x = self.embed(patches, positions)
        for layer in self.layers:
            x = layer(x, plan)
        return self.final_norm(x)
