"""Initialisers on whole networks: each does what its theory says, and refuses what it is not for."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import nn

import weightgen
from tests.diagnostics.networks import RESNET, mlp, resnet, value, vit
from weightgen import inits
from weightgen.errors import UsageError
from weightgen.inits.registry import plan_of
from weightgen.models.libraries import build
from weightgen.models.names import resolve
from weightgen.starts.start import parse_start


def test_zero_makes_every_block_the_identity() -> None:
    model = vit()
    inits.apply("zero", model, 0)
    x = torch.randn(2, 5, 16)
    assert torch.equal(model.blocks(x), x)  # type: ignore[operator]
    qkv = value(model, "blocks.0.attn.qkv.weight")
    assert torch.equal(qkv, torch.eye(16).repeat(3, 1))  # each of q, k and v is a layer of its own
    assert not torch.equal(inits.zero_(torch.empty(48, 16)), qkv)
    # Patches have no middle pixel: their kernel is a linear layer on all of them.
    assert torch.equal(value(model, "patch_embed.proj.weight").flatten(1), torch.eye(16, 3 * 64))
    other = vit()
    inits.apply("zero", other, 1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def gradients(model: nn.Module, names: list[str]) -> list[float]:
    torch.manual_seed(1)
    model.train()
    model(torch.randn(4, 3, 64, 64)).square().sum().backward()
    found = [model.get_parameter(name).grad for name in names]
    return [float(g.abs().max()) for g in found if g is not None]


def test_a_branch_of_zeros_is_not_dead() -> None:
    names = ["layer1.0.conv2.weight", "layer1.0.bn2.weight"]
    model = resnet()
    assert not value(model, "layer1.0.bn2.weight").any()  # as timm begins it
    inits.apply("zero", model, 0)
    assert not value(model, names[0]).any()
    assert gradients(model, names)[0] > 0
    dead = resnet()
    inits.apply("zero", dead, 0)
    nn.init.zeros_(dead.get_parameter(names[1]))
    assert gradients(dead, names) == [0.0, 0.0]


def test_idinit_is_next_to_zero_at_the_ends() -> None:
    model = vit()
    inits.apply("idinit", model, 0, {"tau": 0.5, "loose": 0.0})
    end = value(model, "blocks.1.mlp.fc2.weight")
    assert torch.equal(end.sum(1), torch.zeros(16))
    assert float(end.abs().max()) == pytest.approx(1e-6)
    assert torch.equal(value(model, "blocks.1.mlp.fc1.weight"), 0.5 * torch.eye(16).repeat(4, 1))
    inits.apply("idinit", model, 0)
    assert float(value(model, "head.weight").std()) > 0
    assert 0 < float((value(model, "blocks.1.mlp.fc1.weight") - torch.eye(16).repeat(4, 1)).abs().max()) < 0.01


def test_gains_are_those_of_the_activation_before_or_after() -> None:
    layers = [nn.Linear(300, 300), nn.Tanh(), nn.Linear(300, 300), nn.Sigmoid(), nn.Linear(300, 300)]

    def scaled(name: str) -> list[float]:
        model = nn.Sequential(*copy.deepcopy(layers))
        inits.apply(name, model, 0)
        return [float(value(model, f"{i}.weight").var() * 300) for i in (0, 2, 4)]

    assert scaled("vi3nr") == pytest.approx([1, 1.592537**2, 1.846229**2], rel=0.03)
    assert scaled("kumar") == pytest.approx([1, 12.8, 1], rel=0.03)


def test_looks_linear_is_an_isometry() -> None:
    model = mlp(8, 6)
    inits.apply("looks-linear", model, 0)
    jacobian = torch.func.jacrev(model)(torch.randn(4)).detach()
    assert torch.linalg.svdvals(jacobian).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    x = torch.randn(3, 4)
    assert torch.allclose(model(2 * x), 2 * model(x), atol=1e-5)
    assert torch.allclose(model(-x), -model(x), atol=1e-5)
    convolutions = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    inits.apply("looks-linear", convolutions, 0)
    image = torch.randn(1, 2, 6, 6)
    assert torch.allclose(convolutions(-image), -convolutions(image), atol=1e-5)


def chain(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), *layers, nn.Conv2d(4, 2, 3))


REFUSED: Mapping[str, tuple[nn.Module, str]] = {
    "odd": (mlp(6, 4).append(nn.ReLU()).append(nn.Linear(3, 2)), "'6.weight': looks-linear splits .* 3 is odd: use 4"),
    "norm": (chain(nn.BatchNorm2d(4)), "BatchNorm2d before '3.weight': looks-linear mirrors a chain"),
    "pool": (chain(nn.MaxPool2d(2)), "MaxPool2d before '3.weight'"),
    "tanh": (chain(nn.Tanh()), "'0.weight' reads identity and feeds relu|'3.weight' reads tanh"),
    "linear": (
        nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)),
        "'0.weight' reads identity and feeds identity, expected",
    ),
    "one": (nn.Linear(2, 2), "a network of 1 layers has no ReLU"),
    "residual": (vit(), "the network forks before 'blocks.0.attn.qkv.weight'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_looks_linear_refuses_other_networks(case: str) -> None:
    model, text = REFUSED[case]
    with pytest.raises(UsageError, match=text):
        plan_of("looks-linear", model)


def test_eoi_has_the_density_and_its_mask() -> None:
    model = vit()
    masks = inits.apply("eoi", model, 0, {"density": 0.4})
    assert set(masks) == {r.tensor for r in plan_of("eoi", model).roles.layers}
    total = sum(m.numel() for m in masks.values())
    assert sum(int(m.sum()) for m in masks.values()) / total == pytest.approx(0.4, abs=0.02)
    for name, mask in masks.items():
        assert mask.shape == value(model, name).shape
        assert not value(model, name)[~mask].any()
    value_rows = value(model, "blocks.0.attn.qkv.weight")[32:]
    assert torch.allclose(value_rows @ value_rows.T, torch.eye(16), atol=2e-5)
    made = weightgen.init(vit(), "eoi", density=0.4)
    assert all(torch.equal(made.mask.kept[name], mask) for name, mask in masks.items())
    start = parse_start("eoi")
    held = start.model(build(resolve("timm:resnet18"), RESNET), 0)
    held(torch.randn(2, 3, 32, 32)).sum().backward()
    weight = held.get_parameter("layer4.0.conv2.weight")
    assert weight.grad is not None
    assert not weight.grad[(weight == 0) & (weight.grad == 0)].any()
    assert int((weight.grad != 0).sum()) < weight.numel() / 2


def test_low_rank_keeps_the_norm() -> None:
    model, before = vit(), vit()
    inits.apply("low-rank", model, 0, {"rank": 3})
    for name in ("blocks.0.mlp.fc1.weight", "patch_embed.proj.weight"):
        old, new = value(before, name).flatten(1), value(model, name).flatten(1)
        assert int(torch.linalg.matrix_rank(new, rtol=1e-5)) == 3
        assert float(new.norm()) == pytest.approx(float(old.norm()), rel=1e-5)
    assert torch.equal(value(model, "head.weight"), value(before, "head.weight"))  # of rank 3 as it is
    query = value(model, "blocks.0.attn.qkv.weight")[:16]
    assert int(torch.linalg.matrix_rank(query, rtol=1e-5)) == 3
