from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bagel_world.errors import CheckpointError
from bagel_world.training import adapter
from bagel_world.training.adapter import load_lora, save_lora
from bagel_world.training.fingerprint import digest
from bagel_world.training.lora import LoraConfig
from tests.training.test_lora import copies, make_bagel, make_lora, same, velocities


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_adapter_comes_back_as_it_was_saved(tmp_path: Path, dtype: torch.dtype) -> None:
    bagel = make_bagel().bfloat16().to(dtype)
    config = LoraConfig(rank=3, alpha=5, dropout=0.2, experts=("generate",), targets=("k", "down"))
    lora = make_lora(bagel, config)
    wanted = velocities(bagel)
    save_lora(lora, tmp_path / "new" / "adapter")
    other = make_bagel().bfloat16().to(dtype)
    loaded = load_lora(other, tmp_path / "new" / "adapter")
    assert loaded.config == config
    assert same(copies(loaded), copies(lora))
    assert torch.equal(velocities(other), wanted)


def test_an_adapter_fits_its_base_in_either_precision_and_no_other(tmp_path: Path) -> None:
    save_lora(make_lora(make_bagel(torch.bfloat16)), tmp_path)
    load_lora(make_bagel(), tmp_path)
    stranger = make_bagel(seed=9)
    before = copies(stranger)
    with pytest.raises(CheckpointError, match=r"other weights \(fingerprint \w{16}\).*Load the checkpoint"):
        load_lora(stranger, tmp_path)
    assert same(copies(stranger), before)
    assert any(parameter.requires_grad for parameter in stranger.parameters())
    load_lora(make_bagel(), tmp_path)


def test_saving_again_leaves_one_adapter_the_new_one(tmp_path: Path) -> None:
    bagel = make_bagel()
    lora = make_lora(bagel)
    save_lora(lora, tmp_path)
    with torch.no_grad():
        lora.layers.get_parameter("0.generate.q.b").add_(1)
    save_lora(lora, tmp_path)
    save_lora(lora, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert same(copies(load_lora(make_bagel(), tmp_path)), copies(lora))


@pytest.mark.parametrize("broken", ["save_tensors", "write_text"])
def test_a_full_disk_keeps_the_adapter_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    lora = make_lora(make_bagel())
    save_lora(lora, tmp_path)
    wanted = copies(lora)
    with torch.no_grad():
        lora.layers.get_parameter("0.generate.q.b").add_(1)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(adapter if broken == "save_tensors" else Path, broken, refuse)
        with pytest.raises(CheckpointError, match=r"No space left.*save again"):
            save_lora(lora, tmp_path)
    assert same(copies(load_lora(make_bagel(), tmp_path)), wanted)


def _tensors(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def _truncate(folder: Path) -> None:
    path = _tensors(folder)
    path.write_bytes(path.read_bytes()[:-10])


def _flip(folder: Path) -> None:
    path = _tensors(folder)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def _change(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors of an adapter, and its names with them: damage that no checksum shows."""
    path = _tensors(folder)
    tensors = load_file(path)
    change(tensors)
    name = f"adapter-{digest(sorted(tensors.items()))}.safetensors"
    save_file(tensors, folder / name)
    path.unlink()
    _describe(folder, tensors=name)


def _describe(folder: Path, **facts: object) -> None:
    path = folder / "adapter.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


Q = "layers.0.generate.q.a"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_truncate, r"adapter-\w+\.safetensors is damaged or truncated \(\d+ bytes\).*Copy"),
        (_flip, r"damaged: its numbers are not those"),
        (lambda folder: _tensors(folder).unlink(), r"Expected the tensors adapter-\w+\.safetensors"),
        (lambda folder: (folder / "adapter.json").unlink(), r"found no adapter\.json"),
        (lambda folder: (folder / "adapter.json").write_text('{"format": 1,'), r"adapter\.json cannot be read"),
        (lambda folder: (folder / "adapter.json").write_bytes(b"\xff\xfe\x00"), r"adapter\.json cannot be read"),
        (lambda folder: (folder / "adapter.json").write_text("[]"), r"does not describe an adapter"),
        (lambda folder: _describe(folder, format=2), r"does not describe an adapter: format"),
        (lambda folder: _describe(folder, tensors="../a.safetensors"), r"does not describe an adapter: tensors"),
        (lambda folder: _describe(folder, config={"rank": 4}), r"does not describe an adapter: config\.alpha"),
        (
            lambda folder: _change(folder, lambda all_: all_.pop(Q)),
            rf"1 tensors .* first '{Q}': expected \(4, 48\), found nothing",
        ),
        (lambda folder: _change(folder, lambda all_: all_.update(x=torch.ones(2))), r"'x': expected nothing, found \(2,\)"),
        (lambda folder: _change(folder, lambda all_: all_.update({Q: torch.ones(4, 5)})), r"expected \(4, 48\), found \(4, 5\)"),
    ],
)
def test_a_damaged_adapter_is_refused_with_a_reason(tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
    save_lora(make_lora(make_bagel()), tmp_path)
    damage(tmp_path)
    bagel = make_bagel()
    with pytest.raises(CheckpointError, match=words):
        load_lora(bagel, tmp_path)
    assert any(parameter.requires_grad for parameter in bagel.parameters())
    make_lora(bagel)  # nothing was left on the model
