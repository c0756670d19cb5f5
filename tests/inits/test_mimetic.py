"""Mimetic attention: products that are near the identity, in real modules, and where attention is found."""

from __future__ import annotations

import doctest
import math
import zlib
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

from weightgen.errors import UsageError
from weightgen.inits import attention, mimetic
from weightgen.inits.attention import attentions
from weightgen.inits.mimetic import MimeticOptions, factors, mimetic_query_key_, mimetic_value_, plan
from weightgen.inits.roles import roles

WIDTH, HEADS = 24, 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def initialise(model: nn.Module, options: MimeticOptions | None = None) -> set[str]:
    """Fill a model's tensors as a plan says; return their names."""
    state = model.state_dict()
    found = plan(model, roles(model), options or MimeticOptions())
    for assignment in found:
        assert assignment.fill is not None
        assignment.fill(state[assignment.tensor], seeded(zlib.crc32((assignment.draw or assignment.tensor).encode())))
    return {assignment.tensor for assignment in found}


def vit() -> Any:
    torch.manual_seed(0)
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": WIDTH, "depth": 2, "num_heads": HEADS}
    return timm.create_model("vit_tiny_patch16_224", num_classes=5, **sizes).eval()


def bert() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 32}
    return transformers.BertModel(transformers.BertConfig(**sizes, vocab_size=40)).eval()


def test_the_product_of_queries_and_keys_is_noise_and_identity() -> None:
    query, key = mimetic_query_key_(torch.empty(400, 400), torch.empty(400, 400), 1, generator=seeded())
    noise = (query.T @ key - 0.7 * torch.eye(400)) / 0.7
    assert float(noise.std()) == pytest.approx(1 / math.sqrt(400), rel=0.01)
    assert abs(float(noise.mean())) < 4 / 400**1.5
    assert abs(float(noise.diagonal().mean())) < 4 / 400


def test_each_head_has_the_best_product_of_its_rank_and_noise_of_its_own() -> None:
    query, key = mimetic_query_key_(torch.empty(60, 60), torch.empty(60, 60), 3, 0.5, 0.9, seeded())
    generator = seeded()
    products = []
    for own_query, own_key in zip(query.chunk(3), key.chunk(3), strict=True):
        target = 0.5 * torch.randn(60, 60, generator=generator, dtype=torch.float64) / math.sqrt(60)
        left, values, right = torch.linalg.svd(target + 0.9 * torch.eye(60))
        best = left[:, :20] * values[:20] @ right[:20]
        assert torch.allclose((own_query.T @ own_key).double(), best, atol=1e-5)
        assert float((own_query.T @ own_key).diagonal().mean()) > 0.2
        products.append(best)
    assert not torch.allclose(products[0], products[1], atol=0.1)


def evenness(product: Tensor) -> float:
    """Ratio of the diagonal's first half to its second: 1 where the noise is the same everywhere."""
    first, second = product.diagonal().chunk(2)
    return float(first.mean() / second.mean())


def test_the_product_of_values_and_projection_is_the_negative() -> None:
    value, projection = mimetic_value_(torch.empty(400, 400), torch.empty(400, 400), generator=seeded())
    product = projection @ value
    assert float(product.diagonal().mean()) == pytest.approx(-0.4, abs=0.01)
    assert float((product + 0.4 * torch.eye(400)).std()) == pytest.approx(0.4 / 20, rel=0.01)
    assert evenness(product) == pytest.approx(1, abs=0.05)


def test_a_projection_that_is_not_transposed_is_uneven() -> None:
    left, right = factors(400, 400, 0.4, -0.4, seeded())
    assert evenness(left @ right) == pytest.approx(1, abs=0.05)
    assert evenness(right @ left) > 1.5  # what ports compute: the same eigenvalues, another matrix


@pytest.mark.parametrize("build", [vit, bert])
def test_real_attention_takes_away_what_it_attends_to(build: Any) -> None:
    """Tokens that are all alike attend to what they are: the output is x W_V W_proj, here -0.4 x exactly."""
    model = build()
    initialise(model, MimeticOptions(alpha_v=0.0))
    x = torch.randn(2, 1, WIDTH, generator=seeded(1)).expand(2, 5, WIDTH)
    with torch.no_grad():
        if build is vit:
            out = model.blocks[1].attn(x)
        else:
            layer = model.encoder.layer[1].attention
            out = layer.output.dense(layer.self(x)[0])
    assert torch.allclose(out, -0.4 * x, atol=1e-5)


