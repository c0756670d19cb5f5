"""What the operations of a forward pass say about the axes of their tensors.

A rule takes an operation's arguments and outputs, ties axes that meet, and returns the axes of each output; None
says that nothing is known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from weightgen.models.indexing import IndexingRules
from weightgen.models.movement import Dims
from weightgen.models.unify import Expression, axis, fix, product, split, unify

# Operations that are not tagged as pointwise, but leave axes as they are.
SAME = re.compile(
    "clone|_to_copy|detach|alias|contiguous|lift_fresh|lift_fresh_copy|copy|_softmax|_safe_softmax|_log_softmax|native_dropout|dropout|"
    "positive|hardswish|hardsigmoid|hardtanh|relu6|leaky_relu|threshold"
)
REDUCTIONS = re.compile("mean|sum|amax|amin|max|min|var|std|var_mean|logsumexp|prod|any|all")
POOLS = re.compile("max_pool|avg_pool|upsample|reflection_pad|replication_pad")
SHAPES = re.compile("view|_unsafe_view|reshape|squeeze|unsqueeze|flatten|unflatten|_reshape_alias|view_copy")
ASKED = re.compile("equal|is_nonzero|_local_scalar_dense|is_same_size|item")  # answers that are no tensors
NEW = re.compile("(new_)?(zeros|ones|full|empty)(_like)?")


class Rules(IndexingRules):
    """Rules of the operations that compute, and the choice of the rule for an operation."""

    def rule(self, name: str, func: Any) -> Callable[..., list[Dims] | None] | None:
        """Return what an operation says about axes, or None where nothing is known about it."""
        own = getattr(self, f"_op_{name.strip('_')}", None)
        if own is not None:
            return own  # type: ignore[no-any-return]
        if torch.Tag.pointwise in func.tags or SAME.fullmatch(name):
            return self._pointwise
        for names, rule in ((REDUCTIONS, self._reduce), (SHAPES, self._reshape)):
            if names.fullmatch(name):
                return rule
        if POOLS.search(name):
            return self._pool
        if name.startswith("_scaled_dot_product"):
            return self._attention
        if NEW.fullmatch(name):
            return lambda args, kwargs, outs: [[axis(n) for n in o.shape] for o in outs]
        if ASKED.fullmatch(name):
            return lambda args, kwargs, outs: [[] for _ in outs]
        return None

    def _pointwise(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensors = [t for t in leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        shape = outs[0].shape
        result: Dims = [axis(1) for _ in shape]
        for tensor in tensors:
            offset = len(shape) - tensor.dim()
            for i, dim in enumerate(self.dims(tensor)):
                if tensor.shape[i] == 1:
                    continue
                result[offset + i] = dim if size_is_one(result[offset + i]) else unify(result[offset + i], dim)
        return [result for _ in outs]

    def _reduce(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensor = args[0]
        dims = self.dims(tensor)
        if outs[0].dim() == 0:
            return [[] for _ in outs]
        over = next((a for a in args[1:] if isinstance(a, (list, tuple)) or (type(a) is int)), kwargs.get("dim"))
        over = [over] if isinstance(over, int) else list(over or range(tensor.dim()))
        gone = {d % tensor.dim() for d in over}
        if outs[0].dim() == tensor.dim():
            kept = [axis(1) if i in gone else d for i, d in enumerate(dims)]
        else:
            kept = [d for i, d in enumerate(dims) if i not in gone]
        return [kept for _ in outs]

    def _op_linalg_vector_norm(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        over = args[2] if len(args) > 2 else kwargs.get("dim")
        return self._reduce((args[0], list(over or range(args[0].dim()))), {}, outs)

    def _op_mm(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        a, b = self.dims(args[0]), self.dims(args[1])
        unify(a[-1], b[-2])
        batch = [unify(x, y) for x, y in zip(a[:-2], b[:-2], strict=True)]
        return [[*batch, a[-2], b[-1]]]

    _op_bmm = _op_mm

    def _op_addmm(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        (result,) = self._op_mm(args[1:3], {}, outs)
        bias = self.dims(args[0])
        for own, other in zip(reversed(result), reversed(bias), strict=False):
            if not size_is_one(other):
                unify(own, other)
        return [result]

    _op_baddbmm = _op_addmm

    def _op_convolution(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        image, weight, bias = args[:3]
        transposed, groups = args[6], args[8]
        x, w = self.dims(image), self.dims(weight)
        for kernel in w[2:]:
            fix(kernel)
        into, out = (w[0], w[1]) if transposed else (w[1], w[0])
        if groups == 1:
            unify(x[1], into)
        elif transposed:
            for mixed in (x[1], into, out):
                fix(mixed)
            out = axis(outs[0].shape[1], fixed=True)
        else:
            group = axis(groups)
            unify(x[1], product([group, into]))
            unify(out, product([group, axis(weight.shape[0] // groups)]))
        if bias is not None:
            unify(out, self.dims(bias)[0])
        return [[x[0], out, *(axis(n, True) for n in outs[0].shape[2:])]]

    def _channels(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        x = self.dims(args[0])
        for tensor in args[1:]:
            if isinstance(tensor, torch.Tensor):
                unify(x[1], self.dims(tensor)[0])
        return [x, *([axis(n) for n in o.shape] for o in outs[1:])]

    _op_native_batch_norm = _op_batch_norm = _op_cudnn_batch_norm = _op_prelu_kernel = _channels
    _op_native_batch_norm_legit_no_training = _op_native_batch_norm_legit = _op_batch_norm_with_update = _channels

    def _op_native_group_norm(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        x = self.dims(args[0])
        split(x[1], args[0].shape[1] // args[6])
        return self._channels(args[:3], kwargs, outs)

    def _op_native_layer_norm(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        x = self.dims(args[0])
        for tensor in args[2:4]:
            if tensor is not None:
                for own, other in zip(reversed(x), reversed(self.dims(tensor)), strict=False):
                    unify(own, other)
        return [x]

    def _op_fused_rms_norm(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        return self._op_native_layer_norm((args[0], None, args[2], None), kwargs, outs)

    def _pool(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        x = self.dims(args[0])
        kept = [d if n == o else axis(o, True) for d, n, o in zip(x, args[0].shape, outs[0].shape, strict=True)]
        spatial = args[0].dim() - 2
        for d in x[2:] if spatial > 0 else x:
            fix(d)
        return [kept for _ in outs]

    def _attention(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        q, k, v = map(self.dims, args[:3])
        for a, b in ((q[0], k[0]), (q[1], k[1]), (k[0], v[0]), (k[1], v[1]), (k[2], v[2]), (q[3], k[3])):
            unify(a, b)
        masks = [t for t in leaves((args[3:], kwargs)) if isinstance(t, torch.Tensor)]
        for mask in masks:
            for own, other in zip((q[0], q[1], q[2], k[2])[-mask.dim() :], self.dims(mask), strict=False):
                if not size_is_one(other):
                    unify(own, other)
        return [[q[0], q[1], q[2], v[3]]]


def size_is_one(dim: Expression) -> bool:
    """Tell whether a dimension holds one entry, and so broadcasts."""
    return all(math.prod(node.size for node in term) == 1 for term in dim) and len(dim) == 1


def leaves(value: Any) -> list[Any]:
    """Return what nested lists, tuples and mappings hold."""
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in leaves(part)]
    if isinstance(value, Mapping):
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [value]
