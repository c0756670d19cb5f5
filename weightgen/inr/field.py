"""The coordinate network: one module for every family, evaluated with its own weights or with those of many tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import torch
from torch import Tensor

from weightgen.inr.config import Encoding, FieldConfig
from weightgen.inr.initialise import initialise
from weightgen.inr.layer import Layer

Tensors = Mapping[str, Tensor]
"""A field's parameters by name: of one field, or stacked over tasks in a leading dimension."""
FADED = 60.0  # the exponent from which on a Gaussian counts as faded


class Field(torch.nn.Module):
    """Maps coordinates (..., inputs) to values (..., outputs).

    Parameters are `net.{i}.weight` (out, in) and `net.{i}.bias` (out,); random Fourier frequencies are the buffer
    `encoding.B` (size, inputs). The seed decides the initial values, which are the family's own (see initialise.py).
    """

    def __init__(self, config: FieldConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.net = torch.nn.ModuleList(Layer(*sizes) for sizes in layers(config))
        self.encoding = torch.nn.Module()
        generator = torch.Generator().manual_seed(seed)
        if config.encoding.kind == "fourier":
            draws = torch.randn(config.encoding.size, config.inputs, generator=generator)
            self.encoding.register_buffer("B", draws * config.encoding.scale)
        initialise(config, self.net, generator)

    def forward(self, coordinates: Tensor, tensors: Tensors | None = None) -> Tensor:
        """Evaluate at coordinates (..., N, inputs), with `tensors` in place of the field's own where given.

        Tensors stacked over T tasks want coordinates (T, N, inputs), and give (T, N, outputs).
        """
        config = self.config
        found = dict(self.named_parameters()) if tensors is None else tensors
        values = encode(config.encoding, coordinates, getattr(self.encoding, "B", None))
        for i in range(config.hidden_layers):
            values = self._linear(found, i, values)
            values = activate(config, config.first_frequency if i == 0 else config.frequency)(values)
        values = self._linear(found, config.hidden_layers, values)
        values = (values.real if values.is_complex() else values) + config.offset
        return torch.sigmoid(values) if config.output == "sigmoid" else values

    @property
    def spacing(self) -> float | None:
        """How far harmonics lie apart, as weights of the first layer; None where it has none."""
        period = self.config.period
        return None if period is None else 2 * math.pi / period / self.config.first_frequency

    def _linear(self, tensors: Tensors, layer: int, values: Tensor) -> Tensor:
        weight, bias = tensors[f"net.{layer}.weight"], tensors[f"net.{layer}.bias"]
        own = self.net[layer]
        assert isinstance(own, Layer)
        if own.is_complex:
            weight, bias = torch.view_as_complex(weight), torch.view_as_complex(bias)
            values = values.to(weight.dtype)
        if weight.ndim == 2:
            return torch.nn.functional.linear(values, weight, bias)
        return torch.baddbmm(bias.unsqueeze(-2), values, weight.transpose(-1, -2))


def layers(config: FieldConfig) -> Iterator[tuple[int, int, bool]]:
    """Yield each layer's inputs and outputs, and whether its numbers are complex (WIRE's, but for the first layer)."""
    wire = config.activation == "wire"
    width = max(1, int(config.hidden / math.sqrt(2))) if wire else config.hidden
    sizes = [encoded(config), *([width] * config.hidden_layers), config.outputs]
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        yield fan_in, fan_out, wire and i > 0


def shapes_of(config: FieldConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a field's parameters, in their order, without making them."""
    found: dict[str, tuple[int, ...]] = {}
    for i, (fan_in, fan_out, is_complex) in enumerate(layers(config)):
        parts = (2,) if is_complex else ()
        found |= {f"net.{i}.weight": (fan_out, fan_in, *parts), f"net.{i}.bias": (fan_out, *parts)}
    return found


def frequencies_of(config: FieldConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of a field's random frequencies, where it has any."""
    return {"encoding.B": (config.encoding.size, config.inputs)} if config.encoding.kind == "fourier" else {}


def encoded(config: FieldConfig) -> int:
    """Return how many features a point's coordinates become."""
    kind, size = config.encoding.kind, config.encoding.size
    return {"none": config.inputs, "fourier": 2 * size, "positional": 2 * size * config.inputs}[kind]


def encode(encoding: Encoding, coordinates: Tensor, frequencies: Tensor | None = None) -> Tensor:
    """Return the features of coordinates (..., inputs): themselves, or sines followed by cosines.

    fourier: Tancik et al. 2020, eq. 5. positional: frequencies 2^linspace(0, scale, size), all coordinates at the
    first frequency before all at the second (learnit).
    """
    if encoding.kind == "none":
        return coordinates
    if encoding.kind == "fourier":
        assert frequencies is not None
        phases = coordinates @ frequencies.to(coordinates.dtype).T
    else:
        octaves = torch.linspace(0, encoding.scale, encoding.size, dtype=coordinates.dtype, device=coordinates.device)
        phases = (coordinates.unsqueeze(-2) * torch.exp2(octaves).unsqueeze(-1)).flatten(-2)
    if encoding.two_pi:
        phases = phases * (2 * math.pi)
    return torch.cat([torch.sin(phases), torch.cos(phases)], -1)


def gaussian(square: Tensor) -> Tensor:
    """Return exp(-square), not less than 9e-27: subnormal values make a layer's products ten times slower on CPU."""
    return torch.exp(-square.clamp_max(FADED))


def activate(config: FieldConfig, frequency: float) -> Callable[[Tensor], Tensor]:
    """Return a layer's activation.

    sine: sin(w z). finer: sin(w (|z| + 1) z), the factor held constant in derivatives as in the authors' code.
    gauss: exp(-(s z)^2). wire: exp(j w z - |s z|^2), z complex. relu: max(z, 0).
    """
    spread = config.spread

    def wire(z: Tensor) -> Tensor:
        size = ((spread * z).abs().square() if z.is_complex() else (spread * z).square()).clamp_max(FADED)
        return torch.exp(torch.complex(-size, torch.zeros_like(size)) + 1j * frequency * z)

    known: dict[str, Callable[[Tensor], Tensor]] = {
        "sine": lambda z: torch.sin(frequency * z),
        "finer": lambda z: torch.sin(frequency * (z.detach().abs() + 1) * z),
        "gauss": lambda z: gaussian((spread * z).square()),
        "wire": wire,
        "relu": torch.relu,
    }
    return known[config.activation]
