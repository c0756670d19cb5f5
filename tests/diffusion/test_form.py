"""The form of checkpoints that existed: what two of a kind may differ in, and how unlike scales are evened out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.conftest import Command
from tests.inr.fields import refused
from weightgen.diffusion.form import Form, evened, form_of, read_form
from weightgen.errors import InputError

CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, "target_modules": ["q", "v"], "use_rslora": False}
STEM = "base_model.model.q"
PAIR = {f"{STEM}.lora_A.weight": torch.ones(2, 3), f"{STEM}.lora_B.weight": torch.full((3, 2), 5.0)}
KOHYA = {f"lora_unet_{x}.lora_{side}.weight": torch.ones(2, 2) for x in "qv" for side in ("down", "up")}


def peft(folder: Path, tensors: dict[str, Tensor] = PAIR, **changes: Any) -> Path:
    """Write an adapter as peft does; a change to None leaves a word out."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "prompt.txt").write_text("a caption")
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder / "adapter_model.safetensors"


def kohya(file: Path, q: Any, v: Any = 1.0, tensors: dict[str, Tensor] = KOHYA, **metadata: str) -> Path:
    """Write two layers with an alpha each."""
    file.parent.mkdir(exist_ok=True)
    alphas = {f"lora_unet_{name}.alpha": torch.as_tensor(value) for name, value in (("q", q), ("v", v))}
    save_file({**tensors, **alphas}, file, metadata or None)
    file.with_suffix(".txt").write_text("a caption")
    return file


def test_peft_alphas_are_evened_out(tmp_path: Path) -> None:
    more = {f"{STEM}.lora_B.bias": torch.full((3,), 7.0), "base_model.model.e.lora_embedding_B": torch.ones(2, 4)}
    more |= {"base_model.model.e.lora_embedding_A": torch.ones(4, 2), "base_model.model.head.weight": torch.ones(2, 2)}
    tensors = {**PAIR, **more}
    files = [peft(tmp_path / str(alpha), tensors, lora_alpha=alpha) for alpha in (8, 2, 12.0)]
    files.append(peft(tmp_path / "usual", tensors, lora_alpha=None))  # which is 8
    form = form_of(files)
    assert (form.library, form.file, form.config_name) == ("peft", "adapter_model.safetensors", "adapter_config.json")
    assert form.config == CONFIG
    for file, quotient in zip(files, (1, 0.25, 1.5, 1), strict=True):
        found = evened(tensors, file, form)
        assert found.keys() == tensors.keys()
        assert torch.equal(found[f"{STEM}.lora_B.weight"], torch.full((3, 2), 5.0 * quotient))
        assert torch.equal(found[f"{STEM}.lora_B.bias"], torch.full((3,), 7.0 * quotient))  # peft scales it, too
        assert torch.equal(found["base_model.model.e.lora_embedding_B"], torch.full((2, 4), 1.0 * quotient))
        for name in tensors:
            assert "_B" in name or torch.equal(found[name], tensors[name])


