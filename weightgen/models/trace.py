"""Watching a forward pass, operation by operation, to learn which dimensions of its tensors are the same axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from weightgen.models.exact import exactly, outputs_of
from weightgen.models.movement import Dims
from weightgen.models.rules import Rules, leaves
from weightgen.models.unify import axis, fix, mark_output, resolve, unify


class AxisTracer(Rules, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that keeps an axis expression for every dimension of every tensor it sees."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note which axes it ties."""
        kwargs = kwargs or {}
        tensors = [t for t in leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        self.look_at(tensors)
        before = [self.dims(t) for t in tensors]
        result = func(*args, **kwargs)
        outputs = [t for t in leaves(result) if isinstance(t, torch.Tensor)]
        name = func._schema.name.partition("::")[2]
        base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        rule = self.rule(base, func)
        found = None
        try:
            found = rule(args, kwargs, outputs) if rule else None
        except (IndexError, TypeError, ValueError, KeyError, AttributeError):
            found = None
        if found is None:
            for dims in before:
                for d in dims:
                    fix(d)
        for i, tensor in enumerate(outputs):
            new = found[i] if found is not None and i < len(found) else None
            if new is None or len(new) != tensor.dim():
                new = [axis(n, found is None) for n in tensor.shape]
            if any(tensor is t for t in tensors):  # in place
                for old, fresh in zip(self.dims(tensor), new, strict=False):
                    unify(old, fresh)
            else:
                self.assign(tensor, new)
        self.carry(tensors, outputs)
        return result


@dataclass(frozen=True)
class Traced:
    """What one forward pass says."""

    tensors: dict[str, Dims]
    """Of the state dict."""
    outputs: list[Dims]
    """Of the outputs, where they are laid out along axes of the network; empty where they are predictions."""


def trace(model: torch.nn.Module, inputs: Mapping[str, Any], names: Sequence[str]) -> Traced:
    """Run a model once and return the axes of the named tensors of its state dict, and of its outputs."""
    state = model.state_dict(keep_vars=True)
    tracer = AxisTracer()
    for value in inputs.values():
        if isinstance(value, torch.Tensor):
            tracer.track(value, fixed=True)
    for tensor in state.values():
        tracer.track(tensor, fixed=False)
    with torch.no_grad(), exactly(), tracer:
        output = model(**inputs)
    found, predictions = outputs_of(output)
    tracer.look_at(found)
    if predictions:
        for tensor in found:
            for dim in tracer.dims(tensor):
                mark_output(dim)
    outputs = [] if predictions else [[resolve(d) for d in tracer.dims(t)] for t in found]
    return Traced({name: [resolve(d) for d in tracer.dims(state[name])] for name in names}, outputs)
