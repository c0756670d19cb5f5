"""timm's ResNets with scalars in place of norms: what blocks compute, what checkpoints hold, what is refused."""

from __future__ import annotations

import copy
import doctest
import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

import weightgen
from tests.conftest import Command
from weightgen.errors import UsageError
from weightgen.inits.fixup import fixup, load
from weightgen.models import norm_free
from weightgen.models.libraries import LIBRARIES, build
from weightgen.models.loading import save_model
from weightgen.models.names import resolve
from weightgen.models.norm_free import replace_norms, scalars
from weightgen.models.proof import output_change, randomise
from weightgen.subcloning.plan import Plan

SIZES: dict[str, Any] = {"channels": (8, 8, 16, 16), "num_classes": 7}


@pytest.fixture(autouse=True)
def _seed(one_thread: None) -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("name", "width", "norms", "branches", "layers"),
    [("resnet18", 8, 21, 8, 2), ("resnet50", 8, 53, 16, 3), ("resnext50_32x4d", 32, 53, 16, 3)],
)
def test_timm_resnets_get_scalars_where_their_norms_were(
    name: str, width: int, norms: int, branches: int, layers: int
) -> None:
    model = timm.create_model(name, num_classes=7, channels=(width, width, 2 * width, 2 * width))
    weights = {n: p.shape for n, p in model.named_parameters() if p.ndim > 1}
    assert replace_norms(copy.deepcopy(model)) == norms
    fixup(model, replace_norms=True)
    assert {n: p.shape for n, p in model.named_parameters() if p.ndim > 1} == weights
    assert not [n for n, m in model.named_modules() if "Norm" in type(m).__name__]
    assert not list(model.buffers())
    # One before the stem's activation, one before the classifier, and in each block two a layer and a multiplier.
    assert len(scalars(model)) == 2 + branches * (2 * layers + 1)
    assert {float(model.get_parameter(n).detach()) - v for n, v in scalars(model).items()} == {0.0}
    images = torch.randn(2, 3, 64, 64)
    assert not model(images).any()
    inside = model.layer3[1].conv1.weight.detach()
    fan = inside[:, 0].numel() // model.layer3[1].conv1.groups
    expected = 2 / fan * branches ** (-2 / (2 * layers - 2))
    assert float(inside.var()) == pytest.approx(expected, rel=0.15)
    functional.cross_entropy(model(images), torch.tensor([0, 3])).backward()  # type: ignore[no-untyped-call]
    assert model.fc.weight.grad.any()


def test_a_scalar_block_is_its_formula() -> None:
    model = timm.create_model("resnet50", **SIZES).eval()
    replace_norms(model)
    for name in scalars(model):
        nn.init.normal_(model.get_parameter(name))
    for block in (model.layer2[0], model.layer2[1]):
        own = dict(block.named_parameters())
        x = torch.randn(2, block.conv1.in_channels, 8, 8)
        h = x + own["bias1a"]
        shortcut = x if block.downsample is None else block.downsample(h)  # with layers, it reads what the branch reads
        h = torch.relu(block.conv1(h) + own["bias1b"])
        h = torch.relu(block.conv2(h + own["bias2a"]) + own["bias2b"])
        h = block.conv3(h + own["bias3a"]) * own["scale"] + own["bias3b"]
        assert torch.allclose(block(x), torch.relu(h + shortcut), atol=1e-6)
    assert model.layer2[0].downsample is not None
    assert model.layer2[1].downsample is None
    features = torch.randn(3, model.fc.in_features)
    expected = (features + model.fc.shift) @ model.fc.weight.T + model.fc.bias
    assert torch.allclose(model.fc(features), expected, atol=1e-5)


