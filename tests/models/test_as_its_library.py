"""What is read of a checkpoint is what its own library has after loading it; what it lacks is said, and refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from tests.conftest import SMALL_LLAMA, Command
from weightgen.errors import InputError, UsageError
from weightgen.models.loading import load_model
from weightgen.models.names import resolve
from weightgen.models.source import Source, open_source

Tensors = dict[str, torch.Tensor]
SMALL = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
MODELS: dict[str, Callable[[], Any]] = {
    "bert": lambda: tf.BertForMaskedLM(tf.BertConfig(**SMALL, max_position_embeddings=16)),
    "gpt2": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=16)),
    "qwen2-tied": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**SMALL, num_key_value_heads=2, tie_word_embeddings=True)),
    "llama-untied": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**SMALL, tie_word_embeddings=False)),
    "t5": lambda: tf.T5ForConditionalGeneration(
        tf.T5Config(vocab_size=40, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4)
    ),
    "vit": lambda: tf.ViTForImageClassification(
        tf.ViTConfig(**{**SMALL, "image_size": 16, "patch_size": 8, "num_labels": 3})
    ),
}


def plain(tensors: Tensors, model: Any) -> Tensors:
    return tensors


def aliases_only(tensors: Tensors, model: Any) -> Tensors:
    """Tied values under their other names alone."""
    tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
    made = dict(tensors)
    for alias, name in tied.items():
        if name in tensors:
            made[alias] = tensors[name].clone()
            made.pop(name, None)
    return made


def both_names(tensors: Tensors, model: Any) -> Tensors:
    tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
    return {**tensors, **{alias: tensors[name].clone() for alias, name in tied.items() if name in tensors}}


def half(tensors: Tensors, model: Any) -> Tensors:
    return {name: tensor.bfloat16() for name, tensor in tensors.items()}


def saved(name: str, where: Path, change: Callable[[Tensors, Any], Tensors] = plain) -> Path:
    """Save a model as its library does, with other names in the file."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    model.save_pretrained(where)
    file = where / "model.safetensors"
    save_file(change(load_file(file), model), file, metadata={"format": "pt"})
    return where


def source_of(where: Path) -> Source:
    return open_source(resolve(str(where)), {})


