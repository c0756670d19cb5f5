"""A further library of models is one adapter: everything else works with it unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import Command
from weightgen.models.architecture import Adapter, Architecture
from weightgen.models.building import on_meta
from weightgen.models.libraries import LIBRARIES, adapter_of, described
from weightgen.models.reference import Reference


class Stacks(Adapter):
    """A library of perceptrons, which config.json tells the widths of."""

    name = "torch"  # whose version is recorded
    schemes = ("stack",)
    mark = "'widths' (stacks)"

    def refer(self, text: str, scheme: str, rest: str) -> Reference | None:
        return Reference(text, self.name, rest)

    def recognise(self, text: str, directory: Path, config: Mapping[str, Any]) -> Reference | None:
        return Reference(text, self.name, directory=directory) if "widths" in config else None

    def build(self, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        told = {"widths": list(map(int, reference.name.split("-")))} if reference.directory is None else {}
        if reference.directory is not None:
            told = json.loads((reference.directory / "config.json").read_text())
        widths = {**told, **arguments}["widths"]

        def make() -> torch.nn.Module:
            pairs = pairwise(widths)
            return torch.nn.Sequential(*(layer for a, b in pairs for layer in (torch.nn.Linear(a, b), torch.nn.ReLU())))

        return self.describe("stack", on_meta(make), {"widths": widths}, make)

    def resized(self, source: Architecture, reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
        return self.build(reference, arguments)

    def made(self, module: torch.nn.Module) -> bool:
        return False

    def write_config(self, target: Architecture, directory: Path) -> None:
        (directory / "config.json").write_text(json.dumps(dict(target.arguments)))

    def load_text(self, target: Architecture, name: str) -> str:
        return f'stacks.load("{name}")'

    def repository(self, reference: Reference, architecture: Architecture) -> str:
        raise NotImplementedError

    def images(self, architecture: Architecture, wanted: int | None) -> tuple[Any, int]:
        raise NotImplementedError


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a fourth library."""
    monkeypatch.setitem(LIBRARIES, "torch", Stacks())
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "config.json").write_text(json.dumps({"widths": [4, 8, 3]}))
    torch.manual_seed(0)
    model = LIBRARIES["torch"].build(Reference("", "torch", "4-8-3"), {})
    assert model.make is not None
    save_file(model.make().state_dict(), tmp_path / "large" / "model.safetensors")
    return tmp_path / "large"


def test_a_fourth_library_is_cut_initialised_and_published(command: Command, stack: Path, tmp_path: Path) -> None:
    words = ("subclone", "--src", stack, "--dst", "same", "--dst-args", "widths=[4,6,3]", "--out", "small")
    command(*words).refused(2, "no input is known for this model", "3 of 4 tensors", "--allow-shape")
    outcome = command(*words, "--allow-shape")
    assert outcome.code == 0, outcome.err
    assert 'load:   stacks.load("small")' in outcome.out
    assert json.loads((tmp_path / "small" / "config.json").read_text()) == {"widths": [4, 6, 3]}
    cut, whole = (load_file(d / "model.safetensors") for d in (tmp_path / "small", stack))
    assert cut["0.weight"].shape == (6, 4)
    assert all(any(torch.equal(row, other) for other in whole["0.weight"]) for row in cut["0.weight"])
    manifest = json.loads((tmp_path / "small" / "manifest.json").read_text())
    assert manifest["versions"]["torch"]
    assert "library_name: torch" in (tmp_path / "small" / "README.md").read_text()
    assert command("init", "--model", "stack:4-8-3", "--method", "orthogonal", "--out", "made").code == 0
    square = load_file(tmp_path / "made" / "model.safetensors")["0.weight"]
    assert torch.allclose(square.T @ square, (square.T @ square)[0, 0] * torch.eye(4), atol=1e-5)
    assert command("verify", "small").code == 0


def test_what_no_library_knows_is_refused_by_their_marks(command: Command, stack: Path) -> None:
    (stack / "config.json").write_text("{}")
    command("subclone", "--src", stack, "--dst", "same").refused(
        3, "neither 'architecture' (timm) nor 'model_type' (transformers) nor 'widths' (stacks)"
    )


def test_modules_follow_the_library_that_made_them() -> None:
    import timm
    import transformers

    from weightgen.models.translator import Translator

    config = transformers.BertConfig(
        hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8, vocab_size=9
    )
    made = {
        "timm": timm.create_model("test_vit"),
        "transformers": transformers.BertModel(config),
        "weightgen": Translator(),
    }
    assert {name: adapter_of(module).name for name, module in made.items()} == {name: name for name in made}
    assert described(torch.nn.Linear(2, 3)).library == "timm"
    assert not adapter_of(torch.nn.Linear(2, 3)).defines(torch.nn.Linear(2, 3))
