from __future__ import annotations

import json
from pathlib import Path

import pytest

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import TrainingError
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.training.data.words import train_tokenizer
from tests.training.walks import make_tokenizer


@pytest.mark.parametrize("text", [*NAVIGATE_WORDS, "Größe: 3 m, 日本 🚪\n", "<think> left </think>"])
def test_any_text_comes_back(text: str) -> None:
    tokenizer = make_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_action_words_are_short() -> None:
    tokenizer = make_tokenizer()
    assert max(len(tokenizer.encode(word)) for word in NAVIGATE_WORDS) <= 4
    assert len(tokenizer) <= 512


def test_added_tokens_follow_the_base_vocabulary_in_published_order(golden_dir: Path, tmp_path: Path) -> None:
    def added(folder: Path) -> list[tuple[int, str, bool]]:
        whole = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        base = len(whole["model"]["vocab"])
        return [(token["id"] - base, token["content"], token["special"]) for token in whole["added_tokens"]]

    make_tokenizer().to_folder(tmp_path)
    assert added(tmp_path) == added(golden_dir / "tiny")


def test_tokenizer_comes_back_from_its_folder(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.to_folder(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert [again.encode(word) for word in NAVIGATE_WORDS] == [tokenizer.encode(word) for word in NAVIGATE_WORDS]
    assert again.start_of_image == tokenizer.start_of_image


def test_too_small_a_vocabulary_is_refused() -> None:
    with pytest.raises(TrainingError, match="at least 278"):
        train_tokenizer(NAVIGATE_WORDS, 200)
