"""Names that are printed work in a shell and in Python, whatever they are; names that no card can hold are refused."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.conftest import SMALL_LLAMA, Command
from weightgen.console import python_word, shell_word
from weightgen.errors import UsageError
from weightgen.recipe import GenerateRecipe, SubcloneRecipe, make_recipe, read_recipe

BASH = shutil.which("bash")
NAMES = [
    b"plain",
    b"with space",
    b" both ends ",
    b"it's",
    b'say "it"',
    b"'",
    b"''\"\"",
    b"a\nb",
    b"\n",
    b"\r\t",
    b"\x1b[2J",
    b"a\\b",
    b"\\",
    b"\\x41\\n",
    b"a\\\nb'c\"d",
    b"$HOME `date` $(date) ${x}",
    b"!!",
    b"~",
    b"*?[a]{b,c}",
    b"a;b&c|d>e<f#g",
    b"-rf",
    b"\xff\xfe",
    b"a\xffb 'c' \\ \n",
    b"\x01f",  # after an escape of one digit, one of the next two would be taken for its second
    b"\xe9f0",
    "\u7d50\u679c".encode(),
    "\u202egpj.exe".encode(),
    "\ufeff\u200b\u2028".encode(),
    "\U0001f600\x7f".encode(),
    b"",
]


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_words_of_a_shell_are_what_they_were() -> None:
    assert BASH is not None
    words = [shell_word(os.fsdecode(name)) for name in NAMES]
    assert all(word.isprintable() for word in words)
    environment = {"LC_ALL": "C.UTF-8", "HOME": "/nowhere", "x": "y"}
    for name, word in zip(NAMES, words, strict=True):
        assert not name or word == shell_word(Path(os.fsdecode(name)))
    script = "printf '%s\\0' " + " ".join(words)
    done = subprocess.run([BASH, "-c", script], capture_output=True, check=True, env=environment)
    assert done.stdout.split(b"\0") == [*NAMES, b""]
    assert done.stderr == b""


def test_plain_names_stay_as_they_are() -> None:
    assert shell_word(Path("some/where-1.safetensors")) == "some/where-1.safetensors"
    assert shell_word("\u7d50\u679c") == "'\u7d50\u679c'"
    assert shell_word("a\x1b'\\") == r"$'a\x1b\x27\x5c'"


def test_literals_of_python_are_what_they_were() -> None:
    for name in map(os.fsdecode, NAMES):
        word = python_word(name)
        assert word.isprintable()
        assert ast.literal_eval(word) == name
    assert python_word(Path("a/b c")) == '"a/b c"'
    assert python_word("\u7d50'") == '"\u7d50\'"'


class Loader:
    """Stands for transformers: says what it was given."""

    class LlamaForCausalLM:
        from_pretrained = staticmethod(str)


def check_line(name: str) -> str:
    return f"`weightgen verify {shell_word(name)}` checks every file"


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.parametrize(
    "name", ["it's a \x1b[2J \u202e name", "two\nlines", 'a\'b "c" $HOME', "back\\slash", "\U0001f600"]
)
def test_what_a_command_prints_is_typed_again(command: Command, llama: Path, tmp_path: Path, name: str) -> None:
    assert BASH is not None
    outcome = command("subclone", "--src", llama, *SMALL_LLAMA, "--out", name)
    assert outcome.code == 0, outcome.err
    assert all(line.isprintable() for line in outcome.out.splitlines())
    (load,) = [line for line in outcome.out.splitlines() if line.startswith("load: ")]
    assert eval(load.removeprefix("load:"), {"transformers": Loader}) == name
    card = (tmp_path / name / "README.md").read_text()
    assert load.removeprefix("load:").strip() in card
    assert check_line(name) in card
    (check,) = [line for line in outcome.out.splitlines() if line.startswith("check: ")]
    script = check.removeprefix("check:").strip().replace("weightgen verify", "printf '%s\\0'")
    done = subprocess.run([BASH, "-c", script], capture_output=True, check=True)
    assert done.stdout.split(b"\0") == [name.encode(), b""]
    assert (tmp_path / name / "manifest.json").is_file()


BAD = [("\udcff", "is no UTF-8"), ("a\ud800b", "is no UTF-8"), ("a\0b", "holds a NUL character")]
WORDS: dict[str, tuple[Callable[[str], tuple[str, ...]], str]] = {
    "an option": (lambda t: ("subclone", "--src", t, "--dst", "same", "--out", "o"), "src"),
    "the output": (lambda t: ("subclone", "--src", "s", "--dst", "same", "--out", t), "out"),
    "one of several": (lambda t: ("diagnose", "random", "--model", "timm:x", "--measure", t, "--out", "o"), "measure"),
    "arguments": (
        lambda t: ("subclone", "--src", "s", "--dst", "same", "--dst-args", f"x={t}", "--out", "o"),
        "dst_args",
    ),
    "an argument": (lambda t: ("generate", t, "--generator", "g", "--out", "o"), "prompt"),
    "a data set": (lambda t: ("train-generator", t, "--out", "o"), "data"),
    "one of several arguments": (lambda t: ("diagnose", "random", t, "--model", "timm:x", "--out", "o"), "start"),
}


@pytest.mark.parametrize(("text", "reason"), BAD)
@pytest.mark.parametrize("which", WORDS)
def test_texts_that_cannot_be_written_are_refused(command: Command, which: str, text: str, reason: str) -> None:
    words, name = WORDS[which]
    command(*words(text)).refused(2, f"'{name}' {reason}")


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_another_place_for_a_recipe(command: Command, tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "recipe.yaml").write_text("stage: generate\nprompt: sepia\ngenerator: g\n")
    command("run", "recipe.yaml", "--out", text).refused(2, "'out' ", reason)


@pytest.mark.parametrize(("text", "reason"), [(r"\uD800", "is no UTF-8"), (r"\0", "holds a NUL character")])
@pytest.mark.parametrize(
    "line",
    ['src: "TEXT"', 'dst_args: {x: "TEXT"}', 'dst_args: {"TEXT": x}', 'dst_args: {x: [1, {y: ["a", "bTEXT"]}]}'],
)
def test_recipes_with_such_texts(command: Command, tmp_path: Path, line: str, text: str, reason: str) -> None:
    (tmp_path / "recipe.yaml").write_text("stage: subclone\ndst: same\n" + line.replace("TEXT", text) + "\n")
    command("run", "recipe.yaml", "--out", "out").refused(2, "recipe.yaml: ", f"'{line.split(':')[0]}' {reason}")


@pytest.mark.parametrize("text", ["\udcff", "\0"])
def test_recipes_in_python(text: str) -> None:
    for values in ({"prompt": text}, {"generator": f"a{text}"}, {"out": text}):
        with pytest.raises(ValidationError, match=r"is no UTF-8|holds a NUL"):
            GenerateRecipe.model_validate(values)
        with pytest.raises(UsageError, match=r"is no UTF-8|holds a NUL"):
            make_recipe(GenerateRecipe, values)


def test_texts_of_every_language_are_kept(tmp_path: Path) -> None:
    values: dict[str, Any] = {"src": "\u7d50\u679c \U0001f600 \u202e \x1b[2J\n'\"", "dst_args": {"\u00e9": ["\ufeff"]}}
    recipe = SubcloneRecipe.model_validate({**values, "dst": "same"})
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    assert read_recipe(tmp_path / "recipe.yaml", SubcloneRecipe) == recipe
