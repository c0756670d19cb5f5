"""How near edited photos are to what they should be: mean absolute error, PSNR and SSIM, for each of K networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from weightgen.diffusion.edits_local import gaussian
from weightgen.diffusion.examples import Examples
from weightgen.models.translator import TranslatorConfig, translate

SMALLEST = 1e-6  # mean square: no PSNR above 60 dB, which 8 bits cannot show
LUMINANCE, CONTRAST = 0.01**2, 0.03**2  # constants of SSIM for values in [0, 1]


def l1(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute error, (K, N, 3, H, W) -> (K,)."""
    return (outputs - targets).abs().flatten(1).mean(1)


def psnr(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB for a peak of 1, of the mean square over all crops, (K,)."""
    return -10 * (outputs - targets).square().flatten(1).mean(1).clamp(min=SMALLEST).log10()


def ssim(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean structural similarity, (K,): Wang et al. 2004, Gaussian windows of 11 pixels, deviation 1.5."""

    def local(images: Tensor) -> Tensor:
        return gaussian(images.flatten(0, 1), 1.5).reshape(images.shape)

    mean, wanted = local(outputs), local(targets)
    variance = local(outputs.square()) - mean.square()
    wanted_variance = local(targets.square()) - wanted.square()
    covariance = local(outputs * targets) - mean * wanted
    alike = (2 * mean * wanted + LUMINANCE) * (2 * covariance + CONTRAST)
    found = alike / ((mean.square() + wanted.square() + LUMINANCE) * (variance + wanted_variance + CONTRAST))
    return found.flatten(1).mean(1)


@torch.no_grad()
def quality(
    config: TranslatorConfig, tensors: Mapping[str, Tensor], examples: Examples, count: int = 64, size: int = 64
) -> dict[str, Tensor]:
    """Return `psnr`, `ssim` and `l1`, (K,) each, of K networks on crops of held-out photos, outputs clamped."""
    batch = {name: value.to(next(iter(tensors.values())).device) for name, value in examples.test(count, size).items()}
    targets = examples.targets(batch)
    outputs = translate(config, tensors, batch["images"], batch["positions"]).clamp(0, 1)
    return {"psnr": psnr(outputs, targets), "ssim": ssim(outputs, targets), "l1": l1(outputs, targets)}
