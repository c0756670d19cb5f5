"""Variance-corrected averaging: the mean of several networks' weights, with the spread that each of them had.

The mean of N independent networks has 1/N of their variance: it is no network that training could have started from.
"Vanishing Variance Problem in Fully Decentralized Neural-Network Systems", arXiv 2404.04616, algorithm 3, as a port
has it, whose 1e-6 added to the variance of the mean is left out: a layer of variance 4e-6 would end far too low.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from weightgen.errors import InputError, UsageError, printable

Rule = Literal["corrected", "mean", "first"]
"""How a tensor is averaged; `first`: it is the first network's."""


def average(weights: Iterable[Tensor], corrected: bool = True) -> tuple[Tensor, float]:
    """Return the average of tensors of one shape, in float64, and the factor that its deviations were multiplied by.

    With A = mean_i W_i: (A - mean A) sqrt(mean_i var W_i / var A) + mean A, the variances being those of the whole
    tensor (population, not per unit), so that the result's mean is that of A and its variance the mean of theirs. The
    factor is sqrt(N) for N independent networks and 1 for copies of one. Where A is constant (biases at 0), or not
    `corrected`, it is A itself with factor 1. One tensor is held at a time: `weights` may read them from files.

    Raises UsageError for no tensors, for other shapes, for types that are not floating and the meta device, InputError
    for values that are not finite, each with the tensor's place among the weights.

    >>> values, factor = average([torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])])
    >>> values, round(factor, 6)
    (tensor([ 1.4142,  0.0000,  0.0000, -1.4142], dtype=torch.float64), 1.414214)
    """
    total: Tensor | None = None
    count, spread = 0, 0.0
    for weight in weights:
        if not weight.is_floating_point() or (total is not None and weight.shape != total.shape):
            wanted = "" if total is None else f" of shape {list(total.shape)}"
            found = f"{weight.dtype} {list(weight.shape)}"
            raise UsageError(f"weights {count}: expected floating numbers{wanted}, found {found}")
        if weight.is_meta:
            raise UsageError(f"weights {count}: a tensor on the meta device has no values: build it with values first")
        values = weight.detach().double()
        if not bool(values.isfinite().all()):
            raise InputError(f"weights {count}: NaN or infinite values have no average")
        total = values.clone() if total is None else total.add_(values)
        spread += _variance(values)
        count += 1
    if total is None:
        raise UsageError("average: expected at least one tensor, found none")
    total /= count
    own = _variance(total)
    if not corrected or own == 0:
        return total, 1.0
    factor, centre = math.sqrt(spread / count / own), total.mean()
    return (total - centre).mul_(factor).add_(centre), factor


def rule_of(name: str, floating: bool, parameters: Collection[str], corrected: bool = True) -> Rule:
    """Return how a tensor of a state dict is averaged, `parameters` being the names of those that are trained.

    Counters and other integers are the first network's. Floating buffers, the running means and variances of batch
    normalisation, get the plain mean: deviations multiplied would make variances negative.

    >>> rule_of("bn.weight", True, {"bn.weight"}), rule_of("bn.running_var", True, {"bn.weight"})
    ('corrected', 'mean')
    """
    if not floating:
        return "first"
    return "corrected" if corrected and name in parameters else "mean"


def average_modules(modules: Sequence[torch.nn.Module], corrected: bool = True) -> dict[str, Tensor]:
    """Return the state dict of the average of networks of one architecture, in the first one's types.

    Each tensor is averaged by `average` as `rule_of` says. Running statistics of batch normalisation should be
    estimated anew afterwards. Raises UsageError for no modules or tensors that differ, naming them, and as `average`.

    >>> first, second = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    >>> first.load_state_dict(average_modules([first, second]))
    <All keys matched successfully>
    """
    if not modules:
        raise UsageError("average: expected at least one module, found none")
    states = [module.state_dict() for module in modules]
    for place, state in enumerate(states):
        differing = [n for n in {**states[0], **state} if _shape(states[0], n) != _shape(state, n)]
        if differing:
            name, expected, found = differing[0], _shape(states[0], differing[0]), _shape(state, differing[0])
            raise UsageError(f"module {place}: '{printable(name)}' is {found}, in the first module {expected}")
    parameters = {name for name, _ in modules[0].named_parameters(remove_duplicate=False)}
    made: dict[str, Tensor] = {}
    for name, first in states[0].items():
        rule = rule_of(name, first.is_floating_point(), parameters, corrected)
        if rule == "first":
            made[name] = first.clone()
            continue
        try:
            values, _ = average((state[name].cpu() for state in states), rule == "corrected")
        except (UsageError, InputError) as error:
            raise type(error)(f"'{printable(name)}': {error}") from error
        made[name] = values.to(first)
    return made


def _shape(state: Mapping[str, Tensor], name: str) -> str:
    return str(list(state[name].shape)) if name in state else "absent"


def _variance(values: Tensor) -> float:
    return float(values.var(unbiased=False)) if values.numel() else 0.0
