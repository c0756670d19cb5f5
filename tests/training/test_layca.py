"""Layca: angles and norms of its steps, and runs that resume to the bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.training.small_task import Regression, network, settings
from weightgen.models.masks import Mask
from weightgen.training.interruption import Interrupted
from weightgen.training.layca import Layca, turn_
from weightgen.training.loop import train

pytestmark = pytest.mark.usefixtures("one_thread")


def angle(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the angle between two tensors, exact also where it is small."""
    a, b = (t.double().flatten() / t.double().norm() for t in (one, other))
    return 2 * math.asin(min(1.0, float((a - b).norm()) / 2))


@examples(max_examples=50, deadline=None)
@given(
    shape=st.sampled_from([(3, 4), (1, 2), (8, 3, 3, 3), (5, 1, 3, 3)]),
    rate=st.floats(1e-3, 3),
    size=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_the_norm_is_kept_and_the_tangent_is_the_rate(
    shape: tuple[int, ...], rate: float, size: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    gradient = size * torch.randn(shape, generator=generator, dtype=torch.float64)
    before = weight.clone()
    turn_(weight, gradient, rate)
    assert float(weight.norm()) == pytest.approx(float(before.norm()), rel=1e-12)
    assert math.tan(angle(before, weight)) == pytest.approx(rate, rel=1e-6)
    beside = gradient - before * ((before * gradient).sum() / before.norm() ** 2)
    assert float((weight * beside).sum()) < 0
    # Plain gradient descent does neither.
    plain = before - rate * gradient
    assert abs(math.tan(angle(before, plain)) - rate) > 1e-6 or abs(float(plain.norm() / before.norm()) - 1) > 1e-6


def test_only_the_part_beside_the_kernel_turns_it() -> None:
    weight = torch.randn(3, 3, dtype=torch.float64)
    before, gradient = weight.clone(), torch.randn(3, 3, dtype=torch.float64)
    other = weight.clone()
    turn_(weight, gradient, 0.1)
    turn_(other, gradient + 5 * before, 0.1)
    torch.testing.assert_close(weight, other)
    for still in (torch.zeros(3, 3, dtype=torch.float64), 0 * before):
        kept = before.clone()
        turn_(kept, still, 0.1)
        assert torch.equal(kept, before)


def test_vectors_and_zeros_take_plain_steps() -> None:
    for start in (torch.ones(4), torch.zeros(2, 3)):
        weight, gradient = start.clone(), torch.full_like(start, 2.0)
        turn_(weight, gradient, 0.25)
        assert torch.equal(weight, start - 0.5)


def test_it_trains_and_resumes_to_the_bit(tmp_path: Path) -> None:
    how = settings(optimizer="layca", learning_rate=0.05, gradient_noise=0.01)
    whole = train(network(), Regression(), how)
    assert whole.curve.mean(1)[-1] < 0.9 * whole.curve.mean(1)[0]

    def stop(done: int, total: int, words: str) -> None:
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        train(network(), Regression(), how, tmp_path, progress=stop)
    resumed = train(network(), Regression(), how, tmp_path)
    assert np.array_equal(resumed.curve, whole.curve)
    ours, theirs = (r.model.state_dict() for r in (whole, resumed))
    assert all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_norms_of_kernels_stay_over_a_run() -> None:
    model = network(0.0)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    trained = train(model, Regression(), settings(optimizer="layca", learning_rate=0.1, ema=0.0)).model
    for name, value in trained.named_parameters():
        kept = float(value.detach().norm()) == pytest.approx(float(before[name].norm()), rel=1e-5)
        assert kept == (value.ndim >= 2), name


def test_masks_hold_under_layca() -> None:
    model, kept = network(), torch.rand(16, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    Mask({"0.weight": kept}).hold_(model)
    how = settings(optimizer="layca", learning_rate=0.1, ema=0.0, gradient_noise=0.3)
    weight = train(model, Regression(), how).model.get_parameter("0.weight").detach()
    assert torch.equal(weight != 0, kept)


def test_a_closure_is_asked() -> None:
    weight = torch.nn.Parameter(torch.eye(2))

    def loss() -> float:
        weight.grad = torch.ones(2, 2)
        return 3.0

    assert Layca([weight], 0.1).step(loss) == 3.0
    assert not torch.equal(weight, torch.eye(2))
