"""Tiny configurations of transformers' model types, and of half their width, heads and depth."""

from __future__ import annotations

import contextlib
import re
from typing import Any

TYPES = re.findall(
    r"\S+",
    """
albert apertus arcee bamba bart bert bert-generation big_bird bigbird_pegasus biogpt bitnet blenderbot bloom
camembert canine clip clip_text_model clip_vision_model codegen cohere cohere2 convbert convnext convnextv2 cpmant
ctrl cvt data2vec-text data2vec-vision dbrx deberta deberta-v2 deepseek_v2 deepseek_v3 deit diffllama dinov2
dinov2_with_registers distilbert doge dots1 electra ernie ernie4_5 esm exaone4 falcon falcon_h1 falcon_mamba
flaubert fnet focalnet fsmt funnel gemma gemma2 gemma3_text glm glm4 gpt2 gpt_bigcode gpt_neo gpt_neox
gpt_neox_japanese gpt_oss gptj granite granitemoe helium hgnet_v2 hiera hunyuan_v1_dense ibert ijepa imagegpt jamba
jetmoe layoutlm led levit lfm2 llama longformer longt5 luke m2m_100 mamba mamba2 marian mbart megatron-bert minimax
ministral mistral mixtral mobilebert mobilenet_v1 mobilenet_v2 mobilevit mobilevitv2 modernbert mpnet mpt mra mt5
mvp nemotron nllb-moe nystromformer olmo olmo2 olmo3 olmoe opt pegasus pegasus_x persimmon phi phi3 phimoe plbart
poolformer prophetnet pvt pvt_v2 qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next recurrent_gemma regnet rembert resnet
roberta roberta-prelayernorm roc_bert roformer rwkv seed_oss segformer siglip siglip_text_model siglip_vision_model
smollm3 splinter squeezebert stablelm starcoder2 swiftformer swin swinv2 switch_transformers t5 t5gemma umt5 vit
vit_mae vit_msn vitdet wav2vec2 whisper xglm xlm xlm-roberta xlm-roberta-xl xlnet xmod yolos yoso zamba zamba2
""",
)
SIZES = {"hidden_size": 64, "d_model": 64, "n_embd": 64, "dim": 64, "emb_dim": 64, "embed_dim": 64, "d_kv": 16}
HALVED = {**SIZES, "intermediate_size": 128, "ffn_dim": 128, "n_inner": 128, "d_ff": 128, "hidden_dim": 128}
HALVED |= {"encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "ffn_hidden_size": 128, "moe_intermediate_size": 64}
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads")
GROUPS = ("num_key_value_heads",)
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers")
TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")

ALTERNATE = ["global", "local"]
MAMBA = {"mamba_n_heads": (8, 4), "mamba_d_head": 16}  # as many channels as the mixer's expansion gives
CONVNEXT = {"hidden_sizes": ([16, 32, 64, 128], [8, 16, 32, 64]), "depths": ([2, 2, 2, 2], [1, 1, 2, 1])}
SWIN = {"depths": [2, 2, 2, 2], "num_layers": 4, "hidden_size": (512, 256), "num_heads": ([2, 4, 8, 16], [1, 2, 4, 8])}

# What a type needs besides: dotted for a part of the configuration, (whole, half) where the two differ.
OWN: dict[str, dict[str, Any]] = {
    "bamba": MAMBA,
    "bloom": {"n_head": 4},  # a head's slope belongs to it: heads cannot be cut
    "convnext": CONVNEXT,
    "convnextv2": CONVNEXT,
    "dbrx": {"attn_config.rope_theta": 10000.0, "ffn_config.hidden_size": (64, 32)},
    "diffllama": {"num_key_value_heads": (4, 2)},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "esm": {"vocab_size": 300, "pad_token_id": 1, "mask_token_id": 2},
    "falcon_h1": {**MAMBA, "mamba_d_ssm": (128, 64)},
    "funnel": {
        "block_sizes": ([2, 2], [1, 1]),
        "block_repeats": [1, 1],
        "d_head": 16,
        "d_inner": (128, 64),
    },
    "gpt_neo": {
        "attention_types": ([[ALTERNATE, 2]], [[ALTERNATE, 1]]),
        "attention_layers": (ALTERNATE * 2, ALTERNATE),
    },
    "hunyuan_v1_dense": {"head_dim": 16},
    "mamba2": {"num_heads": (8, 4), "n_groups": 2},
    "ministral": {"head_dim": 16},
    "mobilebert": {"embedding_size": (32, 16)},
    "nemotron": {"num_key_value_heads": (2, 1)},
    "prophetnet": {
        **dict.fromkeys(("num_encoder_layers", "num_decoder_layers"), (4, 2)),
        **dict.fromkeys(("num_encoder_attention_heads", "num_decoder_attention_heads"), (4, 2)),
    },
    "recurrent_gemma": {"lru_width": (64, 32)},
    "siglip": {"text_config.projection_size": (64, 32)},
    "siglip_text_model": {"architectures": ["SiglipTextModel"], "projection_size": (64, 32)},
    "squeezebert": {"embedding_size": (64, 32)},
    "swin": SWIN,
    "swinv2": SWIN,
    "xlnet": {"d_head": 16, "d_inner": (128, 64)},
    "zamba": {
        "attention_hidden_size": (128, 64),
        "attention_head_dim": 32,
        "layers_block_type": (["linear_attention", "hybrid"] * 3, ["linear_attention", "hybrid"] * 2),
        "num_hidden_layers": (6, 4),
    },
}


def tiny_config(kind: str, half: bool) -> Any:
    """Return a tiny configuration of a model type, or its half."""
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind)
    config.architectures = _class_with_a_head(kind)
    for part in (config, *(getattr(config, n, None) for n in ("text_config", "vision_config"))):
        if part is not None:
            _shrink(part, 2 if half else 1)
    for key, value in OWN.get(kind, {}).items():
        *parts, name = key.split(".")
        part = config
        for inner in parts:
            part = getattr(part, inner)
        setattr(part, name, value[half] if isinstance(value, tuple) else value)
    return config


def _class_with_a_head(kind: str) -> list[str] | None:
    """Return what checkpoints name: without a head the width itself is the output, and its axis cannot be derived."""
    from transformers.models.auto import modeling_auto as auto

    mappings = (
        auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
        auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    )
    found = next((names[kind] for names in mappings if kind in names), None)
    return [found] if isinstance(found, str) else None


def _shrink(part: Any, divisor: int) -> None:
    wanted: dict[str, int] = {k: v // divisor for k, v in HALVED.items()}
    wanted |= dict.fromkeys(HEADS, 8 // divisor) | dict.fromkeys((*LAYERS, *GROUPS), 4 // divisor)
    wanted |= {"head_dim": 16, "vocab_size": 300, "num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4}
    wanted |= dict.fromkeys(TOKENS, 1)
    layers = getattr(part, "layer_types", None)
    for key, value in wanted.items():
        if isinstance(getattr(part, key, None), int):
            # Some sizes are derived from others and follow them.
            with contextlib.suppress(AttributeError, NotImplementedError):
                setattr(part, key, value)
    if isinstance(layers, list):
        with contextlib.suppress(AttributeError):
            part.layer_types = layers[: 4 // divisor]
