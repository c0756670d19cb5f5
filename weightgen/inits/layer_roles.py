"""What each layer is for: from where it stands in the flow of the signal, or from its order where that is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from weightgen.inits.activations import ACTIVATIONS, Activation
from weightgen.inits.fused import fused_rows
from weightgen.inits.role import Kind, Role
from weightgen.models.axes import Kind as AxisKind
from weightgen.models.flow import Flow
from weightgen.models.flow.activation import PROBE
from weightgen.models.flow.branches import Structure, find_structure
from weightgen.models.flow.signal import Signals, fed_by, normed_by, read_by
from weightgen.models.layout import Layout, TensorAxes


def layer_roles(
    flow: Flow, shapes: Mapping[str, tuple[int, ...]], layout: Layout | None
) -> tuple[dict[str, Role], dict[str, Activation]]:
    """Return the role of each layer by the name of its weight, and the activations that `ACTIVATIONS` does not have.

    A layer that is used several times has the role of its first use.
    """
    structure, readers, names = find_structure(flow), flow.readers(), _Names()
    places = {n: (i, place) for i, branch in enumerate(structure.branches) for n, place in branch.places.items()}
    axes = {tensor.name: tensor for tensor in layout.tensors.values()} if layout is not None else {}
    way = _Way(flow, structure)
    found: dict[str, Role] = {}
    for number, step in enumerate(flow.steps):
        if step.op != "layer" or step.tensor in found:
            continue
        line, shape = axes.get(step.tensor), shapes[step.tensor]
        feeds = fed_by(flow, number, readers)
        kind, note = way.kind(number, feeds, line)
        readable = not step.made and not (step.transposed and step.groups > 1)
        if not readable:
            kind, note = "other", "made of others" if step.made else "grouped transposed convolution"
        branch, place = places.get(number, (None, 0)) if kind in ("hidden", "branch-end") else (None, 0)
        found[step.tensor] = Role(
            step.tensor,
            kind,
            is_layer=readable,
            bias=step.bias or None,
            branch=branch,
            place=place,
            layers=structure.branches[branch].length if branch is not None else 0,
            reads=names.of(read_by(flow, number, structure.gated)),
            feeds=names.of(feeds),
            norm=normed_by(flow, number, readers) or None,
            transposed=step.transposed,
            stacked=len(shape) == 3 and not step.convolution,
            groups=step.groups,
            parts=_parts(line, layout, shape, step.fused),
            note=note,
        )
    return found, names.own


def layers_in_order(model: nn.Module) -> dict[str, Role]:
    """Return roles by the order of modules alone: the first is the stem, the last the head."""
    found = []
    for name, module in model.named_modules():
        turned = type(module).__name__ == "Conv1D"  # transformers' linear layer of GPT-2
        linear = isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
        if (linear or turned) and "weight" in module._parameters:
            weight, bias = (f"{name}.{leaf}" if name else leaf for leaf in ("weight", "bias"))
            has_bias = module._parameters.get("bias") is not None
            groups = int(getattr(module, "groups", 1))
            found.append(Role(weight, "hidden", True, bias if has_bias else None, transposed=turned, groups=groups))
    if found:
        found[0] = replace(found[0], kind="stem")
        found[-1] = replace(found[-1], kind="head")
    return {role.tensor: role for role in found}


class _Way:
    """What comes before and after each step on the way through the network."""

    def __init__(self, flow: Flow, structure: Structure) -> None:
        steps, count = flow.steps, len(flow.steps)
        inside = {n for branch in structure.branches for n in branch.places}
        aside = structure.gates
        self.structure = structure
        self.signal, self.after_layer, self.after_branch = ([False] * count for _ in range(3))
        for n, step in enumerate(steps):
            self.signal[n] = step.op in ("input", "embedding") or any(self.signal[i] for i in step.inputs)
            self.after_layer[n] = any(self.after_layer[i] or steps[i].op == "layer" for i in step.inputs)
            self.after_branch[n] = any(self.after_branch[i] or i in inside for i in step.inputs)
        self.before_layer, self.before_branch = [False] * count, [False] * count
        for n in range(count - 1, -1, -1):
            for i in steps[n].inputs:
                self.before_layer[i] |= self.before_layer[n] or (steps[n].op == "layer" and n not in aside)
                self.before_branch[i] |= self.before_branch[n] or n in inside

    def kind(self, number: int, feeds: Signals, line: TensorAxes | None) -> tuple[Kind, str]:
        """Return what a layer is, and for one that is not on the way what it is instead."""
        structure = self.structure
        if number in structure.gates:
            return "other", "gate or router"
        if not self.signal[number]:
            return "other", "does not read the network's input"
        if number in structure.ends:
            return "branch-end", ""
        if any(number in branch.places for branch in structure.branches):
            return "hidden", ""
        if number in structure.shortcuts or (self.after_branch[number] and self.before_branch[number]):
            return "shortcut", ""
        # The last layer of an encoder without a head projects: an activation follows, or the table has a free axis.
        projects = any(feeds) or (line is not None and any(a.kind is AxisKind.FREE for t in line.dims[0] for a in t))
        if not self.before_layer[number] and not projects:
            return "head", ""
        return ("hidden" if self.after_layer[number] else "stem"), ""


class _Names:
    """Names for activations, by their values."""

    def __init__(self) -> None:
        self.own: dict[str, Activation] = {}
        self.known = {name: _values(f) for name, f in ACTIVATIONS.items()}

    def of(self, signals: Signals) -> str | None:
        """Return the one name of all the signals, or None where there are several."""
        names = {"identity" if f is None else self.name(f) for f in signals}
        return names.pop() if len(names) == 1 else None

    def name(self, f: Activation) -> str:
        """Return the name of the known activation that has the same values, or else the function's own."""
        values = _values(f)
        for name, known in self.known.items():
            if values is not None and known is not None and torch.allclose(values, known, atol=1e-6):
                return name
        called = getattr(f, "func", f)
        name = str(getattr(called, "__name__", type(called).__name__)).lower()
        if values is not None:
            self.own[name] = f
        return name


def _values(f: Activation) -> torch.Tensor | None:
    try:
        with torch.no_grad():
            values = f(torch.tensor(PROBE, dtype=torch.float64))
    except Exception:  # an activation with weights of its own, say
        return None
    return values if isinstance(values, torch.Tensor) and values.shape == (len(PROBE),) else None


def _parts(
    line: TensorAxes | None, layout: Layout | None, shape: tuple[int, ...], fused: int
) -> tuple[Sequence[int], ...]:
    if line is not None and layout is not None:
        return fused_rows(line, layout)
    size = shape[0] // fused
    return tuple(range(i * size, (i + 1) * size) for i in range(fused)) if fused > 1 else ()
