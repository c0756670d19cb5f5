"""Running a model exactly enough to prove something: in double precision, by plain operations, repeatably."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

NARROW = (torch.float32, torch.float16, torch.bfloat16)
PLAIN = {"_attn_implementation": "eager", "_experts_implementation": "eager"}
"""What transformers' configs call attention and experts that are written out in single operations."""


class _Double(TorchFunctionMode):
    """Everything that is computed is computed in float64: norms, softmax and rotations ask for float32 inside."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16):
            return args[0].double()
        return func(*map(_wide, args), **{key: _wide(value) for key, value in kwargs.items()})


def _wide(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in NARROW else value


@contextmanager
def exactly(seed: int = 0) -> Iterator[None]:
    """Compute in float64 while the block runs, and draw what is drawn from a seed; both as before thereafter."""
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # masked autoencoders draw their mask in every pass
        torch.set_default_dtype(torch.float64)
        try:
            with _Double():
                yield
        finally:
            torch.set_default_dtype(before)


def plainly(model: torch.nn.Module) -> torch.nn.Module:
    """Let a copy of a model compute by single operations, and without a cache, which is no output of the network."""
    configs: dict[int, Any] = {}
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if config is not None and hasattr(config, "to_dict"):
            configs[id(config)] = config
    for config in configs.values():
        for part in (config, *_parts(config)):
            if hasattr(part, "use_cache"):
                part.use_cache = False
            for word, value in PLAIN.items():
                if hasattr(part, word):
                    setattr(part, word, value)
    return model


def _parts(config: Any) -> list[Any]:
    names = getattr(config, "sub_configs", None) or {}
    return [part for part in (getattr(config, name, None) for name in names) if part is not None]


def outputs_of(output: Any) -> tuple[list[torch.Tensor], bool]:
    """Return the tensors that a network is for, and whether they are predictions.

    Of named outputs, those called logits; without any, the first, which is laid out along the network's own width.
    """
    if isinstance(output, Mapping):
        named = [value for key, value in output.items() if "logit" in key]
        if named:
            return tensors_in(named), True
        found = tensors_in(list(output.values()))
        return found[:1], False
    return tensors_in(output), True


def tensors_in(output: Any) -> list[torch.Tensor]:
    """Return the floating-point tensors of nested outputs, in order."""
    if torch.is_tensor(output):
        return [output] if output.is_floating_point() else []
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        return [t for part in output for t in tensors_in(part)]
    return []
