"""Tiny transformers decoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers

from tests.zoo import Case

VOCAB = 40
LABELS = 3


def tokens() -> dict[str, Any]:
    """Return two random sentences without special tokens."""
    ids = torch.randint(3, VOCAB, (2, 9), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "use_cache": False}


def case(id: str, name: str, source: Mapping[str, Any], target: Mapping[str, Any], **options: Any) -> Case:
    """Return a case of the transformers class `name`, with the arguments of its config in two sizes."""
    arguments = {"source": {**source, **options}, "target": {**source, **target, **options}}

    def build(which: str) -> Any:
        cls = getattr(transformers, name)
        config = cls.config_class(
            vocab_size=VOCAB, bos_token_id=0, eos_token_id=1, pad_token_id=2, num_labels=LABELS, **arguments[which]
        )
        config._attn_implementation = config._experts_implementation = "eager"
        return cls(config)

    return Case(id, "transformers", build, tokens)


# Two queries to a key-value head, and heads that do not add up to the hidden size.
LLAMA = {
    "hidden_size": 36,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "tie_word_embeddings": False,
}
LLAMA_SMALL = {
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 12,
}
# For classes whose head size is hidden_size / num_attention_heads.
PLAIN = {**LLAMA, "hidden_size": 32}
del PLAIN["head_dim"]
PLAIN_SMALL = {**LLAMA_SMALL, "hidden_size": 16}
HEADS = {k: v for k, v in PLAIN.items() if k != "num_key_value_heads"}
HEADS_SMALL = {k: v for k, v in PLAIN_SMALL.items() if k != "num_key_value_heads"}
TIED = {"tie_word_embeddings": True}

GEMMA = {"query_pre_attn_scalar": 8, "sliding_window": 4}
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]
GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 24, "n_positions": 16}
GPT2_SMALL = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 12}
MOE_SMALL = {**LLAMA_SMALL, "num_experts": 3, "moe_intermediate_size": 6, "shared_expert_intermediate_size": 8}
MOE = {
    **LLAMA,
    "num_experts": 5,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 10,
    "shared_expert_intermediate_size": 14,
}
OPT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 24}
OPT = {**OPT, "max_position_embeddings": 16, "word_embed_proj_dim": 32}
OPT_SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 12}
BLOOM = {"hidden_size": 32, "n_layer": 3, "n_head": 4}
BLOOM_SMALL = {"hidden_size": 16, "n_layer": 2}
FALCON = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_hidden_size": 24}
FALCON_SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_hidden_size": 12}
FALCON_NEW = {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}


CASES: list[Case] = [
    case("llama", "LlamaForCausalLM", LLAMA, LLAMA_SMALL),
    case("llama-tied-biased", "LlamaForCausalLM", LLAMA, LLAMA_SMALL, attention_bias=True, mlp_bias=True, **TIED),
    case("llama-classifier", "LlamaForSequenceClassification", LLAMA, LLAMA_SMALL),
    case("llama-token-classifier", "LlamaForTokenClassification", LLAMA, LLAMA_SMALL),
    case("llama-multi-query", "LlamaForCausalLM", {**LLAMA, "num_key_value_heads": 1}, LLAMA_SMALL),
    case("mistral", "MistralForCausalLM", LLAMA, LLAMA_SMALL, sliding_window=4),
    case("mistral-classifier", "MistralForSequenceClassification", LLAMA, LLAMA_SMALL),
    case("qwen2", "Qwen2ForCausalLM", PLAIN, PLAIN_SMALL),
    case("qwen2-tied", "Qwen2ForCausalLM", PLAIN, PLAIN_SMALL, **TIED),
    case("qwen2-classifier", "Qwen2ForSequenceClassification", PLAIN, PLAIN_SMALL),
    case("qwen3", "Qwen3ForCausalLM", LLAMA, LLAMA_SMALL),
    case("qwen3-tied", "Qwen3ForCausalLM", LLAMA, LLAMA_SMALL, **TIED),
    case("qwen3-classifier", "Qwen3ForSequenceClassification", LLAMA, LLAMA_SMALL),
    case("granite", "GraniteForCausalLM", PLAIN, PLAIN_SMALL, attention_multiplier=0.3, residual_multiplier=0.5),
    case("smollm3", "SmolLM3ForCausalLM", PLAIN, PLAIN_SMALL, no_rope_layer_interval=2),
    case("starcoder2", "Starcoder2ForCausalLM", PLAIN, PLAIN_SMALL, **TIED),
    case("olmo2", "Olmo2ForCausalLM", PLAIN, PLAIN_SMALL),
    case("gemma", "GemmaForCausalLM", LLAMA, LLAMA_SMALL, **TIED),
    case("gemma-untied", "GemmaForCausalLM", LLAMA, LLAMA_SMALL),
    case("gemma-classifier", "GemmaForSequenceClassification", LLAMA, LLAMA_SMALL),
    case("gemma2", "Gemma2ForCausalLM", {**LLAMA, **GEMMA}, LLAMA_SMALL, **TIED),
    case("gemma2-classifier", "Gemma2ForSequenceClassification", {**LLAMA, **GEMMA}, LLAMA_SMALL),
    case(
        "gemma3",
        "Gemma3ForCausalLM",
        {**LLAMA, **GEMMA, **TIED, "layer_types": MIXED},
        {**LLAMA_SMALL, "layer_types": MIXED[:2]},
    ),
    case(
        "gemma3-classifier",
        "Gemma3TextForSequenceClassification",
        {**LLAMA, **GEMMA, "layer_types": MIXED},
        {**LLAMA_SMALL, "layer_types": MIXED[:2]},
    ),
    case("phi", "PhiForCausalLM", PLAIN, PLAIN_SMALL, partial_rotary_factor=0.5, qk_layernorm=True),
    case("stablelm", "StableLmForCausalLM", PLAIN, PLAIN_SMALL, partial_rotary_factor=0.5, use_qkv_bias=True),
    case("phi3", "Phi3ForCausalLM", PLAIN, PLAIN_SMALL),
    case("phi3-partial-rotary", "Phi3ForCausalLM", PLAIN, PLAIN_SMALL, partial_rotary_factor=0.5, **TIED),
    case("phi3-classifier", "Phi3ForSequenceClassification", PLAIN, PLAIN_SMALL),
    case("gpt2", "GPT2LMHeadModel", GPT2, GPT2_SMALL),
    case("gpt2-untied", "GPT2LMHeadModel", GPT2, GPT2_SMALL, tie_word_embeddings=False),
    case("gpt2-classifier", "GPT2ForSequenceClassification", GPT2, GPT2_SMALL),
    case("gpt-neox", "GPTNeoXForCausalLM", HEADS, HEADS_SMALL, rotary_pct=0.5),
    case("gpt-neox-full-rotary", "GPTNeoXForCausalLM", HEADS, HEADS_SMALL, rotary_pct=1.0, **TIED),
    case("gpt-neox-classifier", "GPTNeoXForSequenceClassification", HEADS, HEADS_SMALL, rotary_pct=0.5),
    case(
        "mixtral",
        "MixtralForCausalLM",
        {**LLAMA, "num_local_experts": 5, "num_experts_per_tok": 2},
        {**LLAMA_SMALL, "num_local_experts": 3},
    ),
    case(
        "mixtral-classifier",
        "MixtralForSequenceClassification",
        {**LLAMA, "num_local_experts": 5, "num_experts_per_tok": 2},
        {**LLAMA_SMALL, "num_local_experts": 3},
    ),
    case("qwen2-moe", "Qwen2MoeForCausalLM", MOE, MOE_SMALL, mlp_only_layers=[1]),
    case("qwen2-moe-classifier", "Qwen2MoeForSequenceClassification", MOE, MOE_SMALL),
    case("qwen3-moe", "Qwen3MoeForCausalLM", MOE, MOE_SMALL, norm_topk_prob=True, **TIED),
    case("qwen3-moe-classifier", "Qwen3MoeForSequenceClassification", MOE, MOE_SMALL),
    case(
        "olmoe",
        "OlmoeForCausalLM",
        {**PLAIN, "num_experts": 5},
        {**PLAIN_SMALL, "num_experts": 3},
        num_experts_per_tok=2,
    ),
    case("opt", "OPTForCausalLM", OPT, {**OPT_SMALL, "word_embed_proj_dim": 16}),
    case(
        "opt-projected", "OPTForCausalLM", {**OPT, "word_embed_proj_dim": 12}, {**OPT_SMALL, "word_embed_proj_dim": 8}
    ),
    case("opt-classifier", "OPTForSequenceClassification", OPT, {**OPT_SMALL, "word_embed_proj_dim": 16}),
    case("bloom", "BloomForCausalLM", BLOOM, BLOOM_SMALL),
    case("bloom-classifier", "BloomForSequenceClassification", BLOOM, BLOOM_SMALL),
    case("falcon-multi-query", "FalconForCausalLM", FALCON, FALCON_SMALL, bias=True, tie_word_embeddings=False),
    case("falcon-grouped", "FalconForCausalLM", FALCON_NEW, {**FALCON_SMALL, "num_kv_heads": 1}),
    case("falcon-alibi", "FalconForCausalLM", FALCON, BLOOM_SMALL, alibi=True, multi_query=False),
    case("falcon-classifier", "FalconForSequenceClassification", FALCON, FALCON_SMALL),
]
