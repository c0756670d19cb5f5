"""transformers' Whisper: a convolutional stem, an encoder and a decoder of their own widths and depths."""

from __future__ import annotations

from weightgen.models.layout import Family


def _attention(block: str, module: str, head: str, reader: str, read: str) -> dict[str, str]:
    """Return the lines of one attention: `reader` is the residual stream it adds to, `read` what keys look up.

    The axes of each head are named after it, so that self- and cross-attention of one block stay apart.
    """
    key, value = f"({head} dim:{module})", f"({head} vdim:{module})"
    return {
        f"{block}.{module}.q_proj.{{weight,bias}}": f"{key} <- {reader}",
        f"{block}.{module}.k_proj.{{weight,bias}}": f"{key} <- {read}",
        f"{block}.{module}.v_proj.{{weight,bias}}": f"{value} <- {read}",
        f"{block}.{module}.out_proj.{{weight,bias}}": f"{reader} <- {value}",
    }


def _stack(side: str) -> dict[str, str]:
    block, embed = f"{side}.layers.{{{side}}}", f"embed:{side}"
    return {
        f"{side}.embed_positions.weight": f"positions:{side} {embed}",
        **_attention(block, "self_attn", f"head:{side}", embed, embed),
        f"{block}.{{self_attn_layer_norm,encoder_attn_layer_norm,final_layer_norm}}.{{weight,bias}}": embed,
        f"{block}.fc1.{{weight,bias}}": f"hidden <- {embed}",
        f"{block}.fc2.{{weight,bias}}": f"{embed} <- hidden",
        f"{side}.layer_norm.{{weight,bias}}": embed,
    }


FAMILY = Family(
    name="Whisper",
    table={
        "encoder.conv1.{weight,bias}": "embed:stem <- mels kernel",
        "encoder.conv2.{weight,bias}": "embed:encoder <- embed:stem kernel",
        **_stack("encoder"),
        "decoder.embed_tokens.weight": "vocab embed:decoder",
        **_stack("decoder"),
        **_attention("decoder.layers.{decoder}", "encoder_attn", "head:cross", "embed:decoder", "embed:encoder"),
        "proj_out.weight": "vocab <- embed:decoder",
        # A mean over the outputs of all layers: it fits only an equal depth, else the target keeps its own start.
        "layer_weights": "classes:layers",
        "projector.{weight,bias}": "pooled <- embed:encoder",
        "classifier.{weight,bias}": "classes <- pooled",
    },
    sizes=lambda model: {
        "head:encoder": model.config.encoder_attention_heads,
        "head:decoder": model.config.decoder_attention_heads,
        "head:cross": model.config.decoder_attention_heads,
    },
)
