"""Warm start: a model of a new shape, or with other words, begins with the weights of an old one wherever they fit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bagel_world.errors import ConfigError
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.config import BagelConfig
from bagel_world.model.layers import position_table
from bagel_world.model.tokenizer import Tokenizer

_BY_WORD = ("embed_tokens.weight", "lm_head.weight")


@torch.no_grad()
def warm_up(bagel: Bagel, tokenizer: Tokenizer, source: Checkpoint) -> list[str]:
    """Copy weights into a fresh model; the names of those that stay fresh.

    Tensors of equal name and shape are taken as they are. Rows of the embedding and of the text head go by token, so that the
    words both tokenizers know keep what they mean. Where the grid of latent tokens has another side, the fixed position table
    is spread over it: the corner of a picture stays the corner, whatever its resolution.

    Args:
        bagel: the model, with fresh weights.
        tokenizer: its tokenizer.
        source: what to take from.

    Raises:
        ConfigError: hardly anything fits: another width.
    """
    check_width(bagel.config, source.config)
    old = dict(source.bagel.named_parameters())
    fresh = []
    for name, parameter in bagel.named_parameters():
        found = old.get(name)
        if name in _BY_WORD and found is not None:
            _copy_rows(parameter, found, tokenizer, source.tokenizer)
        elif name == "latent_positions":
            parameter.copy_(_spread(parameter, source.config.max_latent_size, bagel.config.max_latent_size))
        elif found is not None and found.shape == parameter.shape:
            parameter.copy_(found)
        else:
            fresh.append(name)
    return fresh


def check_width(shape: BagelConfig, source: BagelConfig) -> None:
    """Refuse a checkpoint of which hardly anything fits.

    Raises:
        ConfigError: it has another width.
    """
    width, other = shape.llm_config.hidden_size, source.llm_config.hidden_size
    if width != other:
        raise ConfigError(f"Expected a checkpoint of width {width} to start warm from, got {other}. Use a preset as wide.")


def _spread(table: Tensor, old_side: int, side: int) -> Tensor:
    """The table of a grid of `old_side`, read at the `side` x `side` centers of a finer or coarser grid."""
    places = (torch.arange(side, dtype=torch.float64) + 0.5) * old_side / side - 0.5
    return position_table(side, table.shape[1], places).to(table)


def _copy_rows(new: nn.Parameter, old: nn.Parameter, tokenizer: Tokenizer, other: Tokenizer) -> None:
    known = other.base.get_vocab()
    pairs = [(row, known[token]) for token, row in tokenizer.base.get_vocab().items() if token in known]
    rows, sources = (torch.tensor(each) for each in zip(*pairs, strict=True))
    new[rows] = old[sources]