def test_kohya_alphas_are_evened_out_layer_by_layer(tmp_path: Path) -> None:
    files = [kohya(tmp_path / "1", 4.0, 2.0), kohya(tmp_path / "2", 1.0, 3.0), kohya(tmp_path / "3", [2.0], 2.0)]
    files.append(kohya(tmp_path / "4", torch.tensor(8.0).half(), torch.tensor(0.5).bfloat16()))
    form = form_of(files)
    assert (form.library, form.file) == ("kohya", "pytorch_lora_weights.safetensors")
    assert form.constants == {"lora_unet_q.alpha": 4, "lora_unet_v.alpha": 2}
    for file, q, v in zip(files, (1, 0.25, 0.5, 2), (1, 1.5, 1, 0.25), strict=True):
        found = evened({**KOHYA, **dict.fromkeys(form.constants, torch.zeros(()))}, file, form)
        assert found.keys() == KOHYA.keys()
        assert found["lora_unet_q.lora_up.weight"].unique().tolist() == [q]
        assert found["lora_unet_v.lora_up.weight"].unique().tolist() == [v]
        assert found["lora_unet_q.lora_down.weight"].unique().tolist() == [1]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {"target_modules": ["v", "q"]}),
        ({"peft_version": "0.17.0"}, {"peft_version": "0.21.0", "revision": "main", "inference_mode": True}),
        ({}, {"use_rslora": None, "use_dora": False, "loftq_config": {}, "layers_to_transform": None}),
        ({"lora_dropout": 0.1}, {"lora_dropout": 0.05}),
        ({"base_model_name_or_path": "org/large"}, {"base_model_name_or_path": "/home/me/large/"}),
        ({"base_model_name_or_path": "org/large"}, {"base_model_name_or_path": None}),
        ({"alpha_pattern": {"q": 4}}, {"alpha_pattern": {"q": 4}}),
    ],
)
def test_what_adapters_may_differ_in(tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    form = form_of([peft(tmp_path / "a", **ours), peft(tmp_path / "b", **theirs)])
    assert form.config == {key: value for key, value in {**CONFIG, **ours}.items() if value is not None}


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        ({}, {"r": 4}, "r"),
        ({}, {"r": None}, "r"),
        ({}, {"target_modules": ["q"]}, "target_modules"),
        ({}, {"target_modules": "all-linear"}, "target_modules"),
        ({}, {"use_rslora": True}, "use_rslora"),
        ({}, {"use_dora": True}, "use_dora"),
        ({}, {"peft_type": "IA3"}, "peft_type"),
        ({}, {"bias": "lora_only"}, "bias"),
        ({}, {"rank_pattern": {"q": 1}}, "rank_pattern"),
        ({}, {"alpha_pattern": {"q": 4}}, "alpha_pattern"),
        ({"alpha_pattern": {"q": 4}}, {"alpha_pattern": {"q": 4}, "lora_alpha": 16}, "lora_alpha"),
        ({"base_model_name_or_path": "org/a"}, {"base_model_name_or_path": "org/b"}, "base_model_name_or_path"),
        ({"base_model_name_or_path": "a"}, {"base_model_name_or_path": "\x1b[2J"}, "base_model_name_or_path"),
    ],
)
def test_adapters_of_unlike_forms_are_refused(
    command: Command, tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any], word: str
) -> None:
    for name, changes in (("a", ours), ("b", ours), ("c", theirs)):
        peft(tmp_path / "loras" / name, **changes)
    outcome = command("collect", "--from-checkpoints", "loras", "--out", "set")
    first = "loras/a/adapter_model.safetensors"
    outcome.refused(3, f"loras/c/adapter_model.safetensors: its config '{word}'", f"is not that of {first}.")


def test_a_base_model_is_compared_with_the_first_that_is_told(tmp_path: Path) -> None:
    names = (None, "org/a", None, "org/b")
    files = [peft(tmp_path / str(i), base_model_name_or_path=name) for i, name in enumerate(names)]
    assert form_of(files[:3]).config == CONFIG
    refused(InputError, lambda: form_of(files), f"{files[3]}: ", f"(b) is not that of {files[1]}")


@pytest.mark.parametrize("alpha", [0, -0.0, math.nan, math.inf, "8", True, [8], {}, 10**400])
@pytest.mark.parametrize("which", ["a", "b"])
def test_an_alpha_is_a_number_other_than_zero(command: Command, tmp_path: Path, alpha: Any, which: str) -> None:
    for name in ("a", "b"):
        peft(tmp_path / "loras" / name, **({"lora_alpha": alpha} if name == which else {}))
    outcome = command("collect", "--from-checkpoints", "loras", "--out", "set")
    outcome.refused(3, f"loras/{which}/adapter_config.json: expected a number other than zero for lora_alpha, found")


@pytest.mark.parametrize("text", ["[]", "{", "", '{"lora_alpha": ' + "[" * 100_000])
def test_a_config_that_is_none(command: Command, tmp_path: Path, text: str) -> None:
    peft(tmp_path / "loras" / "a")
    peft(tmp_path / "loras" / "b").with_name("adapter_config.json").write_text(text)
    command("collect", "--from-checkpoints", "loras", "--out", "set").refused(3, "loras/b/adapter_config.json: ")


@pytest.mark.parametrize("alpha", [0.0, math.nan, -math.inf])
def test_an_alpha_among_tensors_is_a_number_other_than_zero(command: Command, tmp_path: Path, alpha: float) -> None:
    kohya(tmp_path / "loras" / "1.safetensors", 4.0)
    kohya(tmp_path / "loras" / "2.safetensors", 4.0, alpha)
    outcome = command("collect", "--from-checkpoints", "loras", "--out", "set")
    outcome.refused(3, "2.safetensors: 'lora_unet_v.alpha' is ", "expected a scale other than zero")


