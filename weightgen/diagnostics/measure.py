"""What a measure is given, a probe, and what it gives back, a measurement."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from weightgen.errors import UsageError

Batch = Mapping[str, Tensor]
Tensors = dict[str, Tensor]
Cost = Literal["seconds", "minutes"]

LAYERS = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
BY_NAME = ("Conv1D",)  # GPT-2's linear layer, which is transformers' own class


@dataclass(frozen=True)
class Probe:
    """A model and what to run it on. Measures leave the values and modes of the model as they found them."""

    model: torch.nn.Module
    """In evaluation mode, so that items do not see each other; statistics of batch norms are those of the batch."""
    batch: Batch
    """Items along the first dimension of each tensor: what enters the model, and targets."""
    forward: Callable[[Any, Any], Tensor]
    """From model and batch to outputs (items, ...): logits where the model has a head."""
    loss: Callable[[Tensor, Any], Tensor] | None = None
    """From outputs and batch to the mean loss, a scalar; None where the model has nothing to predict."""
    entrance: str | None = None
    """Entry of the batch that is continuous (images); None for tokens, which enter as the outputs of an embedding."""
    seed: int = 0
    """Of everything that a measure draws."""

    @property
    def items(self) -> int:
        """How many items the batch has."""
        return len(next(iter(self.batch.values())))

    def take(self, count: int) -> Probe:
        """Return the probe with the first items only, all of them where there are fewer."""
        return replace(self, batch={k: v[:count] for k, v in self.batch.items()})

    def singles(self) -> Iterator[Probe]:
        """Yield a probe for each item, in order."""
        for i in range(self.items):
            yield replace(self, batch={k: v[i : i + 1] for k, v in self.batch.items()})

    def double(self) -> Probe:
        """Return the probe in float64, with a copy of the model."""
        batch = {k: v.double() if v.is_floating_point() else v for k, v in self.batch.items()}
        return replace(self, model=copy.deepcopy(self.model).double(), batch=batch)

    def generator(self) -> torch.Generator:
        """Return a new generator, on the CPU, seeded by the probe's seed."""
        return torch.Generator().manual_seed(self.seed)

    def parameters(self) -> Tensors:
        """Return the parameters by name, detached, tied ones once."""
        return {n: p.detach() for n, p in self.model.named_parameters()}

    def layers(self) -> dict[str, torch.nn.Module]:
        """Return the linear and convolutional layers by name, in the order in which the model holds them."""
        return {n: m for n, m in self.model.named_modules() if isinstance(m, LAYERS) or type(m).__name__ in BY_NAME}

    def weights(self) -> Tensors:
        """Return the weights of the linear and convolutional layers by name, detached; raises UsageError without any.

        A head whose weight is an embedding's is not among them.
        """
        names = {f"{name}.weight" if name else "weight" for name in self.layers()}
        found = {n: p for n, p in self.parameters().items() if n in names}
        if not found:
            raise UsageError("needs linear or convolutional layers")
        return found

    def entering(self) -> Tensor:
        """Return what enters the first layer, (items, ...): the continuous inputs, or the embedded tokens."""
        seen: list[Tensor] = []

        def keep(values: Tensor) -> Tensor:
            seen.append(values.detach())
            return values

        with torch.no_grad():
            self.outputs(enter=keep)
        return seen[0]

    def outputs(self, tensors: Tensors | None = None, enter: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return the outputs, (items, ...), differentiable in what is passed.

        `tensors` replace parameters or buffers of the same name; `enter` changes what enters the first layer.
        """
        batch = dict(self.batch)
        with ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # fused attention has no second derivatives
            if enter is not None and self.entrance is not None:
                batch[self.entrance] = enter(batch[self.entrance])
            elif enter is not None:
                self._change_embedded(enter, stack)
            if tensors is None:
                return self.forward(self.model, batch)
            return self.forward(lambda *a, **k: functional_call(self.model, tensors, a, k), batch)

    def mean_loss(self, tensors: Tensors | None = None) -> Tensor:
        """Return the mean loss, a scalar; raises UsageError where the model has nothing to predict."""
        if self.loss is None:
            raise UsageError("needs a loss, and the model has no head to take one of")
        return self.loss(self.outputs(tensors), self.batch)

    def _change_embedded(self, enter: Callable[[Tensor], Tensor], stack: ExitStack) -> None:
        """Change the first embedding of tokens that runs: encoder and decoder may have one each, of one weight."""
        find = getattr(self.model, "get_input_embeddings", None)
        found = find() if callable(find) else None
        if not isinstance(found, torch.nn.Embedding):
            raise UsageError("needs continuous inputs, and the model has neither images nor an input embedding")
        ran = False

        def hook(module: torch.nn.Module, given: Any, embedded: Tensor) -> Tensor:
            nonlocal ran
            first, ran = not ran, True
            return enter(embedded) if first else embedded

        for module in self.model.modules():
            if isinstance(module, torch.nn.Embedding) and module.weight is found.weight:
                stack.callback(module.register_forward_hook(hook).remove)


@dataclass(frozen=True)
class Row:
    """What was found in one layer."""

    layer: str
    values: dict[str, float]


@dataclass(frozen=True)
class Series:
    """A curve to plot: one panel, in which each start has a line."""

    label: str
    """Of the vertical axis."""
    over: str
    """Of the horizontal axis."""
    values: tuple[float, ...]
    log: bool = False
    """Values span orders of magnitude: those that are not positive are left out."""
    places: tuple[float, ...] = ()
    """Where the values lie on the horizontal axis: at 1, 2, ... where nothing else is said."""


@dataclass(frozen=True)
class Measurement:
    """What a measure found."""

    name: str
    numbers: dict[str, float]
    """Headline numbers: few, and in the order of their importance."""
    reading: str
    """What they say, in one sentence without a full stop."""
    sample: str
    """What was looked at where not everything was: "8 of 32 items, 32 of 1000 outputs"."""
    rows: tuple[Row, ...] = ()
    series: tuple[Series, ...] = ()


@dataclass(frozen=True)
class Measure:
    """A way of measuring a start."""

    function: Callable[[Probe], Measurement]
    """Raises UsageError, a reason in few words, for models that it does not apply to."""
    paper: str
    says: str
    """What a reader learns from it, in a line."""
    cost: Cost
    """For an ordinary model on a CPU. What takes minutes is measured when it is asked for by name."""


def gradients(loss: Callable[[Tensors], Tensor], tensors: Tensors) -> Tensors:
    """Return the gradient of a scalar function of named tensors, zeros for those that it does not depend on."""
    leaves = {n: t.detach().requires_grad_() for n, t in tensors.items()}
    with torch.enable_grad():
        found = torch.autograd.grad(loss(leaves), list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


@contextmanager
def batch_statistics(model: torch.nn.Module) -> Iterator[None]:
    """Let batch norms normalise by the batch, as in training, without changing what they remember."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    before = [(m.training, m.track_running_stats) for m in norms]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm, (training, tracks) in zip(norms, before, strict=True):
            norm.training, norm.track_running_stats = training, tracks
