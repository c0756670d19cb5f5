"""Watching a forward pass, operation by operation, to learn which dimensions of its tensors are the same axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from weightgen.models.unify import Expression, axis, cut, fix, mark_output, product, resolve, split, unify

Dims = list[Expression]

SAME = [
    "clone",
    "_to_copy",
    "detach",
    "alias",
    "contiguous",
    "lift_fresh",
    "lift_fresh_copy",
    "copy",
    "_softmax",
    "_log_softmax",
    "native_dropout",
    "dropout",
    "bernoulli",
    "pin_memory",
    "positive",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "relu6",
    "leaky_relu",
    "threshold",
]
REDUCTIONS = [
    "mean",
    "sum",
    "amax",
    "amin",
    "max",
    "min",
    "var",
    "std",
    "var_mean",
    "linalg_vector_norm",
    "norm",
    "logsumexp",
    "prod",
    "any",
    "all",
    "argmax",
]
POOLS = [
    "max_pool",
    "avg_pool",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "upsample",
    "reflection_pad",
    "replication_pad",
]
SHAPES = [
    "view",
    "_unsafe_view",
    "reshape",
    "squeeze",
    "unsqueeze",
    "flatten",
    "unflatten",
    "_reshape_alias",
    "view_copy",
]


class AxisTracer(TorchDispatchMode):
    """A dispatch mode that keeps an axis expression for every dimension of every tensor it sees."""

    def __init__(self) -> None:
        super().__init__()
        # The tensor is kept beside its dimensions: ids are reused once a tensor is gone.
        self._known: dict[int, tuple[torch.Tensor, Dims]] = {}

    def track(self, tensor: torch.Tensor, fixed: bool) -> None:
        """Give a tensor new axes, unless it has some (tied parameters are one tensor)."""
        if id(tensor) not in self._known:
            self.assign(tensor, [axis(n, fixed) for n in tensor.shape])

    def assign(self, tensor: torch.Tensor, dims: Dims) -> None:
        """Say what the axes of a tensor are."""
        self._known[id(tensor)] = (tensor, dims)

    def dims(self, tensor: torch.Tensor) -> Dims:
        """Return the axes of a tensor; one that nobody tracked is a constant, so that its axes are fixed."""
        self.track(tensor, fixed=True)
        return self._known[id(tensor)][1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note which axes it ties."""
        kwargs = kwargs or {}
        tensors = [t for t in _flatten((args, kwargs)) if isinstance(t, torch.Tensor)]
        before = [self.dims(t) for t in tensors]
        result = func(*args, **kwargs)
        outputs = [t for t in _flatten(result) if isinstance(t, torch.Tensor)]
        name = func._schema.name.partition("::")[2]
        base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        rule = self._rule(base, func)
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
        return result

    def _rule(self, name: str, func: Any) -> Callable[..., list[Dims] | None] | None:
        own = getattr(self, f"_op_{name.strip('_')}", None)
        if own is not None:
            return own  # type: ignore[no-any-return]
        if torch.Tag.pointwise in func.tags or name in SAME:
            return self._pointwise
        for names, rule in ((REDUCTIONS, self._reduce), (SHAPES, self._reshape)):
            if name in names:
                return rule
        if any(pool in name for pool in POOLS):
            return self._pool
        if name.startswith("_scaled_dot_product"):
            return self._attention
        if name in ("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_empty", "zeros_like", "ones_like"):
            return lambda args, kwargs, outs: [[axis(n) for n in o.shape] for o in outs]
        return None

    def _pointwise(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensors = [t for t in _flatten((args, kwargs)) if isinstance(t, torch.Tensor)]
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
        if args[1:] and "norm" in str(kwargs):
            return [[axis(n, True) for n in o.shape] for o in outs]
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

    def _reshape(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensor, shape = args[0], outs[0].shape
        dims = self.dims(tensor)
        result: Dims = []
        i = j = 0
        while i < tensor.dim() or j < len(shape):
            i0, j0 = i, j
            left = right = 1
            # The smallest runs of dimensions, on both sides, that hold the same number of entries.
            while (i == i0 and j == j0) or left != right:
                if (left <= right and i < tensor.dim()) or j >= len(shape):
                    left *= tensor.shape[i]
                    i += 1
                else:
                    right *= shape[j]
                    j += 1
            whole = product(dims[i0:i])
            parts: Dims = []
            for size in reversed(shape[j0 + 1 : j]):
                whole, fast = split(whole, size)
                parts.append(fast)
            if j > j0:
                result += [whole, *reversed(parts)]
        return [result]

    def _op_permute(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        return [[dims[d] for d in args[1]]]

    def _op_transpose(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = list(self.dims(args[0]))
        a, b = args[1:3]
        dims[a], dims[b] = dims[b], dims[a]
        return [dims]

    def _op_t(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        return [self.dims(args[0])[::-1]]

    def _op_expand(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims, shape = self.dims(args[0]), args[0].shape
        offset = outs[0].dim() - len(shape)
        return [
            [
                dims[i - offset] if i >= offset and shape[i - offset] == n else axis(n)
                for i, n in enumerate(outs[0].shape)
            ]
        ]

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
            fix(x[1]), fix(into), fix(out)
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

    def _op_constant_pad_nd(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = list(self.dims(args[0]))
        for i in range(len(args[1]) // 2):
            before, after = args[1][2 * i : 2 * i + 2]
            d = len(result) - 1 - i
            result[d] = cut(result[d], -before if before < 0 else 0, args[0].shape[d] + min(after, 0))
            # Padding of zeros extends an axis by entries of its own.
            result[d] = (*(axis(before) if before > 0 else ()), *result[d], *(axis(after) if after > 0 else ()))
        return [result]

    def _op_cat(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensors = [t for t in args[0] if t.numel()]
        at = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % outs[0].dim()
        result = list(self.dims(tensors[0]))
        for tensor in tensors[1:]:
            for i, dim in enumerate(self.dims(tensor)):
                result[i] = (*resolve(result[i]), *resolve(dim)) if i == at else unify(result[i], dim)
        return [result]

    def _op_stack(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = list(self.dims(args[0][0]))
        for tensor in args[0][1:]:
            result = [unify(a, b) for a, b in zip(result, self.dims(tensor), strict=True)]
        at = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % outs[0].dim()
        result.insert(at, axis(len(args[0]), True))
        return [result]

    def _op_split_with_sizes(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        dims = self.dims(args[0])
        at = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % len(dims)
        found, start = [], 0
        for out in outs:
            stop = start + out.shape[at]
            found.append([*dims[:at], cut(dims[at], start, stop), *dims[at + 1 :]])
            start = stop
        return found

    _op_split = _op_chunk = _op_split_with_sizes

    def _op_slice(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        tensor, at, start, _, step = (*args, *(None,) * 5)[:5]
        at = at or 0
        result = list(self.dims(tensor))
        n, kept = tensor.shape[at], outs[0].shape[at]
        if step not in (None, 1):
            fix(result[at])
            result[at] = axis(kept, True)
        elif kept != n:
            first = max((start or 0) + (n if (start or 0) < 0 else 0), 0)
            result[at] = cut(result[at], first, first + kept)
        return [result]

    def _op_select(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = list(self.dims(args[0]))
        fix(result.pop(args[1] % len(result)))
        return [result]

    def _op_unbind(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = list(self.dims(args[0]))
        fix(result.pop((args[1] if len(args) > 1 else 0) % len(result)))
        return [result for _ in outs]

    def _op_roll(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        result = self.dims(args[0])
        for at in args[2] if len(args) > 2 else range(len(result)):
            fix(result[at])
        return [result]

    def _op_flip(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        return self._op_roll((args[0], None, args[1]), kwargs, outs)

    def _op_embedding(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        table = self.dims(args[0])
        fix(table[0])
        return [[*self.dims(args[1]), table[1]]]

    def _op_index(self, args: Any, kwargs: Any, outs: Any) -> list[Dims] | None:
        used = [i for i, index in enumerate(args[1]) if index is not None]
        if len(used) != 1:
            return None
        dims = self.dims(args[0])
        fix(dims[used[0]])
        middle = [axis(n, True) for n in args[1][used[0]].shape]
        return [[*dims[: used[0]], *middle, *dims[used[0] + 1 :]]]

    def _attention(self, args: Any, kwargs: Any, outs: Any) -> list[Dims]:
        q, k, v = map(self.dims, args[:3])
        for a, b in ((q[0], k[0]), (q[1], k[1]), (k[0], v[0]), (k[1], v[1]), (k[2], v[2]), (q[3], k[3])):
            unify(a, b)
        masks = [t for t in _flatten((args[3:], kwargs)) if isinstance(t, torch.Tensor)]
        for mask in masks:
            for own, other in zip((q[0], q[1], q[2], k[2])[-mask.dim() :], self.dims(mask), strict=False):
                if not size_is_one(other):
                    unify(own, other)
        return [[q[0], q[1], q[2], v[3]]]


def size_is_one(dim: Expression) -> bool:
    """Tell whether a dimension holds one entry, and so broadcasts."""
    return all(math.prod(node.size for node in term) == 1 for term in dim) and len(dim) == 1


def _flatten(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in _flatten(part)]
    if isinstance(value, Mapping):
        return [leaf for part in value.values() for leaf in _flatten(part)]
    return [value]


def trace(model: torch.nn.Module, inputs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Dims]:
    """Run a model once and return the axes of the named tensors of its state dict."""
    state = model.state_dict(keep_vars=True)
    tracer = AxisTracer()
    for value in inputs.values():
        if isinstance(value, torch.Tensor):
            tracer.track(value, fixed=True)
    for tensor in state.values():
        tracer.track(tensor, fixed=False)
    with torch.no_grad(), tracer:
        output = model(**inputs)
    for tensor in _flatten(output):
        if isinstance(tensor, torch.Tensor):
            for dim in tracer.dims(tensor):
                mark_output(dim)
    return {name: [resolve(d) for d in tracer.dims(state[name])] for name in names}
