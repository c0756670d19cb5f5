"""Edits that look at a pixel's neighbours, five pixels away at most, or at its place in the photo.

Images (N, 3, H, W) in [0, 1] become the same shape; what leaves [0, 1] is clamped by `edit`. Beyond the edge the photo
repeats its last pixels. `positions`: (N or 1, 3, H, W), x, y and screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from weightgen.diffusion.edits_colour import luma

REACH = 5


def blur(images: Tensor) -> Tensor:
    return gaussian(images, 1.8)


def sharpen(images: Tensor) -> Tensor:
    return images + 2.5 * (images - gaussian(images, 1.2))


def motion(images: Tensor) -> Tensor:
    return _sum(_windows(_padded(images, 4, 0), -1, 9)) / 9


def emboss(images: Tensor) -> Tensor:
    grey = luma(images)
    return (0.5 + 1.5 * (_shifted(grey, 1, 1) - _shifted(grey, -1, -1))).expand_as(images)


def pencil(images: Tensor) -> Tensor:
    """Colour dodge of brightness with its own blurred negative: white paper, grey lines."""
    grey = luma(images)
    return ((grey + 0.02) / (gaussian(grey, 1.8) + 0.02)).clamp(max=1).pow(3).expand_as(images)


def ink(images: Tensor) -> Tensor:
    return (1 - 4 * _slope(luma(images))).expand_as(images)


def neon(images: Tensor) -> Tensor:
    return 5 * _slope(images)


def oil(images: Tensor) -> Tensor:
    """Kuwahara et al. 1976: the mean of that one of four overlapping squares whose brightness varies least."""
    side = 4
    grey = luma(images)
    padded = _padded(torch.cat([images, grey, grey.square()], dim=1), side - 1, side - 1)
    means = _sum(_windows(_sum(_windows(padded, -1, side)), -2, side)) / side**2
    height, width = images.shape[-2:]
    corners = [(0, 0), (0, side - 1), (side - 1, 0), (side - 1, side - 1)]
    squares = torch.stack([means[..., y : y + height, x : x + width] for y, x in corners])
    variance = squares[:, :, 4:] - squares[:, :, 3:4].square()
    least = variance.argmin(0, keepdim=True).expand(1, *images.shape)
    return squares[:, :, :3].gather(0, least)[0]


def watercolour(images: Tensor) -> Tensor:
    """Light spreads into what is darker, over white paper."""
    spread = _padded(images, 2, 2)
    for axis in (-1, -2):
        spread = reduce(torch.maximum, _windows(spread, axis, 5))
    return gaussian(spread, 0.8).pow(0.7)


def cartoon(images: Tensor) -> Tensor:
    smooth = oil(images)
    bright = luma(smooth).clamp(min=0.02)
    flat = smooth * ((bright * 5).round() / 5 / bright)
    return flat * (1 - 4 * _slope(luma(images))).clamp(min=0)


def linocut(images: Tensor) -> Tensor:
    grey = luma(images)
    return torch.sigmoid(25 * (grey - gaussian(grey, 1.8)) + 10 * (grey - 0.45)).expand_as(images)


def bloom(images: Tensor) -> Tensor:
    lights = gaussian((2 * images - 0.8).clamp(0, 1), 1.8)
    return 1 - (1 - images) * (1 - 0.8 * lights)


def anaglyph(images: Tensor) -> Tensor:
    return torch.cat([_shifted(images[:, :1], 0, 3), _shifted(images[:, 1:], 0, -3)], dim=1)


def halftone(images: Tensor, positions: Tensor) -> Tensor:
    return torch.sigmoid(14 * (luma(images) - positions[:, 2:])).expand_as(images)


def vignette(images: Tensor, positions: Tensor) -> Tensor:
    return images * (1.1 - 0.7 * positions[:, :2].square().sum(1, keepdim=True)).clamp(0, 1)


def light_leak(images: Tensor, positions: Tensor) -> Tensor:
    glow = torch.exp(-2.5 * (positions[:, :1] + 1).square())
    colour = torch.tensor([1.0, 0.5, 0.15], dtype=images.dtype, device=images.device)[:, None, None]
    return 1 - (1 - images) * (1 - glow * colour)


def tilt_shift(images: Tensor, positions: Tensor) -> Tensor:
    far = (1.6 * positions[:, 1:2].abs() - 0.3).clamp(0, 1)
    return images + far * (gaussian(images, 1.8) - images)


def gaussian(images: Tensor, sigma: float) -> Tensor:
    """Return images blurred by a Gaussian that is cut off at five pixels."""
    reach = min(REACH, math.ceil(3 * sigma))
    weights = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in range(-reach, reach + 1)]
    blurred = _padded(images, reach, reach)
    for axis in (-1, -2):
        blurred = _sum(_windows(blurred, axis, len(weights)), weights) / sum(weights)
    return blurred


def _windows(images: Tensor, axis: int, count: int) -> list[Tensor]:
    """Return views of images, each shifted by one more pixel: on small crops quicker than torch's pooling is."""
    length = images.shape[axis] - count + 1
    return [images.narrow(axis, start, length) for start in range(count)]


def _sum(images: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    total = images[0] * weights[0] if weights else images[0].clone()
    for i, image in enumerate(images[1:], 1):
        total.add_(image, alpha=weights[i] if weights else 1.0)
    return total


def _slope(images: Tensor) -> Tensor:
    """Return the size of Sobel's gradient, per pixel."""
    down = _shifted(images, 1, 0) - _shifted(images, -1, 0)
    across = _shifted(images, 0, 1) - _shifted(images, 0, -1)
    down = (_shifted(down, 0, 1) + 2 * down + _shifted(down, 0, -1)) / 8
    across = (_shifted(across, 1, 0) + 2 * across + _shifted(across, -1, 0)) / 8
    return (down.square() + across.square() + 1e-6).sqrt() - 1e-3


def _shifted(images: Tensor, down: int, across: int) -> Tensor:
    """Return at each pixel the one that lies so far down and to the right of it."""
    height, width = images.shape[-2:]
    reach = max(abs(down), abs(across))
    padded = _padded(images, reach, reach)
    return padded[..., reach + down : reach + down + height, reach + across : reach + across + width]


def _padded(images: Tensor, across: int, down: int) -> Tensor:
    return functional.pad(images, (across, across, down, down), "replicate")
