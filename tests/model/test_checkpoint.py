"""Checkpoint folders: the published names and sizes, saving and loading without loss, and refusals that name what is wrong."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bagel_world.errors import CheckpointError
from bagel_world.model import checkpoint
from bagel_world.model.config import BagelConfig, preset
from tests.model import published_names
from tests.model.folder import load_folder, write_folder

ROOT = Path(__file__).resolve().parents[2]


def _wanted(config: BagelConfig) -> published_names.Shapes:
    llm, vit = config.llm_config, config.vit_config
    return published_names.weights(
        width=llm.hidden_size,
        inner=llm.intermediate_size,
        layers=llm.num_hidden_layers,
        heads=llm.num_attention_heads,
        kv_heads=llm.num_key_value_heads,
        vocabulary=llm.vocab_size,
        vit_width=vit.hidden_size,
        vit_inner=vit.intermediate_size,
        vit_layers=vit.num_hidden_layers - 1,
        vit_table=vit.image_size // vit.patch_size,
        vit_side=config.vit_max_num_patch_per_side,
        vit_patch=vit.patch_size,
        latent_side=config.max_latent_size,
        latent_size=config.latent_patch_size**2 * config.vae_config.z_channels,
    )


def _stored(path: Path) -> published_names.Shapes:
    with safe_open(str(path), framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


# Names ---------------------------------------------------------------------------------------------------------------


def test_the_published_model_has_the_published_tensors() -> None:
    bagel, vae = checkpoint.build(preset("bagel-7b-mot"), "meta")
    found = {name: tuple(each.shape) for name, each in checkpoint.published_parameters(bagel).items()}
    assert len(found) == 1_223
    assert sum(map(math.prod, found.values())) == 14_607_260_128
    assert found == published_names.weights(
        width=3584,
        inner=18944,
        layers=28,
        heads=28,
        kv_heads=4,
        vocabulary=152064,
        vit_width=1152,
        vit_inner=4304,
        vit_layers=26,
        vit_table=70,
        vit_side=70,
        vit_patch=14,
        latent_side=64,
        latent_size=64,
    )
    stored = {name: tuple(each.shape) for name, each in vae.named_parameters()}
    assert sum(map(math.prod, stored.values())) == 83_819_683
    assert stored == published_names.autoencoder(ch=128, mult=(1, 2, 4, 4), blocks=2, z=16)


@pytest.mark.parametrize("name", ["bagel-7b-mot", "nano", "tiny"])
def test_every_preset_has_tensors_of_the_published_names(name: str) -> None:
    config = preset(name)
    bagel, vae = checkpoint.build(config, "meta")
    assert {key: tuple(each.shape) for key, each in checkpoint.published_parameters(bagel).items()} == _wanted(config)
    part = config.vae_config
    wanted = published_names.autoencoder(ch=part.ch, mult=part.ch_mult, blocks=part.num_res_blocks, z=part.z_channels)
    assert {key: tuple(each.shape) for key, each in vae.named_parameters()} == wanted
    assert not [*bagel.buffers(), *vae.buffers()], "a buffer would not be in the file"


def test_a_name_of_no_parameter_has_no_published_name() -> None:
    with pytest.raises(KeyError, match=r"mot\.layers\.0\.third"):
        checkpoint.published_name("mot.layers.0.third.q.weight")


# Saving and loading --------------------------------------------------------------------------------------------------


def test_files_hold_the_published_names_in_the_published_dtypes(folder: Path) -> None:
    assert _stored(folder / "ema.safetensors") == _wanted(preset("tiny"))
    assert {each.dtype for each in load_file(folder / "ema.safetensors").values()} == {torch.bfloat16}
    assert {each.dtype for each in load_file(folder / "ae.safetensors").values()} == {torch.float32}


def test_loading_gives_the_stored_values(folder: Path) -> None:
    loaded = load_folder(folder)
    weights, pictures = load_file(folder / "ema.safetensors"), load_file(folder / "ae.safetensors")
    for name, parameter in checkpoint.published_parameters(loaded.bagel).items():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, weights[name].float()), name
    for name, parameter in loaded.vae.named_parameters():
        assert torch.equal(parameter, pictures[name]), name
    assert not loaded.bagel.training
    assert not loaded.vae.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saving_what_was_loaded_gives_the_same_bytes(folder: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    loaded = load_folder(folder, dtype)
    assert {each.dtype for each in loaded.bagel.parameters()} == {dtype}
    assert {each.dtype for each in loaded.vae.parameters()} == {torch.float32}
    checkpoint.save(tmp_path, config=loaded.config, bagel=loaded.bagel, vae=loaded.vae, tokenizer=loaded.tokenizer)
    for name in ("ema.safetensors", "ae.safetensors", "config.json", "llm_config.json", "vit_config.json", "bagel_world.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
    assert not list(tmp_path.glob("*.part"))
    again = load_folder(tmp_path)
    assert again.config == loaded.config
    assert again.tokenizer.encode("Move forward, déjà vu 3") == loaded.tokenizer.encode("Move forward, déjà vu 3")
    assert again.fingerprint == loaded.fingerprint


def test_position_tables_are_used_as_stored(folder: Path, tmp_path: Path) -> None:
    """Recomputed tables differ from the rounded ones in the file, and would miss what the weights were trained with."""
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / "ema.safetensors"
    tensors = load_file(path)
    tensors["latent_pos_embed.pos_embed"] += 1
    save_file(tensors, path)
    table = load_folder(tmp_path / "copy").bagel.latent_positions
    assert torch.equal(table, tensors["latent_pos_embed.pos_embed"].float())


def test_position_tables_are_not_trained(folder: Path) -> None:
    fixed = {name for name, each in checkpoint.published_parameters(load_folder(folder).bagel).items() if not each.requires_grad}
    assert fixed == {"latent_pos_embed.pos_embed", "vit_pos_embed.pos_embed"}


def test_unknown_keys_of_published_files_are_kept(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / "llm_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sliding_window": 131072, "torch_dtype": "bfloat16"}))
    loaded = load_folder(tmp_path / "copy")
    checkpoint.save(tmp_path / "again", config=loaded.config, bagel=loaded.bagel, vae=loaded.vae, tokenizer=loaded.tokenizer)
    again = json.loads((tmp_path / "again" / "llm_config.json").read_text())
    assert (again["sliding_window"], again["torch_dtype"]) == (131072, "bfloat16")


# Refusals ------------------------------------------------------------------------------------------------------------


def _edit_weights(change: Callable[[dict[str, torch.Tensor]], object], file: str = "ema.safetensors") -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / file)
        change(tensors)
        save_file(tensors, folder / file)

    return spoil


def _edit_json(file: str, **values: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return spoil


def _cut(file: str, fraction: float) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: int(len(data) * fraction)])

    return spoil


NORM = "language_model.model.norm_moe_gen.weight"
SPOILS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing tensor": (_edit_weights(lambda tensors: tensors.pop(NORM)), f"1 missing, first '{NORM}'"),
    "extra tensor": (_edit_weights(lambda tensors: tensors.update(extra=torch.zeros(1))), "no place for, first 'extra'"),
    "misshapen tensor": (
        _edit_weights(lambda tensors: tensors.update({NORM: torch.zeros(3)})),
        rf"misshapen, first '{NORM}': .*\(3,\)",
    ),
    "missing autoencoder tensor": (
        _edit_weights(lambda tensors: tensors.pop("decoder.conv_in.bias"), "ae.safetensors"),
        r"ae\.safetensors .*1 missing, first 'decoder.conv_in.bias'",
    ),
    "weights cut short": (_cut("ema.safetensors", 0.7), r"ema\.safetensors is damaged or truncated"),
    "weights cut in their header": (_cut("ema.safetensors", 0.0001), r"ema\.safetensors is damaged or truncated"),
    "empty weights": (_cut("ema.safetensors", 0), r"ema\.safetensors is damaged or truncated"),
    "autoencoder cut short": (_cut("ae.safetensors", 0.7), r"ae\.safetensors is damaged or truncated"),
    "no weights": (lambda folder: (folder / "ema.safetensors").unlink(), r"weights ema\.safetensors in"),
    "no autoencoder": (lambda folder: (folder / "ae.safetensors").unlink(), r"weights ae\.safetensors in"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer .*found none"),
    "damaged tokenizer": (_cut("tokenizer.json", 0.5), "tokenizer"),
    "a tokenizer of nothing": (lambda folder: (folder / "tokenizer.json").write_text("null"), r"tokenizer .*cannot be read"),
    "no ViT configuration": (
        lambda folder: [(folder / name).unlink() for name in ("vit_config.json", "config.json")],
        r"vit_config\.json .*found none",
    ),
    "damaged JSON": (_cut("llm_config.json", 0.5), r"JSON in .*llm_config\.json"),
    "a JSON list": (lambda folder: (folder / "config.json").write_text("[]"), r"JSON object in .*config\.json, got list"),
    "another shape": (_edit_json("llm_config.json", intermediate_size=7), "misshapen, first '.*mlp"),
    "one layer more": (_edit_json("llm_config.json", num_hidden_layers=3), r"missing, first 'language_model\.model\.layers\.2\."),
    "one ViT layer less": (_edit_json("vit_config.json", num_hidden_layers=2), r"no place for, first 'vit_model.*layers\.1\."),
    "tied embeddings": (_edit_json("llm_config.json", tie_word_embeddings=True), "tie_word_embeddings"),
    "another rotary embedding": (_edit_json("llm_config.json", rope_scaling={"type": "yarn"}), "rope_scaling"),
    "another activation": (_edit_json("llm_config.json", hidden_act="gelu"), "hidden_act"),
    "heads that do not divide": (_edit_json("llm_config.json", num_attention_heads=5), "num_attention_heads 5"),
    "a setting we do not have": (_edit_json("bagel_world.json", colour="red"), "colour"),
    "fewer rows than ids": (_edit_json("llm_config.json", vocab_size=100), "rows for 100"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoiled_folder_is_refused_by_name(name: str, folder: Path, tmp_path: Path) -> None:
    spoil, message = SPOILS[name]
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    spoil(broken)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_folder(broken)
    assert str(broken) in str(caught.value)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found nothing"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="found a file"):
        load_folder(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"llm_config\.json .*found none"):
        load_folder(tmp_path)


# Memory --------------------------------------------------------------------------------------------------------------

MEASURE = """
import gc, sys, threading, time
import torch
from bagel_world.model.checkpoint import load

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))

