"""The initial weights of each family of coordinate networks, as its authors draw them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from weightgen.inr.config import FieldConfig
from weightgen.inr.layer import Layer


def initialise(config: FieldConfig, layers: Iterable[torch.nn.Module], generator: torch.Generator) -> None:
    """Draw the weights of a field's layers in place.

    sine, finer (Sitzmann et al. 2020, section 3.2 and their code): first weights U(+-1/fan_in), the others, output
    included, U(+-sqrt(6/fan_in)/w); biases as nn.Linear has them, U(+-1/sqrt(fan_in)). finer: first biases
    U(+-bias_bound). gauss, wire, relu: nn.Linear's own, U(+-1/sqrt(fan_in)), real and imaginary parts alike.
    Hidden weights are multiplied by the configuration's gain, and the first layer takes harmonics where it is asked to.
    """
    own = list(layers)
    with torch.no_grad():
        for i, layer in enumerate(own):
            assert isinstance(layer, Layer)
            plain = 1 / math.sqrt(layer.fan_in)
            bound = plain
            if config.activation in ("sine", "finer"):
                # With an encoding there are no raw coordinates: its features are like those of a hidden layer.
                first = i == 0 and config.encoding.kind == "none"
                bound = 1 / layer.fan_in if first else math.sqrt(6 / layer.fan_in) / config.frequency
            if 0 < i < config.hidden_layers:
                bound *= config.gain
            layer.weight.uniform_(-bound, bound, generator=generator)
            first_bias = plain if i or config.bias_bound is None else config.bias_bound
            layer.bias.uniform_(-first_bias, first_bias, generator=generator)
        if config.period is not None:
            layer = own[0]
            assert isinstance(layer, Layer)
            waves = harmonics(config.hidden, config.inputs) * (2 * math.pi / config.period)
            layer.weight.copy_(waves.repeat_interleave(2, 0)[: config.hidden] / config.first_frequency)
            layer.bias.copy_(torch.arange(config.hidden) % 2 * (math.pi / 2 / config.first_frequency))  # sine, cosine


def harmonics(hidden: int, inputs: int) -> torch.Tensor:
    """Return the lowest wave numbers, (ceil(hidden / 2), inputs): integers but the constant, one of each (k, -k)."""
    count, reach = -(-hidden // 2), 1
    while True:
        axes = [torch.arange(-reach, reach + 1)] * inputs
        waves = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, inputs)
        waves = waves[len(waves) // 2 + 1 :]  # past the constant: the others' negatives are before it
        order = waves.square().sum(1).argsort(stable=True)
        waves = waves[order[waves[order].square().sum(1) <= reach**2]]
        if len(waves) >= count:
            return waves[:count].float()
        reach += 1 + reach // 8
