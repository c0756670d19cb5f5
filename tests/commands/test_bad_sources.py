"""Broken and unsafe sources, end to end through the command line: exit code, one to three lines, nothing left."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.conftest import SMALL_LLAMA, SMALL_VIT, VIT, Command

WEIGHTS = "model.safetensors"
UP = "model.layers.1.mlp.up_proj"


def header(file: Path, change: Callable[[dict[str, Any]], Any], write: Callable[[Any], str] = json.dumps) -> None:
    """Rewrite the header of a safetensors file, its data unchanged."""
    raw = file.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    content = json.loads(raw[8:end])
    changed = write(change(content) or content).encode()
    file.write_bytes(len(changed).to_bytes(8, "little") + changed + raw[end:])


def renamed(name: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        header(directory / WEIGHTS, lambda content: content.update({name: content.pop(f"{UP}.weight")}))

    return change


def missing(directory: Path) -> None:
    (directory / WEIGHTS).unlink()


def truncated(directory: Path) -> None:
    os.truncate(directory / WEIGHTS, (directory / WEIGHTS).stat().st_size - 10)


def overlapping(directory: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        names = [n for n in content if n.endswith("up_proj.weight")]
        content[names[1]]["data_offsets"] = content[names[0]]["data_offsets"]

    header(directory / WEIGHTS, change)


def oversized_header(directory: Path) -> None:
    (directory / WEIGHTS).write_bytes((1 << 40).to_bytes(8, "little") + b"{" * 100)


def not_safetensors(directory: Path) -> None:
    (directory / WEIGHTS).write_text("These are not weights, but a letter.\n" * 10)


def binary(directory: Path) -> None:
    (directory / WEIGHTS).write_bytes((16).to_bytes(8, "little") + bytes(range(64)))


def leading_space(directory: Path) -> None:
    header(directory / WEIGHTS, lambda content: content, lambda content: " " + json.dumps(content))


def duplicate_key(directory: Path) -> None:
    header(directory / WEIGHTS, lambda content: content, lambda c: json.dumps(c)[:-1] + f',"x":{json.dumps(c)},"x":1}}')


def other_shape(directory: Path) -> None:
    header(directory / WEIGHTS, lambda content: content[f"{UP}.weight"].update(shape=[16, 32]))


def of_another_model(directory: Path) -> None:
    save_file({"encoder.kernel": np.zeros((2, 2), np.float32)}, directory / WEIGHTS)


def no_config(directory: Path) -> None:
    (directory / "config.json").unlink()


def broken_config(directory: Path) -> None:
    (directory / "config.json").write_text('{"model_type": ')


def unknown_type(directory: Path) -> None:
    (directory / "config.json").write_text('{"model_type": "nobody-knows"}')


def configured(**changes: Any) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        file = directory / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def indexed(shard: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        names = list(load_file(directory / WEIGHTS))
        (directory / WEIGHTS).rename(directory / "part.safetensors")
        shutil.copy(directory / "part.safetensors", directory.parent / "outside.safetensors")
        os.mkfifo(directory / "pipe.safetensors")
        index = {"weight_map": dict.fromkeys(names, shard)}
        (directory / f"{WEIGHTS}.index.json").write_text(json.dumps(index))

    return change


BROKEN: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "missing": (missing, 3, "no weights"),
    "truncated": (truncated, 3, "truncated"),
    "overlapping": (overlapping, 3, "overlaps"),
    "oversized-header": (oversized_header, 3, "over the limit"),
    "not-safetensors": (not_safetensors, 3, "not a safetensors file"),
    "not-safetensors-either": (binary, 3, "not a safetensors file"),
    "leading-space": (leading_space, 3, "must begin with '{'"),
    "duplicate-key": (duplicate_key, 3, "the key 'x' occurs twice"),
    "other-shape": (other_shape, 3, "is [16, 32], LlamaForCausalLM expects [32, 16]"),
    "another-model": (of_another_model, 3, "does not hold LlamaForCausalLM"),
    "control-characters": (renamed("a\x1b[2Jb"), 3, "a\\x1b[2Jb"),
    "climbing-name": (renamed("../../evil"), 3, "../../evil"),
    "packed": (renamed(f"{UP}.qweight"), 3, "is packed by GPTQ or AWQ"),
    "no-config": (no_config, 3, "no config.json"),
    "broken-config": (broken_config, 3, "not valid JSON"),
    "unknown-type": (unknown_type, 2, "nobody-knows"),
    "class-that-is-no-model": (configured(architectures=["Trainer"]), 2, "has no model class 'Trainer'"),
    "class-that-is-a-number": (configured(architectures=[7]), 2, "'7'"),
    "config-of-strings": (configured(hidden_size="wide"), 2, "hidden_size"),
    "config-that-divides-by-zero": (configured(num_attention_heads=0), 2, "refuses this configuration"),
    "config-of-negative-size": (configured(intermediate_size=-4), 2, "intermediate_size=-4: a size must be at least 1"),
    "shard-outside": (indexed("../outside.safetensors"), 3, "not a plain file name"),
    "shard-is-a-fifo": (indexed("pipe.safetensors"), 3, "pipe.safetensors: expected a regular file, found a FIFO"),
    "shard-missing": (indexed("part-2.safetensors"), 3, "shard part-2.safetensors is missing"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_source_is_refused(command: Command, source: Path, case: str) -> None:
    breaks, code, text = BROKEN[case]
    breaks(source)
    command("subclone", "--src", source, *SMALL_LLAMA, "--out", "out").refused(code, text)


def test_a_file_that_is_not_there(command: Command) -> None:
    command("subclone", *VIT, "--src-weights", "none.safetensors", *SMALL_VIT).refused(3, "none.safetensors")
    command("subclone", "--src", "./none", *SMALL_LLAMA).refused(3, "./none: no such directory")


def test_a_changed_checkpoint_is_named_and_is_no_source(command: Command, source: Path) -> None:
    assert command("subclone", "--src", source, *SMALL_LLAMA, "--out", "first").code == 0
    assert command("verify", "first").code == 0
    with (Path("first") / WEIGHTS).open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        byte = file.read(1)
        file.seek(-5, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    command("verify", "first").refused(1, WEIGHTS)
    again = ("--src", "./first", "--dst", "same", "--dst-args", "num_hidden_layers=1", "--out", "second")
    command("subclone", *again).refused(3, f"first/{WEIGHTS}: changed since its manifest was written: expected sha256")
    header(Path("first") / WEIGHTS, lambda content: content.setdefault("__metadata__", {}).update(more="x"))
    command("subclone", *again).refused(3, f"first/{WEIGHTS}", "changed", "bytes")


def test_a_manifest_of_another_program_says_nothing(command: Command, source: Path) -> None:
    (source / "manifest.json").write_text('{"files": ["model.safetensors"]}')
    assert command("subclone", "--src", source, *SMALL_LLAMA, "--out", "out").code == 0


class Code:
    """Runs a command when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch hacked",)


