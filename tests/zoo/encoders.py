"""Tiny transformers encoders of text and of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers

from tests.zoo import Case

TOKENS = 60


def tokens(length: int = 9) -> dict[str, torch.Tensor]:
    """Return two rows of token ids without special tokens, and a mask that hides the end of the second."""
    ids = torch.randint(5, TOKENS, (2, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def pixels(size: int = 16) -> dict[str, torch.Tensor]:
    """Return two random images."""
    return {"pixel_values": torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))}


def case(
    name: str,
    config: str,
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    inputs: Callable[[], Mapping[str, Any]],
    output_axes: tuple[str, ...] = (),
    label: str = "",
) -> Case:
    """Return a transformers class, its configuration class, and the configuration's arguments in two sizes."""
    arguments = {"source": source, "target": {**source, **target}}

    def build(which: str) -> Any:
        torch.manual_seed(0)
        return getattr(transformers, name)(getattr(transformers, config)(**arguments[which])).eval()

    return Case(f"{name}-{label}" if label else name, "transformers", build, inputs, output_axes)


TEXT = {
    "vocab_size": TOKENS,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
    "num_labels": 3,
}
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
DISTIL = {
    "vocab_size": TOKENS,
    "dim": 32,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
    "num_labels": 3,
}
DISTIL_SMALL = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
ELECTRA = {**TEXT, "embedding_size": 24}
ELECTRA_SMALL = {**SMALL, "embedding_size": 12}
ELECTRA_EQUAL, ELECTRA_EQUAL_SMALL = {**TEXT, "embedding_size": 32}, {**SMALL, "embedding_size": 16}
DEBERTA = {
    **TEXT,
    "type_vocab_size": 0,
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}
DEBERTA_SMALL = {**SMALL, "pooler_hidden_size": 16}
DEBERTA_CONV = {
    **DEBERTA,
    "share_att_key": False,
    "conv_kernel_size": 3,
    "embedding_size": 24,
    "type_vocab_size": 2,
    "position_biased_input": True,
}
VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 16,
    "patch_size": 4,
    "num_labels": 5,
}
VIT_POOLED = {**VIT, "pooler_output_size": 32}
DINO = {k: v for k, v in VIT.items() if k != "intermediate_size"}
DINO_SMALL = {k: v for k, v in SMALL.items() if k != "intermediate_size"}

CASES: list[Case] = [
    case("BertModel", "BertConfig", TEXT, SMALL, tokens, ("embed", "pooled")),
    case("BertForMaskedLM", "BertConfig", TEXT, SMALL, tokens),
    case("BertForMaskedLM", "BertConfig", {**TEXT, "tie_word_embeddings": False}, SMALL, tokens, label="untied"),
    case("BertForPreTraining", "BertConfig", TEXT, SMALL, tokens),
    case("BertForSequenceClassification", "BertConfig", TEXT, SMALL, tokens),
    case("BertForTokenClassification", "BertConfig", TEXT, SMALL, tokens),
    case("BertForQuestionAnswering", "BertConfig", {**TEXT, "num_labels": 2}, SMALL, tokens),
    case("RobertaModel", "RobertaConfig", TEXT, SMALL, tokens, ("embed", "pooled")),
    case("RobertaForMaskedLM", "RobertaConfig", TEXT, SMALL, tokens),
    case("RobertaForSequenceClassification", "RobertaConfig", TEXT, SMALL, tokens),
    case("RobertaForTokenClassification", "RobertaConfig", TEXT, SMALL, tokens),
    case("XLMRobertaForMaskedLM", "XLMRobertaConfig", TEXT, SMALL, tokens),
    case("CamembertForSequenceClassification", "CamembertConfig", TEXT, SMALL, tokens),
    case("DistilBertModel", "DistilBertConfig", DISTIL, DISTIL_SMALL, tokens, ("embed",)),
    case("DistilBertForMaskedLM", "DistilBertConfig", DISTIL, DISTIL_SMALL, tokens),
    case("DistilBertForSequenceClassification", "DistilBertConfig", DISTIL, DISTIL_SMALL, tokens),
    case("DistilBertForTokenClassification", "DistilBertConfig", DISTIL, DISTIL_SMALL, tokens),
    case("DistilBertForQuestionAnswering", "DistilBertConfig", {**DISTIL, "num_labels": 2}, DISTIL_SMALL, tokens),
    case("ElectraModel", "ElectraConfig", ELECTRA, ELECTRA_SMALL, tokens, ("embed",)),
    case("ElectraForPreTraining", "ElectraConfig", ELECTRA, ELECTRA_SMALL, tokens),
    case("ElectraForMaskedLM", "ElectraConfig", ELECTRA, ELECTRA_SMALL, tokens),
    case("ElectraForMaskedLM", "ElectraConfig", ELECTRA_EQUAL, ELECTRA_EQUAL_SMALL, tokens, label="unprojected"),
    case("ElectraForSequenceClassification", "ElectraConfig", ELECTRA, ELECTRA_SMALL, tokens),
    case("ElectraForTokenClassification", "ElectraConfig", ELECTRA, ELECTRA_SMALL, tokens),
    case("MPNetModel", "MPNetConfig", TEXT, SMALL, tokens, ("embed", "pooled")),
    case("MPNetForMaskedLM", "MPNetConfig", TEXT, SMALL, tokens),
    case("MPNetForSequenceClassification", "MPNetConfig", TEXT, SMALL, tokens),
    case("MPNetForTokenClassification", "MPNetConfig", TEXT, SMALL, tokens),
    case("DebertaV2Model", "DebertaV2Config", DEBERTA, DEBERTA_SMALL, tokens, ("embed",)),
    case("DebertaV2ForMaskedLM", "DebertaV2Config", DEBERTA, DEBERTA_SMALL, tokens),
    case("DebertaV2ForMaskedLM", "DebertaV2Config", {**DEBERTA, "legacy": False}, DEBERTA_SMALL, tokens, label="new"),
    case("DebertaV2ForSequenceClassification", "DebertaV2Config", DEBERTA, DEBERTA_SMALL, tokens),
    case(
        "DebertaV2ForTokenClassification",
        "DebertaV2Config",
        DEBERTA_CONV,
        {**DEBERTA_SMALL, "embedding_size": 12},
        tokens,
    ),
    case("ViTModel", "ViTConfig", VIT_POOLED, {**SMALL, "pooler_output_size": 16}, pixels, ("embed", "pooled")),
    case("ViTForImageClassification", "ViTConfig", VIT, SMALL, pixels),
    case("ViTForMaskedImageModeling", "ViTConfig", {**VIT, "encoder_stride": 4}, SMALL, pixels),
    case("DeiTForImageClassification", "DeiTConfig", VIT, SMALL, pixels),
    case("DeiTForImageClassificationWithTeacher", "DeiTConfig", VIT, SMALL, pixels),
    case("Dinov2Model", "Dinov2Config", {**DINO, "use_swiglu_ffn": True}, DINO_SMALL, pixels, ("embed",), "swiglu"),
    case("Dinov2ForImageClassification", "Dinov2Config", DINO, DINO_SMALL, pixels),
    case(
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        DINO,
        {**DINO_SMALL, "num_register_tokens": 2},
        pixels,
        ("embed",),
    ),
    case("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", DINO, DINO_SMALL, pixels),
]