def test_the_fused_tensor_of_a_vit_holds_its_three_parts() -> None:
    model = vit()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    touched = initialise(model)
    block = f"blocks.1.attn.{'{}'}"
    assert touched == {
        name.format(k) + f".{kind}"
        for k in (0, 1)
        for name in ("blocks.{}.attn.qkv", "blocks.{}.attn.proj")
        for kind in ("weight", "bias")
    }
    after = model.state_dict()
    for name, value in after.items():
        assert torch.equal(value, before[name]) == (name not in touched or name.endswith("bias")), name
    assert not any(after[name].any() for name in touched if name.endswith("bias"))
    query, key, value = after[block.format("qkv.weight")].chunk(3)
    generator = seeded(zlib.crc32(b"blocks.1.attn.proj.weight"))
    shape = (WIDTH, WIDTH)
    expected = mimetic_value_(torch.empty(shape), torch.empty(shape), generator=generator)
    assert torch.equal(value, expected[0])
    assert torch.equal(after[block.format("proj.weight")], expected[1])
    pair = mimetic_query_key_(torch.empty(shape), torch.empty(shape), HEADS, generator=generator)
    assert torch.equal(query, pair[0])
    assert torch.equal(key, pair[1])
    model(torch.zeros(1, 3, 8, 8))


def test_the_separate_tensors_of_bert_fit_together() -> None:
    model = bert()
    touched = initialise(model, MimeticOptions(alpha_qk=0.3, beta_qk=1.5, alpha_v=0.2, beta_v=-0.6))
    assert len(touched) == 2 * 4 * 2
    one = model.encoder.layer[0].attention
    weights = {n: getattr(one.self, n).weight.detach() for n in ("query", "key", "value")}
    for own_query, own_key in zip(weights["query"].chunk(HEADS), weights["key"].chunk(HEADS), strict=True):
        values = torch.linalg.svdvals(own_query.T @ own_key)
        assert float(values[WIDTH // HEADS :].max()) < 1e-5
        assert 1.2 < float(values[0]) < 2.2
    product = one.output.dense.weight.detach() @ weights["value"]
    assert float((product - 0.6 * torch.eye(WIDTH)).std()) == pytest.approx(0.2 / math.sqrt(WIDTH), rel=0.1)
    found = plan(model, roles(model), MimeticOptions())[0]
    assert (found.rule, found.why) == ("mimetic", "attention, 3 heads")


def test_tokens_attend_to_themselves() -> None:
    model = bert()
    x = torch.randn(4, 12, WIDTH, generator=seeded(1))

    def own(layer: Any) -> float:
        query, key = (f(x).detach().view(4, 12, HEADS, -1).transpose(1, 2) for f in (layer.self.query, layer.self.key))
        weights = (query @ key.transpose(-1, -2) / math.sqrt(WIDTH / HEADS)).softmax(-1)
        return float(weights.diagonal(dim1=-2, dim2=-1).mean())

    assert own(model.encoder.layer[0].attention) == pytest.approx(1 / 12, abs=0.02)
    initialise(model)
    assert own(model.encoder.layer[0].attention) > 0.4


def test_attention_is_found_where_each_head_has_its_own() -> None:
    assert [a.projection for a in attentions(vit())] == ["blocks.0.attn.proj.weight", "blocks.1.attn.proj.weight"]
    found = attentions(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2, enable_nested_tensor=False))
    assert [(a.heads, a.width, a.value.start) for a in found] == [(2, 8, 16)] * 2
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    llama = transformers.LlamaModel(transformers.LlamaConfig(**sizes, vocab_size=9, bos_token_id=1, eos_token_id=2))
    for model in (llama, timm.create_model("resnet18", channels=(4, 4, 4, 4))):
        with pytest.raises(UsageError, match=r"mimetic found no self-attention .*\n.*mimetic_query_key_"):
            plan(model, roles(model), MimeticOptions())


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"2 heads, found \[5, 4\] and \[5, 4\]"):
        mimetic_query_key_(torch.empty(5, 4), torch.empty(5, 4), 2)
    with pytest.raises(UsageError, match=r"found \[4, 4\] and \[6, 4\]"):
        mimetic_query_key_(torch.empty(4, 4), torch.empty(6, 4), 2)
    with pytest.raises(UsageError, match="expected heads of 1 to 4 dimensions, the width of the stream, found 6"):
        mimetic_query_key_(torch.empty(6, 4), torch.empty(6, 4), 1)
    with pytest.raises(UsageError, match=r"\(inner, width\) and \(width, inner\), found \[6, 4\] and \[6, 4\]"):
        mimetic_value_(torch.empty(6, 4), torch.empty(6, 4))
    with pytest.raises(UsageError, match="mimetic_value_: a weight on the meta device has no values"):
        mimetic_value_(torch.empty(4, 4, device="meta"), torch.empty(4, 4))


def test_examples() -> None:
    assert doctest.testmod(mimetic).failed == 0
    assert doctest.testmod(attention).failed == 0
