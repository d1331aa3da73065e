"""A small tokenizer of the published kind: byte-level BPE, with the added tokens of Qwen2.5 right after the base vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import AddedToken as Added
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from bagel_world.errors import TrainingError
from bagel_world.model.tokenizer import Tokenizer

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PLAIN = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
"""The added tokens of Qwen2.5 in its order: the special ones first."""

BYTES = 256

_WORDS = Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Learn a tokenizer from texts.

    Args:
        texts: what it will be used on: action words, captions, questions, thoughts.
        vocabulary: rows of the model's embedding; the tokenizer has at most as many ids.

    Raises:
        TrainingError: too few rows for the 256 bytes and the added tokens.
    """
    base = vocabulary - len(SPECIAL) - len(PLAIN)
    if base < BYTES:
        raise TrainingError(f"Expected a vocabulary of at least {BYTES + len(SPECIAL) + len(PLAIN)} ids, got {vocabulary}.")
    backend = Backend(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(_WORDS, behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=base, min_frequency=1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(_repeated(texts), trainer)
    backend.add_tokens([Added(token, special=True, normalized=False) for token in SPECIAL])
    backend.add_tokens([Added(token, special=False, normalized=False) for token in PLAIN])
    return _through_files(backend)


def _repeated(texts: Sequence[str]) -> Iterable[str]:
    return (text for text in texts for _ in range(2))


def _through_files(backend: Backend) -> Tokenizer:
    with TemporaryDirectory() as folder:
        place = Path(folder)
        backend.save(str(place / "tokenizer.json"))
        backend.model.save(str(place))
        settings = {
            "tokenizer_class": "Qwen2Tokenizer",
            "add_prefix_space": False,
            "bos_token": None,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "unk_token": None,
            "model_max_length": 32768,
            "clean_up_tokenization_spaces": False,
        }
        (place / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        return Tokenizer.from_folder(place)
