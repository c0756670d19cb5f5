"""Plans of initialisers on whole models: what they set, what they leave, and how values are drawn and laid out."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

import weightgen
from tests.diagnostics.networks import VIT, mlp, residual, state, value, vit
from tests.zoo import all_cases
from weightgen import inits
from weightgen.errors import UsageError
from weightgen.inits.applying import apply_plan, generator_of
from weightgen.inits.registry import INITIALISERS, plan_of
from weightgen.inits.text import init_text
from weightgen.models.libraries import build
from weightgen.models.names import resolve
from weightgen.subcloning.plan import Plan


@pytest.mark.parametrize("name", INITIALISERS)
def test_every_initialiser_follows_its_plan(name: str) -> None:
    model: nn.Module = {"looks-linear": mlp, "fixup": residual}.get(name, vit)()
    before = state(model)
    plan = plan_of(name, model)
    assert [a.tensor for a in plan.assignments] == [n for n, _ in model.named_parameters()]
    assert plan_of(name, copy.deepcopy(model).to("meta")).hash == plan.hash
    apply_plan(plan, model)
    after = state(model)
    written = {a.tensor for a in plan.written}
    assert (written == set()) == (name == "default")
    for tensor, values in after.items():
        assert values.isfinite().all()
        assert tensor in written or torch.equal(values, before[tensor]), tensor
    assert all(a.why for a in plan.assignments)
    text = init_text(plan)
    assert max(map(len, text.splitlines())) <= 80
    assert plan.hash[:12] in text


def test_a_plan_is_data() -> None:
    plan = plan_of("zero", vit())
    data = json.loads(json.dumps(plan.to_json()))
    assert data["method"] == {"name": "zero", "options": {"scale": "notebook"}, "seed": 0}
    assert (data["branches"], data["structured"], data["model"]) == (4, True, "VisionTransformer")
    by_name = {t["name"]: t for t in data["tensors"]}
    assert by_name["blocks.0.mlp.fc2.weight"]["rule"] == "0"
    assert (by_name["pos_embed"]["rule"], by_name["pos_embed"]["why"]) == (None, "free parameter")
    assert (by_name["norm.weight"]["rule"], by_name["norm.weight"]["why"]) == (None, "norm")
    assert plan.hash == plan_of("zero", vit()).hash
    assert plan.hash != plan_of("zero", vit(), seed=1).hash
    assert plan.hash != plan_of("zero", vit(), options={"scale": "paper"}).hash
    assert plan_of("zero", build(resolve("timm:vit_tiny_patch16_224"), VIT)).to_json()["tensors"] == data["tensors"]


def test_each_tensor_draws_by_its_own_name() -> None:
    small, large = mlp(8, 3), mlp(8, 4)
    for model in (small, large):
        inits.apply("he-normal", model, 3)
    assert torch.equal(value(small, "0.weight"), value(large, "0.weight"))
    assert torch.equal(value(small, "2.weight"), value(large, "2.weight"))
    assert not torch.equal(value(large, "2.weight"), value(large, "4.weight"))
    again, other = mlp(8, 3), mlp(8, 3)
    inits.apply("he-normal", again, 3)
    inits.apply("he-normal", other, 4)
    assert torch.equal(value(again, "0.weight"), value(small, "0.weight"))
    assert not torch.equal(value(other, "0.weight"), value(small, "0.weight"))
    assert generator_of(0, "1/a").initial_seed() != generator_of(0, "1/b").initial_seed()


def test_layers_are_set_however_they_are_stored() -> None:
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 11, "n_positions": 6}
    gpt = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))
    inits.apply("zero", gpt, 0)
    wide = value(gpt, "transformer.h.0.mlp.c_fc.weight")  # (in, out)
    assert torch.equal(wide.T, inits.zero_(torch.empty(32, 8)))
    assert torch.equal(value(gpt, "transformer.h.0.attn.c_attn.weight"), torch.eye(8).repeat(1, 3))
    inits.apply("he-normal", gpt, 0)
    assert float(value(gpt, "transformer.h.0.mlp.c_proj.weight").var() * 32) == pytest.approx(2, rel=0.3)
    moe = next(c for c in all_cases() if c.id == "mixtral").build("target")
    inits.apply("zero", moe, 0)
    experts = value(moe, "model.layers.0.mlp.experts.gate_up_proj")
    assert torch.equal(experts, torch.eye(12, experts.shape[2]).repeat(len(experts), 2, 1))
    grouped = nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU())
    inits.apply("zero", nn.Sequential(grouped, nn.Flatten(), nn.Linear(8, 2)), 0)
    assert torch.equal(value(grouped, "0.weight")[:2], inits.zero_(torch.empty(2, 1, 3, 3)))
    assert value(grouped, "2.weight")[:, 0, 1, 1].tolist() == [1.0] * 8
    half = mlp().to(torch.bfloat16)
    inits.apply("orthogonal", half, 0)
    full = mlp()
    inits.apply("orthogonal", full, 0)
    assert torch.equal(value(half, "2.weight"), value(full, "2.weight").to(torch.bfloat16))


def error_of(name: str, model: nn.Module, options: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        inits.apply(name, model, 0, options)
    assert 1 <= len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_bad_input() -> None:
    assert "unknown method 'zro'. Did you mean 'zero'? See: weightgen init --list" in error_of("zro", mlp())
    assert error_of("eoi", mlp(), {"densty": 1}) == (
        "eoi has no option 'densty': it takes density, sigma. Did you mean 'density'?"
    )
    assert error_of("kumar", mlp(), {"gain": 1}) == "kumar has no option 'gain': it takes none."
    assert "eoi: density: input should be less than or equal to 1, found 1.5" in error_of(
        "eoi", mlp(), {"density": 1.5}
    )
    assert "eoi: density: input should be greater than 0, found 0" in error_of("eoi", mlp(), {"density": 0})
    assert "zero: scale: input should be 'notebook' or 'paper', found 'big'" in error_of(
        "zero", mlp(), {"scale": "big"}
    )
    assert "low-rank: rank: input should be greater than or equal to 1" in error_of("low-rank", mlp(), {"rank": 0})
    with torch.device("meta"):
        bare = mlp()
    assert "'0.weight' is on the meta device and has no values: build" in error_of("zero", bare)
    kinked = error_of("kumar", nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.1), nn.Linear(2, 2)))
    assert "'0.weight' feeds leaky_relu" in kinked or "'0.weight' feeds leakyrelu" in kinked
    assert "not differentiable at 0" in kinked

    class Opaque(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) if x.sum() > 0 else self.b(x)  # type: ignore[no-any-return]

    for name in ("zero", "idinit"):
        assert f"{name} treats the last layer of each residual branch by itself" in error_of(name, Opaque())
    inits.apply("he-normal", Opaque(), 0)


def test_a_filler_sets_what_the_source_does_not_have() -> None:
    sizes = {"vocab_size": 20, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(**sizes, num_hidden_layers=2, num_labels=4)
    torch.manual_seed(0)
    source = transformers.BertModel(config, add_pooling_layer=False)
    plain, filled = (transformers.BertForSequenceClassification(config) for _ in range(2))
    plan = weightgen.subclone(source, filled, fill="zero")
    weightgen.subclone(source, plain)
    assert isinstance(plan, Plan)
    assert plan.method["fill"] == "zero"
    notes = {t.name: t.note for t in plan.tensors if t.action == "initialised"}
    assert notes["classifier.weight"].endswith("; zero: ZerO, notebook")
    assert torch.equal(value(filled, "classifier.weight"), torch.eye(4, 16))
    assert torch.equal(value(filled, "bert.pooler.dense.weight"), torch.eye(16))
    name = "bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(value(filled, name), value(plain, name))
    assert not torch.equal(value(plain, "classifier.weight"), value(filled, "classifier.weight"))
    with pytest.raises(UsageError, match=r"unknown method 'zro'\. Did you mean 'zero'"):
        weightgen.subclone(source, filled, fill="zro")
    with pytest.raises(UsageError, match="looks-linear mirrors a chain"):
        weightgen.subclone(source, filled, fill="looks-linear")
