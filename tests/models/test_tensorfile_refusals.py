"""Safetensors files that are refused: hostile, special, missing, cut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.safetensors_files import ATTACKS, GOOD, build, tensor
from weightgen.errors import InputError
from weightgen.models import header
from weightgen.models.tensorfile import TensorFile, read_header


@pytest.mark.parametrize("name", ATTACKS)
def test_a_broken_or_hostile_file_is_refused(tmp_path: Path, name: str) -> None:
    content, wording = ATTACKS[name]
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_header(tmp_path / "x.safetensors")
    message = str(caught.value)
    assert wording in message
    assert str(tmp_path / "x.safetensors") in message
    assert caught.value.exit_code == 3
    assert len(message.splitlines()) <= 3
    assert len(message) < 600
    assert message.replace("\n", "").isprintable()


def test_the_file_that_the_attacks_start_from_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(GOOD)
    entries, _ = read_header(tmp_path / "x.safetensors")
    assert list(entries) == ["w"]


@pytest.mark.parametrize(
    ("limit", "header_bytes"), [(2, {n: tensor(0, 0, (0,)) for n in "abc"}), (1, b'{"a":[[],[],[],[],[]]}')]
)
def test_too_many_tensors_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, header_bytes: Any
) -> None:
    monkeypatch.setattr(header, "MAX_TENSORS", limit)
    (tmp_path / "x.safetensors").write_bytes(build(header_bytes))
    with pytest.raises(InputError, match=r"holds (more than 1|3) tensors"):
        read_header(tmp_path / "x.safetensors")


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="expected a regular file, found a FIFO"):
        read_header(tmp_path / "x.safetensors")


@pytest.mark.parametrize(("path", "wording"), [("/dev/zero", "found a device"), (".", "found a directory")])
def test_what_is_not_a_file_is_refused(path: str, wording: str) -> None:
    with pytest.raises(InputError, match=wording):
        read_header(Path(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.safetensors: No such file"):
        read_header(tmp_path / "nothing.safetensors")


def test_a_file_cut_while_open_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(GOOD)
    with TensorFile(path) as file:
        os.truncate(path, len(GOOD) - 4)
        with pytest.raises(InputError, match="was cut while being read"):
            file.read("w")
