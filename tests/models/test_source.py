"""Sources as libraries save them: the file's names and layout are matched to the class, whatever they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import weightgen
from tests.zoo import Case, all_cases
from weightgen.errors import InputError
from weightgen.models.proof import randomise

SAVED = (
    "BertForMaskedLM",
    "ViTForImageClassification",
    "Dinov2Model-swiglu",
    "llama",
    "gpt2",
    "mixtral",
    "qwen2-moe",
    "phi3",
    "gpt-neox",
    "CLIPModel",
    "WhisperModel",
    "T5ForConditionalGeneration",
)
CASES = [c for c in all_cases() if c.id in SAVED]


def saved(case: Case, folder: Path) -> torch.nn.Module:
    model = case.build("source").eval()
    randomise(model, seed=4)
    model.save_pretrained(folder)
    return model


def loaded(folder: Path, like: torch.nn.Module) -> dict[str, torch.Tensor]:
    model_class = getattr(transformers, type(like).__name__)
    model, report = model_class.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return model.state_dict()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_a_saved_model_passes_through_unchanged(case: Case, tmp_path: Path) -> None:
    model = saved(case, tmp_path / "source")
    weightgen.subclone(str(tmp_path / "source"), "same", tmp_path / "out")
    expected = model.state_dict()
    for name, value in loaded(tmp_path / "out", model).items():
        assert torch.equal(value, expected[name]), name


def test_names_without_the_base_models_prefix_are_found(tmp_path: Path) -> None:
    """The hub's GPT-2 files are those of the base model, without `transformer.`."""
    model = saved(next(c for c in CASES if c.id == "gpt2"), tmp_path / "source")
    file = tmp_path / "source" / "model.safetensors"
    tensors = {n.removeprefix("transformer."): t for n, t in load_file(file).items()}
    file.unlink()
    save_file(tensors, file, metadata={"format": "pt"})
    weightgen.subclone(str(tmp_path / "source"), "same", tmp_path / "out")
    expected = model.state_dict()
    for name, value in loaded(tmp_path / "out", model).items():
        assert torch.equal(value, expected[name]), name


def test_weights_of_another_shape_are_refused_with_the_tensor(tmp_path: Path) -> None:
    case = next(c for c in CASES if c.id == "llama")
    saved(case, tmp_path / "source")
    config = tmp_path / "source" / "config.json"
    config.write_text(config.read_text().replace('"intermediate_size": 24', '"intermediate_size": 20'))
    with pytest.raises(InputError, match=r"mlp.down_proj\.weight' is \[36, 24\], LlamaForCausalLM expects"):
        weightgen.subclone(str(tmp_path / "source"), "same", tmp_path / "out")
    assert not (tmp_path / "out").exists()
