"""Measures of entropy, information, dimension, Gaussianity, bounds and alignment on models of timm and transformers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from weightgen.diagnostics.entropy import entropy
from weightgen.diagnostics.functional_dimension import functional_dimension
from weightgen.diagnostics.gaussianity import gaussianity, outputs_of_draws
from weightgen.diagnostics.information import information
from weightgen.diagnostics.interval_tightness import interval_tightness
from weightgen.diagnostics.measure import Measurement, Probe
from weightgen.diagnostics.neuron_alignment import alignment
from weightgen.diagnostics.probing import settle, synthetic
from weightgen.diagnostics.readings import UNITS, readings
from weightgen.errors import UsageError
from weightgen.models.libraries import build
from weightgen.models.loading import initialised
from weightgen.models.names import resolve

VIT = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 3, "num_classes": 4}
RESNET = {"channels": (8, 8, 12, 12), "num_classes": 4}
N = 12
pytestmark = pytest.mark.usefixtures("one_thread")  # threads that wait for each other in tiny models lose much


def probe(name: str, arguments: Mapping[str, object], size: int | None = None) -> Probe:
    architecture = build(resolve(name), arguments)
    return settle(synthetic(architecture, initialised(architecture, 0), N, 6, size, 0))


@pytest.fixture(scope="module")
def probes(llama: Path) -> dict[str, Probe]:
    return {
        "vit": probe("timm:vit_tiny_patch16_224", VIT),
        "resnet": probe("timm:resnet18", RESNET, 32),
        "llama": probe(str(llama), {}),
    }


@pytest.mark.parametrize(
    ("measure", "name"),
    [*((m, n) for m in (entropy, information, alignment) for n in ("vit", "resnet", "llama")), (gaussianity, "vit")],
)
def test_numbers_are_finite_and_models_are_left_alone(
    name: str, measure: Callable[[Probe], Measurement], probes: dict[str, Probe]
) -> None:
    before = {n: t.clone() for n, t in probes[name].model.state_dict().items()}
    found = measure(probes[name])
    values = [*found.numbers.values(), *(v for row in found.rows for v in row.values.values())]
    assert all(math.isfinite(v) for v in values), found
    assert found == measure(probes[name])
    assert not probes[name].model.training
    assert all(torch.equal(before[n], t) for n, t in probes[name].model.state_dict().items())


def test_layers_are_read_in_order(probes: dict[str, Probe]) -> None:
    found = readings(probes["vit"])
    names = list(found)
    assert names[:3] == ["patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.attn.proj"]
    assert names[-2:] == ["head", "outputs"]
    images = probes["vit"].batch["x"]
    assert torch.equal(found["patch_embed.proj"], images.flatten(1))
    assert torch.equal(found["outputs"], probes["vit"].outputs())
    few = readings(probes["resnet"], units=7)["conv1"]
    assert few.shape == (N, 7)
    assert all(v.shape[1] <= UNITS for v in readings(probes["resnet"]).values())


def test_a_network_that_forgets_says_where(probes: dict[str, Probe]) -> None:
    full = information(probes["vit"])
    assert full.reading == f"every layer tells all {N} items apart"
    assert full.numbers["smallest"] == pytest.approx(math.log2(N))
    forgetful = probe("timm:vit_tiny_patch16_224", VIT)
    with torch.no_grad():
        forgetful.model.get_parameter("norm.weight").zero_()
    found = information(forgetful)
    assert found.numbers["outputs_about_inputs"] == 0
    assert found.reading == f"head tells 0 of {math.log2(N):.3g} bits of the items"
    assert entropy(forgetful).numbers["entropy_of_outputs"] == pytest.approx(0, abs=1e-6)
    assert set(full.rows[0].values) == {"about_inputs", "about_classes"}
    assert set(information(probes["llama"]).rows[0].values) == {"about_inputs"}  # a class for each token is none


def test_only_linear_and_convolutional_weights_are_drawn_anew(probes: dict[str, Probe]) -> None:
    used = probes["vit"].take(2)
    draws = outputs_of_draws(used, 3)
    assert draws.shape == (3, 2, 4)
    assert len({float(v) for v in draws[:, 0, 0]}) == 3
    dead = probe("timm:vit_tiny_patch16_224", VIT)
    with torch.no_grad():
        dead.model.get_parameter("head.weight").zero_()
    with pytest.raises(UsageError, match=r"the same for all draws of the weights \(a head of zeros\?\)"):
        gaussianity(dead)


def test_bounds_and_dimensions_say_what_they_cannot(probes: dict[str, Probe]) -> None:
    assert 0 < interval_tightness(probes["resnet"]).numbers["tightness"] < 0.1
    with pytest.raises(UsageError, match=r"no rule for the|torch.fx cannot trace"):
        interval_tightness(probes["vit"])
    with pytest.raises(UsageError, match="needs continuous inputs, and the model reads tokens"):
        interval_tightness(probes["llama"])
    with pytest.raises(UsageError, match="needs continuous inputs, and the model reads tokens"):
        functional_dimension(probes["llama"])
    with pytest.raises(UsageError, match="needs at most 1,000 parameters"):
        functional_dimension(probes["vit"])
