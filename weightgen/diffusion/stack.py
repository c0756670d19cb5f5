"""Many networks of one architecture as one module: each learns by itself, and one that fails stops alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from weightgen.diffusion.critic import critics_loss, fresh_critic
from weightgen.diffusion.lora import fresh_adapters, merged
from weightgen.models.translator import TranslatorConfig, translate

CRITIC = "critic."


class Stack(nn.Module):
    """K translators that begin at the same weights; all their values, or low-rank adapters on them, are trained."""

    lost: Tensor

    def __init__(
        self,
        config: TranslatorConfig,
        start: Mapping[str, Tensor],
        count: int,
        rank: int = 0,
        seed: int = 0,
        adversarial: float = 0.0,
    ) -> None:
        """`rank` of the adapters (Hu et al. 2021), whose first factors are drawn by the seed; 0: none, all values.

        `adversarial`: weight of the critics' loss beside the mean absolute error; 0: there are no critics.
        """
        super().__init__()
        self.config, self.rank, self.adversarial = config, rank, adversarial
        self.register_buffer("lost", torch.zeros(count, dtype=torch.bool))
        for name, tensor in start.items():
            if rank:
                self.register_buffer(_key(name), tensor.detach().clone(), persistent=False)
        generator = torch.Generator().manual_seed(seed)
        trained = fresh_adapters(config.shapes, rank, generator) if rank else start
        self.names = tuple(trained)
        critic = fresh_critic(seed) if adversarial else {}
        for name, tensor in {**trained, **{CRITIC + name: tensor for name, tensor in critic.items()}}.items():
            parameter = nn.Parameter(tensor.detach().expand(count, *tensor.shape).clone())
            parameter.register_hook(self._without_lost)  # type: ignore[no-untyped-call]
            self.register_parameter(_key(name), parameter)
        self.critic_names = tuple(critic)

    def trained(self) -> dict[str, Tensor]:
        """Return what is trained, (K, ...) by name: all weights, or the adapters' factors."""
        return {name: self.get_parameter(_key(name)) for name in self.names}

    def tensors(self) -> dict[str, Tensor]:
        """Return complete weights, (K, ...) by name."""
        if not self.rank:
            return self.trained()
        base = {name: self.get_buffer(_key(name)) for name in self.config.shapes}
        return merged(base, self.trained())

    def forward(self, images: Tensor, positions: Tensor, targets: Tensor) -> Tensor:
        """Return each network's mean absolute error, and what its critic adds, (K,); 0 for those that are lost.

        A network is lost for good when this is no longer finite. Images (K or 1, N, 3, H, W), positions likewise,
        targets (K, N, 3, H, W).
        """
        made = translate(self.config, self.tensors(), images, positions)
        errors = (made - targets).abs().flatten(1).mean(1)
        if self.adversarial:
            critic = {name: self.get_parameter(_key(CRITIC + name)) for name in self.critic_names}
            errors = errors + self.adversarial * critics_loss(critic, images, made, targets)
        if self.training:
            self.lost |= ~errors.detach().isfinite()
        return torch.where(self.lost, 0.0, errors)

    def _without_lost(self, gradient: Tensor) -> Tensor:
        """A lost network's gradient is not a number, and would spoil the norm of all."""
        self.lost |= ~gradient.flatten(1).isfinite().all(1)
        return torch.where(self.lost.reshape(-1, *[1] * (gradient.ndim - 1)), 0.0, gradient)


class StackAdam(torch.optim.Adam):
    """Adam (Kingma and Ba 2015) that limits the norm of each network's gradient by itself."""

    def __init__(self, stack: nn.Module, rate: float, clip: float) -> None:
        """`clip`: largest norm."""
        super().__init__(stack.parameters(), lr=rate, fused=True)
        self.clip = clip

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
        scale = (self.clip / norms.clamp(min=1e-12)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(scale.reshape(-1, *[1] * (gradient.ndim - 1)))
        return super().step(closure)


def _key(name: str) -> str:
    """A dot in a parameter's name stands for a module."""
    return name.replace(".", "/")
