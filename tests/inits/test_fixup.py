"""Fixup: logits of 0, updates that do not grow with depth, and timm's ResNets with scalars in place of norms."""

from __future__ import annotations

import copy
import doctest
import math
from itertools import pairwise
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from weightgen.errors import UsageError
from weightgen.inits import fixup as module
from weightgen.inits.fixup import FixupOptions, fixup, fixup_, fixup_groups, plan
from weightgen.inits.roles import roles
from weightgen.models.norm_free import replace_norms

SIZES: dict[str, Any] = {"channels": (8, 8, 16, 16), "num_classes": 7}


class Block(nn.Module):
    """A block of the authors' CIFAR network: shortcuts to fewer pixels pool every other one and add channels of 0."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.bias1a, self.bias1b, self.bias2a, self.bias2b = (nn.Parameter(torch.zeros(1)) for _ in range(4))
        self.scale = nn.Parameter(torch.ones(1))
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.conv1(x + self.bias1a) + self.bias1b)
        out = self.conv2(out + self.bias2a) * self.scale + self.bias2b
        if self.stride > 1:
            x = functional.avg_pool2d(x + self.bias1a, 1, self.stride)
            x = torch.cat([x, torch.zeros_like(x)], 1)
        return torch.relu(out + x)


class CifarNet(nn.Module):
    """The authors' CIFAR ResNet with 3 n blocks: ResNet-20 where n is 3."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bias1, self.bias2 = (nn.Parameter(torch.zeros(1)) for _ in range(2))
        widths = [16, *[16] * n, *[32] * n, *[64] * n]
        self.blocks = nn.Sequential(*(Block(a, b, 1 + (a != b)) for a, b in pairwise(widths)))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(torch.relu(self.conv1(x) + self.bias1))
        return self.fc(x.mean((2, 3)) + self.bias2)  # type: ignore[no-any-return]


def change(model: nn.Module, rate: float = 0.1, steps: int = 4) -> tuple[float, float]:
    """First loss, and root mean square of what so many steps of SGD change in the logits."""
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(32, 3, 16, 16, generator=generator), torch.randint(10, (32,), generator=generator)
    with torch.no_grad():
        before = model(images)
        first = float(functional.cross_entropy(before, labels))
    optimizer = torch.optim.SGD(fixup_groups(model, rate))
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        return first, float((model(images) - before).square().mean().sqrt())


def he(model: nn.Module) -> nn.Module:
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return model


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("n", "expected"), [(1, 0.0336), (4, 0.0364), (12, 0.0452)])
def test_updates_do_not_depend_on_depth(n: int, expected: float) -> None:
    loss, moved = change(fixup(CifarNet(n)))
    assert loss == pytest.approx(math.log(10), abs=1e-6)
    assert moved == pytest.approx(expected, rel=0.2)  # of other images


def test_plain_he_diverges() -> None:
    loss, moved = change(he(CifarNet(4)))
    assert loss > 10
    assert math.isnan(moved)


def test_without_the_factor_of_branches_updates_grow() -> None:
    model, plain = fixup(CifarNet(4)), fixup(CifarNet(4))
    generator = torch.Generator().manual_seed(0)
    for block in plain.blocks:  # type: ignore[union-attr]
        fixup_(block.conv1.weight, generator=generator)
    grown, moved = change(plain, rate=0.5)[1], change(model, rate=0.5)[1]
    assert moved < 0.5
    assert grown > 3 * moved


def test_the_tensors_of_a_residual_network() -> None:
    model = CifarNet(3)
    before = copy.deepcopy(model.state_dict())
    fixup(model)
    images = torch.randn(2, 3, 32, 32)
    assert not model(images).any()
    after = model.state_dict()
    assert torch.equal(after["conv1.weight"], before["conv1.weight"])  # the stem, as in the authors' code
    for k, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        assert not block.conv2.weight.any(), k
        fan = block.conv1.out_channels * 9
        found = float(block.conv1.weight.detach().var()) * fan
        assert found == pytest.approx(2 / 9, rel=0.12), k  # L = 9 branches of m = 2 layers
        assert float(block.scale.detach()) == 1
    assert not model.fc.weight.any()
    again, other = fixup(CifarNet(3), seed=0).state_dict(), fixup(CifarNet(3), seed=1).state_dict()
    assert torch.equal(again["blocks.4.conv1.weight"], after["blocks.4.conv1.weight"])
    assert not torch.equal(other["blocks.4.conv1.weight"], after["blocks.4.conv1.weight"])


