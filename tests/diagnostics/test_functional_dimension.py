"""Functional dimension: the ranks of the literature's two networks, and the ways to count too few."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from weightgen.diagnostics.functional_dimension import functional_dimension, functional_rank, symmetry_bound
from weightgen.diagnostics.measure import Probe
from weightgen.errors import UsageError


def network(*widths: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    return nn.Sequential(*[m for layer in layers for m in (layer, nn.ReLU())][:-1])


def probe(model: nn.Module, each: int = 20, seed: int = 1) -> Probe:
    """So many random inputs for each parameter."""
    first = next(m for m in model.modules() if isinstance(m, nn.Linear))
    count = each * sum(p.numel() for p in model.parameters())
    drawn = torch.randn(count, first.in_features, generator=torch.Generator().manual_seed(seed))
    return Probe(model, {"images": drawn}, lambda m, b: m(b["images"]), None, "images")


def test_a_shallow_network_reaches_its_bound() -> None:
    """(3, 5, 1): 26 parameters less 5 scalings."""
    model = network(3, 5, 1)
    assert functional_rank(probe(model)) == symmetry_bound(model) == 21
    found = functional_dimension(probe(model, each=1))  # draws inputs of its own
    assert found.numbers == {"rank": 21, "parameters": 26, "share": 21 / 26}


def test_a_deep_narrow_network_stays_below() -> None:
    """(2, 3, 3, 3, 1): 37 parameters, 9 hidden units, and regions where whole layers are dead."""
    model = network(2, 3, 3, 3, 1, seed=28)
    assert symmetry_bound(model) == 28
    assert [functional_rank(probe(model, seed=seed)) for seed in (1, 2)] == [14, 14]
    for seed in range(6):
        model = network(2, 3, 3, 3, 1, seed=seed)
        assert functional_rank(probe(model)) <= 28


def test_outputs_are_stacked_not_summed() -> None:
    model = network(2, 4, 3)
    assert functional_rank(probe(model)) == symmetry_bound(model) == 27 - 4

    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.net(x).sum(-1, keepdim=True)
            return found

    assert functional_rank(probe(Summed())) < 23


def test_smooth_activations_have_no_scalings() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    assert functional_rank(probe(model)) == 26


def test_a_network_of_zeros_moves_by_its_last_bias() -> None:
    model = network(2, 3, 1)
    for p in model.parameters():
        nn.init.zeros_(p)
    assert functional_rank(probe(model)) == 1


def test_too_few_inputs_and_too_many_parameters_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 20 items for each of 26 parameters, 520, and has 519"):
        functional_rank(probe(network(3, 5, 1)).take(519))
    with pytest.raises(UsageError, match=r"needs at most 1,000 parameters, .* there are 1,057"):
        functional_dimension(probe(network(31, 32, 1), each=1))
    with pytest.raises(UsageError, match="Conv2d has others"):
        symmetry_bound(nn.Conv2d(1, 1, 1))
