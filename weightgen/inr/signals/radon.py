"""Parallel rays through the square [-1, 1]^2, and an image's values along them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def ray_points(angles: Tensor, offsets: Tensor, samples: int) -> Tensor:
    """Return `samples` points (row, column) along each of M rays, (M, samples, 2), from edge to edge of the square.

    The ray of angle t and offset s holds the points with column cos t - row sin t = s: x cos t + y sin t = s with y
    upwards, as in Radon's transform (1917) and skimage's. Points are the middles of equal parts of the ray. Offsets lie
    within +-1, where every ray crosses the square.
    """
    normal = torch.stack([-torch.sin(angles), torch.cos(angles)], -1)
    along = torch.stack([torch.cos(angles), torch.sin(angles)], -1)
    middle = offsets.unsqueeze(-1) * normal
    # Where the ray crosses the lines row = +-1 and column = +-1; one that is parallel to them never does.
    parallel = along.abs() < 1e-6
    crossings = (torch.tensor([-1.0, 1.0]).view(2, 1, 1) - middle) / torch.where(parallel, torch.inf, along)
    enter = torch.where(parallel, -math.inf, crossings.amin(0)).amax(-1, keepdim=True)
    leave = torch.where(parallel, math.inf, crossings.amax(0)).amin(-1, keepdim=True)
    parts = (torch.arange(samples, dtype=angles.dtype) + 0.5) / samples
    places = enter + (leave - enter) * parts
    return (middle.unsqueeze(-2) + places.unsqueeze(-1) * along.unsqueeze(-2)).clamp(-1, 1)


def interpolated(image: Tensor, points: Tensor) -> Tensor:
    """Return a square image's values (...) at points (..., 2) of [-1, 1]^2, bilinear between the pixels' centres.

    In the half pixel at the border it is the border's value.
    """
    # grid_sample has columns first.
    grid = points.flip(-1).reshape(1, 1, -1, 2)
    found = torch.nn.functional.grid_sample(image[None, None], grid, padding_mode="border", align_corners=False)
    return found.view(points.shape[:-1])
