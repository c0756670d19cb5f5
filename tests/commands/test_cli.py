"""The command line from end to end: help, plans, recipes, JSON, and results that the libraries load by themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.conftest import SMALL_LLAMA, SMALL_VIT, VIT, Command
from weightgen.cli import COMMANDS
from weightgen.jobs.subclone import prepare
from weightgen.jobs.table import load_recipe
from weightgen.recipe import SubcloneRecipe
from weightgen.subcloning.transfer import execute, initial_values, needs_initial

WEIGHTS = "model.safetensors"
HEAVY = ("torch", "numpy", "timm", "transformers", "huggingface_hub", "safetensors", "ml_dtypes")

HELP = f"""
import contextlib, io, json, sys
from weightgen.cli import main
texts = []
for words in (["--help"], ["--version"], *([c, "--help"] for c in {list(COMMANDS)!r})):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            main(words)
        except SystemExit as ended:
            assert ended.code == 0, words
    texts.append(out.getvalue())
print(json.dumps([texts, [m for m in {HEAVY!r} if m in sys.modules]]))
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    texts, imported = json.loads(done.stdout)
    assert imported == []
    assert all(command in texts[0] for command in COMMANDS)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", texts[1])
    assert all(flag in texts[2] for flag in ("--src-weights", "--dst-args", "--dry-run", "--allow-pickle"))


def test_the_installed_script_refuses_in_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "weightgen", "verify", "none"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert re.fullmatch(r"error: none: .*\n", done.stderr)


def test_usage_errors(command: Command, llama: Path) -> None:
    same = ("--src", llama, "--dst", "same")
    command("subclonne").refused(2, "subclonne", "See: weightgen --help")
    command("subclone", *same, "--metod", "x").refused(2, "--metod", "--method", "See: weightgen subclone --help")
    command("subclone", *same, "--method", "selektion").refused(2, "selektion", "Did you mean 'selection'?")
    command("subclone", *same, "--choose", "unifrom").refused(2, "Did you mean 'uniform'?")
    command("subclone", *same, "--heads", "hole").refused(2, "Did you mean 'whole'?")
    command("subclone", *same, "--depth", "sprad").refused(2, "Did you mean 'spread'?")
    command("subclone", *same, "--depth", "0,9", "--dst-args", "num_hidden_layers=2").refused(2, "9")
    command("subclone", *same, "--depth", "0,0", "--dst-args", "num_hidden_layers=2").refused(2)
    command("subclone", *same, "--scale", "fan").refused(2, "fan-in")
    command("subclone", *same, "--importance", "magnitud").refused(2, "magnitude")
    command("subclone", *same, "--dtype", "int4").refused(2, "bfloat16")
    command("subclone", *same, "--seed", "-1").refused(2, "seed")
    command("subclone", *same, "--seed", "x").refused(2, "seed")
    command("subclone", *same, "--calibrate-samples", "0").refused(2, "--calibrate-samples")
    command("subclone", *same, "--calibrate", "none", "--method", "minitron").refused(3, "none")
    command("subclone", *same, "--scores", "none.safetensors", "--choose", "importance").refused(3, "none.safetensors")
    command("subclone", *same, "--dst-args", "hidden_size").refused(2, "is not key=value")
    command("subclone", "--src", llama).refused(2, "--dst")
    command("verify").refused(2, "See: weightgen verify --help")
    outcome = command("subclone", *same, "--method", "selektion", "--json")
    assert json.loads(outcome.out)["error"] in outcome.err.replace("\n       ", "\n")


