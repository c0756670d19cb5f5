"""Axes of architectures that have no table: learnt from one forward pass, accepted only if proven.

The pass is watched on the meta device (`trace.py`), which gives a guess. Then the real network is built on the CPU with
random values, every axis believed to be free is permuted, and axes under which the output changes are fixed. An
axis counts as proven only if the output depends on its tensors, since a dead branch would pass any proof.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weightgen.errors import CoverageError, printable
from weightgen.models.axes import Axis, Dim, Kind, Term
from weightgen.models.layout import Family, Layout, TensorAxes
from weightgen.models.proof import output_change

if TYPE_CHECKING:
    import torch

    from weightgen.models.architecture import Architecture
    from weightgen.models.movement import Dims
    from weightgen.models.trace import Traced
    from weightgen.models.unify import Node

FAMILY = Family(name="derived axes", table={})
LARGEST = 200_000_000
"""Parameters of the largest model whose axes are derived: the proof runs it in double precision."""
TOLERANCE = 1e-9
ATTEMPTS = 24
"""Forward passes spent on finding out which of the axes are not free."""
LEAST_COVERED = 0.8
"""Share of the target's values that must find their source tensor with the same axes."""


def derive_pair(source: Architecture, target: Architecture) -> tuple[Layout, Layout]:
    """Return proven axes for two sizes of one architecture; raises CoverageError that says why they cannot be had."""
    if source.library != target.library or source.kind != target.kind:
        raise CoverageError(f"{target.kind} cannot be cut out of {source.kind} along axes that are not written down")
    smaller, larger = (_derived(side) for side in (target, source))
    # An axis that could be proven on one side only is fixed on both.
    free = [{a for a in layout.sizes if a.kind is Kind.FREE} for layout in (larger, smaller)]
    fixed = {a.name.partition(":")[2] for layout in (larger, smaller) for a in layout.sizes if a.kind is Kind.FIXED}
    larger, smaller = (
        _only(layout, [a for a in own if a.name.partition(":")[2] not in fixed])
        for layout, own in zip((larger, smaller), free, strict=True)
    )
    _check_compatible(larger, smaller)
    return larger, smaller


def _derived(architecture: Architecture) -> Layout:
    """Return proven axes; raises CoverageError whatever the model raises, since models are arbitrary code."""
    try:
        found = derive(architecture)
    except CoverageError:
        raise
    except Exception as error:
        first = printable((str(error).splitlines() or [""])[0], 120)
        raise CoverageError(f"{architecture.kind} could not be tried out: {type(error).__name__}: {first}") from error
    if found is None:
        raise CoverageError(f"no axis of {architecture.kind} could be proven free")
    return found


def derive(architecture: Architecture) -> Layout | None:
    """Return the proven axes of one model, or None where nothing about it can be proven.

    Raises CoverageError for a model that is too large, and what the model itself raises.
    """
    import torch

    count = sum(math.prod(s) for s in architecture.shapes.values())
    if count > LARGEST:
        raise CoverageError(
            f"{architecture.kind} has {count:,} parameters; axes are derived for models of up to {LARGEST:,}"
        )
    with torch.random.fork_rng(devices=[]):
        model = _runnable(architecture)
        if model is None:
            return None
        inputs, traced = _guess(architecture, model)
        layout, outputs = _layout(architecture, traced)
        if not any(axis.kind is Kind.FREE for axis in layout.sizes):
            return None
        return _proven(model, inputs, layout, outputs)


def _runnable(architecture: Architecture) -> torch.nn.Module | None:
    """Return a copy of a model on the CPU, with random values in double precision; None where it has no values."""
    model = architecture.make() if architecture.make is not None else copy.deepcopy(architecture.model)
    if next(model.parameters()).is_meta:
        return None
    from weightgen.models.exact import plainly

    plainly(model)
    _fill(model)
    return model.eval().double()


def _guess(architecture: Architecture, model: torch.nn.Module) -> tuple[dict[str, Any], Traced]:
    """Trace the model on the smallest input that it accepts."""
    from weightgen.models.trace import trace

    failure: Exception = ValueError("no input is known for this model")
    for inputs in architecture.adapter.real_inputs(architecture):
        wide = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
        try:
            return wide, trace(model, wide, list(architecture.shapes))
        except Exception as error:  # a size that the model refuses, in whatever way: try the next
            failure = error
    raise failure


