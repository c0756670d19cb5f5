"""`weightgen prune` as its user runs it: sparse starts that load without weightgen, and that training keeps sparse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import Command, Outcome
from weightgen.models.masks import Mask, load_mask

SIZES = "img_size=8,patch_size=4,in_chans=1,num_classes=10,embed_dim=24,depth=2,num_heads=3"
VIT = ("--model", "timm:vit_tiny_patch16_224", "--model-args", SIZES, "--threads", "1", "--items", "4")
pytestmark = pytest.mark.usefixtures("one_thread")


def prune(command: Command, *words: str | Path, start: str = "random", out: str = "sparse") -> Outcome:
    outcome = command("prune", start, *VIT, *words, "--out", out)
    assert outcome.code == 0, outcome.err
    return outcome


def mask_of(directory: Path) -> Mask:
    found = load_mask(directory)
    assert found is not None
    return found


def manifest(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "manifest.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("score", ["snip", "grasp", "gradsign", "magnitude", "random"])
def test_a_start_is_pruned_to_the_density(score: str, command: Command, tmp_path: Path) -> None:
    outcome = prune(command, "--score", score, "--density", "0.1")
    assert "weights stay (10.00%)" in outcome.out
    mask = mask_of(tmp_path / "sparse")
    total = sum(k.numel() for k in mask.kept.values())
    assert mask.count == round(0.1 * total)
    model = timm.create_model(f"local-dir:{tmp_path / 'sparse'}", pretrained=True)
    dense = timm.create_model(
        "vit_tiny_patch16_224", **dict(json.loads((tmp_path / "sparse/config.json").read_text())["model_args"])
    )
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in dense.parameters())
    for name, kept in mask.kept.items():
        assert not model.get_parameter(name)[~kept].any()
        assert bool((model.get_parameter(name)[kept] != 0).all()), name
    assert command("verify", "sparse").code == 0
    assert manifest(tmp_path / "sparse")["density"] == pytest.approx(0.1, abs=1e-4)


def test_training_keeps_to_the_mask(command: Command, tmp_path: Path) -> None:
    prune(command, "--density", "0.2", "--freeze", "0.1")
    words = ("train", "--task", "classify", "--start", "sparse", "--batch-size", "16", "--threads", "1")
    trained = command(*words, "--steps", "5", "--lr", "1e-2", "--out", "trained")
    assert trained.code == 0, trained.err
    mask, before, after = (
        mask_of(tmp_path / "sparse"),
        *(load_file(tmp_path / d / "model.safetensors") for d in ("sparse", "trained")),
    )
    for name, kept in mask.kept.items():
        assert not after[name][~kept].any()
    assert mask.frozen
    for name, value in before.items():
        assert torch.equal(after[name], value) == (name in mask.frozen), name
    assert mask_of(tmp_path / "trained").frozen == mask.frozen  # for the training after this one


def test_the_recipe_makes_the_same_bytes(command: Command, tmp_path: Path) -> None:
    prune(command, "--sample", "--rescale", "--density", "0.3", "--seed", "3")
    assert command("run", "sparse/recipe.yaml", "--out", "again").code == 0
    for file in ("model.safetensors", "mask.safetensors"):
        assert (tmp_path / "sparse" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    mask = mask_of(tmp_path / "sparse")
    assert mask.density == pytest.approx(0.3, abs=1e-3)
    plain = prune(command, "--sample", "--density", "0.3", "--seed", "3", out="plain")
    assert plain.code == 0
    ours, theirs = (load_file(tmp_path / d / "model.safetensors") for d in ("sparse", "plain"))
    name = "blocks.0.attn.qkv.weight"
    kept = mask.kept[name]
    assert torch.equal(kept, mask_of(tmp_path / "plain").kept[name])
    assert bool((ours[name][kept].abs() >= theirs[name][kept].abs() * (1 - 1e-6)).all())
    assert float(ours[name].abs().sum()) > 1.5 * float(theirs[name].abs().sum())


def test_branches_are_emptied(command: Command, tmp_path: Path) -> None:
    outcome = prune(command, "--score", "grasp", "--density", "1", "--drop-branches", "2")
    dropped = manifest(tmp_path / "sparse")["dropped_branches"]
    assert len(dropped) == 2
    assert f"emptied residual branches: {dropped[0]}, {dropped[1]}" in outcome.out
    model = timm.create_model(f"local-dir:{tmp_path / 'sparse'}", pretrained=True).eval()
    x = torch.randn(1, 1, 8, 8)
    states: list[torch.Tensor] = []
    ends = [m for b in model.blocks for m in (b.attn, b.mlp)]
    for end in ends:
        end.register_forward_hook(lambda module, given, found: states.append(found))
    model(x)
    assert [i for i, found in enumerate(states) if not found.any()] == dropped


def test_a_sparse_start_is_pruned_further(command: Command, tmp_path: Path) -> None:
    prune(command, "--score", "random", "--density", "0.5", out="half")
    outcome = command("prune", "half", "--score", "synflow", "--rounds", "3", "--density", "0.2", "--out", "less")
    assert outcome.code == 0, outcome.err
    half, less = mask_of(tmp_path / "half"), mask_of(tmp_path / "less")
    assert less.density == pytest.approx(0.2, abs=1e-3)
    assert all(not bool((less.kept[n] & ~half.kept[n]).any()) for n in half.kept)


def test_graphs_and_layers(command: Command, tmp_path: Path) -> None:
    prune(command, "--score", "small-world", "--density", "0.25", out="small")
    densities = mask_of(tmp_path / "small").densities()
    assert "patch_embed.proj.weight" not in densities  # one channel is no graph
    assert list(densities.values()) == pytest.approx([0.25] * len(densities), abs=0.005)
    prune(command, "--across", "layer", "--density", "0.25", out="layers")
    densities = mask_of(tmp_path / "layers").densities()
    assert list(densities.values()) == pytest.approx([0.25] * len(densities), abs=0.005)


def test_scores_from_a_file(command: Command, tmp_path: Path) -> None:
    scores = torch.zeros(96, 24)
    scores[:, 3] = 1
    save_file({"blocks.1.mlp.fc1.weight": scores}, tmp_path / "scores.safetensors")
    outcome = prune(command, "--scores", "scores.safetensors", "--density", str(1 / 24))
    assert outcome.err == ""
    assert set(mask_of(tmp_path / "sparse").kept["blocks.1.mlp.fc1.weight"].nonzero()[:, 1].tolist()) == {3}
    words = ("prune", "random", *VIT, "--out", "x", "--scores")
    command(*words, "none.safetensors").refused(2, "--scores: there is no file none.safetensors")
    for tensors, text in (
        ({"other": scores}, "the model has no parameter 'other'"),
        ({"head.weight": scores}, "'head.weight' is [96, 24], the parameter is [10, 24]"),
        ({"head.weight": torch.ones(10, 24) > 0}, "'head.weight' is BOOL, expected floating-point scores"),
    ):
        save_file(tensors, tmp_path / "scores.safetensors")
        command(*words, "scores.safetensors").refused(3, text)
    (tmp_path / "scores.safetensors").write_bytes(b"no scores")
    command(*words, "scores.safetensors").refused(3, "scores.safetensors")


def test_a_language_model_is_pruned(command: Command, llama: Path, tmp_path: Path) -> None:
    outcome = command(
        "prune", llama, "--density", "0.2", "--items", "2", "--length", "4", "--threads", "1", "--out", "out"
    )
    assert outcome.code == 0, outcome.err
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    for name, kept in mask_of(tmp_path / "out").kept.items():
        assert not model.get_parameter(name)[~kept].any()


def test_what_cannot_be_pruned_is_refused(command: Command, tmp_path: Path) -> None:
    words = ("prune", "random", *VIT)
    command(*words).refused(2, "Add --out DIR")
    command(*words, "--out", "x", "--density", "0").refused(2, "--density: input should be greater than 0")
    command(*words, "--out", "x", "--rescale").refused(2, "add it, or leave both out")
    command(*words, "--out", "x", "--drop-branches", "4").refused(
        2, "expected fewer than the 4 that there are, found 4"
    )
    command(*words, "--out", "x", "--sample", "--across", "erk").refused(2, "--sample draws once")
    command(*words, "--out", "x", "--sample", "--score", "small-world").refused(2, "--sample draws once")
    refused = command(*words, "--out", "x", "--score", "scale-free", "--drop-branches", "1")
    refused.refused(2, "--score scale-free scores nothing")
    command(*words, "--out", "x", "--score", "small-world", "--density", "0.001").refused(2, "no layer is wide enough")
    command(*words, "--out", "x", "--score", "grasp", "--sample").refused(2, "sampling needs scores")
    command("prune", "random", "--out", "x").refused(2, "add --model NAME")
    command("prune", "nothing", "--out", "x").refused(2, "'nothing' is no start")
