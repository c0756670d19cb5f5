"""Zip files that are refused before anything of them is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from weightgen.errors import InputError
from weightgen.reading import archives


def zipped(file: Path, content: bytes) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", content)
    return file


def test_a_harmless_zip_is_unpacked(tmp_path: Path) -> None:
    assert (archives.unpacked(zipped(tmp_path / "a.zip", b"text")) / "a.txt").read_bytes() == b"text"


def test_what_expands_too_far_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALL", 1 << 16)
    with pytest.raises(InputError, match=r"'a.txt' expands .* times, to 1,048,576 bytes"):
        archives.unpacked(zipped(tmp_path / "bomb.zip", bytes(1 << 20)))


def test_an_encrypted_file_is_named(tmp_path: Path) -> None:
    file = zipped(tmp_path / "locked.zip", b"text")
    raw = bytearray(file.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(header) + flags] |= 1
    file.write_bytes(raw)
    with pytest.raises(InputError, match=r"'a.txt' is encrypted"):
        archives.unpacked(file)


def test_what_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("no")
    with pytest.raises(InputError, match="is no zip file"):
        archives.unpacked(tmp_path / "a.zip")