warm, folder, dtype = sys.argv[1], sys.argv[2], getattr(torch, sys.argv[3])
load(warm, dtype=dtype)
gc.collect()
peak, done = 0, threading.Event()

def watch():
    global peak
    while not done.is_set():
        peak = max(peak, anonymous())
        time.sleep(0.0005)

before = anonymous()
watcher = threading.Thread(target=watch)
watcher.start()
loaded = load(folder, dtype=dtype)
peak = max(peak, anonymous())
done.set()
watcher.join()
modules = (loaded.bagel, loaded.vae)
stays = sum(each.numel() * each.element_size() for module in modules for each in module.parameters())
print(peak - before, stays)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is read from /proc")
@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float32", marks=pytest.mark.slow)])
def test_loading_needs_room_for_the_model_and_one_tensor(folder: Path, tmp_path: Path, dtype: str) -> None:
    """Growth of anonymous memory <= bytes that stay + the largest tensor + 10 %."""
    config = _wide(width=512, vocabulary=16_000)
    bagel, vae = checkpoint.build(config, "meta")
    bagel, vae = bagel.to(torch.bfloat16).to_empty(device="cpu"), vae.to_empty(device="cpu")
    for parameter in (*bagel.parameters(), *vae.parameters()):
        parameter.detach().fill_(0.5)
    tokenizer = load_folder(folder).tokenizer
    checkpoint.save(tmp_path, config=config, bagel=bagel, vae=vae, tokenizer=tokenizer)
    size = 2 if dtype == "bfloat16" else 4
    largest = max(each.numel() for each in bagel.parameters()) * size
    assert (tmp_path / "ema.safetensors").stat().st_size > 60 * 2**20
    command = [sys.executable, "-c", MEASURE, str(folder), str(tmp_path), dtype]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    growth, stays = map(int, done.stdout.split())
    assert growth >= 0.9 * stays, "the measurement missed the model"
    assert growth <= 1.1 * (stays + largest)


def _wide(*, width: int, vocabulary: int) -> BagelConfig:
    plain = preset("tiny").model_dump(mode="json")
    plain["llm_config"] |= {
        "hidden_size": width,
        "vocab_size": vocabulary,
        "intermediate_size": 4 * width,
        "num_hidden_layers": 2,
    }
    return BagelConfig.model_validate(plain)


def test_a_random_configuration_survives_the_round_trip(tmp_path: Path) -> None:
    config = _wide(width=36, vocabulary=300)
    write_folder(tmp_path, config, seed=3)
    assert load_folder(tmp_path).config.model_dump() == BagelConfig.from_folder(tmp_path).model_dump()
    assert _stored(tmp_path / "ema.safetensors") == _wanted(config)
