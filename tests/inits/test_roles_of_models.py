"""Roles of the layers of real models: transformers, torch's own modules, translators."""

from __future__ import annotations

import timm
import torch
from torch import Tensor, nn

from tests.inits.test_roles import CASES, found, kinds
from weightgen.inits.roles import Role, roles
from weightgen.models.translator import Translator, TranslatorConfig


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
