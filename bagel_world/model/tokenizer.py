"""Text <-> ids, with the four marks that BAGEL builds its sequences from.

The tokenizer itself is Qwen2.5's byte-level BPE (or any of its kind), read through `transformers`. There are no roles and no
chat template: a text segment is begin mark, text, end mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bagel_world.errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BEGIN, END = "<|im_start|>", "<|im_end|>"
IMAGE_BEGIN, IMAGE_END = "<|vision_start|>", "<|vision_end|>"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json")


class Tokenizer:
    """A tokenizer that knows the marks by name.

    Attributes:
        begin: id that opens a text.
        end: id that closes it.
        start_of_image: id before an image.
        end_of_image: id behind an image.

    Args:
        base: the tokenizer of `transformers`; marks it lacks are added, and then the embedding must have rows for them.
    """

    def __init__(self, base: PreTrainedTokenizerBase) -> None:
        self.base = base
        marks = (BEGIN, END, IMAGE_BEGIN, IMAGE_END)
        missing = [mark for mark in marks if mark not in base.get_vocab()]
        if missing:
            base.add_special_tokens({"additional_special_tokens": missing})
        vocabulary = base.get_vocab()
        self.begin, self.end, self.start_of_image, self.end_of_image = (vocabulary[mark] for mark in marks)

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Read the tokenizer files of a checkpoint folder.

        Raises:
            CheckpointError: there are none, or they cannot be read.
        """
        if not any((folder / name).exists() for name in TOKENIZER_FILES):
            raise CheckpointError(
                f"Expected a tokenizer ({' or '.join(TOKENIZER_FILES)}) in {folder}, found none. "
                "Copy the tokenizer files of the checkpoint it was trained from."
            )
        from transformers import Qwen2Tokenizer

        try:
            return cls(Qwen2Tokenizer.from_pretrained(str(folder), local_files_only=True))
        except Exception as error:  # valid JSON of another shape raises whatever meets it first
            raise CheckpointError(f"The tokenizer in {folder} cannot be read: {error}") from error

    def to_folder(self, folder: Path) -> None:
        """Write the tokenizer files."""
        self.base.save_pretrained(str(folder))

    def __len__(self) -> int:
        """Number of ids, marks included: the least number of embedding rows."""
        return len(self.base)

    def encode(self, text: str) -> tuple[int, ...]:
        """A text segment: begin mark, text, end mark."""
        return (self.begin, *self.base.encode(text, add_special_tokens=False), self.end)

    def decode(self, ids: Sequence[int]) -> str:
        """The text between the first begin mark and whatever mark follows; ids the tokenizer lacks are left out."""
        known = [each for each in ids if each < len(self)]
        text = str(self.base.decode(known, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        body = text.split(END)[0].split(BEGIN)
        return body[1] if len(body) > 1 else body[0]
