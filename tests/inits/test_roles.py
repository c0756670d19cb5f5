"""Roles of layers: on networks whose roles are known, on real classes, and held against the axis tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo import all_cases
from weightgen.inits.roles import Role, Roles, roles
from weightgen.models.axes import FREE_LOCAL, Axis
from weightgen.models.libraries import build, described
from weightgen.models.names import resolve
from weightgen.models.translator import Translator, TranslatorConfig

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


def test_layouts_of_transformers() -> None:
    gpt = found("gpt2").tensors["transformer.h.0.attn.c_attn.weight"]
    assert gpt.transposed
    assert [len(p) for p in gpt.parts] == [16, 16, 16]
    experts = found("mixtral").tensors["model.layers.0.mlp.experts.gate_up_proj"]
    assert (experts.stacked, experts.feeds, [len(p) for p in experts.parts]) == (True, "silu", [12, 12])
    assert found("mixtral").tensors["model.layers.0.mlp.gate.weight"].kind == "other"
    # Head by head: a head's query, key and value follow each other.
    neox = found("gpt-neox").tensors["gpt_neox.layers.0.attention.query_key_value.weight"]
    size = len(neox.parts[0]) // 2
    assert [list(p[:size]) for p in neox.parts] == [list(range(i * size, (i + 1) * size)) for i in range(3)]
    assert sorted(row for part in neox.parts for row in part) == list(range(6 * size))
    assert found("timm-vit").tensors["blocks.0.attn.qkv.weight"].parts[2][0] == 32
    pool = found("SiglipForImageClassification").tensors["vision_model.head.attention.in_proj_weight"]
    assert len(pool.parts) == 3


def test_kinds_of_real_models() -> None:
    bert = kinds(found("BertForPreTraining"))
    assert (bert["cls.seq_relationship.weight"], bert["bert.pooler.dense.weight"]) == ("head", "hidden")
    assert found("BertForPreTraining").tensors["bert.embeddings.word_embeddings.weight"].kind == "embedding"
    assert kinds(found("BertForMaskedLM"))["cls.predictions.transform.dense.weight"] == "hidden"
    assert kinds(found("CLIPModel"))["visual_projection.weight"] == "hidden"
    swin = found("timm-swinv2")
    assert swin.tensors["layers.1.downsample.reduction.weight"].kind == "shortcut"
    assert swin.tensors["layers.0.blocks.0.attn.cpb_mlp.0.weight"].note == "does not read the network's input"
    assert swin.tensors["layers.0.blocks.0.mlp.fc2.weight"].norm == "layers.0.blocks.0.norm2.weight"
    convnext = found("timm-convnext").tensors["stages.0.blocks.0.conv_dw.weight"]
    assert (convnext.place, convnext.layers, convnext.groups) == (0, 3, 8)
    cross = found("WhisperModel").tensors["decoder.layers.0.encoder_attn.k_proj.weight"]
    assert cross.branch == found("WhisperModel").tensors["decoder.layers.0.encoder_attn.out_proj.weight"].branch
    assert roles(timm.create_model("resnet18")).tensors["layer1.0.conv2.weight"].norm == "layer1.0.bn2.weight"


def test_torch_modules_and_tied_layers() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = x + self.inner(x, x, x, need_weights=False)[0]
            return self.head(y)  # type: ignore[no-any-return]

    of = roles(Attending())
    assert [r.kind for r in of.layers] == ["hidden", "branch-end", "head"]
    assert [list(p) for p in of.layers[0].parts] == [list(range(i, i + 8)) for i in (0, 8, 16)]
    shared = nn.Linear(4, 4)
    tied = roles(nn.Sequential(shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(4, 2)))
    assert kinds(tied) == {"0.weight": "stem", "4.weight": "head"}


def test_a_translator_is_one_branch_beside_its_images() -> None:
    of = roles(Translator(TranslatorConfig(), 0))
    assert (of.structured, of.branches) == (True, 1)
    kinds = [(r.tensor, r.kind, r.branch) for r in of.layers]
    assert kinds == [*((f"net.{i}.weight", "hidden", 0) for i in (0, 2, 4, 6)), ("net.8.weight", "branch-end", 0)]


def test_layers_that_are_no_matrix_of_their_own() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    of = roles(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), normed, nn.Tanh(), nn.Linear(4, 2)))
    assert of.structured
    assert [role.tensor for role in of.layers] == ["0.weight", "4.weight"]
    assert {role.kind for role in of.tensors.values() if "parametrizations" in role.tensor} == {"other"}
    turned = roles(nn.Sequential(nn.ConvTranspose2d(2, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 3, groups=2)))
    assert [(role.tensor, role.transposed) for role in turned.layers] == [("0.weight", True)]
    assert turned.tensors["2.weight"].note == "grouped transposed convolution"


def test_without_a_pass_layers_have_their_order_alone() -> None:
    class Opaque(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers[: int(x.sum()) % 3 + 1]:
                x = layer(x)
            return x

    of = roles(Opaque())
    assert not of.structured
    assert [role.kind for role in of.layers] == ["stem", "hidden", "head"]
    assert of.layers[1] == Role("layers.1.weight", "hidden", True, "layers.1.bias")


def test_the_model_itself_is_not_touched() -> None:
    model = CASES["timm-resnet-basic-projected"].build("target").train()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    assert roles(model) == roles(model)
    assert model.training
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
