"""The manifest names every difference, and a broken or hostile one is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.attacks.manifests import ATTACKS
from tests.publishing.test_checkpoint import put, state
from weightgen.errors import CheckError, InputError
from weightgen.publishing import manifest
from weightgen.publishing.checkpoint import publish, verify


@pytest.mark.parametrize("fields", [{"files": {}}, {"schema": 3}, {"created_by": "me"}])
def test_reserved_manifest_fields_are_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="reserved"), publish(tmp_path / "vit") as staged:
        staged.manifest.update(fields)


def test_a_manifest_of_the_caller_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="written by publish"), publish(tmp_path / "vit") as staged:
        (staged.path / "manifest.json").write_text("{}")


def test_verify_names_every_file_that_differs(tmp_path: Path) -> None:
    put(tmp_path / "vit", "one")
    (tmp_path / "vit" / "model.safetensors").write_text("two")
    (tmp_path / "vit" / "sub" / "config.json").unlink()
    (tmp_path / "vit" / "sub" / "extra\x1b.py").write_text("")
    (tmp_path / "vit" / "linked").symlink_to("/")
    with pytest.raises(CheckError) as caught:
        verify(tmp_path / "vit")
    message = str(caught.value)
    assert "changed: model.safetensors (expected sha256" in message
    assert "missing: sub/config.json" in message
    assert "added: linked; added: sub/extra\\x1b.py." in message
    assert caught.value.exit_code == 1
    assert len(message.splitlines()) == 3


def test_verify_tells_a_change_of_size(tmp_path: Path) -> None:
    put(tmp_path / "vit", "one")
    (tmp_path / "vit" / "model.safetensors").write_text("more")
    with pytest.raises(CheckError, match=r"changed: model\.safetensors \(expected 3 bytes, found 4\)"):
        verify(tmp_path / "vit")


def test_verify_does_not_wait_for_a_fifo(tmp_path: Path) -> None:
    put(tmp_path / "vit", "one")
    (tmp_path / "vit" / "model.safetensors").unlink()
    os.mkfifo(tmp_path / "vit" / "model.safetensors")
    with pytest.raises(CheckError, match=r"unreadable: model\.safetensors .*found a FIFO"):
        verify(tmp_path / "vit")


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    put(tmp_path / "vit", "one")
    for i in range(30):
        (tmp_path / "vit" / f"x{i:02}").write_text("")
    with pytest.raises(CheckError, match="added: x19; and 10 more"):
        verify(tmp_path / "vit")


def test_what_git_and_the_hub_add_is_no_problem(tmp_path: Path) -> None:
    put(tmp_path / "vit", "one")
    (tmp_path / "vit" / ".gitattributes").write_text("")
    (tmp_path / "vit" / ".cache").mkdir()
    (tmp_path / "vit" / ".cache" / "x").write_text("")
    assert state(tmp_path / "vit") == "one"
    (tmp_path / "vit" / "sub" / ".gitattributes").write_text("")
    with pytest.raises(CheckError, match=r"added: sub/\.gitattributes"):
        verify(tmp_path / "vit")


@pytest.mark.parametrize("name", ATTACKS)
def test_an_invalid_manifest_is_refused(tmp_path: Path, name: str) -> None:
    content, wording = ATTACKS[name]
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        verify(tmp_path)
    assert wording in str(caught.value)
    assert caught.value.exit_code == 3
    assert len(str(caught.value).splitlines()) <= 3


def test_a_directory_without_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("x")
    with pytest.raises(InputError, match="there is no manifest, so this is not a weightgen checkpoint"):
        verify(tmp_path)
    with pytest.raises(InputError, match="expected the directory of a checkpoint"):
        verify(tmp_path / "none")


def test_a_manifest_that_is_a_fifo_or_huge_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(InputError, match="found a FIFO"):
        verify(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").write_text(json.dumps({"schema": 1, "files": {}}))
    monkeypatch.setattr(manifest, "MAX_MANIFEST", 10)
    with pytest.raises(InputError, match="the limit is 10"):
        verify(tmp_path)
