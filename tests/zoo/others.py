"""Tiny transformers models of several parts: two towers, or an encoder and a decoder."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from tests.zoo import Case
from tests.zoo.encoders import SMALL, TOKENS, VIT, case, pixels, tokens

TOWER = {
    "vocab_size": TOKENS,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "max_position_embeddings": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "projection_dim": 20,
}
TOWER_SMALL = {"hidden_size": 8, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 1}
VISION = {**VIT, "projection_dim": 20}
CLIP = {"text_config": TOWER, "vision_config": VISION, "projection_dim": 20, "num_labels": 5}
CLIP_SMALL = {
    "text_config": {**TOWER, **TOWER_SMALL, "projection_dim": 12},
    "vision_config": {**VISION, **SMALL, "projection_dim": 12},
    "projection_dim": 12,
}
SIGLIP_TEXT = {**TOWER, "projection_size": 32}
SIGLIP_TEXT_SMALL = {**TOWER_SMALL, "projection_size": 16}
SIGLIP = {"text_config": SIGLIP_TEXT, "vision_config": VIT, "num_labels": 5}
SIGLIP_SMALL = {"text_config": {**SIGLIP_TEXT, **SIGLIP_TEXT_SMALL}, "vision_config": {**VIT, **SMALL}}
WHISPER = {
    "vocab_size": TOKENS,
    "num_mel_bins": 8,
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 40,
    "max_source_positions": 10,
    "max_target_positions": 12,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "classifier_proj_size": 24,
    "num_labels": 3,
}
WHISPER_SMALL = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "classifier_proj_size": 12,
}
T5 = {
    "vocab_size": TOKENS,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 3,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "num_labels": 3,
}
T5_SMALL = {"d_model": 16, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2}
GATED = {**T5, "feed_forward_proj": "gated-gelu"}


def both() -> dict[str, torch.Tensor]:
    """Return a batch of texts and images."""
    return {**tokens(), **pixels()}


def sound() -> dict[str, torch.Tensor]:
    """Return two spectrograms of twenty frames."""
    return {"input_features": torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(0))}


def dictation() -> dict[str, Any]:
    """Return spectrograms and the beginning of their transcripts."""
    return {**sound(), "decoder_input_ids": tokens(6)["input_ids"], "use_cache": False}


def translation() -> dict[str, Any]:
    """Return a text and the beginning of its translation."""
    return {**tokens(), "decoder_input_ids": tokens(6)["input_ids"], "use_cache": False}


def ended() -> dict[str, Any]:
    """Return texts that end with the end-of-sequence token, where T5 classifiers read."""
    inputs = tokens()
    inputs["input_ids"][:, -1] = 1
    return {**inputs, "use_cache": False}


class SiglipFeatures(transformers.SiglipModel):
    """Gives the features of both towers: SiglipModel itself compares them, which unlike sizes do not allow."""

    def forward(self, input_ids, attention_mask, pixel_values):
        """Return the pooled text and the pooled image."""
        text = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        return text.pooler_output, self.vision_model(pixel_values=pixel_values).pooler_output


def unlike_sizes(which: str) -> transformers.SiglipModel:
    """Return a model whose text head gives fewer numbers than its image tower."""
    config = transformers.SiglipConfig(**{"source": SIGLIP, "target": {**SIGLIP, **SIGLIP_SMALL}}[which])
    config.text_config.projection_size = {"source": 20, "target": 12}[which]
    torch.manual_seed(0)
    return SiglipFeatures(config).eval()


PARTS = ("embed:text", "embed:vision", "projection")
CASES: list[Case] = [
    case("CLIPModel", "CLIPConfig", CLIP, CLIP_SMALL, both, PARTS),
    case("CLIPForImageClassification", "CLIPConfig", CLIP, CLIP_SMALL, pixels),
    case("CLIPTextModel", "CLIPTextConfig", TOWER, TOWER_SMALL, tokens, PARTS),
    case("CLIPVisionModel", "CLIPVisionConfig", VISION, SMALL, pixels, PARTS),
    case("CLIPTextModelWithProjection", "CLIPTextConfig", TOWER, TOWER_SMALL, tokens, PARTS),
    case("CLIPVisionModelWithProjection", "CLIPVisionConfig", VISION, SMALL, pixels, PARTS),
    case("SiglipModel", "SiglipConfig", SIGLIP, SIGLIP_SMALL, both, PARTS),
    Case("SiglipModel-unlike-sizes", "transformers", unlike_sizes, both, (*PARTS, "projection:text")),
    case("SiglipForImageClassification", "SiglipConfig", SIGLIP, SIGLIP_SMALL, pixels),
    case("SiglipTextModel", "SiglipTextConfig", SIGLIP_TEXT, SIGLIP_TEXT_SMALL, tokens, PARTS),
    case("SiglipVisionModel", "SiglipVisionConfig", VIT, SMALL, pixels, PARTS),
    case("WhisperModel", "WhisperConfig", WHISPER, WHISPER_SMALL, dictation, ("embed:encoder", "embed:decoder")),
    case("WhisperForConditionalGeneration", "WhisperConfig", WHISPER, WHISPER_SMALL, dictation, ("embed:encoder",)),
    case(
        "WhisperForAudioClassification",
        "WhisperConfig",
        {**WHISPER, "use_weighted_layer_sum": True},
        WHISPER_SMALL,
        sound,
        ("embed:encoder",),
    ),
    case("T5Model", "T5Config", T5, T5_SMALL, translation, ("embed",)),
    case("T5ForConditionalGeneration", "T5Config", T5, T5_SMALL, translation, ("embed",)),
    case("T5ForConditionalGeneration", "T5Config", GATED, T5_SMALL, translation, ("embed",), "gated"),
    case(
        "T5ForConditionalGeneration",
        "T5Config",
        {**GATED, "tie_word_embeddings": False},
        T5_SMALL,
        translation,
        ("embed",),
        "untied",
    ),
    case("T5EncoderModel", "T5Config", T5, T5_SMALL, tokens, ("embed",)),
    case("T5ForSequenceClassification", "T5Config", T5, T5_SMALL, ended, ("embed",)),
    case("T5ForTokenClassification", "T5Config", T5, T5_SMALL, tokens),
    case("MT5ForConditionalGeneration", "MT5Config", GATED, T5_SMALL, translation, ("embed",)),
    case("UMT5ForConditionalGeneration", "UMT5Config", GATED, T5_SMALL, translation, ("embed",)),
]
