"""Probes of real timm and transformers models: what enters, what comes out, and that nothing is left changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.diagnostics.probes import chain, labels, normal, probe_of
from tests.tiny_text import VOCABULARY, loaded, save_model
from weightgen.diagnostics import MEASURES
from weightgen.diagnostics.measure import Probe, batch_statistics, gradients
from weightgen.diagnostics.probing import described, settle, synthetic
from weightgen.errors import UsageError
from weightgen.models.architecture import Architecture
from weightgen.models.libraries import LIBRARIES, build
from weightgen.models.loading import initialised
from weightgen.models.names import resolve

pytestmark = pytest.mark.usefixtures("one_thread")
VIT = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 3, "num_classes": 5, "in_chans": 1}
TAKEN = ("variance", "criticality", "jacobian", "kernel", "gradsign", "snip", "grasp", "synflow", "scale-invariance")


def timm(name: str, arguments: Mapping[str, Any], size: int | None = None, items: int = 4) -> Probe:
    architecture = build(resolve(name), arguments)
    return settle(synthetic(architecture, initialised(architecture, 0), items, 6, size, 0))


def text(directory: Path) -> Probe:
    architecture, model = loaded(directory)
    return settle(synthetic(architecture, model, 4, 6, None, 0))


def transformers_model(kind: str, **sizes: Any) -> tuple[Architecture, nn.Module]:
    import transformers

    torch.manual_seed(0)
    cls = getattr(transformers, kind)
    model = cls(cls.config_class(vocab_size=VOCABULARY, **sizes))
    return LIBRARIES["transformers"].describe(kind, model), model


T5 = {"d_model": 16, "d_ff": 24, "d_kv": 4, "num_layers": 2, "num_heads": 4}


def make(which: str, tmp_path: Path) -> Probe:
    if which == "vit":
        return timm("timm:vit_tiny_patch16_224", VIT)
    if which == "resnet":
        return timm("timm:resnet10t", {"num_classes": 5, "channels": (8, 8, 12, 12), "in_chans": 1}, 32)
    if which == "t5":
        return settle(synthetic(*transformers_model("T5ForConditionalGeneration", **T5), 4, 6, None, 0))
    if which == "gpt2":
        sizes = {"n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 8}
        return settle(synthetic(*transformers_model("GPT2LMHeadModel", **sizes), 4, 6, None, 0))
    return text(save_model(tmp_path / which, {"llama": "LlamaForCausalLM", "bert": "BertForMaskedLM"}[which]))


@pytest.mark.parametrize("which", ["vit", "resnet", "llama", "bert", "gpt2", "t5"])
def test_measures_of_real_models(which: str, tmp_path: Path) -> None:
    """Measures are twice the same, and leave values, modes, gradients and hooks as they were."""
    probe = make(which, tmp_path)
    before = {n: t.clone() for n, t in probe.model.state_dict().items()}
    for name in TAKEN:
        found = MEASURES[name].function(probe)
        assert found.name == name
        assert found.numbers, name
        assert repr(found) == repr(MEASURES[name].function(probe))  # as text: nan is not nan
    assert not any(m.training for m in probe.model.modules())
    assert all(torch.equal(before[n], t) for n, t in probe.model.state_dict().items())
    assert all(p.grad is None for p in probe.model.parameters())
    assert not any(m._forward_hooks for m in probe.model.modules())


def test_images_enter_as_they_are_and_tokens_as_embeddings(tmp_path: Path) -> None:
    vit = make("vit", tmp_path)
    assert torch.equal(vit.entering(), vit.batch["x"])
    llama = make("llama", tmp_path)
    model: Any = llama.model
    embedded = model.get_input_embeddings()(llama.batch["input_ids"])
    assert torch.equal(llama.entering(), embedded)
    changed = llama.outputs(enter=lambda values: values.flip(0))
    assert torch.allclose(changed, llama.outputs().flip(0), atol=1e-6)


def test_an_encoder_is_entered_and_not_its_decoder(tmp_path: Path) -> None:
    probe = make("t5", tmp_path)
    ran: list[int] = []
    plain = probe.outputs()

    def enter(values: torch.Tensor) -> torch.Tensor:
        ran.append(1)
        return 3 * values

    assert not torch.allclose(probe.outputs(enter=enter), plain)
    assert len(ran) == 1


def test_random_inputs(tmp_path: Path) -> None:
    vit = make("vit", tmp_path)
    assert described(vit) == "4 images of N(0, 1) pixels, 1 x 8 x 8, with random classes to predict"
    assert vit.batch["labels"].shape == (4,)
    llama = make("llama", tmp_path)
    assert described(llama) == "4 items of 6 random tokens, with random classes to predict"
    assert llama.batch["labels"].shape == (4, 6)
    headless = timm("timm:vit_tiny_patch16_224", {**VIT, "num_classes": 0})
    assert headless.loss is None
    assert described(headless) == "4 images of N(0, 1) pixels, 1 x 8 x 8"
    with pytest.raises(UsageError, match="needs a loss, and the model has no head to take one of"):
        headless.mean_loss()


def test_models_without_known_inputs() -> None:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "pad_token_id": 0}
    sizes |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "bos_token_id": 1}
    with pytest.raises(UsageError, match="WhisperModel takes 'input_features', for which no random inputs are known"):
        synthetic(*transformers_model("WhisperModel", **sizes), 2, 6, None, 0)
    with pytest.raises(UsageError, match=r"cannot take random inputs \(.*<eos>.*\): pass --data"):
        synthetic(*transformers_model("T5ForSequenceClassification", **T5), 2, 6, None, 0)
    with pytest.raises(UsageError, match="a translator makes images of images"):
        timm("translator", {})
    with pytest.raises(UsageError, match="neither images nor an input embedding"):
        Probe(nn.Linear(2, 2), {"x": normal(1, 2)}, lambda m, b: m(b["x"])).entering()


def test_settled_norms_do_what_they_do_in_training() -> None:
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, momentum=0.3), nn.ReLU(), nn.Linear(6, 2))
    x = 5 * normal(64, 4) + 2
    with torch.no_grad():
        model.train()
        wanted = model(x)
        model[1].reset_running_stats()
        fresh = model.eval()(x)
    probe = settle(probe_of(model, x))
    assert torch.allclose(probe.outputs(), wanted, rtol=0.05, atol=0.05)
    assert float((fresh - wanted).abs().max().detach()) > 1  # statistics of a model that was never trained
    assert model[1].momentum == 0.3
    with batch_statistics(model):
        assert torch.allclose(probe.outputs(), wanted, atol=1e-5)
    assert not model[1].training
    assert model[1].track_running_stats


def test_parts_of_a_batch() -> None:
    probe = probe_of(chain([3, 4, 2]), normal(5, 3), labels(5, 2))
    assert [single.items for single in probe.singles()] == [1] * 5
    assert torch.allclose(torch.stack([s.mean_loss() for s in probe.singles()]).mean(), probe.mean_loss())
    assert probe.take(2).items == 2
    assert probe.take(99).items == 5
    double = probe.double()
    assert double.outputs().dtype is torch.float64
    assert double.batch["labels"].dtype is torch.int64
    assert probe.outputs().dtype is torch.float32


def test_gradients_of_named_tensors() -> None:
    probe = probe_of(chain([3, 4, 2]), normal(5, 3), labels(5, 2))
    expected = torch.autograd.grad(probe.mean_loss(), [*probe.model.parameters()])
    found = gradients(probe.mean_loss, {**probe.parameters(), "0.unused": torch.ones(2)})
    assert not found.pop("0.unused").any()
    assert all(torch.equal(f, e) for f, e in zip(found.values(), expected, strict=True))
