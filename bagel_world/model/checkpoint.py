"""Checkpoint: a folder in the published layout <-> a model. The only place where the published tensor names are spelled.

Loading is strict: every tensor the configuration asks for must be there with its shape, and no other. Files are mapped into
memory and copied tensor by tensor into a model that was built without storage, so that the peak is the model plus one tensor.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bagel_world.errors import CheckpointError, ConfigError
from bagel_world.model.bagel import Bagel
from bagel_world.model.config import BagelConfig
from bagel_world.model.packing import PackingRules
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.model.vae import Vae

WEIGHTS_FILE, VAE_FILE = "ema.safetensors", "ae.safetensors"

Stamps = tuple[tuple[str, int, int], ...]
"""Name, time of writing (ns) and size of every file that a checkpoint is read from."""

_WEIGHTS = (WEIGHTS_FILE, VAE_FILE)
_FACTS = (".json", ".txt")
"""Endings of the files that say what the weights are and how they want to be used."""

_LAYER = "language_model.model.layers."
_VIT = "vit_model.vision_model."
_DECODER_PARTS = {
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
_VIT_PARTS = {
    "attention_norm": "layer_norm1",
    "mlp_norm": "layer_norm2",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "out": "self_attn.out_proj",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
}
_PREFIXES = {
    "embed_tokens.": "language_model.model.embed_tokens.",
    "lm_head.": "language_model.lm_head.",
    "mot.understand_norm.": "language_model.model.norm.",
    "mot.generate_norm.": "language_model.model.norm_moe_gen.",
    "latent_in.": "vae2llm.",
    "latent_out.": "llm2vae.",
    "timestep_embedding.fc1.": "time_embedder.mlp.0.",
    "timestep_embedding.fc2.": "time_embedder.mlp.2.",
    "latent_positions": "latent_pos_embed.pos_embed",
    "vit_positions": "vit_pos_embed.pos_embed",
    "connector.": "connector.",
    "vit.patch_embedding.": _VIT + "embeddings.patch_embedding.",
    "vit.position_embedding.": _VIT + "embeddings.position_embedding.",
    "vit.final_norm.": _VIT + "post_layernorm.",
}
_DECODER_NAME = re.compile(r"mot\.layers\.(\d+)\.(understand|generate)\.(\w+)\.(weight|bias)")
_VIT_NAME = re.compile(r"vit\.layers\.(\d+)\.(\w+)\.(weight|bias)")


def published_name(name: str) -> str:
    """The published name of a parameter of `Bagel`."""
    if match := _DECODER_NAME.fullmatch(name):
        layer, expert, part, kind = match.groups()
        published = _DECODER_PARTS[part]
        if expert == "generate":
            head, dot, tail = published.partition(".")
            # The mark of the generation expert sits on the module that is doubled: the whole MLP, but each projection.
            published = f"{head}_moe_gen{dot}{tail}" if head == "mlp" else f"{published}_moe_gen"
        return f"{_LAYER}{layer}.{published}.{kind}"
    if match := _VIT_NAME.fullmatch(name):
        layer, part, kind = match.groups()
        return f"{_VIT}encoder.layers.{layer}.{_VIT_PARTS[part]}.{kind}"
    for ours, published in _PREFIXES.items():
        if name.startswith(ours):
            return published + name.removeprefix(ours)
    raise KeyError(name)


def published_parameters(bagel: Bagel) -> dict[str, nn.Parameter]:
    """Parameters of the model by published name."""
    return {published_name(name): parameter for name, parameter in bagel.named_parameters()}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A loaded folder: configuration, weights and tokenizer.

    Attributes:
        config: the shape, and how a world is to use it.
        bagel: the model.
        vae: the autoencoder.
        tokenizer: of its texts.
        folder: where it was loaded from; None for one that was made in memory.
        stamps: those of the folder's files when it was.
    """

    config: BagelConfig
    bagel: Bagel
    vae: Vae
    tokenizer: Tokenizer
    folder: Path | None = None
    stamps: Stamps = ()

    @cached_property
    def origin(self) -> tuple[object, ...] | None:
        """Equal for checkpoints that compute the same: same files, device and dtype. None for one that was made in memory."""
        return None if self.folder is None else origin_of(self.folder, self.stamps, self.bagel.device, self.bagel.dtype)

    @cached_property
    def rules(self) -> PackingRules:
        """How segments of this model become tokens."""
        return packing_rules(self.config, self.tokenizer)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over both weight files: which weights these are.

        Raises:
            CheckpointError: this checkpoint is in no folder, or other weights have taken the place of those that were loaded.
        """
        if self.folder is None:
            raise CheckpointError(
                "Weights that are in no folder have no fingerprint. Save the checkpoint, and load it from there."
            )
        loaded, found = ([each for each in stamps if each[0] in _WEIGHTS] for stamps in (self.stamps, stamps_of(self.folder)))
        if loaded != found:
            raise CheckpointError(f"The weights in {self.folder} are not those that were loaded from there. Load them again.")
        digest = hashlib.sha256()
        for name in _WEIGHTS:
            with (self.folder / name).open("rb") as file:
                for chunk in iter(lambda: file.read(1 << 20), b""):
                    digest.update(chunk)
        return digest.hexdigest()


def stamps_of(folder: Path) -> Stamps:
    """The stamps of the files in a checkpoint folder."""
    files = sorted(path for path in folder.glob("*") if path.name in _WEIGHTS or path.suffix in _FACTS)
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files)


def origin_of(folder: Path, stamps: Stamps, device: torch.device, dtype: torch.dtype) -> tuple[object, ...]:
    """See `Checkpoint.origin`."""
    return (folder.resolve(), stamps, device, dtype)


def packing_rules(config: BagelConfig, tokenizer: Tokenizer) -> PackingRules:
    """What `pack` must know of a model."""
    return PackingRules(
        start_of_image=tokenizer.start_of_image,
        end_of_image=tokenizer.end_of_image,
        vit_patch=config.vit_config.patch_size,
        vit_side=config.vit_max_num_patch_per_side,
        latent_side=config.max_latent_size,
    )


def build(config: BagelConfig, device: torch.device | str) -> tuple[Bagel, Vae]:
    """Both modules on a device, with the weights of their constructors; nothing is computed on "meta"."""
    with torch.device(device):
        return Bagel(config), Vae(config.vae_config)


def load(folder: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Load a checkpoint folder.

    Args:
        folder: in the published layout.
        device: where the weights go.
        dtype: of everything but the autoencoder, which is float32.

    Raises:
        CheckpointError: the folder is not a checkpoint, a file is truncated, or a tensor is missing, extra or misshapen.
    """
    folder = Path(folder)
    stamps = stamps_of(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise CheckpointError(f"Expected a checkpoint folder at {folder}, found {found}.")
    config = BagelConfig.from_folder(folder)
    tokenizer = Tokenizer.from_folder(folder)
    if len(tokenizer) > (rows := config.llm_config.vocab_size):
        raise CheckpointError(
            f"The tokenizer in {folder} has {len(tokenizer)} ids, but the model has rows for {rows}. "
            "Use the tokenizer this checkpoint was trained with."
        )
    bagel, vae = build(config, "meta")
    bagel.to(dtype).to_empty(device=device)
    vae.to_empty(device=device)
    _fill(folder / WEIGHTS_FILE, published_parameters(bagel))
    _fill(folder / VAE_FILE, dict(vae.named_parameters()))
    return Checkpoint(config=config, bagel=bagel.eval(), vae=vae.eval(), tokenizer=tokenizer, folder=folder, stamps=stamps)


def check_finite(checkpoint: Checkpoint) -> None:
    """Look at every weight.

    Raises:
        CheckpointError: one is not finite; the message names the tensor.
    """
    for file, module in ((WEIGHTS_FILE, checkpoint.bagel), (VAE_FILE, checkpoint.vae)):
        for name, tensor in module.named_parameters():
            if not bool(torch.isfinite(tensor).all()):
                raise CheckpointError(
                    f"Expected finite weights in {file}, {name} has others. Export an earlier state of the training."
                )


def load_vae(folder: str | Path, *, device: torch.device | str = "cpu") -> Vae:
    """The autoencoder of a checkpoint folder alone.

    Raises:
        CheckpointError: as of `load`.
    """
    folder = Path(folder)
    with torch.device("meta"):
        vae = Vae(BagelConfig.from_folder(folder).vae_config)
    vae.to_empty(device=device)
    _fill(folder / VAE_FILE, dict(vae.named_parameters()))
    return vae.eval()


@torch.no_grad()
def _fill(path: Path, parameters: Mapping[str, nn.Parameter]) -> None:
    """Copy a file's tensors into parameters of the same names."""
    for name, tensor in _read(path, {name: tuple(parameter.shape) for name, parameter in parameters.items()}):
        parameters[name].copy_(tensor)


def _read(path: Path, expected: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a safetensors file, one at a time, after all names and shapes have been compared."""
    if not path.is_file():
        raise CheckpointError(f"Expected the weights {path.name} in {path.parent}, found none.")
    try:
        with safe_open(str(path), framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
            _compare(path, expected, found)
            for name in expected:
                yield name, file.get_tensor(name)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged or truncated ({path.stat().st_size} bytes): {error}. Copy or download the file again."
        ) from error


def _compare(path: Path, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    misshapen = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    complaints = []
    if missing:
        complaints.append(f"{len(missing)} missing, first {missing[0]!r}")
    if extra:
        complaints.append(f"{len(extra)} that the configuration has no place for, first {extra[0]!r}")
    if misshapen:
        name = misshapen[0]
        complaints.append(f"{len(misshapen)} misshapen, first {name!r}: expected {expected[name]}, found {found[name]}")
    if complaints:
        raise CheckpointError(f"The tensors in {path} do not fit the configuration beside it: {'; '.join(complaints)}.")


def save(folder: str | Path, *, config: BagelConfig, bagel: Bagel, vae: Vae, tokenizer: Tokenizer) -> None:
    """Write a checkpoint folder in the published layout: `ema.safetensors` in bfloat16, `ae.safetensors` in float32.

    Every weight file is written to a temporary name and renamed, so that a reader never meets half a file.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written.
        ConfigError: the tokenizer has more ids than the model has rows.
    """
    if len(tokenizer) > (rows := config.llm_config.vocab_size):
        raise ConfigError(f"The tokenizer has {len(tokenizer)} ids, but the model has rows for {rows}.")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.to_folder(folder)
        tokenizer.to_folder(folder)
        save_tensors(
            folder / WEIGHTS_FILE, {name: value.to(torch.bfloat16) for name, value in published_parameters(bagel).items()}
        )
        save_tensors(folder / VAE_FILE, {name: value.float() for name, value in vae.named_parameters()})
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint could not be written to {folder}: {error}. Free some space and save again."
        ) from error


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file under a temporary name, then rename it into place."""
    temporary = path.with_name(path.name + ".part")
    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, str(temporary))
        temporary.replace(path)
    except SafetensorError as error:
        # safetensors wraps the operating system's refusal (a full disk) in its own type.
        raise OSError(str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)
