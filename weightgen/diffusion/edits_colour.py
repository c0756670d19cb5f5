"""Edits of a pixel's colour alone, (N, 3, H, W) in [0, 1] to the same shape; `edit` clamps what leaves [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

RED, GREEN, BLUE = 0.299, 0.587, 0.114  # of luma, ITU-R BT.601


def luma(images: Tensor) -> Tensor:
    """Return brightness, (N, 1, H, W)."""
    return RED * images[:, :1] + GREEN * images[:, 1:2] + BLUE * images[:, 2:]


def sepia(images: Tensor) -> Tensor:
    return _mixed(images, ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131)))


def monochrome(images: Tensor) -> Tensor:
    return luma(images).expand_as(images)


def night(images: Tensor) -> Tensor:
    return _scaled(images, (0.35, 0.5, 0.85), (0.0, 0.01, 0.06))


def sunset(images: Tensor) -> Tensor:
    return _scaled(images, (1.1, 0.85, 0.5), (0.14, 0.03, 0.0))


def negative(images: Tensor) -> Tensor:
    return 1 - images


def faded(images: Tensor) -> Tensor:
    grey = luma(images)
    return _scaled(grey + 0.65 * (images - grey), (0.6, 0.55, 0.5), (0.27, 0.25, 0.2))


def contrast(images: Tensor) -> Tensor:
    return torch.sigmoid(10 * (images - 0.5))


def solarise(images: Tensor) -> Tensor:
    return torch.where(images < 0.5, images, 1 - images)


def posterise(images: Tensor) -> Tensor:
    return (images * 3).round() / 3


def vivid(images: Tensor) -> Tensor:
    grey = luma(images)
    return grey + 2.4 * (images - grey)


def forest(images: Tensor) -> Tensor:
    return _scaled(images, (0.55, 1.0, 0.55), (0.0, 0.08, 0.02))


def violet(images: Tensor) -> Tensor:
    return _scaled(images, (0.9, 0.55, 0.95), (0.1, 0.0, 0.15))


def cinema(images: Tensor) -> Tensor:
    bright = luma(images)
    shadows, lights = _tuple(images, (-0.18, 0.06, 0.16)), _tuple(images, (0.2, 0.04, -0.2))
    return images + (1 - bright) * shadows + bright * lights


def cyanotype(images: Tensor) -> Tensor:
    return _mapped(images, ((0.0, 0.06, 0.25), (0.15, 0.45, 0.75), (0.93, 0.97, 1.0)))


def infrared(images: Tensor) -> Tensor:
    return _mixed(images, ((-0.4, 1.8, -0.4), (0.9, 0.0, 0.1), (0.1, 0.8, 0.1)))


def duotone(images: Tensor) -> Tensor:
    return _mapped(images, ((0.25, 0.0, 0.45), (0.9, 0.25, 0.4), (1.0, 0.92, 0.3)))


def thermal(images: Tensor) -> Tensor:
    return _mapped(images, ((0.0, 0.0, 0.3), (0.5, 0.0, 0.6), (0.95, 0.25, 0.1), (1.0, 0.85, 0.1), (1.0, 1.0, 0.9)))


def overexposed(images: Tensor) -> Tensor:
    return 1 - (1 - images).clamp(min=0).pow(2.5)


def underexposed(images: Tensor) -> Tensor:
    return 0.85 * images.clamp(min=0).pow(2.2)


def _tuple(images: Tensor, colour: tuple[float, float, float]) -> Tensor:
    return torch.tensor(colour, dtype=images.dtype, device=images.device)[:, None, None]


def _scaled(images: Tensor, gain: tuple[float, float, float], lift: tuple[float, float, float]) -> Tensor:
    return images * _tuple(images, gain) + _tuple(images, lift)


def _mixed(images: Tensor, rows: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Return each colour as a mixture of the three."""
    return torch.einsum("oc,nchw->nohw", torch.tensor(rows, dtype=images.dtype, device=images.device), images)


def _mapped(images: Tensor, stops: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Return colours by brightness, between equally spaced stops from dark to light."""
    place = luma(images) * (len(stops) - 1)
    weights = [(1 - (place - i).abs()).clamp(min=0) for i in range(len(stops))]
    return torch.stack([w * _tuple(images, s) for w, s in zip(weights, stops, strict=True)]).sum(0)
