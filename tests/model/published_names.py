"""The tensors of a published checkpoint, spelled out from its description: names and shapes, by sizes alone."""

from __future__ import annotations

from collections.abc import Sequence

Shapes = dict[str, tuple[int, ...]]


def weights(
    *,
    width: int,
    inner: int,
    layers: int,
    heads: int,
    kv_heads: int,
    vocabulary: int,
    vit_width: int,
    vit_inner: int,
    vit_layers: int,
    vit_table: int,
    vit_side: int,
    vit_patch: int,
    latent_side: int,
    latent_size: int,
) -> Shapes:
    """Everything in `ema.safetensors`; `vit_layers` counts those that are stored."""
    head = width // heads
    llm, vit = "language_model.model.", "vit_model.vision_model."
    found: Shapes = {
        llm + "embed_tokens.weight": (vocabulary, width),
        "language_model.lm_head.weight": (vocabulary, width),
        llm + "norm.weight": (width,),
        llm + "norm_moe_gen.weight": (width,),
        "vae2llm.weight": (width, latent_size),
        "vae2llm.bias": (width,),
        "llm2vae.weight": (latent_size, width),
        "llm2vae.bias": (latent_size,),
        "time_embedder.mlp.0.weight": (width, 256),
        "time_embedder.mlp.0.bias": (width,),
        "time_embedder.mlp.2.weight": (width, width),
        "time_embedder.mlp.2.bias": (width,),
        "latent_pos_embed.pos_embed": (latent_side**2, width),
        "vit_pos_embed.pos_embed": (vit_side**2, width),
        "connector.fc1.weight": (width, vit_width),
        "connector.fc1.bias": (width,),
        "connector.fc2.weight": (width, width),
        "connector.fc2.bias": (width,),
        vit + "embeddings.patch_embedding.weight": (vit_width, 3 * vit_patch**2),
        vit + "embeddings.patch_embedding.bias": (vit_width,),
        vit + "embeddings.position_embedding.weight": (vit_table**2, vit_width),
        vit + "post_layernorm.weight": (vit_width,),
        vit + "post_layernorm.bias": (vit_width,),
    }
    for layer in range(layers):
        for expert in ("", "_moe_gen"):
            name = f"{llm}layers.{layer}."
            found[f"{name}input_layernorm{expert}.weight"] = (width,)
            found[f"{name}post_attention_layernorm{expert}.weight"] = (width,)
            for kind, rows in (("q", width), ("k", kv_heads * head), ("v", kv_heads * head)):
                found[f"{name}self_attn.{kind}_proj{expert}.weight"] = (rows, width)
                found[f"{name}self_attn.{kind}_proj{expert}.bias"] = (rows,)
            found[f"{name}self_attn.o_proj{expert}.weight"] = (width, width)
            found[f"{name}self_attn.q_norm{expert}.weight"] = (head,)
            found[f"{name}self_attn.k_norm{expert}.weight"] = (head,)
            found[f"{name}mlp{expert}.gate_proj.weight"] = (inner, width)
            found[f"{name}mlp{expert}.up_proj.weight"] = (inner, width)
            found[f"{name}mlp{expert}.down_proj.weight"] = (width, inner)
    for layer in range(vit_layers):
        name = f"{vit}encoder.layers.{layer}."
        for norm in ("layer_norm1", "layer_norm2"):
            found |= {f"{name}{norm}.weight": (vit_width,), f"{name}{norm}.bias": (vit_width,)}
        for kind in ("q", "k", "v", "out"):
            found |= {
                f"{name}self_attn.{kind}_proj.weight": (vit_width, vit_width),
                f"{name}self_attn.{kind}_proj.bias": (vit_width,),
            }
        found |= {f"{name}mlp.fc1.weight": (vit_inner, vit_width), f"{name}mlp.fc1.bias": (vit_inner,)}
        found |= {f"{name}mlp.fc2.weight": (vit_width, vit_inner), f"{name}mlp.fc2.bias": (vit_width,)}
    return found


def autoencoder(*, ch: int, mult: Sequence[int], blocks: int, z: int) -> Shapes:
    """Everything in `ae.safetensors`."""
    found: Shapes = {}

    def norm(name: str, width: int) -> None:
        found.update({name + ".weight": (width,), name + ".bias": (width,)})

    def conv(name: str, into: int, out: int, size: int = 3) -> None:
        found.update({name + ".weight": (out, into, size, size), name + ".bias": (out,)})

    def block(name: str, into: int, out: int) -> None:
        norm(name + ".norm1", into)
        conv(name + ".conv1", into, out)
        norm(name + ".norm2", out)
        conv(name + ".conv2", out, out)
        if into != out:
            conv(name + ".nin_shortcut", into, out, 1)

    def middle(name: str, width: int) -> None:
        block(name + ".block_1", width, width)
        norm(name + ".attn_1.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.attn_1.{part}", width, width, 1)
        block(name + ".block_2", width, width)

    widths, last = [ch * each for each in mult], len(mult) - 1
    conv("encoder.conv_in", 3, ch)
    into = ch
    for level, width in enumerate(widths):
        for number in range(blocks):
            block(f"encoder.down.{level}.block.{number}", into, width)
            into = width
        if level < last:
            conv(f"encoder.down.{level}.downsample.conv", width, width)
    middle("encoder.mid", into)
    norm("encoder.norm_out", into)
    conv("encoder.conv_out", into, 2 * z)
    conv("decoder.conv_in", z, into)
    middle("decoder.mid", into)
    for level in reversed(range(len(mult))):
        for number in range(blocks + 1):
            block(f"decoder.up.{level}.block.{number}", into, widths[level])
            into = widths[level]
        if level > 0:
            conv(f"decoder.up.{level}.upsample.conv", into, into)
    norm("decoder.norm_out", into)
    conv("decoder.conv_out", into, 3)
    return found
