"""Fingerprints of weights: whether a state, a cache or an update belongs to these or to others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from bagel_world.model.bagel import Bagel

_SAMPLES = 256
"""How many numbers of each parameter go into a fingerprint, at least, where it has as many."""


def base_fingerprint(bagel: Bagel) -> str:
    """Which weights these are: a hash of some numbers of every parameter, as bfloat16, so that both precisions agree."""
    samples = (
        (f"{name} {tuple(parameter.shape)}", parameter.detach().flatten()[:: max(1, parameter.numel() // _SAMPLES)].bfloat16())
        for name, parameter in bagel.named_parameters()
    )
    return digest(samples)


def digest(named: Iterable[tuple[str, Tensor]]) -> str:
    """A hash of tensors and their names, 16 hexadecimal digits."""
    found = hashlib.sha256()
    for name, tensor in named:
        found.update(name.encode())
        found.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]
