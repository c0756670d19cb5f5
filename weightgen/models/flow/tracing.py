"""The flow of a module by symbolic tracing (torch.fx): no input is needed, but no decision may depend on values."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.fx import Node
from torch.fx.node import map_arg

from weightgen.models.flow.graph import Flow
from weightgen.models.flow.recorder import Recorder, Value, Weight, is_single

Convolution = nn.modules.conv._ConvNd


class _Tracer(torch.fx.Tracer):
    """Looks into every module but layers, norms, activations and attention."""

    def __init__(self, single: set[nn.Module]) -> None:
        super().__init__()
        self.single = single

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell whether calls of a module are single steps."""
        if isinstance(m, nn.Linear | nn.Embedding | Convolution):
            return "weight" in m._parameters  # else it is computed, by weight norm for instance
        return m in self.single or (m.__module__.startswith("torch.nn") and next(m.children(), None) is None)


def traced(model: nn.Module, names: dict[int, str]) -> Flow:
    """Return the flow of a model in evaluation mode; `names` maps the ids of its parameters to their names.

    Raises whatever tracing raises where the model's code does not allow it.
    """
    single = {module for module in model.modules() if is_single(module)}  # asked first: tracing patches their calls
    graph = _Tracer(single).trace(model)
    recorder = Recorder()
    found: dict[Node, Value] = {}

    def weight(parameter: nn.Parameter) -> Weight:
        return Weight(names[id(parameter)], parameter.dim())

    def values(node: Node) -> list[Value]:
        read: list[Value] = []
        map_arg((node.args, node.kwargs), lambda n: read.append(found[n]))  # x + x reads x twice
        return read

    def module_call(node: Node) -> Value:
        module, read = model.get_submodule(str(node.target)), values(node)
        own = {name: weight(parameter) for name, parameter in module.named_parameters()}
        if module in single:
            return recorder.module(module, read, own)
        if isinstance(module, nn.Linear | Convolution):
            turned, groups = getattr(module, "transposed", False), getattr(module, "groups", 1)
            kernel = isinstance(module, Convolution)
            return recorder.layer(read, own["weight"], own.get("bias"), turned, kernel, groups)
        if isinstance(module, nn.Embedding):
            return recorder.call("embedding", [*read, own["weight"]])
        return recorder.call(type(module).__name__, [*read, *own.values()])

    def function_call(node: Node) -> Value:
        operands = values(node)
        if node.op == "call_method":
            name = str(node.target)
            f = getattr(torch.Tensor, name, None)
        elif node.target is getattr:
            name, f = str(node.args[1]), None
        else:
            assert callable(node.target)
            name, f = node.target.__name__, node.target
        settings = {k: v for k, v in node.kwargs.items() if not isinstance(v, Node)}
        groups = settings.get("groups", node.args[6] if name.startswith("conv") and len(node.args) > 6 else 1)
        return recorder.call(name, operands, partial(f, **settings) if f else None, int(str(groups)))

    for node in graph.nodes:
        if node.op == "placeholder":
            found[node] = recorder.input() if not node.args else None
        elif node.op == "get_attr":
            tensor = _attribute(model, str(node.target))
            found[node] = weight(tensor) if isinstance(tensor, nn.Parameter) else None
        elif node.op == "call_module":
            found[node] = module_call(node)
        elif node.op == "output":
            recorder.flow.outputs = tuple(v for v in values(node) if isinstance(v, int))
        else:
            found[node] = function_call(node)
    return recorder.flow


def _attribute(model: nn.Module, path: str) -> Any:
    owner, _, leaf = path.rpartition(".")
    return getattr(model.get_submodule(owner), leaf)
