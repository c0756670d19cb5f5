"""Volume rendering: rays of a pinhole camera, and the colour that a field of colours and densities shows along them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def camera_rays(
    poses: Tensor, angle: float, height: int, width: int, pixels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return origins and directions (M, 3) of rays through pixel centres of an image, counted row by row.

    poses: camera to world, (M, 4, 4); a camera looks along its -z, y is upwards (OpenGL). pixels: (M,), all by default.
    angle: horizontal field of view in radians. Directions have length 1 along the camera's axis, so that distances in
    their units are depths.
    """
    pixels = torch.arange(height * width) if pixels is None else pixels
    slope = math.tan(angle / 2) * 2 / width
    right = (pixels % width + 0.5 - width / 2) * slope
    up = (height / 2 - 0.5 - pixels // width) * slope
    seen = torch.stack([right, up, -torch.ones_like(right)], -1)
    directions = (poses[:, :3, :3] @ seen.unsqueeze(-1)).squeeze(-1)
    return poses[:, :3, 3].expand_as(directions), directions


def depths(near: float, far: float, samples: int, draws: Tensor) -> Tensor:
    """Return a depth in each of `samples` equal parts of [near, far], at the fraction that `draws` (..., samples) say.

    0.5: the middles. Uniform ones: stratified sampling (Mildenhall et al. 2020, eq. 2).
    """
    parts = torch.arange(samples, dtype=draws.dtype, device=draws.device)
    return near + (far - near) / samples * (parts + draws)


def composite(values: Tensor, lengths: Tensor, background: float) -> Tensor:
    """Return colours (..., 3) of rays, from a field's values (..., samples, 4) along them.

    values: three colours before a sigmoid, a density before a softplus, which unlike ReLU trains from any start.
    lengths (..., 1): of the part of the ray that each sample stands for; densities are for their unit. Quadrature of
    Max 1995 as Mildenhall et al. 2020 have it (eq. 3), but a sample stands for its own part rather than for the way
    to the next sample: so a constant density gives the exact integral between near and far.
    """
    thickness = torch.nn.functional.softplus(values[..., 3]) * lengths
    before = torch.cumsum(thickness, -1) - thickness
    weights = torch.exp(-before) * -torch.expm1(-thickness)
    colours = (weights.unsqueeze(-1) * torch.sigmoid(values[..., :3])).sum(-2)
    return colours + (1 - weights.sum(-1, keepdim=True)) * background