@pytest.mark.parametrize(("layers", "power"), [(2, 1 / 2), (3, 1 / 4), (4, 1 / 6)])
@pytest.mark.parametrize("fan", ["out", "in"])
def test_the_factor_is_a_power_of_the_number_of_branches(layers: int, power: float, fan: Any) -> None:
    seed = torch.Generator().manual_seed(0)
    weight = fixup_(torch.empty(128, 64, 3, 3), 16, layers, fan, generator=seed)
    size = 9 * (128 if fan == "out" else 64)
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / size) * 16**-power, rel=0.01)
    grouped = fixup_(torch.empty(128, 16, 3, 3), fan=fan, groups=4, generator=seed)
    assert float(grouped.var()) == pytest.approx(2 / (9 * (32 if fan == "out" else 16)), rel=0.05)


def test_norms_are_counted_and_refused() -> None:
    model = timm.create_model("resnet18", **SIZES)
    with pytest.raises(UsageError) as found:
        fixup(model)
    assert "ResNet: has 21 norm layers, and Fixup is for residual networks without any" in str(found.value)
    assert "--model-args norm_layer=fixup, fixup(model, replace_norms=True)" in str(found.value)
    assert "zero, idinit" in str(found.value)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=24, depth=1, num_heads=3)
    with pytest.raises(UsageError, match=r"VisionTransformer: norm layers .* timm's ResNets only \(3 here\)"):
        fixup(vit, replace_norms=True)
    before = copy.deepcopy(model.state_dict())
    selective = timm.create_model("skresnet18", **SIZES)
    with pytest.raises(UsageError, match=r"'layer1\.0' is a SelectiveKernelBasic"):
        replace_norms(selective)
    assert before.keys() == model.state_dict().keys()
    assert "bn1.weight" in selective.state_dict()


def test_networks_without_branches_are_refused() -> None:
    chain = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(UsageError, match=r"Sequential: has no residual branch.*\n.*he-normal"):
        fixup(chain)
    with pytest.raises(UsageError, match=r"fan: expected out or in, found 'inn'\. Did you mean 'in'"):
        fixup_(torch.empty(2, 2), fan="inn")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least 1 branch of 2 layers, found 3 of 1"):
        fixup_(torch.empty(2, 2), 3, 1)
    with pytest.raises(UsageError, match="fixup_: a weight on the meta device"):
        fixup_(torch.empty(2, 2, device="meta"))


def test_the_plan_says_what_each_tensor_gets() -> None:
    model = CifarNet(3)
    rules = {a.tensor: (a.rule, a.why) for a in plan(model, roles(model), FixupOptions())}
    assert rules["blocks.0.conv1.weight"] == ("He x 0.333", "L = 9, m = 2")
    assert rules["blocks.0.conv2.weight"] == ("0", "ends a branch")
    assert rules["fc.weight"] == ("0", "head")
    assert "conv1.weight" not in rules
    assert "bias1" not in rules  # scalars of other networks are theirs
    with torch.device("meta"):
        free = timm.create_model("resnet18", **SIZES)
    replace_norms(free)
    rules = {a.tensor: (a.rule, a.why) for a in plan(free, roles(free), FixupOptions(fan="in"))}
    assert rules["layer2.0.downsample.0.weight"] == ("He", "maps the stream")
    assert rules["layer2.0.scale"] == ("1", "scalar")
    assert set(rules) == {n for n, _ in free.named_parameters()} - {"conv1.weight"}


def test_scalars_train_slower() -> None:
    model = fixup(timm.create_model("resnet18", **SIZES), replace_norms=True)
    biases, scales, others = fixup_groups(model, 0.3)
    assert len(scales["params"]) == 8
    assert len(biases["params"]) == 8 * 4 + 2
    assert len(biases["params"]) + len(scales["params"]) + len(others["params"]) == len(list(model.parameters()))
    assert [g["lr"] for g in (biases, scales, others)] == pytest.approx([0.03, 0.03, 0.3])
    assert [len(g["params"]) for g in fixup_groups(nn.Linear(3, 3), 1.0)] == [2]


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0
