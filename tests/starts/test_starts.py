"""Starts by name: what each of them is, and what its weights are."""

from __future__ import annotations

import math

import pytest
import torch

from weightgen import inits
from weightgen.errors import UsageError
from weightgen.models.libraries import build
from weightgen.models.names import resolve
from weightgen.starts.start import parse_start, parse_starts

SIZES = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 10, "embed_dim": 48, "depth": 1, "num_heads": 3}


VARIANCES = ("glorot-uniform", "glorot-normal", "he-uniform", "he-normal", "orthogonal")


@pytest.mark.parametrize("name", VARIANCES)
def test_initialisers_follow_their_formulas(name: str) -> None:
    architecture = build(resolve("timm:vit_tiny_patch16_224"), SIZES)
    start = parse_start(name)
    assert (start.kind, start.name) == ("initialiser", name)
    model = start.model(architecture, 0)
    weight = model.get_parameter("blocks.0.mlp.fc1.weight").detach()  # 192 x 48
    if name == "orthogonal":
        assert torch.allclose(weight.T @ weight, torch.eye(48), atol=1e-5)
    else:
        variance = 2 / (192 + 48) if name.startswith("glorot") else 2 / 48
        assert float(weight.var()) == pytest.approx(variance, rel=0.05)
        most = float(weight.abs().max()) / math.sqrt(variance)
        assert most <= math.sqrt(3) + 1e-5 if name.endswith("uniform") else most > 2.5
    assert not model.get_parameter("blocks.0.mlp.fc1.bias").any()
    plain = parse_start("random").model(architecture, 0)
    for left in ("norm.weight", "pos_embed", "cls_token"):
        assert torch.equal(model.get_parameter(left), plain.get_parameter(left))
    again, other = start.model(architecture, 0), start.model(architecture, 1)
    assert torch.equal(again.get_parameter("head.weight"), model.get_parameter("head.weight"))
    assert not torch.equal(other.get_parameter("head.weight"), model.get_parameter("head.weight"))


def test_every_initialiser_is_a_start() -> None:
    for name in inits.INITIALISERS:
        start = parse_start(f"mine={name}")
        assert (start.kind, start.name) == ("initialiser", "mine")
    architecture = build(resolve("timm:vit_tiny_patch16_224"), SIZES)
    model = parse_start("mine=zero").model(architecture, 0)
    assert not model.get_parameter("blocks.0.mlp.fc2.weight").any()
    with pytest.raises(UsageError, match="looks-linear mirrors a chain"):
        parse_start("looks-linear").model(architecture, 0)


def test_names_of_starts() -> None:
    named = parse_starts(["he=he-normal", "random", "shuffled:some/start", "scratch-flops", "scratch-flops:a"])
    assert [s.name for s in named] == ["he", "random", "shuffled:start", "scratch-flops", "scratch-flops:a"]
    assert [s.kind for s in named] == ["initialiser", "random", "shuffled", "scratch-flops", "scratch-flops"]
    with pytest.raises(UsageError, match=r"Did you mean .orthogonal.\?"):
        parse_start("orthogonl")
    close = parse_start("perturbed:0.01:some/start")
    assert (close.kind, close.name, close.directory, close.scale) == (
        "perturbed",
        "perturbed:0.01:start",
        "some/start",
        0.01,
    )
    for text in ("perturbed:some/start", "perturbed:0.01", "perturbed:-1:start", "perturbed:inf:start", "perturbed:"):
        with pytest.raises(UsageError, match="by how much, of which checkpoint\\? Write perturbed:SCALE:DIRECTORY"):
            parse_start(text)
    with pytest.raises(UsageError, match="two starts are called 'random'"):
        parse_starts(["random", "random"])