def other_tensors(**names: Tensor) -> Callable[[Path], object]:
    return lambda file: kohya(file, 4.0, tensors={**KOHYA, **{n.replace("__", "."): t for n, t in names.items()}})


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda f: save_file(KOHYA, f), "'lora_unet_q.alpha' is missing"),
        (lambda f: kohya(f, torch.tensor(4)), "'lora_unet_q.alpha' is I64, expected floating-point numbers"),
        (other_tensors(lora_unet_q__lora_up__weight=torch.ones(2, 1)), "lora_up.weight' is [2, 1], in 1.safet"),
        (lambda f: kohya(f, 4.0, lora_adapter_metadata='{"r": 4}'), "its metadata 'lora_adapter_metadata' is not that"),
    ],
)
def test_loras_of_unlike_forms_are_refused(
    command: Command, tmp_path: Path, write: Callable[[Path], object], expected: str
) -> None:
    kohya(tmp_path / "loras" / "1.safetensors", 4.0)
    kohya(tmp_path / "loras" / "2.safetensors", 4.0)
    write(tmp_path / "loras" / "2.safetensors")
    command("collect", "--from-checkpoints", "loras", "--out", "set").refused(3, "2.safetensors: ", expected)


def test_scales_that_cannot_be_evened_out_are_refused(command: Command, tmp_path: Path) -> None:
    for i, alpha in ((1, 2.0), (2, 2.0), (3, 4.0)):
        loha = {f"lora_unet_q.hada_w{n}_{x}": torch.ones(2, 2) for n in (1, 2) for x in "ab"}
        kohya(tmp_path / "loras" / f"{i}.safetensors", alpha, tensors=loha | {"lora_unet_v.lokr_w1": torch.ones(2, 2)})
    outcome = command("collect", "--from-checkpoints", "loras", "--out", "set")
    outcome.refused(3, "3.safetensors: 'lora_unet_q.alpha' is 4, in others it is 2.", "leave it out")


def test_who_reads_them(tmp_path: Path) -> None:
    forms = {
        "peft-without-its-config": ({**PAIR}, "none"),
        "diffusers": (
            {"unet.q.lora_A.weight": torch.ones(2, 2), "unet.q.lora_B.weight": torch.ones(2, 2)},
            "diffusers",
        ),
        "older": (
            {"unet.q.lora.down.weight": torch.ones(2, 2), "unet.q.lora.up.weight": torch.ones(2, 2)},
            "diffusers",
        ),
        "kohya": (KOHYA, "kohya"),
        "a-model": ({"q.weight": torch.ones(2, 2), "act.alpha": torch.ones(1)}, "none"),
    }
    for name, (tensors, library) in forms.items():
        save_file(tensors, tmp_path / name)
        form = form_of([tmp_path / name])
        assert (form.library, form.constants) == (library, {}), name
    save_file(KOHYA, tmp_path / "told", {"format": "pt", "ss_tag_frequency": "{}"})  # which generated ones all say
    assert form_of([tmp_path / "kohya", tmp_path / "told"]).metadata == {}


def test_configs_of_models_may_differ_in_who_wrote_them(tmp_path: Path) -> None:
    base = {"model_type": "bert", "hidden_size": 8, "tie_word_embeddings": False}
    files = []
    for name, more in (("a", {"transformers_version": "4.1", "dtype": "float16"}), ("b", {"_name_or_path": "x"})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(base | more))
        files.append(tmp_path / name / "model.safetensors")
        save_file({"w": torch.ones(2)}, files[-1])
    assert form_of(files).library == "config"
    files[1].with_name("config.json").write_text(json.dumps(base | {"hidden_size": 16}))
    refused(InputError, lambda: form_of(files), "b/model.safetensors: its config 'hidden_size' is not that of")
    files[1].with_name("config.json").unlink()
    refused(InputError, lambda: form_of(files), "its kind (none) is not that of")


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../x.safetensors"},
        {"file": "manifest.json"},
        {"config_name": "manifest.json"},
        {"library": "pickle"},
        {"constants": {"x.alpha": "four"}},
        {"constants": {"x.alpha": math.nan}},
        {"metadata": {"format": 1}},
        {"config": []},
        {"more": 1},
    ],
)
def test_a_form_that_others_wrote_is_looked_at(changes: dict[str, Any]) -> None:
    values = Form(library="kohya", constants={"x.alpha": 4.0}).model_dump(mode="json")
    assert read_form(values, "here").constants == {"x.alpha": 4}
    refused(InputError, lambda: read_form(values | changes, "here"), "here: ", next(iter(changes)))
