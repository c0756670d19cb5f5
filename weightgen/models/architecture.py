"""An architecture: a model of timm, transformers or weightgen on the meta device, and its checkpoint's shapes."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.errors import NetworkError, UsageError, did_you_mean, printable
from weightgen.models import own
from weightgen.models.families import find_family
from weightgen.models.layout import Layout, bind
from weightgen.models.names import Library, Reference
from weightgen.remarks import without_remarks

if TYPE_CHECKING:
    import torch

    from weightgen.diffusion.translator import TranslatorConfig

NORM_FREE = "fixup"
"""The `norm_layer` of a timm ResNet that has scalars instead (`models.norm_free`)."""
# What timm and transformers raise for sizes that make no model; neither checks them all before it computes with them.
REFUSALS = (TypeError, ValueError, AssertionError, ZeroDivisionError, RuntimeError)


# Fields that count blocks, heads or channels: none of them makes a model of zero. Counts of classes, prefix tokens or
# token types do, and are not here; what else a library cannot build, it refuses itself.
SIZES = re.compile(
    r"((num|n|encoder|decoder)_)*((hidden|attention|encoder|decoder|key_value)_)*(layers?|heads?|blocks)|layers|depths?"
    r"|(hidden|intermediate|embedding|vocab|patch|image|img|moe_intermediate)_size|(embed|emb|head|hidden|ffn)_dim"
    r"|(encoder_|decoder_)?ffn_dim|dims?|d_model|d_ff|d_kv|n_embd|n_inner|channels"
)


@dataclass(frozen=True)
class Architecture:
    """A model without values."""

    library: Library
    name: str
    """timm architecture name, transformers class name, or one of weightgen's own."""
    model: torch.nn.Module
    """On the meta device."""
    shapes: Mapping[str, tuple[int, ...]]
    """Tensors of its checkpoint: the state dict without tied copies."""
    tied: Mapping[str, str] = field(default_factory=dict)
    """Tied name -> the name it repeats."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """timm keyword arguments (empty for others, whose config says all)."""
    make: Callable[[], torch.nn.Module] | None = None
    """Builds the model with values, as its own library initialises it."""

    @property
    def config(self) -> Any:
        """The config of a transformers model, or of one of weightgen's own."""
        return self.model.config

    @property
    def norm_free(self) -> bool:
        """Whether Fixup's scalars are in place of the norm layers, of which timm alone does not know."""
        return self.library == "timm" and self.arguments.get("norm_layer") == NORM_FREE

    @property
    def prefix(self) -> str:
        """The base model's prefix in the names, empty where there is none."""
        prefix = getattr(self.model, "base_model_prefix", "") if self.library == "transformers" else ""
        return prefix if prefix and any(n.startswith(prefix + ".") for n in self.shapes) else ""

    @property
    def kind(self) -> str:
        """What the family tables are found by: transformers model type, or else the class name."""
        return str(self.config.model_type) if self.library == "transformers" else type(self.model).__name__

    def layout(self) -> Layout | None:
        """Return the axes of every tensor by the family's table, or None where there is no table."""
        family = find_family(self.library, self.kind)
        return None if family is None else bind(family, self.shapes, self.model, self.prefix)


def library_of(module: torch.nn.Module) -> Library:
    """Return whose conventions a module in memory follows: timm's, that is torch's, unless it says otherwise."""
    if type(module).__module__.startswith("weightgen."):
        return "weightgen"
    return "transformers" if hasattr(module, "config") and hasattr(module, "base_model_prefix") else "timm"


def describe(
    library: Library,
    name: str,
    model: torch.nn.Module,
    arguments: Mapping[str, Any],
    make: Callable[[], torch.nn.Module] | None = None,
) -> Architecture:
    """Wrap a model of any device."""
    tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items() if n not in tied}
    return Architecture(library, name, model, shapes, tied, dict(arguments), make)


