"""The stages in the document: recipes that go on from each other's checkpoints."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml

from bagel_world.cli import main
from bagel_world.episodes.sample_writer import SampleWriter
from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.model.checkpoint import load
from bagel_world.training.parts import part_of
from tests.episodes.drawn import picture, walk_sample
from tests.model.folder import write_folder

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"


def caption(number: int, split: str) -> Sample:
    parts = (
        ImagePart(image=picture(number, (32, 32)), vit=True),
        TextPart(text="What is it?", role="question"),
        TextPart(text="Noise", role="answer", loss=True),
    )
    return Sample(sample_id=f"caption-{number}", source="tests", license="CC0-1.0", split=split, parts=parts)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that both recipes name."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "checkpoints" / "joined")
    for ending, split in (("", "train"), ("-validation", "validation")):
        with SampleWriter(f"data/captions{ending}") as captions, SampleWriter(f"data/films{ending}") as films:
            captions.add_all(caption(number, split) for number in range(4))
            films.add_all(walk_sample(number, split=split) for number in range(4))
    return tmp_path


def test_a_stage_goes_on_from_the_checkpoint_of_the_one_before(here: Path) -> None:
    _, *blocks = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    weights = [dict(load(here / "checkpoints" / "joined").bagel.named_parameters())]
    small = ["mot.steps=2", "mot.batch=2", "mot.pack.tokens=512", "mot.validation_packs=1", "workers=1", "device=cpu"]
    for number, block in enumerate(blocks):
        recipe = here / f"{number}.yaml"
        recipe.write_text(block, encoding="utf-8")
        with pytest.raises(SystemExit) as stop:
            main(["train", str(recipe), *(word for change in small for word in ("--set", change))])
        assert not stop.value.code
        weights.append(dict(load(here / yaml.safe_load(block)["run"] / "checkpoint").bagel.named_parameters()))
    moved = [
        {part_of(name) for name in before if not torch.equal(before[name], after[name])} for before, after in pairwise(weights)
    ]
    assert moved[0] == {"connector"}
    assert moved[1] >= {"connector", "vit", "understand", "generate", "head"}
