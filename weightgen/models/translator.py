"""The network that a concept is taught to: a small residual convolutional image translator, alone or stacked."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from weightgen.errors import InputError, printable
from weightgen.models.positions import CHANNELS, positions_of
from weightgen.reading.json_files import read_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"
KERNEL = 3
EDGE = (1, 1, 1, 1)  # repeated beyond the photo's edge: zeros would be a dark frame


class TranslatorConfig(BaseModel):
    """config.json of a translator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["weightgen-translator"] = "weightgen-translator"
    version: Literal[1] = 1
    width: int = Field(28, ge=1, le=1 << 12)
    """Channels between layers; at 28 a filter and its bias are 253 values, which a block of 256 holds."""
    layers: int = Field(5, ge=2, le=64)
    """Convolutions of 3x3: a pixel sees 2 * layers + 1 pixels across."""
    position: bool = True
    """Whether the network is told where in the photo a pixel lies: no vignette without it, and no halftone."""
    slope: float = Field(0.1, ge=0, lt=1)
    """Of the leaky ReLU below zero."""

    @property
    def channels(self) -> int:
        """Of the first layer's input: colours, and where in the photo they are."""
        return 3 + CHANNELS if self.position else 3

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter, `net.0.weight` (out, in, 3, 3), `net.0.bias` (out,), `net.2.weight`, ..."""
        widths = [self.channels, *[self.width] * (self.layers - 1), 3]
        found: dict[str, tuple[int, ...]] = {}
        for i, (before, after) in enumerate(pairwise(widths)):
            found[f"net.{2 * i}.weight"] = (after, before, KERNEL, KERNEL)
            found[f"net.{2 * i}.bias"] = (after,)
        return found


class Translator(nn.Module):
    """Maps photos (N, 3, H, W) in [0, 1] to edited ones of the same shape: the photo plus what the layers add to it."""

    def __init__(self, config: TranslatorConfig | None = None, seed: int = 0) -> None:
        """Hidden layers are He normal (2015) for the slope, the last is zero: an untaught network changes nothing."""
        super().__init__()
        self.config = config or TranslatorConfig()
        layers: list[nn.Module] = []
        for name, shape in self.config.shapes.items():
            if name.endswith("weight"):
                layers += [nn.Conv2d(shape[1], shape[0], KERNEL), nn.LeakyReLU(self.config.slope)]
        self.net = nn.Sequential(*layers[:-1])
        generator = torch.Generator().manual_seed(seed)
        convolutions = [m for m in self.net if isinstance(m, nn.Conv2d)]
        for layer in convolutions:
            nn.init.kaiming_normal_(layer.weight, self.config.slope, generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(convolutions[-1].weight)

    def forward(self, images: Tensor, positions: Tensor | None = None) -> Tensor:
        """Return edited photos, not clamped.

        `positions` (N, 3, H, W) of pixels of crops; None: the images are complete photos.
        """
        single = {name: tensor.unsqueeze(0) for name, tensor in self.named_parameters()}
        return translate(self.config, single, images.unsqueeze(0), None if positions is None else positions[None])[0]


def translate(
    config: TranslatorConfig, tensors: Mapping[str, Tensor], images: Tensor, positions: Tensor | None = None
) -> Tensor:
    """Return what K networks make of their images, (K, N, 3, H, W), not clamped; differentiable in everything.

    `tensors`: each parameter stacked, (K, ...). `images`: (K, N, 3, H, W) in [0, 1], or (1, N, ...) that all share.
    `positions`: (K or 1, N, 3, H, W) of crops, from `positions_of`; None: the images are complete photos.
    """
    inputs = 2 * images - 1
    if config.position:
        if positions is None:
            positions = positions_of(*images.shape[-2:]).to(images)
        shape = (*images.shape[:2], CHANNELS, *images.shape[-2:])
        inputs = torch.cat([inputs, positions.expand(shape)], dim=2)
    forward = _side_by_side if images.is_cuda else _one_by_one
    return images + forward(config, tensors, inputs)


def _one_by_one(config: TranslatorConfig, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """For a CPU, where grouped convolutions take twice as long, and channels first a quarter longer."""
    count = len(tensors["net.0.weight"])
    networks = zip(*(tensors[name].unbind() for name in config.shapes), strict=True)
    made = []
    for parameters, mine in zip(networks, inputs.expand(count, *inputs.shape[1:]), strict=True):
        hidden = mine.contiguous(memory_format=torch.channels_last)
        for layer in range(config.layers):
            weight, bias = parameters[2 * layer : 2 * layer + 2]
            weight = weight.contiguous(memory_format=torch.channels_last)
            hidden = functional.conv2d(functional.pad(hidden, EDGE, "replicate"), weight, bias)
            if layer < config.layers - 1:
                hidden = functional.leaky_relu(hidden, config.slope)
        made.append(hidden)
    return torch.stack(made)


def _side_by_side(config: TranslatorConfig, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """For a GPU: networks stand beside each other in the channels, and one grouped convolution is a layer of all."""
    count, (batch, channels, height, width) = len(tensors["net.0.weight"]), inputs.shape[1:]
    hidden = inputs.expand(count, *inputs.shape[1:]).transpose(0, 1).reshape(batch, count * channels, height, width)
    for layer in range(config.layers):
        weight, bias = tensors[f"net.{2 * layer}.weight"], tensors[f"net.{2 * layer}.bias"]
        hidden = functional.pad(hidden, EDGE, "replicate")
        hidden = functional.conv2d(hidden, weight.flatten(0, 1), bias.flatten(), groups=count)
        if layer < config.layers - 1:
            hidden = functional.leaky_relu(hidden, config.slope)
    return hidden.reshape(batch, count, 3, height, width).transpose(0, 1)


def read_config(file: Path) -> TranslatorConfig:
    """Return what a JSON file says of a translator; raises InputError naming the word that is wrong."""
    return config_of(read_json(file), file)


def config_of(values: Mapping[str, Any], file: Path) -> TranslatorConfig:
    """Return what values that a file holds say of a translator; raises InputError naming the word that is wrong."""
    try:
        return TranslatorConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        word = printable(".".join(map(str, first["loc"])))
        raise InputError(f"{printable(str(file))}: {word}: {first['msg'].lower()}") from error
