"""The configs of transformers: read by name, overridden field by field, cut to the layers that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightgen.errors import UsageError, did_you_mean, printable
from weightgen.models.building import REFUSALS, refuse_empty, refuse_huge
from weightgen.models.reference import Reference, unreachable
from weightgen.reading.json_files import read_json


def transformers_config(reference: Reference, arguments: Mapping[str, Any]) -> Any:
    """Return the transformers config of a name, with overriding fields."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    if reference.config:
        config = AutoConfig.for_model(reference.model_type, **reference.config)
    else:
        where = str(reference.directory) if reference.directory else reference.name
        if reference.directory is not None:
            told = read_json(reference.directory / "config.json")
            for part in (told, *(value for value in told.values() if isinstance(value, dict))):
                refuse_huge(part)  # before the library makes lists as long as it says
        try:
            config = AutoConfig.from_pretrained(where, revision=reference.revision or "main", trust_remote_code=False)
        except (ValueError, KeyError) as error:
            if "custom code" in str(error):
                raise UsageError(
                    f"{printable(reference.text)}: its model type is none of transformers' own, and needs code of its "
                    "repository, which is never run here"
                ) from error
            raise UsageError(f"{printable(reference.text)}: {str(error).splitlines()[0]}") from error
        except (StrictDataclassError, *REFUSALS) as error:
            raise refused(error) from error
        except OSError as error:
            raise unreachable(reference, error) from error
    apply_arguments(config, arguments)
    return config


def check_sizes(config: Any) -> None:
    """Raise UsageError for sizes of a config, or of its parts, that make no model or one beyond all bounds."""
    for part in (config, *(getattr(config, key) for key in config.to_dict() if _is_part(config, key))):
        told = part.to_dict()
        refuse_empty(told)
        refuse_huge(told)
        kernels = getattr(part, "_attn_implementation", None)
        if isinstance(kernels, str) and "/" in kernels:
            raise UsageError(f"attn_implementation={printable(kernels)}: kernels of a hub are never run here")


def leave_out_quantization(config: Any) -> str:
    """Leave out what a config says of quantised weights, and say so: packed ones are refused, what is written is plain.

    Returns an empty text where it says nothing.
    """
    told = getattr(config, "quantization_config", None)
    if told is None:
        return ""
    del config.quantization_config
    method = told.get("quant_method", "some method") if isinstance(told, Mapping) else getattr(told, "quant_method", "")
    return (
        f"config.json says that the weights are quantised by {printable(str(method))}: left out, since they are plain"
    )


def apply_arguments(config: Any, arguments: Mapping[str, Any]) -> None:
    """Override fields of a transformers config; per-layer lists follow a change of depth.

    `text_config.hidden_size` is a field of a part. Raises UsageError for a field that the config does not have.
    """
    own = {key: value for key, value in arguments.items() if "." not in key}
    parts: dict[str, dict[str, Any]] = {}
    for key, value in arguments.items():
        part, dot, rest = key.partition(".")
        if dot:
            parts.setdefault(part, {})[rest] = value
    refuse_empty(own)
    refuse_huge(own)
    depth = getattr(config, "num_hidden_layers", None)
    for key, value in own.items():
        if _is_part(config, key) and isinstance(value, Mapping):
            parts[key] = {**value, **parts.get(key, {})}
            continue
        _set(config, key, value)
    for key, values in parts.items():
        if not _is_part(config, key):
            known = [k for k in config.to_dict() if _is_part(config, k)]
            has = f": its parts are {', '.join(known)}" if known else ", nor any other part"
            raise UsageError(f"{type(config).__name__} has no part '{printable(key)}'{has}")
        apply_arguments(getattr(config, key), values)
    target = getattr(config, "num_hidden_layers", None)
    if depth and target and target < depth:
        keep_layers(config, depth, range(target))
    heads = getattr(config, "num_attention_heads", None)
    if "num_attention_heads" in own and "num_key_value_heads" not in own:
        groups = getattr(config, "num_key_value_heads", None)
        if groups and heads and groups > heads:
            config.num_key_value_heads = heads


def _is_part(config: Any, key: str) -> bool:
    return not key.startswith("_") and hasattr(getattr(config, key, None), "to_dict")


def _set(config: Any, key: str, value: Any) -> None:
    # The model type is the class itself; methods, parts and private attributes are no fields either.
    fixed = key == "model_type" or key.startswith("_") or callable(getattr(config, key, None)) or _is_part(config, key)
    if fixed or not hasattr(config, key):
        known = [k for k in config.to_dict() if not k.startswith("_") and k != "model_type"]
        raise UsageError(f"{type(config).__name__} has no field '{key}'.{did_you_mean(key, known)}")
    try:
        setattr(config, key, value)
    except Exception as error:  # huggingface_hub's own type of error, where a field is typed
        reason = printable(str(error.__cause__ or error).splitlines()[0])
        raise UsageError(f"{type(config).__name__} refuses {key}={printable(repr(value))}: {reason}") from error


def refuse_uneven(config: Any) -> None:
    """Raise UsageError for heads that cannot be shared out: the class builds such a model, which then cannot run."""
    for part in (config, *(getattr(config, key) for key in config.to_dict() if _is_part(config, key))):
        heads, groups = (getattr(part, key, None) for key in ("num_attention_heads", "num_key_value_heads"))
        if isinstance(heads, int) and isinstance(groups, int) and groups > 0 and heads % groups:
            raise UsageError(
                f"num_attention_heads={heads} cannot be shared by num_key_value_heads={groups}: "
                f"take a multiple of {groups}, or other groups"
            )


def keep_layers(config: Any, depth: int, layers: Any) -> None:
    """Reduce every per-layer list of a config to the kept layers (layer_types and the like), in place.

    Lists of layer numbers (mlp_only_layers) stay: they decide the target's shapes, which the plan was made for.
    """
    for key, value in config.to_dict().items():
        if isinstance(value, list) and len(value) == depth and key not in ("architectures",):
            setattr(config, key, [value[i] for i in layers])


def refused(error: BaseException) -> UsageError:
    """Return the error for a configuration that the library does not take."""
    error = error.__cause__ or error  # the library wraps what its validators raise
    reason = printable((str(error).splitlines() or [type(error).__name__])[0], 250)
    return UsageError(f"transformers refuses this configuration: {reason}")
