"""Collecting from end to end at tiny sizes: what is trained, alone or together, killed or not, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Command
from tests.reporters import Watching
from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.edits import EDITS
from weightgen.diffusion.network_jobs import TENSORS
from weightgen.diffusion.stack import Stack
from weightgen.diffusion.weights_dataset import WeightsDataset, load_weights
from weightgen.errors import UsageError
from weightgen.jobs.collect import collect
from weightgen.recipe import CollectRecipe, make_recipe

TINY = {"width": 4, "layers": 2, "steps": 4, "base_steps": 2, "batch_size": 2, "base_batch_size": 2, "crop": 8}
TINY |= {"train": 3, "held_out": 1, "block_size": 32, "threads": 1, "workers": 1}
CONCEPTS = ["night-70", "cinema-100", "cartoon-70", "night-70-reworded", "night-28"]


class Killed(BaseException):
    """What a test does in place of kill -9: nothing gets to clean up."""


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None: ...


def recipe(**changes: Any) -> CollectRecipe:
    return make_recipe(CollectRecipe, {**TINY, **changes})


def words(**changes: Any) -> list[str]:
    found = {**TINY, **changes}
    return ["collect", *(str(w) for k, v in found.items() for w in ("--" + k.replace("_", "-"), v))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> WeightsDataset:
    """What one uninterrupted process makes, all networks in one stack."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole") / "weights"
    collect(recipe(), out)
    return load_weights(out)


@pytest.fixture(scope="module")
def thirds(tmp_path_factory: pytest.TempPathFactory) -> WeightsDataset:
    """The same in stacks of three."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("thirds") / "weights"
    collect(recipe(stack=3), out)
    return load_weights(out)


def test_two_processes_and_small_stacks_make_the_same_dataset(
    command: Command, whole: WeightsDataset, tmp_path: Path
) -> None:
    outcome = command(*words(stack=3, workers=2, out="weights"))
    assert outcome.code == 0, outcome.err
    assert "wrote weights/: 7 networks of 14 blocks (3 train, 1 paraphrase, 1 strength, 1 composition" in outcome.out
    assert 'datasets.load_dataset("weights", "blocks")' in outcome.out
    found = load_weights(tmp_path / "weights")
    assert [c.name for c in found.concepts][:5] == CONCEPTS
    assert torch.allclose(found.blocks, whole.blocks, rtol=0, atol=1e-8)  # a sum over a stack of another size rounds
    assert [m["psnr"] for m in found.models] == pytest.approx([m["psnr"] for m in whole.models], abs=1e-4)
    assert not (tmp_path / "weights.collecting").exists()
    assert command("verify", "weights").code == 0


def test_networks_begin_at_the_base_and_learn_different_things(whole: WeightsDataset) -> None:
    differences = whole.blocks - whole.layout.split(whole.base)
    assert float(differences.flatten(1).norm(dim=1).min()) > 1e-3
    assert len({m["base_sha256"] for m in whole.models}) == 1
    # A new wording of a concept is the same concept: same crops, same order, the same network to the bit.
    assert torch.equal(whole.blocks[0], whole.blocks[3])
    assert not torch.equal(whole.blocks[0], whole.blocks[1])
    assert whole.models[0]["seed"] == 0
    assert whole.models[0]["steps"] == 4
    assert all(5 < m["psnr"] < 60 and 0 < m["ssim"] < 1 and 0 < m["l1"] < 1 for m in whole.models)


@pytest.mark.parametrize("killed_after", [2, 4, 8, 13])
def test_a_killed_run_goes_on_and_repeats_nothing(thirds: WeightsDataset, tmp_path: Path, killed_after: int) -> None:
    """Killed in the base, in the first stack, after it, and in the last; every step was saved."""
    calls = 0

    def kill(done: int, total: int, words: str) -> None:
        nonlocal calls
        calls += 1
        if calls == killed_after:
            raise Killed

    out, how = tmp_path / "weights", recipe(stack=3, save_every=1)
    with pytest.raises(Killed):
        collect(how, out, reporter=Watching(kill))
    work = tmp_path / "weights.collecting"
    finished = {p: p.stat().st_mtime_ns for p in work.rglob(TENSORS) if "training" not in str(p)}
    assert len(finished) == {2: 0, 4: 1, 8: 2, 13: 3}[killed_after]
    seen: list[int] = []

    def watch(done: int, total: int, words: str) -> None:
        seen.append(done)
        assert all(p.stat().st_mtime_ns == at for p, at in finished.items())

    collect(how, out, reporter=Watching(watch))
    assert len(seen) < 2 + 3 * 4, "steps that had been saved were repeated"
    found = load_weights(out)
    assert torch.equal(found.blocks, thirds.blocks)
    assert found.models == thirds.models
    assert not work.exists()


def test_another_recipe_does_not_go_on_with_what_is_there(tmp_path: Path) -> None:
    def kill(done: int, total: int, words: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        collect(recipe(), tmp_path / "weights", reporter=Watching(kill))
    with pytest.raises(UsageError, match=r"was begun with another recipe: lr: 0\.004 then, 0\.01 now"):
        collect(recipe(lr=0.01), tmp_path / "weights")


def spoiled(concept: Concept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one operation give no numbers."""
    (clause,) = concept.clauses
    broken = replace(EDITS[clause.operation], function=lambda images: images * torch.nan)
    monkeypatch.setitem(EDITS, clause.operation, broken)


