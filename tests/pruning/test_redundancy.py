"""Redundant units: a duplicate goes first, and its merging changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from weightgen.errors import UsageError
from weightgen.pruning.redundancy import merge_, most_parallel


def layers(seed: int = 0) -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(seed)
    return nn.Linear(6, 9).double(), nn.Linear(9, 4).double()


def outputs(first: nn.Module, second: nn.Module, x: Tensor) -> Tensor:
    return second(first(x).relu()).detach()  # type: ignore[no-any-return]


@pytest.mark.parametrize("factor", [1.0, 0.3, 2.5])
def test_the_duplicate_goes_first_and_nothing_changes(factor: float) -> None:
    first, second = layers()
    with torch.no_grad():
        first.weight[7] = factor * first.weight[2]
        first.bias[7] = factor * first.bias[2]
    keep, drop, cosine = most_parallel(first.weight, first.bias)[0]
    assert {keep, drop} == {2, 7}
    assert drop == (2 if factor > 1 else 7)
    assert cosine == pytest.approx(1)
    x = torch.randn(50, 6, dtype=torch.float64)
    before = outputs(first, second, x)
    merge_(first.weight, first.bias, second.weight, keep, drop)
    torch.testing.assert_close(outputs(first, second, x), before)
    assert not first.weight[drop].any()
    assert not second.weight[:, drop].any()
    # Dropped without merging, its work is lost.
    first, second = layers()
    with torch.no_grad():
        first.weight[7], first.bias[7] = first.weight[2], first.bias[2]
        before = outputs(first, second, x)
        second.weight[:, 7] = 0
    assert float((outputs(first, second, x) - before).abs().max()) > 0.01


def test_opposite_units_are_not_redundant() -> None:
    first, _ = layers()
    with torch.no_grad():
        first.weight[7], first.bias[7] = -first.weight[2], -first.bias[2]
    keep, drop, _ = most_parallel(first.weight, first.bias)[0]
    assert {keep, drop} != {2, 7}
    with torch.no_grad():  # the same direction and another bias: another hyperplane
        first.weight[7], first.bias[7] = first.weight[2], first.bias[2] + 3
    assert {*most_parallel(first.weight, first.bias)[0][:2]} != {2, 7}
    assert {*most_parallel(first.weight)[0][:2]} == {2, 7}


def test_convolutions_merge_by_channel() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 5, 3, padding=1).double(), nn.Conv2d(5, 2, 3).double()
    with torch.no_grad():
        first.weight[4], first.bias[4] = 0.5 * first.weight[1], 0.5 * first.bias[1]  # type: ignore[index]
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    before = outputs(first, second, x)
    keep, drop, _ = most_parallel(first.weight, first.bias)[0]
    merge_(first.weight, first.bias, second.weight, keep, drop)
    assert (keep, drop) == (1, 4)
    torch.testing.assert_close(outputs(first, second, x), before)


def test_each_unit_is_dropped_once_and_never_stands_in_after() -> None:
    first, second = layers()
    pairs = most_parallel(first.weight, first.bias)
    dropped = [drop for _, drop, _ in pairs]
    assert len(dropped) == len(set(dropped)) == 8
    assert [c for _, _, c in pairs] == sorted((c for _, _, c in pairs), reverse=True)
    for i, (keep, _, _) in enumerate(pairs):
        assert keep not in dropped[:i]
    with torch.no_grad():
        first.weight[0] = 0
    with pytest.raises(UsageError, match="unit 0 is zero"):
        merge_(first.weight, first.bias, second.weight, 0, 1)
