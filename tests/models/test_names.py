"""Names: what --src and --dst take, what each resolves to, and what is refused with which advice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import SMALL_LLAMA, VIT, Command
from weightgen.errors import InputError, UsageError
from weightgen.models.libraries import LIBRARIES
from weightgen.models.names import PRESETS, SPELLED, preset, resolve, spelled
from weightgen.recipe.arguments import parse_arguments

TIMM_PRESETS = {name: found.name for name, found in LIBRARIES["timm"].presets.items()}


def test_every_timm_preset_is_an_architecture_of_the_installed_timm() -> None:
    import timm

    unknown = [name for name in TIMM_PRESETS.values() if not timm.is_model(name)]
    assert unknown == []


@pytest.mark.parametrize("name", LIBRARIES["transformers"].presets)
def test_every_transformers_preset_is_a_config(name: str) -> None:
    import transformers

    reference = preset(name)
    config = transformers.AutoConfig.for_model(reference.model_type, **reference.config)
    assert issubclass(getattr(transformers, config.architectures[0]).config_class, type(config))


def test_resolved_names(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = resolve("vit-large")
    assert (found.library, found.name, found.hub) == ("timm", "vit_large_patch16_224", False)
    assert resolve("timm:resnet18.a1_in1k").name == "resnet18.a1_in1k"
    found = resolve("hf:org/name@v1.2")
    assert (found.library, found.name, found.revision, found.hub) == ("transformers", "org/name", "v1.2", True)
    assert resolve("hf:gpt2").revision is None
    found = resolve("hf-hub:timm/x.in1k@main")
    assert (found.library, found.name, found.revision) == ("timm", "timm/x.in1k", "main")
    found = resolve(str(llama))
    assert (found.library, found.model_type, found.directory) == ("transformers", "llama", llama)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text('{"architecture": "resnet18"}')
    for text in ("mine", "./mine", "local-dir:mine"):
        found = resolve(text)
        assert (found.library, found.name, found.directory) == ("timm", "resnet18", Path("mine"))


def test_a_preset_that_is_also_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vit-tiny").mkdir()
    (tmp_path / "vit-tiny" / "config.json").write_text('{"architecture": "resnet18"}')
    with pytest.raises(UsageError, match=r"both a preset and a directory.*preset:vit-tiny or \./vit-tiny"):
        resolve("vit-tiny")
    assert resolve("preset:vit-tiny").name == "vit_tiny_patch16_224"
    assert resolve("./vit-tiny").name == "resnet18"


@pytest.mark.parametrize("text", ["resnet50", "ResNet_50", "RESNET-50", "preset:resnet50"])
def test_hyphens_underscores_and_case_do_not_matter(text: str) -> None:
    assert resolve(text) == preset("resnet-50")


def test_no_two_names_are_spelled_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    assert {spelled(name) for name in PRESETS} == set(PRESETS)
    assert len(SPELLED) == len(PRESETS)
    # What timm calls so is the same architecture.
    assert {n: TIMM_PRESETS[spelled(n)] for n in timm.list_models() if spelled(n) in TIMM_PRESETS} == {
        n: n for n in timm.list_models() if spelled(n) in TIMM_PRESETS
    }
    assert spelled("resnet5") == "resnet5"
    # A directory is nearer than another spelling.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet50").mkdir()
    (tmp_path / "resnet50" / "config.json").write_text('{"architecture": "resnet18"}')
    assert resolve("resnet50").name == "resnet18"


REFUSED = {
    "org/name": "write hf:org/name or hf-hub:org/name",
    "vit_tiny_patch16_224": "write timm:vit_tiny_patch16_224",
    "vit-lareg": "Did you mean 'vit-large'?",
    "zzz": "neither a preset nor a directory",
    "": "neither a preset nor a directory",
    "hf:": "'hf:' is not a repository",
    "hf:a/b/c": "is not a repository: write hf:ORG/NAME",
    "hf:../../etc": "is not a repository",
    "hf:org/..": "is not a repository",
    "hf:org/na me": "is not a repository",
    "hf-hub:org/x@a/../b": "is not a repository",
    "timm:": "neither a preset nor a directory",
    "preset:none": "neither a preset nor a directory",
    "package:../x": "is not package:NAME",
    "package:json/../..": "is not package:NAME",
    "package:surely_not_installed": "is not installed here",
    "a\x1b[2Jb": "a\\x1b[2Jb",
    "a\0b": "a\\x00b",
    "hf:a\nb": "a\\nb",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_names(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        resolve(text)
    assert REFUSED[text] in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize("text", ["./none", "/none", "~/surely-none", "local-dir:none", "package:json/none"])
def test_directories_that_are_not_there(text: str) -> None:
    with pytest.raises(InputError, match=r"no such directory|has no directory"):
        resolve(text)


def test_a_file_is_no_name(command: Command, vit: Path) -> None:
    command("subclone", "--src", vit, *SMALL_LLAMA).refused(2, "is a file", "--src-weights")


def test_arguments() -> None:
    assert parse_arguments("a=1,b=0.5, c=x,d=[1,2],e={f: 1, g: 2},h=true") == {
        "a": 1,
        "b": 0.5,
        "c": "x",
        "d": [1, 2],
        "e": {"f": 1, "g": 2},
        "h": True,
    }
    assert parse_arguments("a=[[1,2],[3]],b=2") == {"a": [[1, 2], [3]], "b": 2}
    assert parse_arguments(None) == parse_arguments("") == {}
    for bad in ("a", "=1", "a b=1", "a=1,b", "a=[1", "a={x"):
        with pytest.raises(UsageError, match=r"is not key=value|not valid YAML"):
            parse_arguments(bad)


def test_unreachable_hub(command: Command) -> None:
    for name in ("hf:org/name", "hf:org/name@v1", "hf-hub:org/name"):
        words = ("subclone", "--src", name, "--dst", "same", "--out", "out")
        command(*words).refused(
            4, "could not reach the hub for 'org/name'", "pass its directory, which holds config.json"
        )
    words = ("subclone", "--src", "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", "--dst", "same", "--out", "out")
    command(*words).refused(4, "'timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k'", "--src-weights")
    command("subclone", "--src", "vit-small", "--dst", "vit-tiny").refused(4, "'timm/vit_small_", "--src-weights")
    command("subclone", "--src", "bert-mini", "--dst", "bert-tiny").refused(
        4, "'google/bert_uncased_L-4_H-256_A-4'", "--src-weights"
    )


def test_an_unreachable_repository_with_local_weights(command: Command, llama: Path) -> None:
    """The configuration itself comes from the hub, so the advice must be one that can work."""
    weights = llama / "model.safetensors"
    words = ("subclone", "--src", "hf:org/name", "--src-weights", weights, "--dst", "same", "--out", "out")
    outcome = command(*words)
    outcome.refused(4, "could not reach the hub for 'org/name'", "pass its directory, which holds config.json")
    assert "--src-weights" not in outcome.err


def test_unknown_architectures_and_arguments(command: Command, llama: Path, vit: Path) -> None:
    words = ("--src-weights", vit, "--dst", "same", "--out", "out")
    command("subclone", "--src", "timm:vit_tinny_patch16_224", *words).refused(2, "Did you mean 'vit_tiny_patch16_224'")
    command("subclone", "--src", "timm:../../x", *words).refused(2, "timm", "has no '../../x'")
    command("subclone", *VIT, *words, "--dst-args", "embed_dimm=16").refused(2, "embed_dimm")
    command("subclone", *VIT, *words, "--dst-args", "embed_dim=x").refused(2, "embed_dim")
    command("subclone", *VIT, *words, "--dst-args", "embed_dim=-3").refused(
        2, "embed_dim=-3: a size must be at least 1"
    )
    command("subclone", *VIT, *words, "--dst-args", "num_heads=5").refused(2, "timm refuses")
    words = ("subclone", "--src", llama, "--dst", "same", "--out", "out", "--dst-args")
    command(*words, "hidden_sizes=8").refused(2, "hidden_sizes", "hidden_size'")
    command(*words, "hidden_size=x").refused(2, "hidden_size")
    command(*words, "hidden_size=7").refused(2)
    command(*words, "hidden_size=-8").refused(2, "hidden_size=-8: a size must be at least 1")
    command(*words, "save_pretrained=1").refused(2, "has no field 'save_pretrained'")
    command(*words, "a\x1b=1").refused(2, "a\\x1b=1")
    command(*words, "model_type=bert").refused(2, "model_type")


def test_the_list_of_presets(command: Command) -> None:
    outcome = command("models", "--json")
    assert outcome.code == 0
    listed = json.loads(outcome.out)["presets"]
    assert list(listed) == PRESETS
    assert listed["vit-large"] == "timm:vit_large_patch16_224"
    text = command("models").out
    assert all(name in text for name in PRESETS)
