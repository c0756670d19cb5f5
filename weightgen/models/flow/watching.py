"""The flow of a model by watching one forward pass, for models whose code cannot be traced symbolically."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from weightgen.models.flow.graph import Flow
from weightgen.models.flow.recorder import Recorder, Value, Weight, is_single
from weightgen.models.rules import leaves


class _Watch(TorchFunctionMode):
    """Follows tensors from call to call. It runs on the meta device, where conditions on values have no answer."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.recorder = Recorder()
        self.names = names
        self.found: dict[int, tuple[Tensor, Value]] = {}
        """id -> tensor and where it comes from: holding it keeps the id its own."""
        self.inside = 0
        """Depth in modules that are single steps."""

    def value(self, tensor: Tensor) -> Value:
        """Return where a tensor comes from."""
        if id(tensor) in self.names:
            return Weight(self.names[id(tensor)], tensor.dim())
        return self.found[id(tensor)][1] if id(tensor) in self.found else None

    def note(self, results: Any, value: Value) -> None:
        """Remember where the tensors in a result come from: integers and conditions carry no signal."""
        for tensor in leaves(results):
            if isinstance(tensor, Tensor) and id(tensor) not in self.names:
                self.found[id(tensor)] = (tensor, value if tensor.is_floating_point() else None)

    def values(self, arguments: Any) -> list[Value]:
        """Return where the tensors in arguments come from."""
        return [self.value(t) for t in leaves(arguments) if isinstance(t, Tensor)]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function and note what it is."""
        kwargs = kwargs or {}
        name = str(getattr(func, "__name__", ""))
        if name == "__get__":
            name = func.__self__.__name__
        if any(isinstance(t, Tensor) and t.is_meta for t in leaves((args, kwargs))):
            # Conditions on values are about padding, masks and which experts are called: none of them changes a role.
            if name in ("__bool__", "item"):
                return True
            if name == "__contains__":
                return False
            if name == "nonzero":
                return torch.zeros((1, args[0].dim()), dtype=torch.long, device="meta")
        operands = self.values((args, kwargs)) if not self.inside else []
        result = func(*args, **kwargs)
        if self.inside or name in ("__set__", "__setitem__"):
            if name == "__setitem__" and not self.inside:
                self.note(args[0], self.recorder.call("setitem", operands))
            return result
        if any(isinstance(t, Tensor) for t in leaves(result)):
            settings = {k: v for k, v in kwargs.items() if not isinstance(v, Tensor)}
            groups = settings.get("groups", args[6] if name.startswith("conv") and len(args) > 6 else 1)
            self.note(result, self.recorder.call(name, operands, partial(func, **settings), groups))
        return result

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Begin a module that is a single step."""
        self.inside += 1

    def leave(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        """End it."""
        self.inside -= 1
        if self.inside:
            return
        own = {name: Weight(self.names[id(p)], p.dim()) for name, p in module.named_parameters()}
        self.note(result, self.recorder.module(module, self.values((args, kwargs)), own))


def watched(model: nn.Module, inputs: Mapping[str, Any], names: Mapping[int, str]) -> Flow:
    """Run a model in evaluation mode once and return its flow; `names` maps the ids of its parameters to their names.

    The model, a copy of the caller's, keeps the hooks. Raises whatever the model raises, on meta tensors for instance.
    """
    watch = _Watch(names)
    for module in [m for m in model.modules() if is_single(m)]:  # asked first: hooks would see their probes
        module.register_forward_pre_hook(watch.enter, with_kwargs=True)
        module.register_forward_hook(watch.leave, with_kwargs=True)
    for tensor in leaves(inputs):
        if isinstance(tensor, Tensor):
            watch.note(tensor, watch.recorder.input() if tensor.is_floating_point() else None)
    with torch.no_grad(), watch:
        output = model(**inputs)
    flow = watch.recorder.flow
    flow.outputs = tuple(v for v in watch.values(output) if isinstance(v, int))
    return flow
