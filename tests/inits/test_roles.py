"""Roles of layers: on networks whose roles are known, on real classes, and held against the axis tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo import all_cases
from weightgen.inits.roles import Roles, roles
from weightgen.models.axes import FREE_LOCAL, Axis
from weightgen.models.libraries import build, described
from weightgen.models.names import resolve

CASES = {case.id: case for case in all_cases()}
FAMILIES = [
    *("timm-vit", "timm-vit-parallel", "timm-vit-parallel-fused", "timm-vit-norms", "timm-eva02-split", "timm-beit"),
    *("timm-swin", "timm-swinv2", "timm-convnext", "timm-resnet-basic-projected", "timm-resnet-deep-stem"),
    *("timm-resnext", "timm-seresnet", "timm-mixer", "timm-gmixer", "BertForMaskedLM", "MPNetModel", "DebertaV2Model"),
    *("gpt2", "llama", "gemma2", "phi3-partial-rotary", "falcon-grouped", "gpt-neox", "mixtral", "qwen2-moe"),
    *("T5ForConditionalGeneration-gated", "WhisperModel", "CLIPModel", "ViTForImageClassification"),
]


@cache
def found(case: str) -> Roles:
    return roles(CASES[case].build("target"))


def kinds(of: Roles) -> dict[str, str]:
    return {role.tensor: role.kind for role in of.layers}


def is_stream(axes: list[Axis]) -> bool:
    return all(a.name.partition(":")[0] in ("embed", "tokens") for a in axes)


@pytest.mark.parametrize("case", FAMILIES)
def test_ends_of_branches_are_those_of_the_axis_table(case: str) -> None:
    model = CASES[case].build("target")
    layout = described(model).layout()
    assert layout is not None
    expected = set()
    for tensor in layout.tensors.values():
        role = found(case).tensors.get(tensor.name)
        if role is None or not role.is_layer or role.note:
            continue
        into, out = (
            [a for i, dim in enumerate(tensor.dims) for t in dim for a in t if (i in tensor.inputs) == side]
            for side in (True, False)
        )
        own = [a for a in out if layout.sizes[a] > 1 and not a.name.startswith("expert")]
        if is_stream(own) and any(a.scope and a.name.partition(":")[0] in FREE_LOCAL for a in into):
            expected.add(tensor.name)
    ends = {role.tensor for role in found(case).of("branch-end")}
    assert ends == expected
    assert found(case).structured
    for index in range(found(case).branches):
        branch = found(case).branch(index)
        assert any(role.kind == "branch-end" for role in branch)
        assert {role.place for role in branch} == set(range(branch[0].layers))


def test_every_case_of_the_zoo_names_every_parameter_once() -> None:
    for case in ("timm-beit", "gpt2", "SiglipForImageClassification", "BertForPreTraining"):
        model = CASES[case].build("target")
        of = found(case)
        named = [*of.tensors, *(r.bias for r in of.tensors.values() if r.bias)]
        assert sorted(named) == sorted(n for n, _ in model.named_parameters()), case


@pytest.mark.parametrize(
    ("name", "count", "length"), [("resnet18", 8, 2), ("resnet50", 16, 3), ("vit_tiny_patch16_224", 24, 2)]
)
def test_branches_are_counted_as_fixup_counts_them(name: str, count: int, length: int) -> None:
    of = roles(build(resolve(f"timm:{name}"), {}))  # on the meta device
    assert of.branches == count
    assert {role.layers for role in of.branch(0)} == {length}


class Block(nn.Module):
    """One of ResNet-20's, with a projection where it is asked for."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(into, out, 3, padding=1)
        self.two = nn.Conv2d(out, out, 3, padding=1)
        self.beside = nn.Conv2d(into, out, 1) if into != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.two(functional.relu(self.one(x)))
        return functional.relu(y + (x if self.beside is None else self.beside(x)))


def resnet20() -> nn.Sequential:
    blocks = [Block(4, 4), Block(4, 4), Block(4, 4), Block(4, 8), *(Block(8, 8) for _ in range(5))]
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def test_a_plain_residual_network() -> None:
    of = roles(resnet20())
    assert of.branches == 9
    assert [role.tensor for role in of.of("stem", "shortcut", "head")] == ["0.weight", "5.beside.weight", "13.weight"]
    one, two = of.branch(3)
    assert (one.tensor, one.place, one.kind) == ("5.one.weight", 0, "hidden")
    assert (two.tensor, two.place, two.kind, two.layers) == ("5.two.weight", 1, "branch-end", 2)
    assert [(r.reads, r.feeds) for r in (one, two)] == [("relu", "relu"), ("relu", "identity")]
    assert of.tensors["0.weight"].reads == "identity"
    assert of.tensors["13.weight"].reads == "relu"