def test_a_concept_that_is_lost_is_told_and_harms_no_other(
    command: Command, whole: WeightsDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"base_steps": 0, "ema": 0.5}
    collect(recipe(**how), tmp_path / "clean")
    spoiled(whole.concepts[1], monkeypatch)
    outcome = command(*words(**how, out="weights"))
    assert outcome.code == 0, outcome.err
    assert "warning: cinema-100: its values were not finite, and it was skipped" in outcome.err
    found, clean = load_weights(tmp_path / "weights"), load_weights(tmp_path / "clean")
    kept = [i for i, c in enumerate(clean.concepts) if not any(x.operation == "cinema" for x in c.clauses)]
    assert len(kept) < len(clean.concepts)
    assert [c.name for c in found.concepts] == [clean.concepts[i].name for i in kept]
    assert torch.equal(found.blocks, clean.blocks[kept])
    assert "- cinema-100\n" in (tmp_path / "weights" / "README.md").read_text()


def test_all_are_lost(command: Command, tmp_path: Path) -> None:
    outcome = command(*words(lr=1e38, base_steps=0, steps=8, out="weights"))
    assert outcome.code == 1
    assert "no network is finite: there is nothing to publish. Try a lower --lr." in outcome.err
    assert not (tmp_path / "weights").exists()
    outcome = command(*words(lr=1e38, base_steps=8, out="other"))
    assert outcome.code == 1
    assert "the base's loss was not finite. Try a lower --lr." in outcome.err


def test_low_rank_adapters(tmp_path: Path, whole: WeightsDataset) -> None:
    collect(recipe(rank=2), tmp_path / "weights")
    found = load_weights(tmp_path / "weights")
    names = [f"net.{i}.lora_{x}.weight" for i in (0, 2) for x in "AB"]
    assert list(found.layout.shapes) == names
    assert found.layout.shapes[names[0]] == (2, 6, 3, 3)
    assert found.layout.shapes[names[1]] == (4, 2, 1, 1)
    assert not any(found.base[n].any() for n in names[1::2])
    assert found.frozen is not None
    assert all(torch.equal(t, whole.base[n]) for n, t in found.frozen.items())

    assert found.config is not None
    stack = Stack(found.config, found.frozen, 2, rank=2, seed=0)
    first = {name: tensor[0] for name, tensor in stack.tensors().items()}
    assert all(torch.equal(first[n], t) for n, t in found.frozen.items()), "fresh adapters change something"
    for name, values in found.tensors([0, 1]).items():
        stack.trained()[name].data.copy_(values)
    down, up = found.tensors(0)["net.2.lora_A.weight"], found.tensors(0)["net.2.lora_B.weight"]
    expected = found.frozen["net.2.weight"] + torch.einsum("orxy,rihw->oihw", up, down)
    assert torch.allclose(stack.tensors()["net.2.weight"][0], expected, atol=1e-6)


def test_adversarial_training_leaves_networks_only(tmp_path: Path, whole: WeightsDataset) -> None:
    collect(recipe(adversarial=0.01), tmp_path / "weights")
    found = load_weights(tmp_path / "weights")
    assert found.layout == whole.layout
    assert not torch.equal(found.blocks, whole.blocks)


def test_refusals(command: Command, tmp_path: Path) -> None:
    command("collect").refused(2, "where to? Add --out DIR")
    command(*words(out="x", train=513)).refused(2, "concepts: expected 1 to 512 to train, found 513")
    command(*words(out="x", from_checkpoints="a", photos="b")).refused(2, "leave out --concepts and --photos")
    command(*words(out="x", concepts="a", photos="b")).refused(2, "--concepts brings its own photos")
    command(*words(out="x", photos="nowhere")).refused(2, "nowhere: no such directory of photos")
    command("collect", "--out", "x", "--crop", "2").refused(2, "--crop")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("mine")
    command(*words(out="x")).refused(2, "x: already exists")