def test_pickles(command: Command, vit: Path, tmp_path: Path) -> None:
    state = {k: torch.from_numpy(v) for k, v in load_file(vit).items()}
    torch.save(state, tmp_path / "vit.pth")
    torch.save({**state, "extra": Code()}, tmp_path / "evil.pth")
    words = ("subclone", *VIT, *SMALL_VIT, "--out", "out", "--src-weights")
    command(*words, "vit.pth").refused(3, "a pickle can run code", "--allow-pickle")
    command(*words, "evil.pth", "--allow-pickle").refused(3, "holds objects other than tensors")
    assert not (tmp_path / "hacked").exists()
    (tmp_path / "letter.pth").write_text("not a pickle")
    command(*words, "letter.pth", "--allow-pickle").refused(3, "letter.pth")
    assert command(*words, "vit.pth", "--allow-pickle").code == 0
    assert command("subclone", *VIT, *SMALL_VIT, "--out", "plain", "--src-weights", vit).code == 0
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (tmp_path / "plain" / WEIGHTS).read_bytes()


def test_nan_is_counted_and_kept(command: Command, vit: Path, tmp_path: Path) -> None:
    tensors = dict(load_file(vit))
    tensors["norm.weight"] = np.full(24, np.nan, np.float32)
    tensors["norm.bias"] = np.full(24, np.inf, np.float32)
    save_file(tensors, tmp_path / "nan.safetensors")
    words = ("subclone", *VIT, "--src-weights", "nan.safetensors", *SMALL_VIT, "--out")
    done = command(*words, "out")
    assert done.code == 0
    assert "warning: 32 NaN or infinite values came from the source (2 tensors, first norm." in done.err
    as_json = command(*words, "other", "--json")
    assert json.loads(as_json.out)["nonfinite"] == {"norm.weight": 16, "norm.bias": 16}
