"""Axes of architectures that have no table: learnt from one forward pass, accepted only if proven.

The pass is watched on the meta device (`trace.py`), which gives a guess. Then the real network is built on the CPU with
random values, every axis believed to be free is permuted, and axes under which the output changes are fixed. An
axis counts as proven only if the output depends on its tensors, since a dead branch would pass any proof.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weightgen.models.axes import Axis, Kind, Term
from weightgen.models.layout import Family, Layout, TensorAxes
from weightgen.models.proof import output_change

if TYPE_CHECKING:
    import torch

    from weightgen.models.architecture import Architecture
    from weightgen.models.movement import Dims
    from weightgen.models.unify import Node

FAMILY = Family(name="derived axes", table={})
LARGEST = 200_000_000
"""Parameters of the largest model whose axes are derived: the proof runs it in double precision."""
TOLERANCE = 1e-9
ATTEMPTS = 24
"""Forward passes spent on finding out which of the axes are not free."""
LEAST_COVERED = 0.8
"""Share of the target's values that must find their source tensor with the same axes."""


def derive_pair(source: Architecture, target: Architecture) -> tuple[Layout, Layout] | None:
    """Return proven axes for two sizes of one architecture, or None where they cannot be had."""
    if source.library != target.library or source.kind != target.kind:
        return None
    try:
        smaller = derive(target)
        larger = derive(source) if smaller is not None else None
    except Exception:
        # Models are arbitrary code: whatever they raise here, the caller goes on by shape.
        return None
    if smaller is None or larger is None:
        return None
    # An axis that could be proven on one side only is fixed on both.
    free = [{a for a in layout.sizes if a.kind is Kind.FREE} for layout in (larger, smaller)]
    fixed = {a.name.partition(":")[2] for layout in (larger, smaller) for a in layout.sizes if a.kind is Kind.FIXED}
    larger, smaller = (
        _only(layout, [a for a in own if a.name.partition(":")[2] not in fixed])
        for layout, own in zip((larger, smaller), free, strict=True)
    )
    return (larger, smaller) if _compatible(larger, smaller) else None


def derive(architecture: Architecture) -> Layout | None:
    """Return the proven axes of one model, or None where it is too large or nothing about it can be proven.

    Raises what the model itself raises.
    """
    import torch

    if sum(math.prod(s) for s in architecture.shapes.values()) > LARGEST:
        return None
    with torch.random.fork_rng(devices=[]):
        inputs, dims = _guess(architecture)
        layout = _layout(architecture, dims)
        if not any(axis.kind is Kind.FREE for axis in layout.sizes):
            return None
        return _proven(architecture, inputs, layout)


def _guess(architecture: Architecture) -> tuple[dict[str, Any], dict[str, Dims]]:
    """Trace the model on the smallest input that it accepts."""
    from weightgen.models.trace import trace

    model = copy.deepcopy(architecture.model).eval()
    _without_cache(model)
    failure: Exception = ValueError("no input is known for this model")
    for inputs in architecture.adapter.real_inputs(architecture):
        try:
            device = next(model.parameters()).device
            return inputs, trace(model, {k: v.to(device) for k, v in inputs.items()}, list(architecture.shapes))
        except Exception as error:  # a size that the model refuses, in whatever way: try the next
            failure = error
    raise failure


def _without_cache(model: torch.nn.Module) -> None:
    """Switch off the cache of a copy of a model: it is no output of the network, its axes are internal ones."""
    config: Any = getattr(model, "config", None)
    if hasattr(config, "use_cache"):
        config.use_cache = False


def _layout(architecture: Architecture, dims: Mapping[str, Dims]) -> Layout:
    """Name the axes by the first tensor and dimension that has them, so that two sizes of a model agree."""
    names: dict[Node, str] = {}
    where: dict[Node, set[str]] = {}
    for tensor, expressions in dims.items():
        for i, expression in enumerate(expressions):
            nodes = [node for term in expression for node in term if node.size != 1]
            for k, node in enumerate(nodes):
                names.setdefault(node, f"{tensor}.{i}" + (f".{k}" if len(nodes) > 1 else ""))
                where.setdefault(node, set()).add(tensor.rpartition(".")[0])

    def axis(node: Node) -> Axis:
        if not node.fixed:
            return Axis(f"derived:{names[node]}")
        # An axis that leads out of the network from one module only is that of its classes.
        return Axis(f"{'classes' if node.output and len(where[node]) == 1 else 'any'}:{names[node]}")

    one = Axis("one")
    sizes = {one: 1} | {axis(node): node.size for node in names}
    tensors = {}
    for tensor, expressions in dims.items():
        found = tuple(
            tuple(Term([axis(n) for n in term if n.size != 1] or [one]) for term in expression)
            for expression in expressions
        )
        tensors[tensor] = TensorAxes(found, _inputs(architecture, tensor), tensor, ())
    return Layout(FAMILY, tensors, dict(architecture.shapes), sizes)


