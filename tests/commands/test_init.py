"""`weightgen init` from end to end: plans, recipes, refusals, and results that the libraries load by themselves."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import weightgen
from tests.commands.test_cli import loads_strictly
from tests.conftest import Command
from weightgen import api
from weightgen.errors import UsageError
from weightgen.inits.registry import INITIALISERS
from weightgen.jobs.table import load_recipe
from weightgen.models.masks import load_mask
from weightgen.recipe import InitRecipe

SIZES = "embed_dim=16,depth=2,num_heads=2,img_size=16,patch_size=8,num_classes=3"
VIT = ("init", "--model", "timm:vit_tiny_patch16_224", "--model-args", SIZES)
LLAMA_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 20}


def test_the_list_fits_a_terminal(command: Command) -> None:
    outcome = command("init", "--list")
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    words = " ".join(outcome.out.split())
    for name, initialiser in INITIALISERS.items():
        assert re.search(rf"^{name} ", outcome.out, re.MULTILINE)
        for text in (initialiser.paper, initialiser.advice, f"Needs {initialiser.needs}."):
            assert text in words
    data = json.loads(command("init", "--list", "--json").out)["methods"]
    assert list(data) == list(INITIALISERS)
    assert data["eoi"]["options"]["density"]["default"] == 0.1


def test_a_dry_run_shows_the_plan_and_writes_nothing(command: Command) -> None:
    outcome = command(*VIT, "--method", "zero", "--dry-run", "--out", "out")
    assert (outcome.code, outcome.err, outcome.left) == (0, "", frozenset())
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert re.search(r"blocks\.\*\.mlp\.fc2\.weight +2 +0 +ends a branch", outcome.out)
    assert re.search(r"pos_embed +1 +left alone +free parameter", outcome.out)
    data = json.loads(command(*VIT, "--method", "zero", "--dry-run", "--json").out)
    assert (data["branches"], data["method"], data["written"] + data["left"]) == (4, "zero", len(data["tensors"]))
    assert data["plan_hash"] == data["hash"]
    assert data["hash"][:12] in outcome.out


def test_timm_loads_the_result_by_itself(command: Command, tmp_path: Path) -> None:
    import timm

    outcome = command(*VIT, "--method", "zero", "--out", "out")
    assert outcome.code == 0, outcome.err
    assert "ends a branch" in outcome.err  # the plan
    assert re.search(r"wrote out/ .*\nload:   timm.*\ncheck:  weightgen verify out", outcome.out)
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(t, stored[n]) for n, t in model.state_dict().items())
    assert not model.blocks[1].mlp.fc2.weight.any()
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 3)
    assert command("verify", "out").code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        *("README.md", "config.json", "manifest.json", "model.safetensors", "plan.json", "recipe.yaml")
    }
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["plan_hash"] == plan["hash"]
    assert (manifest["stage"], manifest["method"]["name"]) == ("init", "zero")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "ZerO: Zhao, Schaefer and Anandkumar 2022" in card
    assert plan["hash"][:16] in card


def test_transformers_loads_the_result_by_itself(command: Command, llama: Path, tmp_path: Path) -> None:
    sizes = ",".join(f"{k}={v}" for k, v in {**LLAMA_SIZES, "num_key_value_heads": 1, "head_dim": 8}.items())
    outcome = command("init", "--model", llama, "--model-args", sizes, "--method", "idinit", "--out", "out", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out)["density"] is None
    model = loads_strictly(tmp_path / "out")
    end = model.get_parameter("model.layers.0.mlp.down_proj.weight")
    assert 0 < float(end.detach().abs().max()) <= 1.1e-6


def test_a_sparse_start_has_its_mask(command: Command, tmp_path: Path) -> None:
    assert command(*VIT, "--method", "eoi", "--method-args", "density=0.4", "--out", "out").code == 0
    mask = load_mask(tmp_path / "out")
    assert mask is not None
    assert mask.density == pytest.approx(0.4, abs=0.02)
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert all(not stored[name][~kept].any() for name, kept in mask.kept.items())
    assert command("verify", "out").code == 0
    made = weightgen.init(
        "timm:vit_tiny_patch16_224",
        "eoi",
        tmp_path / "api",
        model_args={k: int(v) for k, v in (pair.split("=") for pair in SIZES.split(","))},
        density=0.4,
    )
    assert made.directory == tmp_path / "api"
    for name in ("model.safetensors", "mask.safetensors"):
        assert (tmp_path / "api" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_the_name_of_a_sparse_start_trains_as_its_directory_does(command: Command, tmp_path: Path) -> None:
    sizes = "embed_dim=16,depth=2,num_heads=2,img_size=8,patch_size=4,in_chans=1,num_classes=10"
    model = ("--model", "timm:vit_tiny_patch16_224", "--model-args", sizes)
    assert command("init", *model, "--method", "eoi", "--out", "start").code == 0
    words = ("train", "--task", "classify", "--steps", "3", "--batch-size", "16", "--threads", "1", "--lr", "1e-2")
    assert command(*words, "--start", "start", "--out", "of-directory").code == 0
    assert command(*words, "--start", "eoi", *model, "--out", "of-name").code == 0
    for name in ("mask.safetensors", "model.safetensors"):
        one, other = ((tmp_path / d / name).read_bytes() for d in ("of-directory", "of-name"))
        assert one == other, name
    assert (tmp_path / "start" / "mask.safetensors").read_bytes() == (
        tmp_path / "of-name" / "mask.safetensors"
    ).read_bytes()
    assert command(*words, "--start", "random", *model, "--out", "dense").code == 0
    assert load_mask(tmp_path / "dense") is None


def test_a_recipe_gives_the_same_bytes(command: Command, tmp_path: Path) -> None:
    words = (*VIT, "--method", "vi3nr", "--method-args", "sigma=0.5", "--seed", "3")
    printed = command(*words, "--print-recipe", "--out", "two")
    assert (printed.code, printed.left) == (0, frozenset())
    (tmp_path / "recipe.yaml").write_text(printed.out)
    assert yaml.safe_load(printed.out)["method_args"] == {"sigma": 0.5}
    assert command(*words, "--out", "one").code == 0
    assert "gain 1.0000" in command("run", "recipe.yaml", "--dry-run").out
    assert command("run", "recipe.yaml").code == 0
    recipe = load_recipe(tmp_path / "one" / "recipe.yaml")
    assert isinstance(recipe, InitRecipe)
    assert weightgen.run_recipe(recipe, tmp_path / "three") == tmp_path / "three"
    files = {(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "three")}
    assert len(files) == 1
    command("run", "recipe.yaml").refused(2, "two: already exists")
    assert command("run", "recipe.yaml", "--force").code == 0
    other = ["4" if word == "3" else word for word in words]
    assert command(*other, "--out", "four").code == 0
    assert (tmp_path / "four" / "model.safetensors").read_bytes() not in files


def test_refusals(command: Command, tmp_path: Path) -> None:
    command("init").refused(2, "of which model, and by which method? Add --model NAME --method NAME; methods: --list")
    command("init", "--method", "zero").refused(2, "--model", "See: weightgen init --help")
    command(*VIT, "--method", "zreo").refused(2, "unknown method 'zreo'. Did you mean 'zero'?")
    command(*VIT, "--method", "zero", "--method-args", "densty=1").refused(2, "zero has no option 'densty'")
    command(*VIT, "--method", "eoi", "--method-args", "density=2").refused(2, "eoi: density", "found 2")
    command(*VIT, "--method", "looks-linear").refused(2, "looks-linear mirrors a chain of layers with ReLU")
    command(*VIT, "--method", "fixup").refused(2, "norm layers")
    command(*VIT, "--method", "zero", "--seed", "-1").refused(2, "--seed")
    command("init", "--model", "vit-tny", "--method", "zero").refused(2, "vit-tny")
    command("init", "--model", "timm:vit_tiny_patch16_224", "--model-args", "depth=0", "--method", "zero").refused(2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    command(*VIT, "--method", "zero", "--out", "full").refused(2, "full: already exists")
    command(*VIT, "--method", "zero", "--out", "full", "--force").refused(2, "is not a weightgen checkpoint")
    with pytest.raises(UsageError, match="out is needed where the model is a name"):
        weightgen.init("vit-tiny", "zero")
    with pytest.raises(UsageError, match="a module is set in place, without out and model_args"):
        weightgen.init(torch.nn.Linear(2, 2), "zero", tmp_path / "out")


def test_any_module_is_set_in_place() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    made = weightgen.init(model, "orthogonal", seed=1)
    assert made.directory is None
    assert not made.mask.kept
    weight = model.get_parameter("0.weight").detach()
    assert torch.allclose(weight.T @ weight, torch.eye(4), atol=1e-5)
    assert [a.rule for a in made.plan.assignments] == ["orthogonal", "0"] * 2
    assert doctest.testmod(api).failed == 0


def test_a_filler_by_name(command: Command, tmp_path: Path) -> None:
    assert command(*VIT, "--method", "default", "--out", "one").code == 0
    words = ("subclone", "--src", "./one", "--dst", "same", "--dst-args", "num_classes=5")
    outcome = command(*words, "--fill", "zero", "--out", "two")
    assert outcome.code == 0, outcome.err
    assert "head.weight: 3 classes in the source, 5 in the target; zero: ZerO, notebook" in outcome.err
    head = load_file(tmp_path / "two" / "model.safetensors")["head.weight"]
    assert torch.equal(head, torch.eye(5, 16))
    command(*words, "--fill", "zro", "--out", "three").refused(2, "unknown method 'zro'. Did you mean 'zero'?")
