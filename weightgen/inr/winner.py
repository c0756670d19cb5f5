"""WINNER (SIREN^2): a SIREN whose first two layers get noise, the stronger the higher the signal's frequencies are.

Chandravamsi et al. 2025, arXiv 2509.09719, as their code has it (hemanthgrylls/SIREN-square, modules/networks.py).
Centroids do not depend on a signal's amplitude but, as the mean counts, on its offset: theirs are of audio with
max |y| = 1 and of pixels in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, get_args

import torch
from torch import Tensor

from weightgen.errors import InputError, UsageError, did_you_mean, printable
from weightgen.inr.field import Field
from weightgen.inr.initialise import initialise
from weightgen.inr.layer import Layer

Centroid = Literal["raster", "rows"]

FORMULAS = {1: (3500.0, 7.0, 3.0), 2: (50.0, 5.0, 0.4)}
"""Dimensions of a signal -> limit of S0, its decay a, and S1 per z. For audio their paper's text has a = 5."""


def spectral_centroid(signal: Tensor, centroid: Centroid = "raster") -> Tensor:
    """Return each channel's mean frequency, weighted by amplitude: (C,), in cycles per sample, from 0 to 1/2.

    `signal` is (samples, C), (rows, columns, C) and so on, floating; sum f_k |Y_k| / sum |Y_k| of the real transform
    Y, k = 0 included. "raster" transforms all samples as one row after another, which is what their image script does;
    "rows" transforms each row (the last axis before the channels) by itself and takes the mean of the rows' centroids.
    Of 1-D signals both are the same. Silence has 0. Raises UsageError for integers or another word.
    """
    if centroid not in get_args(Centroid):
        hint = did_you_mean(str(centroid), [*get_args(Centroid)])
        raise UsageError(f"centroid: expected raster or rows, found '{printable(str(centroid))}'.{hint}")
    if not signal.is_floating_point() or signal.ndim < 2 or not signal.numel():
        raise UsageError(f"signal: expected floating samples (..., C), found {signal.dtype} {tuple(signal.shape)}")
    rows = signal.detach().double().flatten(0, -2).unsqueeze(0) if centroid == "raster" else signal.detach().double()
    amplitudes = torch.fft.rfft(rows, dim=-2).abs()
    frequencies = torch.fft.rfftfreq(rows.shape[-2], dtype=torch.float64, device=rows.device)
    total = amplitudes.sum(-2)
    weighted = (amplitudes * frequencies.unsqueeze(-1)).sum(-2)
    return torch.where(total > 0, weighted / total, total).reshape(-1, signal.shape[-1]).mean(0)


def psi(signal: Tensor, centroid: Centroid = "raster") -> float:
    """Return twice the channels' mean centroid, over the number of channels C: from 0 to 1/C.

    Raises as `spectral_centroid` does, and InputError where samples are not finite.
    """
    channels = spectral_centroid(signal, centroid)
    found = 2 * float(channels.mean()) / len(channels)
    if not math.isfinite(found):
        raise InputError("signal: has samples that are not finite")
    return found


def strengths(normalised: float, channels: int, dimensions: int, decay: float | None = None) -> tuple[float, float]:
    """Return S0, in radians per unit of coordinate, and S1 of a signal from its psi and its C channels.

    With z = psi / C: S0 = 3500 (1 - exp(-7 z)) and S1 = 3 z in 1-D, S0 = 50 (1 - exp(-5 z)) and S1 = 0.4 z in 2-D;
    `decay` is in place of 7 or 5. psi is over C already: theirs divides twice, and their constants go with that, so
    that colour gets much less noise than grey (another revision of their code has sqrt(C) here).
    Raises UsageError for other dimensions, where they set both by hand, and for a decay that is not positive.
    """
    if dimensions not in FORMULAS:
        raise UsageError(f"WINNER has formulas for 1-D and 2-D signals: set s0 and s1 of {dimensions}-D ones by hand")
    limit, default, slope = FORMULAS[dimensions]
    decay = default if decay is None else decay
    if not 0 < decay < math.inf:
        raise UsageError(f"decay: expected a positive number, found {decay:g}")
    z = normalised / channels
    return limit * (1 - math.exp(-decay * z)), slope * z


def winner_strengths(
    signals: Iterable[Tensor], dimensions: int, centroid: Centroid = "raster", decay: float | None = None
) -> tuple[float, float]:
    """Return S0 and S1 of the mean centroid of signals, each with `dimensions` axes and then channels, for one start.

    Raises as `psi` and `strengths` do, and UsageError for no signals or signals of other shapes or numbers of channels.
    """
    found: list[float] = []
    channels: int | None = None
    for signal in signals:
        if signal.ndim != dimensions + 1 or channels not in (None, signal.shape[-1]):
            wanted = f"{dimensions} axes and {'the' if channels is None else channels} channels"
            raise UsageError(f"signal {len(found)}: expected {wanted}, found the shape {tuple(signal.shape)}")
        channels = signal.shape[-1]
        found.append(psi(signal, centroid))
    if channels is None:
        raise UsageError("WINNER needs at least one signal")
    return strengths(sum(found) / len(found), channels, dimensions, decay)


def winner_(field: Field, generator: torch.Generator, s0: float, s1: float) -> None:
    """Draw a SIREN in place, then add N(0, (s0/w)^2) to its first weights and N(0, (s1/w)^2) to its second.

    w is the hidden layers' frequency in both, even where the first layer's is another, by whose ratio to w the
    frequencies that s0 adds then grow. Biases and further layers are SIREN's. All is drawn anew, so that repeated
    calls do not add up: a generator seeded as the field was gives the field's own weights and the noise.
    Raises UsageError for fields that are not sine on bare coordinates with two hidden layers or more (s0 is in radians
    per unit of coordinate, and the output layer gets no noise), and for strengths that are negative or not finite.
    """
    config = field.config
    if config.activation != "sine" or config.encoding.kind != "none" or config.hidden_layers < 2:
        raise UsageError(
            "WINNER needs a sine field without an encoding and with two hidden layers or more, "
            f"found {config.activation}, encoding {config.encoding.kind}, {config.hidden_layers} hidden layers"
        )
    for name, strength in (("s0", s0), ("s1", s1)):
        if not 0 <= strength < math.inf:
            raise UsageError(f"{name}: expected a finite number of 0 or more, found {strength:g}")
    initialise(field.config, field.net, generator)
    with torch.no_grad():
        for layer, strength in zip(list(field.net)[:2], (s0, s1), strict=True):
            assert isinstance(layer, Layer)
            weight = layer.weight
            noise = torch.randn(weight.shape, generator=generator, device=weight.device, dtype=weight.dtype)
            weight.add_(noise, alpha=strength / config.frequency)
