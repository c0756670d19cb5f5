"""What the closed-form initialisers ask of a weight, and how they read it as matrices.

A weight is (out, in), or (out, in / groups, *kernel) of a convolution; of a transposed convolution pass
`weight.transpose(0, 1)`. Random numbers are drawn in float64 on the generator's device, or the CPU without one, and
then rounded: a seeded CPU generator gives the same weight on every device and, to rounding, in every dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from weightgen.errors import UsageError, did_you_mean, printable

Distribution = Literal["normal", "uniform"]


def check_weight(weight: Tensor, name: str) -> None:
    """Raise UsageError, in the name of an initialiser, for what cannot be initialised in place.

    That is a tensor on the meta device, of integers, booleans or complex numbers, with fewer than two dimensions, or
    with no elements.
    """
    if weight.is_meta:
        raise UsageError(f"{name}: a weight on the meta device has no values: build it with values first")
    shape = list(weight.shape)
    if not weight.is_floating_point():
        raise UsageError(f"{name}: expected a weight of floating point, found {weight.dtype}")
    if len(shape) < 2:
        raise UsageError(f"{name}: expected a weight (out, in) or (out, in, *kernel), found {shape}: biases are zero")
    if not fan_in(weight):
        raise UsageError(f"{name}: the weight {shape} has fan-in 0: a layer without inputs has nothing to initialise")
    if not shape[0]:
        raise UsageError(f"{name}: the weight {shape} has no outputs: nothing to initialise")


def check_positive(name: str, value: float) -> None:
    """Raise UsageError for what is not a positive finite number."""
    if not 0 < value < math.inf:
        raise UsageError(f"{name}: expected a positive number, found {value:g}")


def check_word(name: str, word: str, known: Sequence[str]) -> None:
    """Raise UsageError for a word that an option does not know."""
    if word not in known:
        hint = did_you_mean(str(word), list(known))
        raise UsageError(f"{name}: expected {' or '.join(known)}, found '{printable(str(word))}'.{hint}")


def fan_in(weight: Tensor) -> int:
    """Return how many numbers each output is a sum of: (in / groups) times the positions of the kernel."""
    return math.prod(weight.shape[1:])


def by_group(weight: Tensor, groups: int) -> list[Tensor]:
    """Return a view (out / groups, ...) of each group's rows; raises UsageError where out is no multiple of groups."""
    out = weight.shape[0]
    if groups < 1 or out % groups:
        raise UsageError(f"groups: expected a divisor of the {out} outputs, found {groups}")
    size = out // groups
    return [weight[i * size : (i + 1) * size] for i in range(groups)]


def centre_tap(weight: Tensor) -> Tensor:
    """Return a view (out, in) of the middle of the kernel, or of a matrix as it is.

    A convolution that is zero elsewhere, with padding that keeps the size, applies this matrix at every position.
    Raises UsageError for kernels with an even side, which have no middle.
    """
    tap = weight
    for side in weight.shape[2:]:
        if side % 2 == 0:
            sides = " x ".join(map(str, weight.shape[2:]))
            raise UsageError(f"a kernel of {sides} has no centre: expected odd sides. Use a rule for whole kernels")
        tap = tap.select(2, side // 2)
    return tap


def device_of(generator: torch.Generator | None) -> torch.device:
    """Return where numbers are drawn: the generator's device, and the CPU, of torch's own generator, without one."""
    return torch.device("cpu") if generator is None else generator.device


def blank(shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Return a float64 tensor to draw into, where numbers are drawn; its values are whatever was there."""
    return torch.empty(tuple(shape), dtype=torch.float64, device=device_of(generator))


def normal(shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Return float64 draws from N(0, 1), where numbers are drawn."""
    return blank(shape, generator).normal_(generator=generator)


def fill(
    weight: Tensor, deviation: float, generator: torch.Generator | None, distribution: Distribution = "normal"
) -> Tensor:
    """Return the weight, drawn in place: of mean 0 and this deviation; "uniform" is within sqrt(3) of it."""
    if distribution == "normal":
        draws = normal(weight.shape, generator)
    else:
        draws = blank(weight.shape, generator).uniform_(-math.sqrt(3), math.sqrt(3), generator=generator)
    with torch.no_grad():
        return weight.copy_(draws.mul_(deviation))
