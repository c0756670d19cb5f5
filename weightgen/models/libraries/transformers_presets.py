"""Presets of transformers: their hub repositories, model types and sizes, so that a target needs no network."""

from __future__ import annotations

from typing import Any

from weightgen.models.reference import Reference


def _bert(layers: int, hidden: int) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": hidden // 64,
        "intermediate_size": 4 * hidden,
        "architectures": ["BertForMaskedLM"],
    }


def _gpt2(layers: int, width: int, heads: int) -> dict[str, Any]:
    return {"n_layer": layers, "n_embd": width, "n_head": heads, "architectures": ["GPT2LMHeadModel"]}


def _llama(layers: int, hidden: int, ffn: int, heads: int, groups: int, vocab: int, **more: Any) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "vocab_size": vocab,
        "architectures": ["LlamaForCausalLM"],
        **more,
    }


_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_LLAMA3 = {"max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "bos_token_id": 128000, "eos_token_id": 128001}


def _llama3(layers: int, hidden: int, ffn: int, heads: int, factor: float, tied: bool) -> dict[str, Any]:
    rope = {"rope_parameters": {**_LLAMA3_ROPE, "factor": factor}, "tie_word_embeddings": tied}
    return _llama(layers, hidden, ffn, heads, 8, 128256, head_dim=hidden // heads, **_LLAMA3, **rope)


_REPOSITORIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert-tiny": ("google/bert_uncased_L-2_H-128_A-2", "bert", _bert(2, 128)),
    "bert-mini": ("google/bert_uncased_L-4_H-256_A-4", "bert", _bert(4, 256)),
    "bert-small": ("google/bert_uncased_L-4_H-512_A-8", "bert", _bert(4, 512)),
    "bert-medium": ("google/bert_uncased_L-8_H-512_A-8", "bert", _bert(8, 512)),
    "bert-base": ("google-bert/bert-base-uncased", "bert", _bert(12, 768)),
    "bert-large": ("google-bert/bert-large-uncased", "bert", _bert(24, 1024)),
    "gpt2-small": ("openai-community/gpt2", "gpt2", _gpt2(12, 768, 12)),
    "gpt2-medium": ("openai-community/gpt2-medium", "gpt2", _gpt2(24, 1024, 16)),
    "gpt2-large": ("openai-community/gpt2-large", "gpt2", _gpt2(36, 1280, 20)),
    "gpt2-xl": ("openai-community/gpt2-xl", "gpt2", _gpt2(48, 1600, 25)),
    "llama-7b": ("huggyllama/llama-7b", "llama", _llama(32, 4096, 11008, 32, 32, 32000)),
    "llama-1b": ("meta-llama/Llama-3.2-1B", "llama", _llama3(16, 2048, 8192, 32, 32.0, True)),
    "llama-3b": ("meta-llama/Llama-3.2-3B", "llama", _llama3(28, 3072, 8192, 24, 32.0, True)),
    "llama-8b": ("meta-llama/Llama-3.1-8B", "llama", _llama3(32, 4096, 14336, 32, 8.0, False)),
}

PRESETS = {
    name: Reference(name, "transformers", repository, model_type=model_type, config=config)
    for name, (repository, model_type, config) in _REPOSITORIES.items()
}