def test_interrupted(command: Command, llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupts(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("weightgen.jobs.subclone.execute", interrupts)
    command("subclone", "--src", llama, *SMALL_LLAMA, "--out", "out").refused(130, "interrupted")


def test_a_dry_run_writes_nothing(command: Command, llama: Path, vit: Path) -> None:
    for words in (("--src", llama, *SMALL_LLAMA), (*VIT, "--src-weights", vit, *SMALL_VIT)):
        outcome = command("subclone", *words, "--dry-run", "--out", "out")
        assert (outcome.code, outcome.left) == (0, frozenset())
        assert re.search(r"parameters .* -> .*plan [0-9a-f]{12}", outcome.out)
        for word in ("source -> target", "selected", "unused", "embed"):
            assert word in outcome.out
        assert all(len(line) <= 100 for line in outcome.out.splitlines())
        data = json.loads(command("subclone", *words, "--dry-run", "--json").out)
        assert re.fullmatch(r"[0-9a-f]{64}", data["plan_hash"])
        assert data["plan_hash"][:12] in outcome.out
        assert sum(data["actions"].values()) == len(data["tensors"])
        assert data["source_parameters"] > data["target_parameters"] > 0


def test_json_has_what_was_made_and_stderr_is_empty(command: Command, llama: Path, tmp_path: Path) -> None:
    outcome = command("subclone", "--src", llama, *SMALL_LLAMA, "--out", "out", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    data = json.loads(outcome.out)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert data["directory"] == "out"
    assert data["plan_hash"] == manifest["plan_hash"]
    assert manifest["source"][WEIGHTS]["size"] == (llama / WEIGHTS).stat().st_size
    assert json.loads(command("verify", "out", "--json").out) == {"directory": "out", "verified": True}
    quiet = command("subclone", "--src", llama, *SMALL_LLAMA, "--out", "quiet", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_recipe_gives_the_same_bytes(command: Command, llama: Path, tmp_path: Path) -> None:
    words = ("subclone", "--src", llama, *SMALL_LLAMA, "--choose", "random", "--seed", "3", "--depth", "0,3")
    printed = command(*words, "--print-recipe", "--out", "two")
    assert (printed.code, printed.err, printed.left) == (0, "", frozenset())
    (tmp_path / "recipe.yaml").write_text(printed.out)
    assert yaml.safe_load(printed.out)["depth"] == [0, 3]
    assert command(*words, "--out", "one").code == 0
    assert command("run", "recipe.yaml").code == 0
    assert command("run", "one/recipe.yaml", "--out", "three").code == 0
    made = {name: (tmp_path / name / WEIGHTS).read_bytes() for name in ("one", "two", "three")}
    assert len(set(made.values())) == 1
    hashes = {json.loads((tmp_path / name / "manifest.json").read_text())["recipe_hash"] for name in made}
    assert len(hashes) == 1
    assert command("run", "recipe.yaml", "--dry-run").left == frozenset()
    command("run", "recipe.yaml").refused(2, "two: already exists")
    assert command("run", "recipe.yaml", "--force").code == 0
    other = ["4" if word == "3" else word for word in words]
    assert command(*other, "--out", "four").code == 0
    assert (tmp_path / "four" / WEIGHTS).read_bytes() != made["one"]


RECIPES: dict[str, tuple[bytes, int, str]] = {
    "unknown-key": (b"src: a\nmetod: x\n", 2, "metod"),
    "did-you-mean": (b"src: a\nmetod: x\n", 2, "Did you mean 'method'?"),
    "no-source": (b"dst: same\n", 2, "src: field required"),
    "wrong-type": (b"src: a\nseed: many\n", 2, "seed"),
    "other-stage": (b"stage: dance\nsrc: a\n", 2, "stage"),
    "escape": (b'src: a\n"x\\e[2J": 1\n', 2, "x\\x1b[2J"),
    "not-yaml": (b"src: [a\n", 2, "not valid YAML"),
    "tags": (b"src: !!python/object/apply:os.system ['touch hacked']\n", 2, "not valid YAML"),
    "not-utf8": (b"src: \xff\n", 2, "not valid YAML"),
    "nul": (b"src: \0\n", 2, "not valid YAML"),
    "deep": (b"[" * 5_000, 2, "not valid YAML"),
    "list": (b"- a\n", 2, "expected 'key: value' lines"),
    "empty": (b"", 2, "expected 'key: value' lines"),
    "number-key": (b"1: a\nsrc: b\n", 2, "1"),
    "too-large": (b"#" * ((1 << 20) + 1), 3, "the limit is 1048576"),
}


@pytest.mark.parametrize("case", RECIPES)
def test_broken_recipes(command: Command, tmp_path: Path, case: str) -> None:
    content, code, text = RECIPES[case]
    (tmp_path / "recipe.yaml").write_bytes(content)
    command("run", "recipe.yaml", "--out", "out").refused(code, text)


def test_recipes_that_are_no_files(command: Command, tmp_path: Path) -> None:
    command("run", "none.yaml").refused(3, "none.yaml: No such file")
    os.mkfifo(tmp_path / "pipe")
    command("run", "pipe").refused(3, "pipe: expected a regular file, found a FIFO")
    command("run", ".").refused(3, "found a directory")


def test_an_alias_bomb_ends_quickly(command: Command, tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    (tmp_path / "recipe.yaml").write_text("\n".join(lines) + "\nsrc: a\ndst_args: {x: *a59}\n")
    command("run", "recipe.yaml").refused(2)


def test_timm_loads_the_result_by_itself(command: Command, vit: Path, tmp_path: Path) -> None:
    import timm

    words = ("subclone", *VIT, "--src-weights", vit, *SMALL_VIT, "--out")
    assert command(*words, "out").code == 0
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    stored = load_file(tmp_path / "out" / WEIGHTS)
    state = model.state_dict()
    assert state.keys() == stored.keys()
    assert all(torch.equal(state[name], stored[name]) for name in state)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    assert command(*words, "again").code == 0
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (tmp_path / "out" / WEIGHTS).read_bytes()


def loads_strictly(directory: Path) -> torch.nn.Module:
    """Load with transformers alone; assert that every name fits, and return the model."""
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert not any(info.values()), info
    assert isinstance(model, torch.nn.Module)
    assert model(torch.arange(8)[None]).logits.isfinite().all()
    return model


def test_transformers_loads_the_result_by_itself(command: Command, llama: Path, tmp_path: Path) -> None:
    assert command("subclone", "--src", llama, *SMALL_LLAMA, "--out", "out", "--dtype", "bfloat16").code == 0
    model = loads_strictly(tmp_path / "out")
    assert model.config.hidden_size == 8
    assert {t.dtype for t in load_file(tmp_path / "out" / WEIGHTS).values()} == {torch.bfloat16}
    # A result is a source, by its own name and no other words.
    assert command("subclone", "--src", "./out", "--dst", "same", "--dst-args", "num_hidden_layers=1").code == 0
    assert command("verify", "small-from-out").code == 0


def test_shards(command: Command, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("subclone", "--src", llama, *SMALL_LLAMA, "--out")
    assert command(*words, "whole").code == 0
    prepared = prepare(load_recipe(tmp_path / "whole" / "recipe.yaml"))
    assert isinstance(prepared.recipe, SubcloneRecipe)
    (tmp_path / "whole" / WEIGHTS).rename(tmp_path / "expected.safetensors")
    initial = initial_values(prepared.target, needs_initial(prepared.plan), 0)
    execute(prepared.plan, prepared.source.weights, initial, tmp_path / "whole", shard_bytes=3000)
    parts = sorted((tmp_path / "whole").glob("model-*.safetensors"))
    assert len(parts) > 2
    assert parts[0].name == f"model-00001-of-{len(parts):05d}.safetensors"
    state = loads_strictly(tmp_path / "whole").state_dict()
    for name, value in load_file(tmp_path / "expected.safetensors").items():
        assert torch.equal(state[name], value)
    again = ("subclone", "--src", "./whole", "--dst", "same", "--out", "again")
    command(*again).refused(3, "changed since its manifest was written")
    (tmp_path / "whole" / "manifest.json").unlink()
    assert command(*again).code == 0
    assert load_file(tmp_path / "again" / WEIGHTS).keys() == load_file(tmp_path / "expected.safetensors").keys()
