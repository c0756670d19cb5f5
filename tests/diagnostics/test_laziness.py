"""Lazy and rich learning: the same small network, trained lazily by large outputs and richly by small ones."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.diagnostics.probes import chain, normal, probe_of
from weightgen.diagnostics.laziness import laziness
from weightgen.errors import UsageError


def fitted(scale: float) -> tuple[nn.Module, nn.Module, Tensor]:
    """Fit scale * (f - f at the start), after Chizat, Oyallon and Bach 2019; returns both ends and the inputs."""
    model = chain([5, 100, 1])
    x = normal(30, 5)
    y = torch.sin(2 * x[:, :1])
    other = copy.deepcopy(model)
    with torch.no_grad():
        first = model(x)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.002 / scale**2)
    for _ in range(400):
        optimizer.zero_grad()
        (scale * (other(x) - first) - y).square().mean().backward()
        optimizer.step()
    return model, other, x


def test_large_outputs_are_lazy_and_small_ones_rich() -> None:
    found = {}
    for scale in (0.03, 30.0):
        before, after, x = fitted(scale)
        found[scale] = laziness(probe_of(before, x), probe_of(after, x)).numbers["kernel_alignment"]
    assert found[30.0] > 0.999
    assert found[0.03] < 0.95


def test_nothing_learned_is_nothing_moved() -> None:
    probe = probe_of(chain([5, 7, 2]), normal(6, 5))
    found = laziness(probe, probe)
    assert found.numbers == pytest.approx({"kernel_alignment": 1, "kernel_growth": 1})
    assert found.reading.endswith("training was lazy")
    dead = chain([5, 7, 2])
    for parameter in dead.parameters():
        nn.init.zeros_(parameter)
    dead[2] = nn.Identity()
    dead[0] = nn.Linear(5, 7, bias=False)
    nn.init.zeros_(dead[0].weight)
    with pytest.raises(UsageError, match="a kernel of zeros"):
        laziness(probe_of(dead, normal(6, 5) * 0), probe_of(dead, normal(6, 5) * 0))