def build(reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
    """Build the architecture a name stands for, with overriding arguments, on the meta device."""
    if reference.library == "timm":
        return _build_timm(reference, arguments)
    if reference.library == "weightgen":
        return _build_own(own.read_config(reference, arguments))
    return build_transformers(transformers_config(reference, arguments))


def resized(source: Architecture, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
    """Build the source's own architecture with other arguments (`--dst same`)."""
    if source.library == "timm":
        return _build_timm(reference, {**source.arguments, **arguments})
    if source.library == "weightgen":
        return _build_own(own.changed(source.config, arguments))
    config = copy.deepcopy(source.config)
    apply_arguments(config, arguments)
    return build_transformers(config, source.name)


def refuse_empty(arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for a size that is not positive: libraries build networks without blocks, and say nothing."""
    for key, value in arguments.items():
        sizes = value if isinstance(value, (list, tuple)) else [value]
        if SIZES.fullmatch(key) and any(isinstance(size, (int, float)) and size < 1 for size in sizes):
            raise UsageError(f"{key}={printable(repr(value))}: a size must be at least 1")


def on_meta(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Call a model factory on the meta device, or on the CPU where its construction needs values."""
    import torch

    try:
        with torch.device("meta"):
            model = make()
    except (NotImplementedError, RuntimeError):
        model = make()
    return model


def _build_timm(reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
    import timm

    from weightgen.models import norm_free

    refuse_empty(arguments)
    if reference.directory is not None:
        name = f"local-dir:{reference.directory}"
        arguments = {**norm_free.stored_arguments(reference.directory), **arguments}
    elif reference.hub:
        name = f"hf-hub:{reference.name}" + (f"@{reference.revision}" if reference.revision else "")
    else:
        name = reference.name
        known = timm.list_models()
        if name.split(".")[0] not in known and not timm.is_model(name.split(".")[0]):
            raise UsageError(f"timm {timm.__version__} has no '{printable(name)}'.{did_you_mean(name, known)}")

    def make() -> torch.nn.Module:
        return norm_free.create(name, arguments)

    try:
        model = on_meta(make)
    except UsageError:
        raise
    except Exception as error:  # timm lets through whatever its classes and the hub raise
        if reference.hub and not isinstance(error, (TypeError, AssertionError, ValueError, ZeroDivisionError)):
            raise unreachable(reference, error) from error
        reason = printable((str(error).splitlines() or [type(error).__name__])[0], 200)
        raise UsageError(f"{printable(reference.text)}: timm refuses {dict(arguments)}: {reason}") from error
    return describe("timm", reference.name.split(".")[0], model, arguments, make)


def _build_own(config: TranslatorConfig) -> Architecture:
    def make() -> torch.nn.Module:
        return own.network(config)

    return describe("weightgen", "translator", on_meta(make), {}, make)


def transformers_config(reference: Reference, arguments: Mapping[str, Any]) -> Any:
    """Return the transformers config of a name, with overriding fields."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    if reference.config:
        config = AutoConfig.for_model(reference.model_type, **reference.config)
    else:
        where = str(reference.directory) if reference.directory else reference.name
        try:
            config = AutoConfig.from_pretrained(where, revision=reference.revision or "main")
        except (ValueError, KeyError) as error:
            raise UsageError(f"{printable(reference.text)}: {str(error).splitlines()[0]}") from error
        except (StrictDataclassError, *REFUSALS) as error:
            raise _refused(error) from error
        except OSError as error:
            raise unreachable(reference, error) from error
    apply_arguments(config, arguments)
    return config


def apply_arguments(config: Any, arguments: Mapping[str, Any]) -> None:
    """Override fields of a transformers config; per-layer lists follow a change of depth.

    Raises UsageError for a field that the config does not have.
    """
    refuse_empty(arguments)
    depth = getattr(config, "num_hidden_layers", None)
    for key, value in arguments.items():
        # The model type is the class itself; methods and private attributes are no fields either.
        fixed = key == "model_type" or key.startswith("_") or callable(getattr(config, key, None))
        if fixed or not hasattr(config, key):
            known = [k for k in config.to_dict() if not k.startswith("_") and k != "model_type"]
            raise UsageError(f"{type(config).__name__} has no field '{key}'.{did_you_mean(key, known)}")
        try:
            setattr(config, key, value)
        except Exception as error:  # huggingface_hub's own type of error, where a field is typed
            reason = printable(str(error.__cause__ or error).splitlines()[0])
            raise UsageError(f"{type(config).__name__} refuses {key}={printable(repr(value))}: {reason}") from error
    target = getattr(config, "num_hidden_layers", None)
    if depth and target and target < depth:
        keep_layers(config, depth, range(target))
    heads = getattr(config, "num_attention_heads", None)
    if "num_attention_heads" in arguments and "num_key_value_heads" not in arguments:
        groups = getattr(config, "num_key_value_heads", None)
        if groups and heads and groups > heads:
            config.num_key_value_heads = heads


def keep_layers(config: Any, depth: int, layers: Any) -> None:
    """Reduce every per-layer list of a config to the kept layers (layer_types and the like), in place.

    Lists of layer numbers (mlp_only_layers) stay: they decide the target's shapes, which the plan was made for.
    """
    for key, value in config.to_dict().items():
        if isinstance(value, list) and len(value) == depth and key not in ("architectures",):
            setattr(config, key, [value[i] for i in layers])


def build_transformers(config: Any, class_name: str | None = None) -> Architecture:
    """Build a transformers model from its config: the class the config names, else the base model."""
    import transformers
    from huggingface_hub.errors import StrictDataclassError

    class_name = class_name or next(iter(config.architectures or []), None)
    model_class = getattr(transformers, str(class_name), None) if class_name else None
    # The name comes from a file: nothing but a model may be built by it.
    if class_name and not (isinstance(model_class, type) and issubclass(model_class, transformers.PreTrainedModel)):
        raise UsageError(f"transformers {transformers.__version__} has no model class '{printable(str(class_name))}'")

    def make() -> torch.nn.Module:
        # A copy, since classes adjust the config they are given.
        own = copy.deepcopy(config)
        made = transformers.AutoModel.from_config(own) if model_class is None else model_class(own)
        return made  # type: ignore[no-any-return]

    try:
        config.validate()  # saving would, after all the work
        model = on_meta(make)
    except (StrictDataclassError, *REFUSALS) as error:
        raise _refused(error) from error
    return describe("transformers", type(model).__name__, model, {}, make)


def _refused(error: BaseException) -> UsageError:
    error = error.__cause__ or error  # the library wraps what its validators raise
    reason = printable((str(error).splitlines() or [type(error).__name__])[0], 250)
    return UsageError(f"transformers refuses this configuration: {reason}")


def unreachable(reference: Reference, error: Exception) -> NetworkError:
    """Return the error for a repository that cannot be reached: weights can come from elsewhere, a config cannot."""
    advice = "or the weights alone: --src-weights FILE.safetensors"
    if reference.hub:
        advice = "which holds config.json: without it the architecture is not known"
    return NetworkError(
        f"could not reach the hub for '{printable(reference.name)}' ({type(error).__name__})\n"
        f"Download it elsewhere and pass its directory, {advice}"
    )


def write_config(target: Architecture, directory: Path) -> None:
    """Write the config.json that the target's own library reads."""
    if target.library == "timm":
        from timm.models._hub import save_config_for_hf

        # Of a model with other channels than the published one timm says that it averages the mean and deviation of
        # the published weights' images, which nothing here uses.
        with without_remarks("timm.data.model_config"):
            save_config_for_hf(target.model, str(directory / "config.json"), model_args=dict(target.arguments))
    elif target.library == "weightgen":
        (directory / "config.json").write_text(own.to_json(target.config), encoding="utf-8")
    else:
        target.config.architectures = [target.name]
        target.config.save_pretrained(directory)
        generation = getattr(target.model, "generation_config", None)
        if generation is not None:
            generation.save_pretrained(directory)