def _inputs(architecture: Architecture, tensor: str) -> tuple[int, ...]:
    """Return the dimensions that a tensor's module sums over."""
    import torch

    owner, _, leaf = tensor.rpartition(".")
    if leaf != "weight":
        return ()
    module = architecture.model.get_submodule(owner)
    if isinstance(module, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d):
        return tuple(range(1, len(architecture.shapes[tensor])))
    return ()


def _proven(architecture: Architecture, inputs: Mapping[str, Any], layout: Layout) -> Layout | None:
    """Fix the axes under whose permutation the real network's output changes; None if none is left."""
    model = architecture.make() if architecture.make is not None else copy.deepcopy(architecture.model)
    if next(model.parameters()).is_meta:
        return None
    _without_cache(model)
    _fill(model)
    model = model.eval().double()
    # Tensors that the output does not depend on show nothing: their axes cannot be proven.
    silent = _silent(model, inputs, layout)
    free = sorted(a for a in layout.sizes if a.kind is Kind.FREE and a not in silent)
    spent = 0

    def holds(axes: list[Axis]) -> bool:
        nonlocal spent
        spent += 1
        return output_change(model, inputs, _only(layout, axes), spent) < TOLERANCE

    def passing(axes: list[Axis]) -> list[Axis]:
        if not axes or spent >= ATTEMPTS:
            return []
        if holds(axes):
            return axes
        middle = len(axes) // 2
        return [*passing(axes[:middle]), *passing(axes[middle:])] if middle else []

    kept = passing(free)
    if not kept or (len(kept) < len(free) and not holds(kept)):
        return None
    return _only(layout, kept)


def _fill(model: torch.nn.Module) -> None:
    """Fill a model with random values under which a deep network still carries its signal to the output."""
    import torch

    generator = torch.Generator().manual_seed(1)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            if value.dim() > 1:
                value.copy_(noise * (2 / max(value[0].numel(), 1)) ** 0.5)
            elif name.endswith("running_var"):
                value.copy_(0.7 + 0.3 * noise.abs())
            else:
                value.copy_(0.3 * noise + (1.0 if name.endswith("weight") else 0.0))


def _silent(model: torch.nn.Module, inputs: Mapping[str, Any], layout: Layout) -> set[Axis]:
    """Return the free axes with no tensor whose gradient shows that the output depends on it."""
    import torch

    from weightgen.models.proof import _tensors

    inputs = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    parameters = dict(model.named_parameters())
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    outputs = _tensors(model(**inputs))
    spread = torch.stack([o.detach().std() for o in outputs]).sum()
    total = torch.stack([(o * torch.randn_like(o)).sum() for o in outputs]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    heard: set[Axis] = set()
    for name, tensor in layout.tensors.items():
        value = parameters.get(name)
        if value is not None and value.grad is not None:
            effect = (value.grad * value.detach().std()).norm() if value.numel() > 1 else value.grad.norm()
            if effect > 100 * TOLERANCE * spread:
                heard |= {axis for dim in tensor.dims for term in dim for axis in term}
    for parameter in parameters.values():
        parameter.grad = None
    return {axis for axis in layout.sizes if axis.kind is Kind.FREE} - heard


def _only(layout: Layout, free: list[Axis]) -> Layout:
    """Return the layout with every other free axis fixed."""
    kept = set(free)

    def rename(axis: Axis) -> Axis:
        fixed = axis.kind is Kind.FREE and axis not in kept
        return Axis("any:" + axis.name.partition(":")[2]) if fixed else axis

    tensors = {
        name: replace(t, dims=tuple(tuple(Term(map(rename, term)) for term in dim) for dim in t.dims))
        for name, t in layout.tensors.items()
    }
    return replace(layout, tensors=tensors, sizes={rename(a): n for a, n in layout.sizes.items()})


def _compatible(source: Layout, target: Layout) -> bool:
    """Tell whether the target can be cut from the source along these axes, for most of its values."""
    covered = total = 0
    used: set[Axis] = set()
    for name, tensor in target.tensors.items():
        values = math.prod(target.shapes[name])
        total += values
        if name in source.tensors and source.tensors[name].dims == tensor.dims:
            covered += values
            used |= {axis for dim in tensor.dims for term in dim for axis in term}
    for axis, size in target.sizes.items():
        n = source.sizes.get(axis)
        if n is not None and n != size and (n < size or axis.kind is Kind.FIXED):
            return False
    return covered >= LEAST_COVERED * total
