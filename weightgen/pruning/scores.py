"""Scores that need no data: what is small, what is uncertain, and what chance says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from weightgen.errors import InputError, UsageError, printable
from weightgen.models.tensorfile import read_header


def magnitude_scores(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return |w|."""
    return {n: w.detach().abs() for n, w in weights.items()}


def random_scores(weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Return independent uniform numbers: the control that any score must beat."""
    return {n: torch.rand(w.shape, generator=generator) for n, w in weights.items()}


def signal_to_noise_scores(means: Mapping[str, Tensor], deviations: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return |mean / deviation| of weights that are distributions, as in evolution strategies.

    Lange and Sprekeler, "Lottery tickets in evolutionary optimization", ICML 2023. With one deviation everywhere it is
    the order of magnitudes. Raises UsageError for other names or shapes, and deviations that are not positive.
    """
    if {n: m.shape for n, m in means.items()} != {n: d.shape for n, d in deviations.items()}:
        raise UsageError("signal to noise: expected a deviation for each mean")
    for name, deviation in deviations.items():
        if not bool((deviation > 0).all()):
            raise UsageError(f"signal to noise: a deviation of '{printable(name)}' is not positive")
    return {n: (m.detach() / deviations[n]).abs() for n, m in means.items()}


def read_scores(path: Path, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return scores from a safetensors file, of some of the parameters, in their order.

    Raises UsageError where there is no such file, InputError for names or shapes that the model does not have, and for
    values that are no floating-point numbers.
    """
    from safetensors.torch import load_file

    shown = printable(str(path))
    if not path.is_file():
        raise UsageError(f"--scores: there is no file {shown}")
    for name, entry in read_header(path)[0].items():  # refuses what the library would trust
        if name not in parameters:
            raise InputError(f"{shown}: the model has no parameter '{printable(name)}'")
        if tuple(entry.shape) != tuple(parameters[name].shape):
            shapes = f"is {list(entry.shape)}, the parameter is {list(parameters[name].shape)}"
            raise InputError(f"{shown}: '{printable(name)}' {shapes}")
        if entry.dtype not in ("F64", "F32", "F16", "BF16"):
            raise InputError(f"{shown}: '{printable(name)}' is {entry.dtype}, expected floating-point scores")
    found = load_file(path)
    return {name: found[name].float() for name in parameters if name in found}
