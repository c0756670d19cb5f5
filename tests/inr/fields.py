"""What the tests of every kind of signal do: fit a small field, and compare losses over all observations and parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from weightgen.errors import WeightgenError
from weightgen.inr.config import field_config
from weightgen.inr.derivatives import Batch, chunks
from weightgen.inr.field import Field
from weightgen.inr.fitting import Adaptation, derivatives_of, evaluator, fit, observed, stack, stacked
from weightgen.inr.signals.kind import Evaluate, Kind, Signal


def small_field(kind: Kind, name: str = "siren", **arguments: Any) -> Field:
    sizes = {"inputs": kind.inputs, "outputs": kind.outputs, "hidden": 32, "hidden_layers": 2}
    return Field(field_config(name, {**sizes, **arguments}))


def fitted(kind: Kind, signal: Signal, field: Field, steps: int, rate: float, points: int) -> tuple[Evaluate, float]:
    """Return a field fitted to a signal, and its score."""
    parts = observed(kind, [signal], points, 0, torch.device("cpu"))
    run = fit(field, kind, stacked(field, 1), parts, steps, Adaptation(rate=rate))
    evaluate = evaluator(field, run.tensors)
    return evaluate, float(kind.score(evaluate, stack([kind.judged(signal)])))


def agree_in_parts(kind: Kind, signals: Sequence[Signal]) -> None:
    """Assert that losses and gradients of tasks together, and in parts, are those of each task alone."""
    field = small_field(kind, frequency=5, first_frequency=5).double()
    batch: Batch = {n: v.double() for n, v in stack([kind.observe(s) for s in signals]).items()}
    gradient = derivatives_of(field, kind).gradient
    tensors = stacked(field, len(signals))
    losses, whole = gradient(tensors, chunks(batch, 1 << 20))
    parted, parts = gradient(tensors, chunks(batch, 7 * len(signals)))
    assert losses.shape == (len(signals),)
    assert torch.allclose(losses, parted, rtol=1e-9)
    assert len(set(losses.tolist())) == len(signals)
    for name, found in whole.items():
        assert torch.allclose(found, parts[name], rtol=1e-6, atol=1e-12), name
    for i in range(len(signals)):
        alone = {n: v[i : i + 1] for n, v in batch.items()}
        found_loss, found = gradient(stacked(field, 1), chunks(alone, 1 << 20))
        assert torch.allclose(found_loss[0], losses[i], rtol=1e-9)
        assert all(torch.allclose(found[n][0], whole[n][i], rtol=1e-6, atol=1e-12) for n in whole)


def refused(error: type[WeightgenError], call: Any, *texts: str) -> None:
    """Assert that a call raises just that error, with those words, in one to three lines without control characters."""
    with pytest.raises(error) as found:
        call()
    assert type(found.value) is error
    lines = str(found.value).split("\n")
    assert len(lines) <= 3
    assert all(c.isprintable() for line in lines for c in line)
    for text in texts:
        assert text in str(found.value), str(found.value)
