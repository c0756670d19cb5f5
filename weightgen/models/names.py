"""What a user may write after --src and --dst, and what it resolves to.

    vit-large                       a preset (`weightgen models` lists them); resnet50 spells resnet-50, too
    timm:vit_large_patch16_224.tag  a timm architecture, its tag naming the pretrained weights
    hf:ORG/NAME@revision            a transformers repository on the hub
    hf-hub:ORG/NAME@revision        a timm repository on the hub, as timm writes it
    path/to/directory               a checkpoint on disk: of transformers, of timm, of a network that weightgen defines
    package:NAME/path/inside        such a directory inside an installed Python package, which is not imported
    same                            (--dst only) the source's own configuration

A name that could mean two things is refused, and both spellings are shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from weightgen.errors import InputError, UsageError, did_you_mean, printable
from weightgen.files import in_package

Library = Literal["timm", "transformers", "weightgen"]


@dataclass(frozen=True)
class Reference:
    """A resolved name: which library builds the model, from what."""

    text: str
    library: Library
    name: str = ""
    """timm architecture, hub repository, or key of `OWN`."""
    revision: str | None = None
    directory: Path | None = None
    model_type: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """Configuration carried by a transformers preset, so that a target needs no network."""
    hub: bool = False
    """Whether the configuration itself has to come from the hub."""


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


def _timm(pattern: str, prefix: str, sizes: str) -> dict[str, str]:
    return {f"{prefix}-{s}": pattern.format(s.replace("-", "_")) for s in sizes.split()}


TIMM_PRESETS: dict[str, str] = {
    **_timm("vit_{}_patch16_224", "vit", "tiny small base large"),
    "vit-huge": "vit_huge_patch14_224",
    **_timm("deit_{}_patch16_224", "deit", "tiny small base"),
    **_timm("deit3_{}_patch16_224", "deit3", "small medium base large"),
    **_timm("vit_{}_patch14_dinov2", "dinov2", "small base large giant"),
    **_timm("convnext_{}", "convnext", "atto femto pico nano tiny small base large xlarge"),
    **_timm("convnextv2_{}", "convnextv2", "atto femto pico nano tiny base large huge"),
    **_timm("swin_{}_patch4_window7_224", "swin", "tiny small base large"),
    **_timm("resnet{}", "resnet", "18 34 50 101 152"),
}

TRANSFORMERS_PRESETS: dict[str, tuple[str, str, dict[str, Any]]] = {
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

OWN: dict[str, str] = {"translator": "weightgen-translator"}
"""The networks that weightgen defines itself, and the `format` in their config.json."""

PRESETS = [*TIMM_PRESETS, *TRANSFORMERS_PRESETS, *OWN]


def preset(name: str) -> Reference:
    """Return what a preset stands for."""
    if name in TIMM_PRESETS:
        return Reference(name, "timm", TIMM_PRESETS[name])
    if name in OWN:
        return Reference(name, "weightgen", name)
    repository, model_type, config = TRANSFORMERS_PRESETS[name]
    return Reference(name, "transformers", repository, model_type=model_type, config=config)


def spelled(text: str) -> str:
    """Return the preset that a text spells but for hyphens, underscores and case, as `ResNet50`; or the text itself."""
    return SPELLED.get(_letters(text), text)


def _letters(text: str) -> str:
    return re.sub("[-_]", "", text).lower()


SPELLED = {_letters(name): name for name in PRESETS}
"""Presets by their letters and digits."""


def resolve(text: str) -> Reference:
    """Resolve a name; raises UsageError where it is unknown or could mean two things, InputError for a bad path."""
    scheme, colon, rest = text.partition(":")
    if not text:
        return _reject(text)
    if colon and scheme == "preset" and spelled(rest) in PRESETS:
        return preset(spelled(rest))
    if colon and scheme == "timm" and rest:
        return Reference(text, "timm", rest)
    if colon and scheme in ("hf", "hf-hub", "hf_hub"):
        name, _, revision = rest.partition("@")
        # ".." would climb out of the hub's cache; a revision may hold slashes (refs/pr/1).
        if ".." in rest or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or not re.fullmatch(r"[\w./-]*", revision):
            raise UsageError(
                f"'{printable(text)}' is not a repository: write {scheme}:ORG/NAME or {scheme}:ORG/NAME@REVISION"
            )
        library: Library = "transformers" if scheme == "hf" else "timm"
        return Reference(text, library, name, revision or None, hub=True)
    if colon and scheme == "package" and rest:
        return _directory(text, in_package(rest, "directory"))
    path = Path(rest) if colon and scheme == "local-dir" else Path(text)
    explicit = text.startswith((".", "/", "~")) or (colon and scheme == "local-dir")
    path = path.expanduser()
    if text in PRESETS and not explicit:
        if path.is_dir():
            raise UsageError(f"'{text}' is both a preset and a directory here: write preset:{text} or ./{text}")
        return preset(text)
    if path.is_dir() and (explicit or "/" not in text or (path / "config.json").exists()):
        return _directory(text, path)
    if path.is_file():
        raise UsageError(
            f"'{printable(text)}' is a file: name its architecture with --src timm:NAME or a directory, "
            f"and pass the file with --src-weights {printable(text)}"
        )
    if explicit:
        raise InputError(f"{printable(text)}: no such directory")
    return preset(spelled(text)) if spelled(text) in PRESETS else _reject(text)


def _directory(text: str, path: Path) -> Reference:
    from weightgen.models.jsonfile import read_json

    config_file = path / "config.json"
    if not config_file.exists():
        raise InputError(f"{printable(text)}: no config.json; a checkpoint directory holds config.json and weights")
    config = read_json(config_file)
    if "architecture" in config:
        return Reference(text, "timm", str(config["architecture"]), directory=path)
    if "model_type" in config:
        return Reference(text, "transformers", directory=path, model_type=str(config["model_type"]))
    own = next((name for name, format in OWN.items() if config.get("format") == format), None)
    if own is not None:
        return Reference(text, "weightgen", own, directory=path)
    raise InputError(f"{printable(str(config_file))}: neither 'architecture' (timm) nor 'model_type' (transformers)")


def _reject(text: str) -> Reference:
    shown = printable(text)
    if re.fullmatch(r"[\w.-]+/[\w.@-]+", text):
        raise UsageError(
            f"'{shown}' could be a transformers or a timm repository: write hf:{shown} or hf-hub:{shown}\n"
            f"(and no directory of that name exists here)"
        )
    if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+(\.[\w]+)?", text):
        raise UsageError(f"'{shown}' is neither a preset nor a directory: for the timm architecture write timm:{shown}")
    raise UsageError(
        f"'{shown}' is neither a preset nor a directory.{did_you_mean(text, PRESETS)} See: weightgen models"
    )


def parse_arguments(text: str | None) -> dict[str, Any]:
    """Parse `key=value,key=value` as YAML values; nested commas are allowed inside brackets."""
    import yaml

    if not text:
        return {}
    arguments: dict[str, Any] = {}
    for part in _split(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise UsageError(f"'{printable(part)}' is not key=value")
        try:
            arguments[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"'{printable(part)}': the value is not valid YAML") from error
    return arguments


def _split(text: str) -> list[str]:
    """Split at the commas that are in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
