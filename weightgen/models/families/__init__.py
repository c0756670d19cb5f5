"""The axis tables, one per architecture family, found by timm class name or transformers model type."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightgen.models.layout import Family

# timm: name of the model class -> module that defines FAMILY for it.
TIMM: dict[str, str] = {
    "VisionTransformer": "timm_vit",
    "VisionTransformerDistilled": "timm_vit",
    "Eva": "timm_eva",
    "Beit": "timm_beit",
    "SwinTransformer": "timm_swin",
    "SwinTransformerV2": "timm_swin_v2",
    "ConvNeXt": "timm_convnext",
    "ResNet": "timm_resnet",
    "MlpMixer": "timm_mixer",
}

# transformers: config.model_type -> module, or module:NAME where the module defines more families than FAMILY.
TRANSFORMERS: dict[str, str] = {
    "bert": "bert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "distilbert": "distilbert",
    "electra": "electra",
    "mpnet": "mpnet",
    "deberta-v2": "deberta",
    "vit": "hf_vit",
    "deit": "hf_vit",
    "dinov2": "dinov2",
    "dinov2_with_registers": "dinov2",
    "clip": "clip",
    "clip_text_model": "clip:TEXT",
    "clip_vision_model": "clip:VISION",
    "siglip": "siglip",
    "siglip_text_model": "siglip:TEXT",
    "siglip_vision_model": "siglip:VISION",
    "whisper": "whisper",
    "t5": "t5",
    "mt5": "t5",
    "umt5": "t5:UMT5",
    "bloom": "bloom",
    "falcon": "bloom",
    "gemma": "gemma",
    "gemma2": "gemma",
    "gemma3_text": "gemma",
    "gpt2": "gpt2",
    "gpt_neox": "gpt_neox",
    "granite": "llama",
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "moe",
    "olmo2": "olmo",
    "olmoe": "olmoe",
    "opt": "opt",
    "phi": "phi",
    "phi3": "phi3",
    "qwen2": "llama",
    "qwen2_moe": "moe",
    "qwen3": "llama",
    "qwen3_moe": "moe",
    "smollm3": "llama",
    "stablelm": "phi",
    "starcoder2": "llama",
}


# weightgen's own: name of the model class -> module.
OWN: dict[str, str] = {"Translator": "translator"}


def find_family(tables: Mapping[str, str], key: str) -> Family | None:
    """Return the family of a model class or transformers model type, or None where `tables` has none."""
    module = tables.get(key)
    if module is None:
        return None
    module, _, attribute = module.partition(":")
    family: Family = getattr(import_module(f"{__name__}.{module}"), attribute or "FAMILY")
    return family
