"""The network that every concept was taught to, from which generated ones differ: tensors, layout, architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.digest import sha256_of
from weightgen.diffusion.lora import merged

FROZEN = "complete."  # before the names of the network that adapters are made for


class BaseNetwork(ModelMixin, ConfigMixin):
    """Tensors under their own names; saved with a generator."""

    @register_to_config
    def __init__(
        self, layout: dict[str, Any], architecture: dict[str, Any], frozen: dict[str, list[int]] | None = None
    ) -> None:
        """`layout`: `Layout.to_json()`; `architecture`: the config.json that a generated network is published with.

        `frozen`: shapes of the complete network, where what the layout describes are low-rank adapters on it.
        """
        super().__init__()
        self.layout = Layout.from_json(layout, "base/config.json")
        for name, shape in self.layout.shapes.items():
            _place(self, name, shape)
        for name, sizes in (frozen or {}).items():
            _place(self, FROZEN + name, sizes)

    @classmethod
    def of(
        cls,
        tensors: Mapping[str, Tensor],
        layout: Layout,
        architecture: Mapping[str, Any],
        frozen: Mapping[str, Tensor] | None = None,
    ) -> BaseNetwork:
        """Return the base with such tensors; `frozen`: the complete network, where they are adapters."""
        complete = dict(frozen or {})
        shapes = {name: list(tensor.shape) for name, tensor in complete.items()} or None
        base: BaseNetwork = cls(layout.to_json(), dict(architecture), shapes)
        base.load_state_dict({**tensors, **{FROZEN + name: tensor for name, tensor in complete.items()}})
        return base

    @property
    def sha256(self) -> str:
        """Hash of the tensors."""
        return sha256_of(self.state_dict())

    def differences(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return what networks or adapters, stacked (K, *shape), have more than the base, (K, blocks, size)."""
        return self.layout.split(tensors) - self._blocks()

    def assemble(self, differences: Tensor) -> dict[str, Tensor]:
        """Return the tensors (K, *shape) of complete networks that differ so from the base, (K, blocks, size).

        Differentiable: what a stacked network's loss says of its tensors goes back to the blocks.
        """
        made = self.layout.join(differences + self._blocks())
        frozen = {n.removeprefix(FROZEN): t for n, t in self.state_dict().items() if n.startswith(FROZEN)}
        return merged(frozen, made) if frozen else made

    def _blocks(self) -> Tensor:
        own = self.state_dict()
        return self.layout.split({name: own[name] for name in self.layout.shapes})


def _place(module: nn.Module, name: str, shape: Sequence[int]) -> None:
    """Give a module a buffer of zeros under a name with dots."""
    *parents, last = name.split(".")
    for parent in parents:
        if parent not in module._modules:
            module.add_module(parent, nn.Module())
        module = module.get_submodule(parent)
    module.register_buffer(last, torch.zeros(tuple(shape)))