def test_a_norm_free_resnet_is_a_checkpoint(command: Command, tmp_path: Path) -> None:
    architecture = build(resolve("timm:resnet18"), {**SIZES, "norm_layer": "fixup"})
    assert norm_free.is_norm_free(architecture.arguments)
    assert architecture.make is not None
    (tmp_path / "made").mkdir()
    save_model(fixup(architecture.make()), architecture, tmp_path / "made")
    assert json.loads((tmp_path / "made" / "config.json").read_text())["model_args"]["norm_layer"] == "fixup"
    model = load(tmp_path / "made")
    stored = load_file(tmp_path / "made" / "model.safetensors")
    assert stored.keys() == model.state_dict().keys()
    assert all(torch.equal(v, stored[n]) for n, v in model.state_dict().items())
    # By hand, as the docstring says; timm alone refuses.
    by_hand = timm.create_model(f"local-dir:{tmp_path / 'made'}", norm_layer="batchnorm2d")
    replace_norms(by_hand)
    by_hand.load_state_dict(stored)
    with pytest.raises(KeyError, match="fixup"):
        timm.create_model(f"local-dir:{tmp_path / 'made'}", pretrained=True)
    # What is made of such a checkpoint is one again.
    outcome = command("average", "made", "made", "--out", "again")
    assert outcome.code == 0, outcome.err
    assert 'load:   weightgen.inits.fixup.load("again")' in outcome.out
    assert "import weightgen.inits.fixup\n" in (tmp_path / "again" / "README.md").read_text()
    assert all(torch.equal(v, stored[n]) for n, v in load(tmp_path / "again").state_dict().items())
    with pytest.raises(UsageError, match=r"VisionTransformer: norm layers can be replaced .* timm's ResNets only"):
        build(resolve("timm:vit_tiny_patch16_224"), {"norm_layer": "fixup"})


def test_the_table_covers_scalars() -> None:
    large, small = (timm.create_model("resnet18", **{**SIZES, "channels": c}) for c in ((8, 8, 16, 16), (4, 4, 8, 8)))
    for model in (large, small):
        fixup(model, replace_norms=True)
    nn.init.constant_(large.layer1[0].scale, 3.0)
    found = weightgen.subclone(large, small, method="selection")
    assert isinstance(found, Plan)
    assert found.family == "timm ResNet"
    assert float(small.layer1[0].scale.detach()) == 3
    small(torch.randn(2, 3, 64, 64))


def test_init_writes_fixups_weights(command: Command, tmp_path: Path) -> None:
    words = ("init", "--model", "timm:resnet18", "--method", "fixup", "--out", "made", "--model-args")
    sizes = "channels=[8,8,16,16],num_classes=7"
    command(*words, f"{sizes},norm_layer=batchnorm2d").refused(2, "has 21 norm layers", "--model-args norm_layer=fixup")
    outcome = command(*words, f"{sizes},norm_layer=fixup")
    assert outcome.code == 0, outcome.err
    assert "L = 8, m = 2" in outcome.err
    assert not load(tmp_path / "made")(torch.randn(2, 3, 32, 32)).any()


def test_fixup_of_a_named_resnet_is_of_its_norm_free_variant(command: Command, tmp_path: Path) -> None:
    plans = [
        json.loads(command("init", "--model", name, "--method", "fixup", "--dry-run", "--json", *more).out)
        for name, *more in (["resnet50"], ["resnet-50", "--model-args", "norm_layer=fixup"])
    ]
    assert plans[0] == plans[1]
    assert plans[0]["model"] == "resnet50, norm_layer=fixup"
    assert {"layer4.2.scale", "layer4.2.bias3b", "fc.shift"} <= {t["name"] for t in plans[0]["tensors"]}
    words = ("init", "--model", "resnet18", "--method", "fixup", "--model-args")
    sizes = "channels=[8,8,16,16],num_classes=7"
    assert command(*words, sizes, "--out", "short").code == 0
    assert command(*words, f"{sizes},norm_layer=fixup", "--out", "long").code == 0
    for name in ("recipe.yaml", "config.json", "plan.json", "model.safetensors"):
        assert (tmp_path / "short" / name).read_bytes() == (tmp_path / "long" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("model", "text"),
    [("vit-tiny", "has 25 norm layers, and Fixup is for"), ("timm:vgg11", "branch"), ("bert-tiny", "norm layers")],
)
def test_other_models_have_no_norm_free_variant(model: str, text: str, command: Command) -> None:
    command("init", "--model", model, "--method", "fixup").refused(2, text)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet50d"])
def test_the_table_is_proven(name: str) -> None:
    """Permuting every free axis changes no output."""
    model = timm.create_model(name, **SIZES).eval()
    replace_norms(model)
    randomise(model, seed=0)
    layout = LIBRARIES["timm"].describe(name, model).layout()
    assert layout is not None
    assert output_change(model.double(), {"x": torch.randn(2, 3, 64, 64)}, layout, 0) < 1e-9


def test_examples() -> None:
    assert doctest.testmod(norm_free).failed == 0
