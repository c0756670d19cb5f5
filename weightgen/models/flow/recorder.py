"""What each call in a forward pass is, as a step of the flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from weightgen.models.flow.activation import FUNCTIONS, Activation, is_activation
from weightgen.models.flow.graph import Flow, Op, Step
from weightgen.models.norms import is_norm

# By the names of torch's functions and methods, without the underscores around them.
FORWARD = ("linear", "conv1d", "conv2d", "conv3d")
TRANSPOSED = ("addmm", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "baddbmm")
PRODUCTS = ("matmul", "mm", "bmm", "grouped_mm")
SUMS = ("add", "iadd", "radd", "sub", "isub", "rsub", "addcmul", "lerp")
FACTORS = ("mul", "imul", "rmul", "multiply")
MIXES = (*PRODUCTS, "einsum", "baddbmm", "scaled_dot_product_attention")
NORMS = ("layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm", "normalize", "softmax")
TURNS = ("t", "T", "mT", "transpose", "swapaxes", "permute", "movedim")
FACTS = ("size", "dim", "numel", "shape", "dtype", "device", "ndim", "is_floating_point", "is_cuda", "requires_grad")
"""What tells of a tensor and not its values."""


@dataclass(frozen=True)
class Weight:
    """A parameter, or what was made of parameters alone."""

    name: str
    rank: int
    direct: bool = True
    """Whether its dimensions are in the order in which it is stored."""
    made: bool = False
    """Whether several parameters are in it."""


Value = int | Weight | None
"""Where a tensor comes from: a step, parameters alone, or neither (a constant)."""


class Recorder:
    """Collects the steps of one forward pass."""

    def __init__(self) -> None:
        self.flow = Flow()

    def input(self) -> int:
        """Add an input of the network."""
        return self._add(Step("input"))

    def module(self, module: nn.Module, reads: Sequence[Value], own: Mapping[str, Weight]) -> Value:
        """Add a module that is a single step: an activation, a norm or attention; `own` are its weights by name.

        What reads no step is a constant, and adds none.
        """
        read = tuple(v for v in reads if isinstance(v, int))
        name = type(module).__name__
        if isinstance(module, nn.MultiheadAttention):
            return self._attention(read, own)
        if not read:
            return None
        if not is_norm(module):
            return self._add(Step("activation", read, activation=module, name=name))
        weight = own.get("weight")
        step = self._add(Step("norm", read, weight.name if weight else "", name=name))
        for child in module.children():
            if is_activation(child):  # normalisation and activation in one, as timm has them
                step = self._add(Step("activation", (step,), activation=child, name=type(child).__name__))
        return step

    def layer(
        self,
        reads: Sequence[Value],
        weight: Weight,
        bias: Weight | None = None,
        transposed: bool = False,
        convolution: bool = False,
        groups: int = 1,
        fused: int = 1,
    ) -> int:
        """Add a layer."""
        read = tuple(v for v in reads if isinstance(v, int))
        name = bias.name if bias else ""
        return self._add(Step("layer", read, weight.name, name, transposed, groups, convolution, fused, weight.made))

    def call(self, name: str, operands: Sequence[Value], f: Activation | None = None, groups: int = 1) -> Value:
        """Add what a function or method of torch does to its operands, in the order of its arguments."""
        name = name.strip("_")
        read = tuple(v for v in operands if isinstance(v, int))
        weights = [v for v in operands if isinstance(v, Weight)]
        if name in FACTS or not (read or weights):
            return None
        if name == "embedding" and weights:
            return self._add(Step("embedding", read, weights[-1].name))
        if name in FORWARD and not read and len(operands) > 1 and isinstance(operands[1], Weight):
            # What it reads are constants or parameters: relative positions, or the question of a pool.
            bias = operands[2] if len(operands) > 2 and isinstance(operands[2], Weight) else None
            return self.layer((), operands[1], bias, False, name != "linear", groups)
        if not read:
            first = max(weights, key=lambda w: w.rank)
            made = first.made or len({w.name for w in weights}) > 1
            return Weight(first.name, first.rank, first.direct != (name in TURNS), made)
        matrix = max(weights, key=lambda w: w.rank, default=None)
        if matrix is not None and matrix.rank > 1 and name in (*FORWARD, *TRANSPOSED, *PRODUCTS):
            bias = next((w for w in weights if w is not matrix and w.rank == 1), None)
            on_the_left = name in PRODUCTS and operands.index(matrix) < operands.index(read[0])
            turned = (name in FORWARD or on_the_left) != matrix.direct
            return self.layer(read, matrix, bias, turned, name.startswith("conv"), groups)
        if name in FUNCTIONS:
            return self._add(Step("activation", read, activation=f, name=name))
        if name.lower() in NORMS:  # torch.nn.Softmax is one, too
            return self._add(Step("norm", read, weights[0].name if weights else "", name=name))
        op: Op = "pass"
        if len(read) > 1:
            op = "add" if name in SUMS else "mul" if name in FACTORS else "mix" if name in MIXES else "pass"
        return self._add(Step(op, read, name=name))

    def _attention(self, reads: Sequence[Value], own: Mapping[str, Weight]) -> int:
        bias = own.get("in_proj_bias")
        if "in_proj_weight" in own:
            inner = [self.layer(reads, own["in_proj_weight"], bias, fused=3)]
        else:
            inner = [self.layer(reads, own[f"{part}_proj_weight"], bias) for part in "qkv"]
        return self.layer([self._add(Step("mix", tuple(inner)))], own["out_proj.weight"], own.get("out_proj.bias"))

    def _add(self, step: Step) -> int:
        self.flow.steps.append(step)
        return len(self.flow.steps) - 1


def is_single(module: nn.Module) -> bool:
    """Tell whether `Recorder.module` takes a module as a single step."""
    return isinstance(module, nn.MultiheadAttention) or is_norm(module) or is_activation(module)
