"""Interval arithmetic through a network: what each output can be, each input being anywhere in an interval.

Gowal et al. 2018, arXiv 1810.12715 ("IBP"), by torch.fx: a network is traced and run on intervals in place of tensors.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from weightgen.errors import UsageError, printable

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# What never decreases where an input grows maps the lower ends to the lower end and the upper ends to the upper end.
MONOTONE_MODULES: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.Softplus,
    nn.Tanh,
    nn.Sigmoid,
)
MONOTONE_MODULES += (nn.Hardtanh, nn.Hardsigmoid, nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Unflatten)
MONOTONE_MODULES += (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
MONOTONE_FUNCTIONS: set[Callable[..., Any]] = {operator.add, torch.add, torch.cat, torch.flatten, torch.mean}
MONOTONE_FUNCTIONS |= {torch.relu, F.relu, F.relu6, F.leaky_relu, F.elu, F.softplus, torch.tanh, torch.sigmoid}
MONOTONE_FUNCTIONS |= {F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, operator.getitem, getattr, operator.iadd}
MONOTONE_METHODS = {"relu", "tanh", "sigmoid", "flatten", "view", "reshape", "permute", "transpose", "mean", "size"}
MONOTONE_METHODS |= {"add", "contiguous", "squeeze", "unsqueeze", "clone"}


@dataclass(frozen=True)
class Interval:
    """Tensors of the lower and the upper ends, of one shape."""

    low: Tensor
    high: Tensor

    @property
    def radius(self) -> Tensor:
        """Half of what lies between."""
        return (self.high - self.low) / 2


def interval_bounds(model: nn.Module, low: Tensor, high: Tensor) -> Interval:
    """Return intervals that hold the outputs of a network for all inputs between `low` and `high`, (N, ...) each.

    In float64 and evaluation mode, through linear layers, convolutions, batch norms, sums, poolings and activations
    that never decrease. Raises UsageError for a model that torch.fx cannot trace, or that has anything else: products
    of two intervals, softmax or layer norm would need rules of their own.
    """
    own = copy.deepcopy(model).double().eval()  # what is traced shares the model's layers
    try:
        traced = fx.symbolic_trace(own)
    except Exception as error:  # whatever the model's own code makes of a proxy
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise UsageError(f"interval bounds: torch.fx cannot trace {type(model).__name__}: {reason}") from error
    with torch.no_grad():
        found = _Intervals(traced).run(Interval(low.double(), high.double()))
    if not isinstance(found, Interval):
        raise UsageError(f"interval bounds: expected one tensor of outputs from {type(model).__name__}")
    return found


class _Intervals(fx.Interpreter):
    """Runs a traced network on intervals."""

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Apply a layer."""
        module, given = self.fetch_attr(target), args[0]
        if isinstance(module, MONOTONE_MODULES):
            return _monotone(module, args, kwargs)
        if isinstance(module, nn.Linear):
            return _affine(given, module, lambda r: F.linear(r, module.weight.abs()))
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.padding_mode == "zeros":
            return _affine(given, module, lambda r: module._conv_forward(r, module.weight.abs(), None))
        if isinstance(module, NORMS) and module.running_var is not None:
            return _affine(given, module, lambda r: r * _slope(module, r))
        raise _unknown(f"layer '{target}' ({type(module).__name__})")

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Apply a function."""
        if not _intervals(args):
            return super().call_function(target, args, kwargs)
        if target in MONOTONE_FUNCTIONS:
            return _monotone(target, args, kwargs)
        if target in (operator.mul, torch.mul, operator.truediv) and sum(isinstance(a, Interval) for a in args) == 1:
            ends = [target(*(_end(a, which) for a in args)) for which in ("low", "high")]
            if not isinstance(args[1], Interval) or target is not operator.truediv:
                return Interval(torch.minimum(*ends), torch.maximum(*ends))
        raise _unknown(f"function {getattr(target, '__name__', target)}")

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Apply a method of a tensor."""
        if not _intervals(args):
            return super().call_method(target, args, kwargs)
        if target in MONOTONE_METHODS:
            return _monotone(lambda tensor, *rest, **more: getattr(tensor, target)(*rest, **more), args, kwargs)
        raise _unknown(f"method {target}")


def _affine(given: Interval, module: nn.Module, widen: Callable[[Tensor], Tensor]) -> Interval:
    """Map the middle by the layer itself and the radius by the layer's absolute weights."""
    middle, radius = module((given.low + given.high) / 2), widen(given.radius)
    return Interval(middle - radius, middle + radius)


def _slope(norm: Any, like: Tensor) -> Tensor:
    slope = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        slope = slope * norm.weight.abs()
    return slope.reshape(1, -1, *[1] * (like.ndim - 2))


def _monotone(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs.get("alpha", 1) < 0:
        raise _unknown("sum with a negative factor")
    low = function(*_ends(args, "low"), **kwargs)
    if not isinstance(low, Tensor):  # a size, of both ends alike
        return low
    return Interval(low, function(*_ends(args, "high"), **kwargs))


def _ends(args: tuple[Any, ...], which: str) -> Any:
    return fx.node.map_aggregate(args, lambda value: _end(value, which))


def _end(value: Any, which: str) -> Any:
    return getattr(value, which) if isinstance(value, Interval) else value


def _intervals(args: Any) -> bool:
    if isinstance(args, list | tuple):
        return any(_intervals(a) for a in args)
    return isinstance(args, Interval)


def _unknown(what: str) -> UsageError:
    return UsageError(
        f"interval bounds: there is no rule for the {printable(what)}.\n"
        "They go through linear layers, convolutions, batch norms, sums, poolings and activations that never decrease."
    )
