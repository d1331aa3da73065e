"""The layouts of the published fine-tuning data: what they become, and our samples there and back."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.sample_check import check_samples
from bagel_world.episodes.sample_writer import write_samples
from bagel_world.episodes.samples import ImagePart, Sample, TextPart, check_sample
from bagel_world.errors import RecordingError
from bagel_world.training.data.published import PublishedFolder
from bagel_world.training.data.published_export import export_published
from bagel_world.training.data.published_rows import caption_sample, conversation_sample, edit_sample, whole_edit_sample
from bagel_world.training.data.sources import SourceConfig, note_lost
from bagel_world.training.data.stream import SampleStream, same
from tests.episodes.drawn import picture, walk_sample

FACTS = {"sample_id": "one", "source": "film", "license": "MIT"}
IMAGES = [picture(number) for number in range(4)]
STEPS = [["make it red", "turn it red"], ["add a hat"], ["make it smile", "a smile, please", "smile"]]
EDITS = {"image_list": IMAGES, "instruction_list": STEPS}


def told(sample: Sample) -> list[Any]:
    """The parts in short: words, and for an image its number and uses."""
    return [
        part.text + ("!" if part.loss else "")
        if isinstance(part, TextPart)
        else (IMAGES.index(part.image), *(name for name in ("target", "vae", "vit") if getattr(part, name)))
        for part in sample.parts
    ]


def make(*parts: dict[str, Any], **more: Any) -> Sample:
    return check_sample({**FACTS, **more, "parts": parts})


def text(words: str, role: str = "action", loss: bool = False) -> dict[str, Any]:
    return {"kind": "text", "text": words, "role": role, "loss": loss}


def image(number: int, *uses: str, **more: Any) -> dict[str, Any]:
    return {"kind": "image", "image": IMAGES[number], **dict.fromkeys(uses, True), **more}


# --- rows become samples


def test_a_caption_is_drawn_and_the_image_is_the_target() -> None:
    row = {"image": IMAGES[0], "captions": json.dumps({"0": "a duck", "b": "a yellow duck", "c": ""})}
    drawn = Counter(caption_sample(row, np.random.default_rng(seed), FACTS).texts[0].text for seed in range(60))
    assert set(drawn) == {"a duck", "a yellow duck"}
    assert told(caption_sample(row, None, FACTS)) == ["a duck", (0, "target")]
    assert caption_sample(row, None, FACTS).texts[0].role == "caption"
    assert told(caption_sample({**row, "captions": "{}"}, None, FACTS)) == [" ", (0, "target")]


def test_an_edit_row_is_read_whole() -> None:
    assert told(whole_edit_sample(EDITS, FACTS)) == [
        (0, "vae", "vit"),
        "make it red",
        (1, "target", "vae", "vit"),
        "add a hat",
        (2, "target", "vae", "vit"),
        "make it smile",
        (3, "target"),
    ]


def test_pieces_of_an_edit_row_are_every_kind_the_rules_allow() -> None:
    """A random start, an end at most two steps later; two steps either one by one or joined."""
    found = Counter(str(told(edit_sample(EDITS, np.random.default_rng(seed), FACTS))) for seed in range(3000))
    wanted: dict[str, float] = {}

    def expect(probability: float, *parts: Any) -> None:
        wanted[str(list(parts))] = wanted.get(str(list(parts)), 0.0) + probability

    for start in range(3):
        ends = range(start + 1, min(start + 2, 3) + 1)
        for end in ends:
            p = 1 / 3 / len(ends)
            if end == start + 1:
                for words in STEPS[start]:
                    expect(p / len(STEPS[start]), (start, "vae", "vit"), words, (end, "target"))
                continue
            share = p / 2 / len(STEPS[start]) / len(STEPS[start + 1])
            for first in STEPS[start]:
                for second in STEPS[start + 1]:
                    expect(share, (start, "vae", "vit"), f"{first}. {second}.", (end, "target"))
                    middle = (start + 1, "target", "vae", "vit")
                    expect(share, (start, "vae", "vit"), first, middle, second, (end, "target"))
    assert set(found) == set(wanted)
    for parts, probability in wanted.items():
        assert abs(found[parts] / 3000 - probability) < 4.5 * (probability * (1 - probability) / 3000) ** 0.5


def test_bare_instructions_are_one_phrasing_each() -> None:
    row = {"image_list": IMAGES[:2], "instruction_list": ["make it red"]}
    assert told(whole_edit_sample(row, FACTS)) == [(0, "vae", "vit"), "make it red", (1, "target")]


def test_a_conversation_becomes_questions_and_answers() -> None:
    record = {
        "conversations": [
            {"from": "human", "value": "Compare <image> and\n<image>"},
            {"from": "gpt", "value": " The first is red.\n"},
            {"from": "human", "value": "Why?"},
            {"from": "gpt", "value": "Paint."},
        ],
        "image": ["a", "b"],
    }
    sample = conversation_sample(record, {"a": IMAGES[0], "b": IMAGES[1]}.__getitem__, FACTS)
    assert told(sample) == ["Compare", (0, "vit"), "and", (1, "vit"), "The first is red.!", "Why?", "Paint.!"]
    assert [part.role for part in sample.texts] == ["question", "question", "answer", "question", "answer"]


def test_only_answers_of_a_conversation_are_learned() -> None:
    turns = [("system", "You help."), ("user", "Where?"), ("assistant", "Left."), ("human", "Why?"), ("gpt", "Wind.")]
    record = {"conversations": [{"from": who, "value": said} for who, said in turns]}
    sample = conversation_sample(record, {}.__getitem__, FACTS)
    assert told(sample) == ["You help.", "Where?", "Left.!", "Why?", "Wind.!"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"image_list": IMAGES[:1], "instruction_list": []}, "got 1 images and"),
        ({"image_list": IMAGES, "instruction_list": STEPS[:2]}, r"got 4 images and \[2, 1\] phrasings"),
        ({"image_list": IMAGES[:2], "instruction_list": [[]]}, r"\[0\] phrasings"),
        ({"image_list": None, "instruction_list": None}, "got 0 images"),
        ({"image_list": IMAGES[:2], "instruction_list": [["Go", None]]}, "phrasings as texts"),
        ({"image_list": IMAGES[:2], "instruction_list": [["Go", " " * 40_000]]}, "at most 32768 characters"),
        ({"image_list": IMAGES[:2], "instruction_list": [["Go", ""]]}, "expected words"),
        ({"image_list": IMAGES[:2], "instruction_list": 5}, "list of phrasings per step"),
        ({"image_list": IMAGES[:2], "instruction_list": [5]}, "list of phrasings per step"),
        ({**EDITS, "bagel_world": '{"fields": 5}'}, "fields in the column bagel_world"),
        ({**EDITS, "bagel_world": '{"times": 5}'}, "of another row: 5 as times"),
        ({**EDITS, "bagel_world": "[" * 100_000}, "JSON in the column bagel_world"),
        ({**EDITS, "image_list": [*IMAGES[:3], b"x"]}, r"part 6 \(image\), image: expected the bytes"),
    ],
)
def test_bad_edits_are_refused(row: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        whole_edit_sample(row, FACTS)


@pytest.mark.parametrize("captions", [None, "a duck", "[1]", '{"a": 1}', "[" * 100_000])
def test_bad_captions_are_refused(captions: str | None) -> None:
    with pytest.raises(RecordingError, match="Expected captions as JSON"):
        caption_sample({"image": IMAGES[0], "captions": captions}, None, FACTS)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"conversations": []}, "Expected conversations"),
        ({"conversations": [{"from": "human"}]}, "Expected conversations"),
        ({"conversations": [{"from": "human", "value": "<image> <image>"}], "image": "a"}, "more marks than the 1 images"),
        ({"conversations": [{"from": "human", "value": "hm"}], "image": "a"}, "1 of 1 images without one"),
        ({"conversations": [{"from": "human", "value": "<image>"}], "image": 5}, "name of a file or a list"),
        ({"conversations": [{"from": "human", "value": "<image>"}], "image": [None]}, "name of a file or a list"),
        ({"conversations": [{"from": "human", "value": "hm"}]}, "nothing in it is learned"),
        ({"conversations": [{"from": "bot", "value": "hm"}]}, "Expected turns from assistant, gpt, .*got one from 'bot'"),
        ({"conversations": [{"from": "human", "value": "<video>"}], "video": "a.mp4"}, "from-video"),
    ],
)
def test_bad_conversations_are_refused(record: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        conversation_sample(record, lambda name: IMAGES[0], FACTS)


# --- there and back

SAMPLES = [
    make(text("a duck", "caption"), image(0, "target"), sample_id="caption", split="test", metadata={"a": [1, None]}),
    make(image(0, "vae", "vit"), text("go"), image(1, "target"), sample_id="edit"),
    make(
        image(0, "vae", time=0.0),
        text("go"),
        image(1, "target", "vae", time=0.5),
        text("a cut", "caption"),
        image(2, "target", time=2.0),
        sample_id="timed, without ViT",
        license="CC-BY-4.0",
    ),
    make(image(3, "vit"), text("What?", "question"), text("Zwei.", "answer", True), sample_id="question"),
    make(
        text("Look:", "question"),
        image(3, "vit"),
        image(1, "vit"),
        text("A duck.", "answer", True),
        text("So?", "question"),
        text("Yes.", "answer", True),
        sample_id="talk",
    ),
]


def test_samples_survive_the_published_layouts(tmp_path: Path) -> None:
    exported = export_published(SAMPLES, tmp_path)
    assert (dict(exported.rows), dict(exported.left_out)) == ({"captions": 1, "edits": 2, "conversations": 2}, {})
    back = {sample.sample_id: sample for sample in PublishedFolder(tmp_path)}
    assert back == {sample.sample_id: sample for sample in SAMPLES}


roles = st.sampled_from(["action", "caption"])
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(steps=st.lists(st.tuples(words, roles), min_size=1, max_size=3), vit=st.booleans(), timed=st.booleans())
def test_any_chain_of_edits_survives(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]], vit: bool, timed: bool
) -> None:
    shown = ("vae", "vit") if vit else ("vae",)
    parts = [image(0, *shown, time=0.0 if timed else None)]
    for place, (instruction, role) in enumerate(steps, start=1):
        uses = ("target",) if place == len(steps) else ("target", *shown)
        parts += [text(instruction, role), image(place, *uses, time=place / 3 if timed else None)]
    sample = make(*parts)
    folder = tmp_path_factory.mktemp("export")
    assert dict(export_published([sample], folder).rows) == {"edits": 1}
    assert list(PublishedFolder(folder)) == [sample]


def test_the_files_are_those_the_published_program_reads(tmp_path: Path) -> None:
    export_published(SAMPLES, tmp_path)
    (edits,) = (tmp_path / "editing" / "data").glob("*.parquet")
    rows = pq.read_table(edits).to_pylist()
    assert rows[0]["image_list"] == IMAGES[:2]
    assert rows[0]["instruction_list"] == [["go"]]
    info = json.loads((tmp_path / "editing" / "parquet_info.json").read_text())
    assert info == {str(edits): {"num_row_groups": 1, "num_rows": 2}}
    (captions,) = (tmp_path / "t2i").glob("*.parquet")
    assert json.loads(pq.read_table(captions)["captions"][0].as_py()) == {"0": "a duck"}
    lines = [json.loads(line) for line in (tmp_path / "vlm" / "conversations.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[1]["conversations"][0] == {"from": "human", "value": "Look:\n<image>\n<image>"}
    assert (tmp_path / "vlm" / lines[1]["image"][1]).read_bytes() == IMAGES[1]


def test_many_rows_go_into_many_row_groups_and_files(tmp_path: Path) -> None:
    samples = [SAMPLES[1].model_copy(update={"sample_id": f"edit-{number:03d}"}) for number in range(300)]
    export_published(samples, tmp_path)
    folder = PublishedFolder(tmp_path)
    assert list(folder) == samples
    assert folder.blocks == (*[16] * 16, 16, 16, 12)
    assert len(list((tmp_path / "editing" / "data").glob("*.parquet"))) == 2


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (walk_sample(), "a text with loss beside painted images"),
        (make(image(0, "vae"), image(1, "target")), "not one text between each two images"),
        (make(image(0, "target")), "not one caption before a single image"),
        (make(image(0, "vit"), text("go"), image(1, "target")), "images used in another way"),
        (make(image(0, "vae"), text("A.", "answer", True)), "not shown through the ViT alone"),
        (make(text("a <image>", "question"), text("A.", "answer", True)), "its turns would change"),
        (make(text("a", "question"), text("b", "question"), text("A.", "answer", True)), "its turns would change"),
        (make(text("hm", "thought", True)), "its turns would change"),
    ],
)
def test_what_has_no_place_is_counted_with_the_reason(tmp_path: Path, sample: Sample, reason: str) -> None:
    exported = export_published([sample, SAMPLES[1]], tmp_path)
    ((found, count),) = exported.left_out.items()
    assert reason in found
    assert count == 1
    assert dict(exported.rows) == {"edits": 1}


def test_an_export_is_never_written_over(tmp_path: Path) -> None:
    export_published(SAMPLES, tmp_path)
    with pytest.raises(RecordingError, match="Choose an empty folder"):
        export_published(SAMPLES, tmp_path)


# --- folders


def test_missing_columns_are_a_sentence(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image_list": [[b"x"]], "text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(
        RecordingError, match=r"edits \(image_list, instruction_list\) in .*a.parquet, got image_list, text\. Rename"
    ):
        PublishedFolder(tmp_path)


def test_every_caption_that_may_be_drawn_is_looked_at() -> None:
    with pytest.raises(RecordingError, match="at most 32768 characters"):
        caption_sample({"image": IMAGES[0], "captions": json.dumps({"0": "a duck", "1": "a" * 40_000})}, None, FACTS)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"image_list": [[1, 2]], "instruction_list": [[["go"]]]}, r"image_list of .*lists of the bytes.*got list<"),
        ({"image_list": [b"x"], "instruction_list": [[["go"]]]}, "image_list of .*got binary"),
        ({"image": [{"bytes": b"x", "path": "a"}], "captions": ["{}"]}, r"image of .*the bytes of an image file, got struct<"),
    ],
)
def test_columns_without_images_are_a_sentence(tmp_path: Path, table: dict[str, Any], words: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(RecordingError, match=words):
        PublishedFolder(tmp_path)


def test_any_flipped_byte_of_a_text_is_damage_of_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([EDITS]), path, compression="none", use_dictionary=False, write_statistics=False)
    path.write_bytes(path.read_bytes().replace(b"add a hat", b"add \xff hat"))
    assert check_samples(PublishedFolder(tmp_path)).damaged == 1
    with pytest.raises(RecordingError, match=r"a\.parquet, row 0: The row is damaged"):
        PublishedFolder(tmp_path)[0]
    (tmp_path / "b.jsonl").write_text("[" * 100_000)
    with pytest.raises(RecordingError, match=r"b\.jsonl, row 0: Expected a JSON object"):
        PublishedFolder(tmp_path)[1]


def test_damage_is_named_by_file_and_row(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([EDITS, {"image_list": IMAGES[:1], "instruction_list": []}]), tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text(
        '{"conversations": [{"from": "human", "value": "<image>"}], "image": "gone.png"}\n[3]\nnot json\n'
        '{"conversations": [{"from": "human", "value": "<image>"}], "image": "no\\u0000name.png"}\n'
    )
    folder = PublishedFolder(tmp_path)
    assert len(folder) == 6
    assert folder[0].sample_id == "a.parquet/0"
    for place, reason in (
        (1, "a.parquet, row 1: .*1 images"),
        (2, "b.jsonl, row 0: .*gone.png"),
        (3, "row 1: .*object"),
        (4, "row 2"),
        (5, "row 3: Could not read the image"),
    ):
        with pytest.raises(RecordingError, match=reason):
            folder[place]


def test_a_file_that_cannot_be_opened_is_left_out_and_reported(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordingError, match=r"found no rows to read; .*c\.parquet is damaged"):
        PublishedFolder(tmp_path)
    pq.write_table(pa.Table.from_pylist([EDITS]), tmp_path / "d.parquet")
    folder = PublishedFolder(tmp_path)
    assert len(folder) == 1
    assert "c.parquet is damaged" in check_samples(folder).findings[0]
    source, damage = SourceConfig(folder=tmp_path).open(), Damage(1)
    note_lost(source, damage)
    assert damage.total == 1
    with pytest.raises(RecordingError, match=r"c\.parquet is damaged"):
        note_lost(source, Damage(0))


def test_few_row_groups_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"image_list": IMAGES[:2], "instruction_list": [[f"step {number}"]]} for number in range(40)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=2)
    opened = Counter()
    plain = pq.ParquetFile.read_row_group

    def count(self: Any, group: int, **more: Any) -> pa.Table:
        opened[group] += 1
        return plain(self, group, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", count)
    source = SourceConfig(folder=tmp_path).open()
    epoch = list(islice(SampleStream([source], same), 40))
    assert {each.sample.texts[0].text for each in epoch} == {f"step {number}" for number in range(40)}
    assert set(opened.values()) == {1}  # as the order mixes no more row groups than are kept
    assert len(opened) == 20


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="found no rows"):
        PublishedFolder(tmp_path)


def test_both_kinds_of_folders_are_sources_of_one_stream(tmp_path: Path) -> None:
    write_samples(tmp_path / "own", [walk_sample(number) for number in range(3)])
    pq.write_table(pa.Table.from_pylist([EDITS] * 2), tmp_path / "edits.parquet")
    (tmp_path / "published").mkdir()
    (tmp_path / "edits.parquet").rename(tmp_path / "published" / "edits.parquet")
    configs = [SourceConfig(folder=tmp_path / "own"), SourceConfig(folder=tmp_path / "published", weight=2, license="MIT")]

    def stream(workers: int = 0) -> SampleStream[Any]:
        return SampleStream([config.open() for config in configs], same, seed=1, workers=workers)

    drawn = list(islice(stream(), 60))
    assert {each.source for each in drawn} == {"own", "published"}
    assert {each.sample.license for each in drawn} == {"CC0-1.0", "MIT"}
    edits = {str(told(each.sample)) for each in drawn if each.source == "published"}
    assert len(edits) > 5  # pieces are drawn anew every time
    ahead = stream(workers=2)
    assert list(islice(ahead, 60)) == drawn  # and from the number of the draw alone
    ahead.close()


def test_a_missing_source_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="found none"):
        SourceConfig(folder=tmp_path / "nowhere").open()


def test_a_damaged_row_is_skipped_by_a_stream(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([EDITS, {**EDITS, "image_list": [b"x"] * 4}]), tmp_path / "a.parquet")
    stream = SampleStream([SourceConfig(folder=tmp_path, name="film").open()], same, damage=Damage(10))
    assert {each.place for each in islice(stream, 5)} == {0}
    assert stream.damage.places == {"film": {1}}
    assert isinstance(next(stream).sample.parts[0], ImagePart)
