"""One network for all prompts, modulated by them, and folded into plain weights: what a generator has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.condition import Condition
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.embeddings import ClauseEmbedding


class FilmDenoiser(Denoiser, ModelMixin, ConfigMixin):
    """Feature-wise linear modulation (Perez et al. 2018): the prompt scales and shifts what each filter gives.

    Scale and shift of a filter fold into its weights and its bias, so that the result is a plain network. Filters are
    learned, too. Noise and timestep are not looked at: this is no diffusion model, but is trained and called as one.
    """

    @register_to_config
    def __init__(
        self, layout: dict[str, Any], base_sha256: str, text_width: int = 384, width: int = 256, depth: int = 2
    ) -> None:
        """`width` and `depth` of the perceptron that turns a prompt into scales and shifts."""
        super().__init__(layout)
        self.clauses = ClauseEmbedding(text_width, width)
        layers: list[nn.Module] = [nn.LayerNorm(width)]
        for _ in range(depth):
            layers += [nn.Linear(width, width), nn.GELU()]
        rows = sum(layer.rows for layer in self.layout.layers)
        self.modulation = nn.Sequential(*layers, nn.Linear(width, 2 * rows))
        self.filters = nn.ParameterDict({_key(n): nn.Parameter(torch.zeros(s)) for n, s in self.layout.shapes.items()})
        self.register_buffer("base", torch.zeros(len(self.layout), self.layout.size))

    def begin(self, base: BaseNetwork, clean: Tensor) -> None:
        """Take over the base's filters, unmodulated."""
        begun = {name: tensor for name, tensor in base.state_dict().items() if name in self.layout.shapes}
        for name, tensor in begun.items():
            self.filters[_key(name)].data.copy_(tensor)
        self.get_buffer("base").copy_(self.layout.split(begun))
        last = self.modulation[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition) -> Tensor:
        """Return normalised blocks (N, blocks, size) of the folded networks; see `Denoiser.forward`."""
        _, _, summed = self.clauses(condition)
        filters = {name: self.filters[_key(name)].unsqueeze(0) for name in self.layout.shapes}
        folded = modulated(self.layout, filters, self.modulation(summed))
        return self.normalise(self.layout.split(folded) - self.get_buffer("base"))


def modulated(layout: Layout, tensors: Mapping[str, Tensor], modulation: Tensor) -> dict[str, Tensor]:
    """Return the tensors (N, *shape) of networks whose filters are scaled by 1 + s and, if biased, shifted by t.

    `tensors`: (N or 1, *shape) each. `modulation` (N, 2 * rows): s of every row of all layers, then t of them.
    """
    scales, shifts = modulation.chunk(2, -1)
    found: dict[str, Tensor] = {}
    first = 0
    for layer in layout.layers:
        scale, shift = (part[:, first : first + layer.rows] for part in (scales, shifts))
        first += layer.rows
        for name in layer.tensors:
            rows = tensors[name].shape[1:2]  # none of a scalar
            found[name] = tensors[name] * (1 + scale).reshape(len(scale), *rows, *[1] * (tensors[name].ndim - 2))
        last = layer.tensors[-1]
        if found[last].ndim == shift.ndim:  # a bias
            found[last] = found[last] + shift
    return found


def _key(name: str) -> str:
    """A dot in a parameter's name stands for a module."""
    return name.replace(".", "/")