def _layout(architecture: Architecture, traced: Traced) -> tuple[Layout, list[tuple[Dim, ...]]]:
    """Name the axes by the first tensor and dimension that has them, so that two sizes of a model agree.

    Returns what the outputs are laid out along, too.
    """
    dims = traced.tensors
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

    def laid_out(expressions: Dims) -> tuple[Dim, ...]:
        return tuple(
            tuple(Term([axis(n) for n in term if n.size != 1] or [one]) for term in expression)
            for expression in expressions
        )

    tensors = {
        tensor: TensorAxes(laid_out(expressions), _inputs(architecture, tensor), tensor, ())
        for tensor, expressions in dims.items()
    }
    outputs = []
    for expressions in traced.outputs:
        for node in [n for expression in expressions for term in expression for n in term]:
            if node not in names and node.size != 1:  # of the input alone
                names[node], where[node], node.fixed = f"output.{len(names)}", set(), True
                sizes[axis(node)] = node.size
        outputs.append(laid_out(expressions))
    return Layout(FAMILY, tensors, dict(architecture.shapes), sizes), outputs


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


def _proven(
    model: torch.nn.Module, inputs: Mapping[str, Any], layout: Layout, outputs: list[tuple[Dim, ...]]
) -> Layout | None:
    """Fix the axes under whose permutation the real network's output changes; None if none is left."""
    from weightgen.models.exact import exactly

    # Tensors that the output does not depend on show nothing: their axes cannot be proven.
    silent = _silent(model, inputs, layout)
    free = sorted(a for a in layout.sizes if a.kind is Kind.FREE and a not in silent)
    spent = 0

    def holds(axes: list[Axis]) -> bool:
        nonlocal spent
        spent += 1
        with exactly():
            return output_change(model, inputs, _only(layout, axes), spent, laid_out=_kept(outputs, axes)) < TOLERANCE

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
    return replace(_only(layout, [*kept, *silent]), unexercised=frozenset(silent))


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

    from weightgen.models.exact import exactly, outputs_of

    parameters = dict(model.named_parameters())
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    with exactly():
        outputs, _ = outputs_of(model(**inputs))
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


def _kept(outputs: list[tuple[Dim, ...]], free: list[Axis]) -> list[tuple[Dim, ...]]:
    """Return what outputs are laid out along, with every other free axis fixed."""
    rename = _fixing(free)
    return [tuple(tuple(Term(map(rename, term)) for term in dim) for dim in dims) for dims in outputs]


def _fixing(free: list[Axis]) -> Callable[[Axis], Axis]:
    """Return what renames every other free axis to a fixed one."""
    kept = set(free)
    return lambda a: Axis("any:" + a.name.partition(":")[2]) if a.kind is Kind.FREE and a not in kept else a


def _only(layout: Layout, free: list[Axis]) -> Layout:
    """Return the layout with every other free axis fixed."""
    rename = _fixing(free)
    tensors = {
        name: replace(t, dims=tuple(tuple(Term(map(rename, term)) for term in dim) for dim in t.dims))
        for name, t in layout.tensors.items()
    }
    return replace(layout, tensors=tensors, sizes={rename(a): n for a, n in layout.sizes.items()})


def _check_compatible(source: Layout, target: Layout) -> None:
    """Raise CoverageError unless the target can be cut from the source along these axes, for most of its values."""
    covered = total = 0
    for name, tensor in target.tensors.items():
        values = math.prod(target.shapes[name])
        total += values
        if name in source.tensors and source.tensors[name].dims == tensor.dims:
            covered += values
    for axis, size in target.sizes.items():
        n = source.sizes.get(axis)
        if n is not None and n != size and (n < size or axis.kind is Kind.FIXED):
            where = axis.name.partition(":")[2]
            wrong = "the source is smaller" if n < size else "its order may matter"
            raise CoverageError(f"{printable(where, 60)}: {n} -> {size}, but {wrong}: it was not proven free")
    if covered < LEAST_COVERED * total:
        raise CoverageError(f"only {covered / total:.0%} of the target's values lie along the same axes in the source")