@pytest.mark.parametrize("change", [plain, aliases_only, both_names, half], ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_tensors_are_those_that_the_library_loads(name: str, change: Any, tmp_path: Path) -> None:
    where = saved(name, tmp_path / "src", change)
    source = source_of(where)
    theirs = getattr(tf, source.architecture.name).from_pretrained(where, dtype=torch.float32).state_dict()
    ours = load_model(source).state_dict()
    assert ours.keys() == theirs.keys()
    assert source.missing == ()
    assert all(torch.equal(ours[n], theirs[n]) for n in theirs)


def wrapped(word: str, inside: str) -> Callable[[Tensors, Any], Tensors]:
    """Put a word behind a part of every name, as wrapping that module does."""
    return lambda tensors, model: {n.replace(f"{inside}.", f"{inside}.{word}.", 1): t for n, t in tensors.items()}


@pytest.mark.parametrize("word", ["_orig_mod", "module"])
@pytest.mark.parametrize("inside", ["model.layers.0", "model.layers.1.self_attn", "model"])
def test_wrappers_inside_of_names(word: str, inside: str, tmp_path: Path) -> None:
    where = saved("llama-untied", tmp_path / "src")
    wanted = load_model(source_of(where)).state_dict()
    saved("llama-untied", tmp_path / "wrapped", wrapped(word, inside))
    source = source_of(tmp_path / "wrapped")
    assert (source.missing, source.unused) == ((), ())
    found = load_model(source).state_dict()
    assert all(torch.equal(found[n], wanted[n]) for n in wanted)


def test_a_tied_pair_that_differs_is_refused_and_can_be_said(tmp_path: Path) -> None:
    def differing(tensors: Tensors, model: Any) -> Tensors:
        return {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"] + 1}

    where = saved("qwen2-tied", tmp_path / "src", differing)
    with pytest.raises(InputError, match=r"differ, and config\.json ties them"):
        source_of(where)
    source = open_source(resolve(str(where)), {"tie_word_embeddings": False})
    theirs = tf.Qwen2ForCausalLM.from_pretrained(where).state_dict()
    ours = load_model(source).state_dict()
    assert all(torch.equal(ours[n], theirs[n]) for n in theirs)


@pytest.mark.parametrize("lost", ["model.norm.weight", "model.layers.1.mlp.up_proj.weight", "lm_head.weight"])
def test_what_the_source_lacks_is_refused_by_default(command: Command, llama: Path, tmp_path: Path, lost: str) -> None:
    shutil.copytree(llama, tmp_path / "src")
    tensors = load_file(tmp_path / "src" / "model.safetensors")
    values = tensors.pop(lost).numel()
    save_file(tensors, tmp_path / "src" / "model.safetensors", metadata={"format": "pt"})
    words = ("subclone", "--src", "./src", *SMALL_LLAMA, "--out", "out")
    command(*words).refused(
        3, f"lacks 1 of the {len(tensors) + 1} tensors", f"({values:,} values)", lost, "--allow-missing"
    )
    outcome = command(*words, "--allow-missing")
    assert outcome.code == 0
    assert "warning: the source lacks 1 of" in outcome.err
    assert "drawn anew" in (tmp_path / "out" / "README.md").read_text()


def test_batch_norms_of_old_checkpoints_count_nothing(tmp_path: Path) -> None:
    import timm

    sizes = {"channels": (4, 4, 8, 8), "num_classes": 3}
    tensors = timm.create_model("resnet18", **sizes).state_dict()
    save_file({n: t for n, t in tensors.items() if "num_batches" not in n}, tmp_path / "old.safetensors")
    assert open_source(resolve("timm:resnet18"), sizes, tmp_path / "old.safetensors").missing == ()


def test_adapters_that_are_not_merged_are_refused(tmp_path: Path) -> None:
    def adapted(tensors: Tensors, model: Any) -> Tensors:
        name = "model.layers.0.self_attn.q_proj"
        made = {n.replace(f"{name}.", f"{name}.base_layer."): t for n, t in tensors.items()}
        return {**made, f"{name}.lora_A.default.weight": torch.zeros(2, 16)}

    with pytest.raises(InputError, match="Merge them first"):
        source_of(saved("llama-untied", tmp_path / "src", adapted))


def test_a_quantisation_that_is_over_is_left_out_and_said(command: Command, llama: Path, tmp_path: Path) -> None:
    shutil.copytree(llama, tmp_path / "src")
    config = json.loads((tmp_path / "src" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "src" / "config.json").write_text(json.dumps(config))
    outcome = command("subclone", "--src", "./src", *SMALL_LLAMA, "--out", "out")
    assert "warning: config.json says that the weights are quantised by bitsandbytes" in outcome.err
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
    tf.LlamaForCausalLM.from_pretrained(tmp_path / "out")


def test_fields_of_parts(tmp_path: Path) -> None:
    part = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    text, vision = (
        {**part, "vocab_size": 40, "max_position_embeddings": 16},
        {**part, "image_size": 16, "patch_size": 8},
    )
    tf.CLIPModel(tf.CLIPConfig(text_config=text, vision_config=vision)).save_pretrained(tmp_path / "clip")
    from weightgen.models.libraries import build

    reference = resolve(str(tmp_path / "clip"))
    for arguments in ({"text_config.num_hidden_layers": 1}, {"text_config": {"num_hidden_layers": 1}}):
        config = build(reference, arguments).config
        assert (config.text_config.num_hidden_layers, config.vision_config.num_hidden_layers) == (1, 2)
    with pytest.raises(UsageError, match="has no part 'audio_config': its parts are text_config, vision_config"):
        build(reference, {"audio_config.hidden_size": 8})
    with pytest.raises(UsageError, match=r"has no field 'hiden_size'\. Did you mean 'hidden_size'"):
        build(reference, {"text_config.hiden_size": 8})
    with pytest.raises(UsageError, match="a size must be at least 1"):
        build(reference, {"text_config.hidden_size": 0})


def test_remote_code_is_neither_run_nor_asked_about(command: Command, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "src").mkdir()
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}, "architectures": ["Mine"]}
    (tmp_path / "src" / "config.json").write_text(json.dumps(config))
    (tmp_path / "src" / "mine.py").write_text("raise SystemExit(77)")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    command("subclone", "--src", "./src", "--dst", "same", "--out", "out").refused(
        2, "code of its repository, which is never run"
    )
