"""Emptied residual branches: the identity, and what is not a branch stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from weightgen.errors import UsageError
from weightgen.inits.roles import roles
from weightgen.models.proof import randomise
from weightgen.pruning.branches import branch_totals, lowest, without

VIT = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 3, "num_heads": 3, "num_classes": 4}


def emptied(model: nn.Module, *branches: int) -> nn.Module:
    """Random values everywhere, norms and biases too, so that nothing is the identity by chance."""
    randomise(model, 0)
    without(dict(model.named_parameters()), roles(model), branches).apply_(model)
    return model.eval()


def test_a_dropped_block_of_a_vit_is_no_block() -> None:
    model = timm.create_model("vit_tiny_patch16_224", **VIT)
    x = torch.randn(2, 3, 8, 8)
    randomise(model, 0)
    full = model.eval()(x).detach()
    found = emptied(model, 2, 3)(x).detach()  # attention and MLP of the second block
    model.blocks[1] = nn.Identity()
    torch.testing.assert_close(found, model(x))
    assert float((found - full).detach().abs().max()) > 0.01


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_dropped_block_of_a_resnet_passes_its_shortcut(name: str) -> None:
    model = timm.create_model(name, channels=(8, 8, 12, 12), num_classes=3)
    count = 8 if name == "resnet18" else 16
    places = roles(model)
    assert places.branches == count
    branch = next(r.branch for r in places.tensors.values() if r.tensor == "layer1.1.conv1.weight")
    assert branch is not None
    emptied(model, branch)  # the norm between the branch's end and the sum has a bias and a mean
    x = torch.randn(2, 3, 32, 32)
    found = model(x).detach()
    model.layer1[1] = nn.Identity()
    torch.testing.assert_close(found, model(x))


def test_a_norm_of_the_stream_stays(llama: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "hidden_size": 12, "intermediate_size": 24, "num_attention_heads": 3}
    model = BertModel(BertConfig(**sizes, vocab_size=30))
    mask = without(dict(model.named_parameters()), roles(model), [0, 1])
    assert not any("LayerNorm" in name for name in mask.kept)
    mask.apply_(model)
    tokens = torch.arange(5)[None]
    with torch.no_grad():
        outputs = model.eval()(tokens, output_hidden_states=True).hidden_states
    # At initialisation two norms after each other are one: the first layer is the identity.
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-4)
    assert float((outputs[2] - outputs[1]).abs().max()) > 0.01


def test_the_lowest_totals_go() -> None:
    model = timm.create_model("vit_tiny_patch16_224", **VIT)
    places = roles(model)
    scores = {r.tensor: torch.ones(2, 3) * (r.branch or 0) for r in places.layers}
    totals = branch_totals(scores, places)
    assert totals == {branch: 12.0 * branch for branch in range(6)}  # two layers of six entries
    assert lowest({0: 3.0, 1: -1.0, 2: 0.0, 3: -1.0}, 3) == [1, 2, 3]
    assert lowest({0: 1.0, 1: 1.0, 2: 1.0}, 1) == [0]
    assert lowest(totals, 0) == []
    with pytest.raises(UsageError, match="expected fewer than the 6 that there are, found 6"):
        lowest(totals, 6)
    plain = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(UsageError, match="none were found in the model"):
        branch_totals({"0.weight": torch.ones(3, 2)}, roles(plain))
