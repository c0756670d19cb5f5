"""From checkpoints that existed to a generated one that their own library loads and runs: peft, diffusers, kohya,
transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.conftest import Command, Outcome
from tests.diffusion.tiny_generator import PHRASES, save_encoder
from tests.tiny_text import save_model
from weightgen.diffusion.weights_dataset import load_weights

SMALL = ("--steps", "1", "--first", "1", "--running", "0", "--components", "2", "--width", "8", "--depth", "1")
NAMES = ("one", "two", "three")
Generate = Callable[[], Outcome]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def generate(command: Command, tmp_path: Path) -> Generate:
    """Collect `loras`, train a generator on them, and write `start` with it."""

    def call() -> Outcome:
        encoder = save_encoder(tmp_path / "encoder")
        made = command("collect", "--from-checkpoints", "loras", "--out", "set", "--block-size", "64")
        assert made.code == 0, made.err
        words = ("train-generator", "set", "--encoder", encoder, *SMALL, "--batch-size", "2", "--threads", "1")
        trained = command(*words, "--out", "generator")
        assert trained.code == 0, trained.err
        generated = command("generate", "sepia tone", "--generator", "generator", "--out", "start", "--threads", "1")
        assert generated.code == 0, generated.err
        assert command("verify", "start").code == 0
        return generated

    return call


def loaded_as_said(outcome: Outcome, **known: Any) -> Any:
    """Carry out the line of Python that was printed, and return what it returns."""
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("load: ")]
    return eval(line.removeprefix("load:").strip(), known)


def test_peft_loads_a_generated_adapter(generate: Generate, tmp_path: Path) -> None:
    import peft
    from transformers import AutoModel

    base = save_model(tmp_path / "bert", "BertModel")
    for i, name in enumerate(NAMES):
        torch.manual_seed(i)
        settings = {"r": 2, "lora_alpha": (8, 4, 16)[i], "target_modules": ["query", "value"]}
        model = peft.get_peft_model(AutoModel.from_pretrained(base), peft.LoraConfig(**settings))
        for key, value in model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(value, std=10)
        model.save_pretrained(tmp_path / "loras" / name)
        (tmp_path / "loras" / name / "prompt.txt").write_text(PHRASES[i])
    outcome = generate()
    card = (tmp_path / "start" / "README.md").read_text()
    assert "weightgen apply" not in outcome.out + card
    assert "peft.PeftModel.from_pretrained(model, " in card
    tokens = torch.arange(1, 9)[None]
    plain = AutoModel.from_pretrained(base).eval()
    before = plain(tokens).last_hidden_state
    model = loaded_as_said(outcome, peft=peft, model=plain).eval()
    after = model(tokens).last_hidden_state
    assert after.isfinite().all()
    assert (after - before).abs().max() > 1e-3
    written = load_file(tmp_path / "start" / "adapter_model.safetensors")
    held = peft.get_peft_model_state_dict(model)
    assert held.keys() == written.keys()
    assert all(torch.equal(held[name], tensor) for name, tensor in written.items())
    config = json.loads((tmp_path / "start" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (2, 8)  # of the first by name, as the tensors are
    # What was collected means what it meant: under the first one's config, each does what it did under its own.
    data = load_weights(tmp_path / "set")
    for i, name in enumerate(sorted(NAMES)):
        own = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(base), tmp_path / "loras" / name).eval()
        expected = own(tokens).last_hidden_state
        save_file(data.tensors(i), tmp_path / "loras" / sorted(NAMES)[0] / "adapter_model.safetensors")
        first = tmp_path / "loras" / sorted(NAMES)[0]
        evened = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(base), first).eval()
        assert torch.allclose(evened(tokens).last_hidden_state, expected, atol=1e-6), name


def tiny_unet() -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()


def tiny_pipeline() -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    none = dict.fromkeys(("vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    scheduler = DDIMScheduler(clip_sample=False, steps_offset=1, set_alpha_to_one=False)
    return StableDiffusionPipeline(**none, unet=tiny_unet(), scheduler=scheduler, requires_safety_checker=False)


def seen(unet: Any) -> Tensor:
    """What the network makes of one input."""
    torch.manual_seed(1)
    with torch.no_grad():
        made: Tensor = unet(torch.randn(1, 4, 8, 8), 5, torch.randn(1, 3, 8)).sample
    return made


PLACE = "down_blocks.0.attentions.0.transformer_blocks.0.attn{}.to_{}"
LAYERS = {PLACE.format(n, x): 8 for n in (1, 2) for x in "qv"}  # to 8 features of 8


@pytest.mark.parametrize("library", ["diffusers", "kohya"])
def test_diffusers_loads_a_generated_lora(generate: Generate, tmp_path: Path, library: str) -> None:
    draws = torch.Generator().manual_seed(0)
    for i, name in enumerate(NAMES):
        tensors = {}
        for layer in LAYERS:
            down, up = torch.randn(2, 8, generator=draws), 10 * torch.randn(8, 2, generator=draws)
            if library == "diffusers":
                tensors |= {f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}
            else:
                stem = "lora_unet_" + layer.replace(".", "_")
                tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
                tensors[f"{stem}.alpha"] = torch.tensor((4.0, 1.0, 2.0)[i])
        if library == "diffusers":
            (tmp_path / "loras" / name).mkdir(parents=True)
            save_file(tensors, tmp_path / "loras" / name / "pytorch_lora_weights.safetensors", {"format": "pt"})
            (tmp_path / "loras" / name / "prompt.txt").write_text(PHRASES[i])
        else:
            (tmp_path / "loras").mkdir(exist_ok=True)
            save_file(tensors, tmp_path / "loras" / f"{name}.safetensors")
            (tmp_path / "loras" / f"{name}.txt").write_text(PHRASES[i])
    outcome = generate()
    pipeline = tiny_pipeline()
    before = seen(pipeline.unet)
    loaded_as_said(outcome, pipeline=pipeline)
    after = seen(pipeline.unet)
    assert after.isfinite().all()
    assert (after - before).abs().max() > 1e-3
    # By hand: each weight has alpha / rank times up @ down more.
    written = load_file(tmp_path / "start" / "pytorch_lora_weights.safetensors")
    by_hand = tiny_unet()
    for layer in LAYERS:
        stem = f"unet.{layer}" if library == "diffusers" else "lora_unet_" + layer.replace(".", "_")
        down, up = ("lora_A", "lora_B") if library == "diffusers" else ("lora_down", "lora_up")
        alpha = written.get(f"{stem}.alpha", torch.tensor(2.0))
        assert alpha == (2.0 if library == "diffusers" else 4.0)  # kohya: that of the first by name
        more = alpha / 2 * written[f"{stem}.{up}.weight"] @ written[f"{stem}.{down}.weight"]
        by_hand.get_parameter(f"{layer}.weight").data += more
    assert torch.allclose(seen(by_hand), after, atol=1e-5)


def test_transformers_loads_a_generated_model(generate: Generate, tmp_path: Path) -> None:
    from transformers import AutoModel

    for i, name in enumerate(NAMES):
        save_model(tmp_path / "loras" / name, "BertModel", seed=i, hidden_size=8, intermediate_size=8)
        (tmp_path / "loras" / name / "prompt.txt").write_text(PHRASES[i])
    generate()
    model, info = AutoModel.from_pretrained(tmp_path / "start", output_loading_info=True)
    assert not any(info.values()), info
    assert model.config.hidden_size == 8
    assert model(torch.arange(1, 9)[None]).last_hidden_state.isfinite().all()
    written = load_file(tmp_path / "start" / "model.safetensors")
    assert all(torch.equal(tensor, written[name]) for name, tensor in model.state_dict().items() if name in written)


def test_what_nobody_is_known_to_read_keeps_its_names(generate: Generate, tmp_path: Path) -> None:
    """LyCORIS' products of two pairs, with scales of their own: not evened out, and so alike for all."""
    (tmp_path / "loras").mkdir()
    for i, name in enumerate(NAMES):
        tensors = {f"lora_unet_x.hada_w{n}_{x}": torch.randn(4, 4) for n in (1, 2) for x in "ab"}
        tensors |= {"lora_unet_x.alpha": torch.tensor(2.0), "logit_scale": torch.tensor(float(i))}
        save_file(tensors, tmp_path / "loras" / f"{name}.safetensors")
        (tmp_path / "loras" / f"{name}.txt").write_text(PHRASES[i])
    outcome = generate()
    import safetensors.torch

    found = loaded_as_said(outcome, safetensors=safetensors)
    assert {name: tensor.shape for name, tensor in found.items()} == {name: t.shape for name, t in tensors.items()}
    assert found["lora_unet_x.alpha"] == 2
    assert found["logit_scale"] != 2
