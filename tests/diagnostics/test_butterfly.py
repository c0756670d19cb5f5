"""The butterfly test: no change is no distance, permutations are seen through, and perturbations are of their size."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import timm
import torch

from tests.diagnostics.probes import chain, labels, normal, probe_of
from tests.training.small_task import Regression, network, settings
from weightgen.diagnostics.butterfly import barrier, barrier_at_highest, butterfly, linear_cka
from weightgen.diagnostics.measure import Probe
from weightgen.diagnostics.perturbation import initial_deviation, perturb_
from weightgen.diagnostics.probing import settle
from weightgen.errors import UsageError
from weightgen.models.libraries import described
from weightgen.models.proof import permute, random_permutations, randomise
from weightgen.training.loop import train

VIT = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 3, "num_classes": 4}
RESNET = {"channels": (8, 8, 12, 12), "num_classes": 4}
pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(name: str, seed: int = 0) -> Any:
    made = timm.create_model(*(("resnet18",) if name == "resnet" else ("vit_tiny_patch16_224",)), **_sizes(name))
    randomise(made, seed)
    return made


def _sizes(name: str) -> dict[str, Any]:
    return RESNET if name == "resnet" else VIT


def probe(made: torch.nn.Module, side: int) -> Probe:
    """Of a model on images; those for the ResNet have the classes that it gives them, so that its loss is low."""
    x = normal(8, 3, side, side)
    classes = settle(probe_of(model("resnet"), x)).outputs().argmax(1) if side == 32 else labels(8, 4)
    return settle(probe_of(made, x, classes))


@pytest.mark.parametrize(("name", "side"), [("vit", 8), ("resnet", 32)])
def test_no_perturbation_is_no_distance(name: str, side: int) -> None:
    one = model(name)
    other = copy.deepcopy(one)
    changed = perturb_(other, 0.0, seeded())
    assert (changed.l2, changed.changed) == (0, 0)
    found = butterfly(probe(one, side), probe(other, side)).numbers
    for key in ("l2", "l2_aligned", "barrier", "barrier_aligned", "barrier_at_highest", "barrier_at_highest_aligned"):
        assert found[key] == 0, key
    assert found["cka"] == pytest.approx(1)


@pytest.mark.parametrize(("name", "side"), [("vit", 8), ("resnet", 32)])
def test_a_permuted_copy_is_the_same_after_alignment(name: str, side: int) -> None:
    one = model(name)
    other = copy.deepcopy(one)
    layout = described(one).layout()
    assert layout is not None
    moved = permute(one.state_dict(), layout, random_permutations(layout, np.random.default_rng(0)))
    other.load_state_dict(moved)
    found = butterfly(probe(one, side), probe(other, side))
    assert found.numbers["l2_aligned"] == 0
    assert found.numbers["barrier_aligned"] == 0
    assert found.numbers["l2"] > 1
    assert found.numbers["barrier"] > 1e-3
    assert found.numbers["cka"] == pytest.approx(1, abs=1e-4)
    assert found.reading == "the two ends are in one basin up to permutations"


def test_the_two_barriers_differ_where_the_ends_do() -> None:
    losses = [1.0, 3.0, 4.0, 4.5, 5.0]
    assert barrier(losses) == pytest.approx(1)  # at both 1/4 and 1/2 the chord is 2 and 3
    assert barrier_at_highest(losses) == 0  # the highest is an end
    assert barrier([1, 2, 1]) == barrier_at_highest([1, 2, 1]) == 1
    assert barrier([3, 1, 2]) == 0


def test_cka_sees_through_rotations_and_scales() -> None:
    features = normal(50, 6, dtype=torch.float64)
    turn = torch.linalg.qr(normal(6, 6, seed=5, dtype=torch.float64))[0]
    assert linear_cka(features, 3 * features @ turn + 7) == pytest.approx(1)
    assert linear_cka(features, normal(50, 6, seed=9)) < 0.5
    assert math.isnan(linear_cka(features, torch.ones(50, 2)))


def test_models_without_axes_are_compared_as_they_are() -> None:
    one, other = (probe_of(chain([5, 6, 3], seed=s), normal(9, 5), labels(9, 3)) for s in (0, 1))
    found = butterfly(one, other)
    assert "l2_aligned" not in found.numbers
    assert found.reading.endswith("without alignment, since no axes are known")


@pytest.mark.parametrize(("scale", "fraction"), [(0.01, 1.0), (0.5, 1.0), (0.1, 0.25)])
def test_perturbations_have_the_size_they_are_asked_for(scale: float, fraction: float) -> None:
    made = timm.create_model("vit_tiny_patch16_224", **VIT)
    before = copy.deepcopy(made)
    changed = perturb_(made, scale, seeded(), fraction=fraction)
    deviations = {n: initial_deviation(p) for n, p in before.named_parameters()}
    expected = math.sqrt(sum(deviations[n] ** 2 * p.numel() for n, p in before.named_parameters()))
    assert changed.expected_l2 == pytest.approx(expected)
    assert changed.l2 == pytest.approx(scale * math.sqrt(fraction) * expected, rel=0.03)
    assert changed.changed == pytest.approx(fraction, abs=0.02)
    if fraction == 1:  # norms and biases, which are constant, too
        assert all(not torch.equal(p, q) for p, q in zip(made.parameters(), before.parameters(), strict=True))
    assert deviations["norm.weight"] == pytest.approx(1 / math.sqrt(12))


def test_changes_below_the_precision_are_none() -> None:
    made = torch.nn.Linear(50, 50)
    torch.nn.init.ones_(made.bias)
    changed = perturb_(made, 1e-8, seeded())
    assert 0 < changed.changed < 0.95
    direction = {n: torch.ones_like(p) for n, p in made.named_parameters()}
    assert perturb_(made, 0.1, seeded(), direction=direction).changed == 1
    for scale, fraction in ((-1.0, 1.0), (0.1, 1.5), (math.nan, 1.0)):
        with pytest.raises(UsageError, match="expected scale >= 0 and 0 <= fraction <= 1"):
            perturb_(made, scale, seeded(), fraction=fraction)
    with pytest.raises(UsageError, match="a direction of zeros has no length"):
        perturb_(made, 1.0, seeded(), direction={n: 0 * d for n, d in direction.items()})


def test_perturb_and_retrain() -> None:
    """The whole test on a small task: a larger change of the start ends further away; the same seeds throughout."""
    task = Regression()
    batch = task.batch("test", range(40))
    ends = []
    for scale in (0.0, 1e-4, 0.3):
        start = network(0.0)
        perturb_(start, scale, seeded())
        end = train(start, task, settings(ema=0.0)).model
        ends.append(Probe(end.eval(), batch, task.forward, task.loss, "x"))
    found = [butterfly(ends[0], end).numbers for end in ends]
    assert found[0]["l2"] == found[0]["barrier"] == 0
    assert 0 < found[1]["l2"] < 0.1 * found[2]["l2"]
    assert found[2]["l2"] > 0.1
