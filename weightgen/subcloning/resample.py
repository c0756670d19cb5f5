"""Resampling what has a geometry: position grids, patch kernels, image channels, relative-position tables.

Each function takes a float32 tensor whose other axes are already cut, and returns it at the target's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from weightgen.errors import UsageError
from weightgen.models.axes import Dim, Kind

if TYPE_CHECKING:
    import torch


Dims = tuple[Dim, ...]
Shape = tuple[int, ...]


def _square(count: int, what: str) -> int:
    side = math.isqrt(count)
    if side * side != count:
        raise UsageError(f"{what}: {count} positions are no square grid; only square grids are resampled")
    return side


def grid(value: torch.Tensor, dims: Dims, shape: Shape, prefix: int, name: str) -> torch.Tensor:
    """Resample absolute positions: the prefix is kept, the grid is interpolated bicubically with antialiasing."""
    import torch
    import torch.nn.functional as functional

    axis = next(i for i, d in enumerate(dims) if any(a.kind is Kind.GRID for t in d for a in t))
    moved = value.movedim(axis, 0)
    head, body = moved[:prefix], moved[prefix:]
    old, new = _square(len(body), name), _square(shape[axis] - prefix, name)
    rest = body.shape[1:]
    image = body.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    image = functional.interpolate(image, size=(new, new), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([head, image.permute(0, 2, 3, 1).reshape(new * new, *rest)]).movedim(0, axis)


def patch(value: torch.Tensor, dims: Dims, shape: Shape, prefix: int, name: str) -> torch.Tensor:
    """Resize a patch kernel by the pseudo-inverse of the resize of patches (FlexiViT, arXiv 2212.08013)."""
    from timm.layers import resample_patch_embed

    resized: torch.Tensor = resample_patch_embed(value, list(shape[-2:]))
    return resized


def channels(value: torch.Tensor, dims: Dims, shape: Shape, prefix: int, name: str) -> torch.Tensor:
    """Adapt a stem from three image channels to another number, as timm does."""
    from timm.models._manipulate import adapt_input_conv

    try:
        adapted: torch.Tensor = adapt_input_conv(shape[1], value)
    except NotImplementedError as error:
        raise UsageError(f"{name}: {value.shape[1]} image channels cannot be adapted to {shape[1]}") from error
    return adapted


def window(value: torch.Tensor, dims: Dims, shape: Shape, prefix: int, name: str) -> torch.Tensor:
    """Resize a table of relative positions ((2w-1)^2, heads) to another window, bicubically.

    BEiT appends three entries for the class token, which are kept as they are.
    """
    import torch
    import torch.nn.functional as functional

    extra = 0 if math.isqrt(len(value)) ** 2 == len(value) else 3
    body, tail = value[: len(value) - extra], value[len(value) - extra :]
    old, new = _square(len(body), name), _square(shape[0] - extra, name)
    image = body.T.reshape(1, -1, old, old)
    image = functional.interpolate(image, size=(new, new), mode="bicubic", align_corners=False)
    return torch.cat([image.reshape(-1, new * new).T, tail])


Resampler = Callable[["torch.Tensor", Dims, Shape, int, str], "torch.Tensor"]

RESAMPLERS: dict[str, Resampler] = {"grid": grid, "patch": patch, "channels": channels, "window": window}
