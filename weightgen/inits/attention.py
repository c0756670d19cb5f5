"""Where the queries, keys, values and projections of self-attention are stored, by a model's axis table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import nn

from weightgen.errors import CoverageError
from weightgen.models.axes import Axis, Term
from weightgen.models.layout import Layout
from weightgen.models.libraries import described


@dataclass(frozen=True)
class Part:
    """Rows of a weight (out, in)."""

    tensor: str
    start: int
    stop: int


@dataclass(frozen=True)
class Attention:
    """One layer of self-attention in which every head has its own query, key and value."""

    query: Part
    key: Part
    """Tables do not tell queries from keys, nor need they be told: their product's transpose is of the same kind."""
    value: Part
    projection: str
    """Weight (width, inner) from the heads back to the stream."""
    heads: int
    width: int
    """Of the residual stream."""

    @property
    def tensors(self) -> list[str]:
        """Names of its weights, each once."""
        return list(dict.fromkeys([self.query.tensor, self.key.tensor, self.value.tensor, self.projection]))


def attentions(model: nn.Module) -> list[Attention]:
    """Return the self-attention of a model of a family that has a table, or torch's own in any other, in order.

    Left out are queries and keys that turn with their position, groups of queries that share a key, heads that
    alternate in one tensor, gated values, cross-attention and attention pools.

    >>> attentions(nn.TransformerEncoderLayer(6, 2))[0].projection
    'self_attn.out_proj.weight'
    """
    try:
        layout = described(model).layout()
    except CoverageError:  # a variant that its family's table does not know
        layout = None
    return list(_of_torch(model)) if layout is None else _by_table(layout)


def _of_torch(model: nn.Module) -> Iterator[Attention]:
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            prefix, width = f"{name}." if name else "", module.embed_dim
            query, key, value = (Part(f"{prefix}in_proj_weight", i * width, (i + 1) * width) for i in range(3))
            yield Attention(query, key, value, f"{prefix}out_proj.weight", module.num_heads, width)


def _by_table(layout: Layout) -> list[Attention]:
    readers: dict[Axis, list[Part]] = defaultdict(list)
    writers: dict[Axis, list[tuple[str, Axis, int]]] = defaultdict(list)
    for canonical, tensor in layout.tensors.items():
        if len(layout.shapes[canonical]) != 2 or len(tensor.inputs) != 1:
            continue
        read, written = tensor.dims[tensor.inputs[0]], tensor.dims[1 - tensor.inputs[0]]
        if len(read) != 1 or any(term.inside for term in written):
            continue
        if _is_head(read[0]):
            width = layout.shapes[canonical][1 - tensor.inputs[0]]
            writers[read[0][1]].append((tensor.name, read[0][0], width))
        start = 0
        for term in written:
            stop = start + math.prod(layout.sizes[axis] for axis in term)
            if _is_head(term):
                readers[term[1]].append(Part(tensor.name, start, stop))
            start = stop
    found = []
    for inner, projections in writers.items():
        pair, values = readers[replace(inner, name=inner.name.removeprefix("v"))], readers[inner]
        if (len(pair), len(values), len(projections)) == (2, 1, 1):
            (query, key), (value,), ((projection, head, width),) = pair, values, projections
            found.append(Attention(query, key, value, projection, layout.sizes[head], width))
    return found


def _is_head(term: Term) -> bool:
    """Whether a term is what a head of self-attention has of its own: a query, a key (`dim`) or a value (`vdim`)."""
    names = [axis.name.partition(":") for axis in term]
    plain = len(names) == 2 and names[0][0] in ("head", "heads") and names[1][0] in ("dim", "vdim")
    return plain and not {suffix for _, _, suffix in names} & {"cross", "pool"}
