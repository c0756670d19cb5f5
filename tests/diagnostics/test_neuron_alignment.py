"""Early alignment of neurons: it happens from small weights, and not from large ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from weightgen.diagnostics.neuron_alignment import neuron_alignment, stable_rank
from weightgen.errors import UsageError


def early(scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Train a two-layer ReLU network for a while on two opposite classes; returns W1, inputs, classes."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(40) % 2
    centre = torch.zeros(10).index_fill(0, torch.tensor([0]), 3.0)
    x = (2.0 * classes[:, None] - 1) * centre + 0.3 * torch.randn(40, 10, generator=generator)
    first, second = nn.Linear(10, 30, bias=False), nn.Linear(30, 1, bias=False)
    for weight in (first.weight, second.weight):
        nn.init.normal_(weight, 0, scale, generator=generator)
    for _ in range(60):
        y = second(first(x).relu())[:, 0]
        loss = nn.functional.softplus(-(2.0 * classes - 1) * y).mean()
        gradients = torch.autograd.grad(loss, (first.weight, second.weight))
        with torch.no_grad():
            for weight, gradient in zip((first.weight, second.weight), gradients, strict=True):
                weight -= 0.1 * gradient
    return first.weight.detach(), x, classes


def test_neurons_align_from_small_weights_and_not_from_large_ones() -> None:
    weight, x, classes = early(1e-4)
    assert float(weight.norm()) < 1  # they have turned, and not yet fitted
    small = neuron_alignment(weight, x, classes).abs().amax(1)
    assert float(small.median()) > 0.98
    assert stable_rank(weight) < 1.2
    weight, x, classes = early(1.0)
    assert float(neuron_alignment(weight, x, classes).abs().amax(1).median()) < 0.6
    assert stable_rank(weight) > 3


def test_cosines_are_cosines() -> None:
    x = torch.tensor([[2.0, 0.0], [4.0, 0.0], [0.0, -1.0]])
    classes = torch.tensor([0, 0, 1])
    weight = torch.tensor([[5.0, 0.0], [0.0, 0.1], [1.0, 1.0]])
    expected = [[1, 0], [0, -1], [0.5**0.5, -(0.5**0.5)]]
    torch.testing.assert_close(neuron_alignment(weight, x, classes), torch.tensor(expected))
    with pytest.raises(UsageError, match="expected inputs of 2 numbers with a class each"):
        neuron_alignment(weight, x[:, :1], classes)


def test_stable_rank() -> None:
    assert stable_rank(torch.eye(7)) == pytest.approx(7)
    assert stable_rank(torch.outer(torch.arange(4.0), torch.arange(5.0))) == pytest.approx(1)
    assert stable_rank(torch.diag(torch.tensor([2.0, 1.0]))) == pytest.approx(1.25)
    assert stable_rank(torch.zeros(3, 2)) == 0
