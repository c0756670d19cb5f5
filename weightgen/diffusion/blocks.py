"""Weights as blocks of equal length, and back: which values of which tensor a block holds."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from weightgen.errors import InputError, UsageError, printable

Kind = Literal["convolution", "linear", "vector", "scalar"]
Names = tuple[str, ...]
LARGEST, MOST = 1 << 20, 1 << 22
"""Values of a block and blocks of a network: to a denoiser each is a token, and some thousands are many."""


@dataclass(frozen=True)
class Layer:
    """A weight with its bias, as a matrix: one row is an output channel's values, then its bias."""

    name: str
    """Of the module: `net.0` for `net.0.weight` and `net.0.bias`; of the tensor itself where it stands alone."""
    kind: Kind
    tensors: Names
    """One name, or weight and bias."""
    rows: int
    columns: int


@dataclass(frozen=True)
class Block:
    """Consecutive values of a layer's matrix: whole rows where they are short, a part of one row where it is long."""

    layer: int
    """Index into `Layout.layers`."""
    row: int
    """First row that it holds values of."""
    offset: int
    """Of its first value in the layer's matrix, row by row."""
    length: int
    """Values; what is beyond them is padding."""


class Layout:
    """What every block of a network holds; derived from shapes and block size alone."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], size: int) -> None:
        """`shapes` of all tensors by name, in any order; `size` of a block.

        Raises UsageError for a size below 1 or beyond any use, shapes that hold nothing, and too many blocks.
        """
        if not 1 <= size <= LARGEST:
            limit = "at least 1" if size < 1 else f"at most {LARGEST}"
            raise UsageError(f"block size: expected {limit}, found {size}")
        self.size = size
        self.shapes = {name: tuple(shapes[name]) for name in sorted(shapes, key=_natural)}
        empty = next((n for n, s in self.shapes.items() if 0 in s), None)
        if empty is not None or not self.shapes:
            raise UsageError(f"'{printable(empty)}' holds no values" if empty is not None else "no tensors to lay out")
        self.layers = tuple(_layers(self.shapes))
        count = sum(_count(layer, size) for layer in self.layers)
        if count > MOST:
            raise UsageError(f"{count} blocks of {size} values, the limit is {MOST}: take larger blocks")
        self.blocks = tuple(b for i, layer in enumerate(self.layers) for b in _blocks(i, layer, size))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __len__(self) -> int:
        """Blocks of a network."""
        return len(self.blocks)

    @property
    def parameters(self) -> int:
        """Values of a network."""
        return sum(math.prod(s) for s in self.shapes.values())

    @cached_property
    def mask(self) -> Tensor:
        """True where a block holds a value, (blocks, size)."""
        lengths = torch.tensor([b.length for b in self.blocks])
        return torch.arange(self.size) < lengths[:, None]

    @cached_property
    def places(self) -> Tensor:
        """Where the values of a network stand among its flattened blocks, in order, (parameters,)."""
        return self.mask.flatten().nonzero().squeeze(1)

    @cached_property
    def layer_of_block(self) -> Tensor:
        """Index of each block's layer, (blocks,)."""
        return torch.tensor([b.layer for b in self.blocks])

    def split(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return blocks (..., blocks, size), padded with zeros.

        `tensors`: (..., *shape), all with the same leading dimensions: none for one network, (K,) for a stack of K.
        Raises UsageError naming a tensor that is missing, unknown or of another shape.
        """
        leading = self._leading(tensors)
        parts = []
        for layer in self.layers:
            weight = tensors[layer.tensors[0]].reshape(*leading, layer.rows, -1)
            bias = [tensors[n].unsqueeze(-1) for n in layer.tensors[1:]]
            parts.append(torch.cat([weight, *bias], dim=-1).flatten(-2))
        flat = torch.cat(parts, dim=-1)
        empty = flat.new_zeros(*leading, len(self) * self.size)
        return empty.index_copy(-1, self.places.to(flat.device), flat).reshape(*leading, len(self), self.size)

    def join(self, blocks: Tensor) -> dict[str, Tensor]:
        """Return the tensors (..., *shape) of blocks (..., blocks, size); what stands in the padding is not read.

        Differentiable. Raises UsageError for blocks of another number or size.
        """
        if blocks.shape[-2:] != (len(self), self.size):
            raise UsageError(
                f"blocks: expected {len(self)} of {self.size} values, found {list(blocks.shape[-2:])} at the end of "
                f"{list(blocks.shape)}"
            )
        leading = blocks.shape[:-2]
        flat = blocks.flatten(-2)[..., self.places.to(blocks.device)]
        found: dict[str, Tensor] = {}
        parts = flat.split([layer.rows * layer.columns for layer in self.layers], dim=-1)  # type: ignore[no-untyped-call]
        for layer, part in zip(self.layers, parts, strict=True):
            matrix = part.reshape(*leading, layer.rows, layer.columns)
            name, *bias = layer.tensors
            found[name] = matrix[..., : layer.columns - len(bias)].reshape((*leading, *self.shapes[name]))
            for other in bias:
                found[other] = matrix[..., -1]
        return {name: found[name] for name in self.shapes}

    def to_json(self) -> dict[str, Any]:
        """Return what decides the layout: version, block size and shapes."""
        return {"version": 1, "block_size": self.size, "shapes": {n: list(s) for n, s in self.shapes.items()}}

    @classmethod
    def from_json(cls, values: Any, where: str) -> Layout:
        """Return the layout that was written; raises InputError where it is not one."""
        wrong = InputError(f"{printable(where)}: expected a layout of blocks: version 1, block_size and shapes")
        if not isinstance(values, dict) or set(values) != {"version", "block_size", "shapes"} or values["version"] != 1:
            raise wrong
        size, shapes = values["block_size"], values["shapes"]
        if not isinstance(size, int) or not isinstance(shapes, dict):
            raise wrong
        if not all(isinstance(s, list) and all(isinstance(d, int) and d > 0 for d in s) for s in shapes.values()):
            raise wrong
        try:
            return cls(shapes, size)
        except UsageError as error:
            raise InputError(f"{printable(where)}: {error}") from error

    @property
    def sha256(self) -> str:
        """Hash of everything that decides what a block holds."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def _leading(self, tensors: Mapping[str, Tensor]) -> torch.Size:
        name = next((n for n in sorted({*tensors, *self.shapes}) if n not in tensors or n not in self.shapes), None)
        if name is not None:
            raise UsageError(f"'{printable(name)}': {'unknown to the layout' if name in tensors else 'missing'}")
        first = next(iter(self.shapes))
        leading = tensors[first].shape[: tensors[first].ndim - len(self.shapes[first])]
        for name, shape in self.shapes.items():
            if tensors[name].shape != (*leading, *shape):
                raise UsageError(f"'{printable(name)}' is {list(tensors[name].shape)}, expected {[*leading, *shape]}")
        return leading


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort `net.10` after `net.2`: the order of blocks is that of depth, and a file's own order decides nothing."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)  # with the name itself: 2 and 02 are different names
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts] + [(1, name)]


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    found = []
    for name, shape in shapes.items():
        stem, _, last = name.rpartition(".")
        partner = f"{stem}.weight" if stem else "weight"
        if last == "bias" and _paired(shapes.get(partner), shape):
            continue  # it goes with its weight
        bias = f"{stem}.bias" if stem else "bias"
        tensors: Names = (name,)
        if last == "weight" and _paired(shape, shapes.get(bias)):
            tensors = (name, bias)
        rows = shape[0] if shape else 1
        columns = math.prod(shape[1:]) + len(tensors) - 1
        kind: Kind = "scalar" if not shape else "vector" if len(shape) == 1 else "linear"
        found.append(
            Layer(
                stem if len(tensors) == 2 else name,
                "convolution" if len(shape) > 2 else kind,
                tensors,
                rows,
                columns,
            )
        )
    return found


def _paired(weight: tuple[int, ...] | None, bias: tuple[int, ...] | None) -> bool:
    """Whether a bias has one value for each of the weight's output channels."""
    return bool(weight) and weight is not None and bias == weight[:1]


def _count(layer: Layer, size: int) -> int:
    """Return how many blocks a layer fills, as `_blocks` lists them."""
    if layer.columns > size:
        return layer.rows * -(-layer.columns // size)
    return -(-layer.rows // (size // layer.columns))


def _blocks(index: int, layer: Layer, size: int) -> list[Block]:
    rows, columns = layer.rows, layer.columns
    if columns > size:  # a row fills several blocks, the next row begins a new one
        return [
            Block(index, row, row * columns + start, min(size, columns - start))
            for row in range(rows)
            for start in range(0, columns, size)
        ]
    together = size // columns
    return [Block(index, row, row * columns, min(together, rows - row) * columns) for row in range(0, rows, together)]