def test_chains() -> None:
    mlp = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.GELU(), nn.Dropout(), nn.Linear(4, 2))
    of = roles(mlp)
    assert kinds(of) == {"0.weight": "stem", "2.weight": "hidden", "5.weight": "head"}
    assert [(r.reads, r.feeds) for r in of.layers] == [("identity", "tanh"), ("tanh", "gelu"), ("gelu", "identity")]
    assert [r.bias for r in of.layers] == ["0.bias", "2.bias", "5.bias"]
    assert of.branches == 0
    bare = roles(nn.Linear(3, 2))
    assert kinds(bare) == {"weight": "head"}


class Wild(nn.Module):
    """An activation that no table has."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.cos(x)


def test_activations_are_known_by_their_values() -> None:
    class Softsigned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / (1 + x.abs())

    of = roles(nn.Sequential(nn.Linear(2, 2), Wild(), nn.Linear(2, 2), Softsigned(), nn.Linear(2, 2)))
    assert [r.reads for r in of.layers] == ["identity", "wild", "softsign"]
    assert callable(of.activation("wild"))
    assert of.activation("softsign") == "softsign"
    assert float(of.activations["wild"](torch.tensor(2.0))) == pytest.approx(2 * float(torch.tensor(2.0).cos()))
    # Neither a scale nor a shift nor a norm is an activation.
    scaled = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Identity(), nn.Dropout(0.5), nn.Linear(2, 2))
    assert [r.reads for r in roles(scaled).layers] == ["identity", "identity"]
    assert roles(scaled).norms == ("1",)


def case_of(forward: Callable[[nn.ModuleDict, Tensor], Tensor], names: str) -> Roles:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.m = nn.ModuleDict({name: nn.Linear(4, 4) for name in names})

        def forward(self, x: Tensor) -> Tensor:
            return forward(self.m, x)

    return roles(Model())


def test_what_is_no_residual_branch() -> None:
    two = case_of(lambda m, x: m["a"](x) + m["b"](x), "ab")
    assert two.branches == 0
    scores = case_of(lambda m, x: (m["q"](x) @ m["k"](x).transpose(0, 1) + x @ x.transpose(0, 1)).softmax(-1) @ x, "qk")
    assert scores.branches == 0
    masked = case_of(lambda m, x: m["b"](m["a"](x) + 1.0), "ab")
    assert masked.branches == 0
    residual = case_of(lambda m, x: x + m["b"](m["a"](x)), "ab")
    assert (residual.branches, kinds(residual)["m.b.weight"]) == (1, "branch-end")


def test_gates_are_not_on_the_way() -> None:
    squeezed = case_of(lambda m, x: x + (y := m["a"](x)) * m["c"](m["b"](y).relu()).sigmoid(), "abc")
    assert kinds(squeezed) == {"m.a.weight": "branch-end", "m.b.weight": "other", "m.c.weight": "other"}
    glu = case_of(lambda m, x: x + m["c"](functional.silu(m["a"](x)) * m["b"](x)), "abc")
    assert kinds(glu) == {"m.a.weight": "hidden", "m.b.weight": "hidden", "m.c.weight": "branch-end"}
    assert [(r.reads, r.feeds) for r in glu.layers] == [
        *(("identity", "silu"), ("identity", "identity"), ("silu", "identity"))
    ]
    mixed = case_of(lambda m, x: m["c"](m["a"](x).tanh() * m["b"](x).sigmoid()), "abc")
    assert mixed.tensors["m.c.weight"].reads is None


def test_nested_branches_and_those_beside_each_other() -> None:
    nested = case_of(lambda m, x: x + m["c"]((y := m["a"](x)) + m["b"](y)), "abc")
    assert (nested.branches, nested.tensors["m.b.weight"].layers) == (2, 1)
    assert [nested.tensors[f"m.{n}.weight"].kind for n in "abc"] == ["hidden", "branch-end", "branch-end"]
    parallel = case_of(lambda m, x: x + (m["b"](m["a"](x)) + m["d"](m["c"](x))), "abcd")
    assert parallel.branches == 1
    assert [role.tensor for role in parallel.of("branch-end")] == ["m.b.weight", "m.d.weight"]
