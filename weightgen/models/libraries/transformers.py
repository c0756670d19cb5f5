"""transformers: models by a config, whose class, vocabulary and per-layer lists have rules of their own."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.console import python_word
from weightgen.errors import InputError, UsageError
from weightgen.models.architecture import Adapter, Architecture
from weightgen.models.families import TRANSFORMERS
from weightgen.models.libraries.transformers_building import build_model, without_bars
from weightgen.models.libraries.transformers_config import (
    apply_arguments,
    keep_layers,
    leave_out_quantization,
    transformers_config,
)
from weightgen.models.libraries.transformers_presets import PRESETS
from weightgen.models.memory_weights import MemoryWeights
from weightgen.models.named_tensors import Weights
from weightgen.models.reference import Reference, on_the_hub

if TYPE_CHECKING:
    import torch

ORIGIN = (
    "architectures",
    "dtype",
    "name_or_path",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "torch_dtype",
    "transformers_version",
    "use_cache",
)
"""Fields of a config that do not change what the model computes."""
HEADS = ("ForCausalLM", "ForMaskedLM", "Classification", "LMHeadModel", "ForConditionalGeneration")
VOCABULARY = ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")


class Transformers(Adapter):
    """Models of transformers."""

    name = "transformers"
    presets = PRESETS
    schemes = ("hf",)
    mark = "'model_type' (transformers)"
    families = TRANSFORMERS
    default_method = "selection"
    has_tokenizers = True

    def refer(self, text: str, scheme: str, rest: str) -> Reference | None:
        """Read hf:ORG/NAME[@REVISION]."""
        return on_the_hub(self.name, text, scheme, rest)

    def recognise(self, text: str, directory: Path, config: Mapping[str, Any]) -> Reference | None:
        """Return the reference of a directory whose config.json names a model type."""
        known = "model_type" in config
        return Reference(text, self.name, directory=directory, model_type=str(config["model_type"])) if known else None

    def build(self, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build the class that the config names, else the base model of its type."""
        config = transformers_config(reference, arguments)
        left = leave_out_quantization(config)
        return replace(self.from_config(config), remarks=(left,) if left else ())

    def resized(self, source: Architecture, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build the source's own class with other fields of its config."""
        config = copy.deepcopy(source.config)
        apply_arguments(config, arguments)
        return self.from_config(config, source.name)

    def target(self, source: Architecture, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        """Build a target by its name; a preset says sizes only: the class and the vocabulary are the source's."""
        if not reference.config:
            return self.build(reference, arguments)
        config = self.build(reference, {}).config
        for key in VOCABULARY:
            if hasattr(source.config, key):
                setattr(config, key, getattr(source.config, key))
        if source.config.model_type == config.model_type:
            config.architectures = [source.name]
        apply_arguments(config, dict(arguments))
        return self.from_config(config)

    def from_config(self, config: Any, class_name: str | None = None) -> Architecture:
        """Build a model from its config: the class the config names, else the base model."""
        model, make = build_model(config, class_name)
        return self.describe(type(model).__name__, model, {}, make)

    def follow_depth(self, source: Architecture, target: Architecture, kept: tuple[int, ...]) -> None:
        """Give the target's per-layer config lists the entries of the blocks that were kept."""
        depth = getattr(source.config, "num_hidden_layers", 0)
        for key, value in source.config.to_dict().items():
            listed = isinstance(value, list) and len(value) == depth
            if listed and getattr(target.config, key, None) == value[: len(kept)]:
                setattr(target.config, key, list(value))
        keep_layers(target.config, depth, kept)

    def function(self, architecture: Architecture) -> Mapping[str, Any]:
        """Return the config, without what says where it comes from and how it is run."""
        told: dict[str, Any] = architecture.config.to_dict()
        return {key: value for key, value in told.items() if key not in ORIGIN and not key.startswith("_")}

    def made(self, module: torch.nn.Module) -> bool:
        """Whether a module has what every model of transformers has."""
        return hasattr(module, "config") and hasattr(module, "base_model_prefix")

    def kind(self, model: torch.nn.Module) -> str:
        """Return the model type."""
        config: Any = model.config
        return str(config.model_type)

    def base_prefix(self, model: torch.nn.Module) -> str:
        """Return base_model_prefix."""
        return str(getattr(model, "base_model_prefix", ""))

    def write_config(self, target: Architecture, directory: Path) -> None:
        """Write config.json, and generation_config.json for a model that generates."""
        target.config.architectures = [target.name]
        target.config.save_pretrained(directory)
        generation: Any = getattr(target.model, "generation_config", None)
        if generation is not None:
            generation.save_pretrained(directory)

    def load_text(self, target: Architecture, name: str) -> str:
        """Return the class's from_pretrained."""
        return f"transformers.{target.name}.from_pretrained({python_word(name)})"

    def reload(self, architecture: Architecture, directory: Path) -> list[str]:
        """Load onto the meta device with from_pretrained."""
        import transformers

        model_class = getattr(transformers, architecture.name)
        with without_bars():
            _, found = model_class.from_pretrained(
                directory,
                output_loading_info=True,
                device_map="meta",
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
        words = {"missing_keys": "is missing", "unexpected_keys": "is unknown to it", "mismatched_keys": "does not fit"}
        return [f"'{name}' {said}" for key, said in words.items() for name in sorted(map(str, found[key]))]

    def repository(self, reference: Reference, architecture: Architecture) -> str:
        """Return the repository that the reference names."""
        return reference.name

    def renaming(self, architecture: Architecture) -> Callable[[str], tuple[str, bool]]:
        """Return the library's own renaming of older checkpoints."""
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

        transforms = get_model_conversion_mapping(architecture.model)
        renamings = [t for t in transforms if isinstance(t, WeightRenaming)]
        converters = [t for t in transforms if isinstance(t, WeightConverter)]
        prefix, state = self.base_prefix(architecture.model), architecture.model.state_dict()

        def rename(name: str) -> tuple[str, bool]:
            renamed, pattern = rename_source_key(name, renamings, converters, prefix, state)
            return renamed, pattern is not None

        return rename

    def may_miss(self, architecture: Architecture, name: str) -> bool:
        """Whether the class says so itself."""
        patterns = getattr(architecture.model, "_keys_to_ignore_on_load_missing", None) or ()
        return any(re.search(pattern, name) for pattern in patterns)

    def converted(self, architecture: Architecture, directory: Path | None, shown: str) -> Weights:
        """Load through from_pretrained (experts stored one by one, for instance)."""
        import transformers

        if directory is None:
            raise InputError(
                f"{shown}: transformers converts these weights on loading: pass the whole directory as --src"
            )
        model_class = getattr(transformers, architecture.name)
        model = model_class.from_pretrained(
            directory, dtype="auto", local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        return MemoryWeights(dict(model.state_dict()))

    def load_dispatched(self, architecture: Architecture, directory: Path | None) -> torch.nn.Module | None:
        """Let Accelerate dispatch the model over devices, memory and disk."""
        import tempfile

        import transformers

        offload = tempfile.mkdtemp(prefix="weightgen-offload-")
        model_class = getattr(transformers, architecture.name)
        large: torch.nn.Module = model_class.from_pretrained(
            directory,
            device_map="auto",
            offload_folder=offload,
            dtype="auto",
            use_safetensors=True,
            trust_remote_code=False,
        )
        return large.eval()

    def images(self, architecture: Architecture, wanted: int | None) -> tuple[Any, int]:
        """Return what the config says; raises UsageError for a model that takes no images."""
        config = architecture.config
        if not hasattr(config, "image_size"):
            raise UsageError(f"{architecture.name} takes no images: choose an image classifier")
        return config.image_size, int(getattr(config, "num_channels", 3))

    def text_config(self, architecture: Architecture) -> Any:
        """Return the config, or its text part."""
        return architecture.config.get_text_config()

    def entrance(self, model: torch.nn.Module) -> str:
        """Return main_input_name."""
        return str(getattr(model, "main_input_name", "x"))

    def meta_inputs(self, model: torch.nn.Module) -> dict[str, Any]:
        """Return what the signature of forward asks for."""
        from weightgen.models.libraries.transformers_inputs import meta_inputs

        return meta_inputs(model)

    def real_inputs(self, architecture: Architecture) -> list[dict[str, Any]]:
        """Return images, small ones first, or token ids; nothing for other inputs."""
        from weightgen.models.libraries.transformers_inputs import real_inputs

        return real_inputs(architecture.config, self.entrance(architecture.model))

    def predicts(self, architecture: Architecture, outputs: torch.Tensor) -> bool:
        """Tell whether the class has a head, and these are its logits."""
        return any(word in architecture.name for word in HEADS) and outputs.ndim in (2, 3) and outputs.shape[-1] > 1

    def task(self, architecture: Architecture) -> str:
        """Return what the class's head is for."""
        if architecture.name.endswith("ForMaskedLM"):
            return "masked"
        return "causal" if architecture.name.endswith(("ForCausalLM", "LMHeadModel")) else "classify"

    def image_transform(
        self, architecture: Architecture, directory: Path | None
    ) -> tuple[str, str, Callable[[Any], torch.Tensor]]:
        """Return the source's own image processor."""
        from transformers import AutoImageProcessor

        if directory is None:
            raise UsageError("calibrating on images needs the source's preprocessor_config.json: pass its directory")
        processor = AutoImageProcessor.from_pretrained(directory, local_files_only=True, trust_remote_code=False)

        def transform(image: Any) -> torch.Tensor:
            return processor(images=image, return_tensors="pt")["pixel_values"][0]  # type: ignore[no-any-return]

        return "pixel_values", "RGB", transform
