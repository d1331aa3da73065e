"""Samples of the trainer, cut into segments, give the layouts of the published program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from bagel_world.episodes.samples import ImagePart, Part, Sample, TextPart
from bagel_world.images import ResizeRule
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.config import BagelConfig, Transforms
from bagel_world.model.packing import Packed, pack
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.training.data.encoder import BlankEncoder
from bagel_world.training.data.segments import SegmentConfig, Segmenter
from tests.golden.cases import Case, Checker, checkpoint_folder, covers, folder, head, sibling


def _sample(plan: Mapping[str, Any]) -> Sample:
    """A plan of the case as a sample: entries of one image in a row are one part."""
    parts: list[Part] = []
    for item in plan["plan"]:
        if item["type"] == "text":
            role = "answer" if item["loss"] else "action" if item["droppable"] else "question"
            parts.append(TextPart(text=item["text"], loss=bool(item["loss"]), role=role))
            continue
        data = (folder() / "images" / f"{item['image'].removeprefix('inputs/')}.png").read_bytes()
        use = {"vit_image": "vit", "vae_image": "target" if item["loss"] else "vae"}[item["type"]]
        last = parts[-1] if parts else None
        if isinstance(last, ImagePart) and last.image == data and not getattr(last, use):
            parts[-1] = last.model_copy(update={use: True})
        else:
            parts.append(ImagePart.model_validate({"image": data, use: True}))
    return Sample(sample_id=plan["name"], source="goldens", license="none", parts=tuple(parts))


def _packed(case: Case, **config: Any) -> Packed:
    shape = BagelConfig.from_folder(checkpoint_folder())
    rules = {
        name: ResizeRule(max_side=size["max_size"], min_side=size["min_size"], stride=size["stride"])
        for name, size in (("vae", head()["vae_transform"]), ("vit", head()["vit_transform"]))
    }
    shape = shape.model_copy(update={"world": shape.world.model_copy(update={"transforms": Transforms(**rules)})})
    tokenizer = Tokenizer.from_folder(checkpoint_folder())
    numbers = packing_rules(shape, tokenizer)
    segmenter = Segmenter(tokenizer, BlankEncoder(shape), numbers, SegmentConfig(**config))
    made = [segmenter(_sample(plan), np.random.default_rng(0)) for plan in case.settings["samples"]]
    packed = pack([each.segments for each in made], numbers)
    assert [each.tokens for each in made] == list(packed.lengths)
    return packed


def _check_layout(check: Checker, packed: Packed) -> None:
    splits = [split for layout in packed.layouts for split in layout]
    check.setting("sample_lens", list(packed.lengths))
    check.setting("split_lens", [length for length, _ in splits])
    check.setting("attn_modes", [mode for _, mode in splits])
    check("packed_position_ids", packed.in_sequence(packed.positions))
    check("packed_text_ids", packed.text_ids)
    check("packed_text_indexes", _places(packed, 0, len(packed.text_ids)))


def _places(packed: Packed, first: int, count: int) -> torch.Tensor:
    """Where in the sequence the tokens of one kind are."""
    return packed.order.argsort()[first : first + count]


@covers("train_forward")
def test_samples_are_laid_out_as_published(case: Case) -> None:
    check = Checker(case)
    packed = _packed(case, text_dropout=0, vit_dropout=0, vae_dropout=0, vit_sees="original")
    _check_layout(check, packed)
    check("packed_label_ids", packed.labels)
    check("ce_loss_indexes", _places(packed, 0, len(packed.text_ids))[packed.label_places])
    check("packed_latent_position_ids", packed.latent_positions)
    check("packed_vit_position_ids", packed.vit_positions)
    check("mse_loss_indexes", _places(packed, packed.understand_tokens, len(packed.noised))[packed.noised])


@covers("train_layout")
def test_samples_that_lose_every_condition_are_laid_out_as_published(case: Case) -> None:
    full = sibling(case, "train_forward")
    check = Checker(case)
    packed = _packed(full, text_dropout=1, vit_dropout=1, vae_dropout=1)
    _check_layout(check, packed)
    check("packed_vae_token_indexes", _places(packed, packed.understand_tokens, len(packed.noised)))
