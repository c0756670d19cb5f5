"""Broken and hostile manifests."""

from __future__ import annotations

import json
from typing import Any

RECORD = {"size": 1, "sha256": "0" * 64}


def manifest(files: Any, **changes: Any) -> bytes:
    return json.dumps({"schema": 1, "created_by": "x", "files": files, **changes}).encode()


ATTACKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not valid JSON"),
    "cut": (manifest({"a": RECORD})[:-3], "not valid JSON"),
    "list": (b"[]", "integer 'schema'"),
    "no-schema": (b'{"files":{}}', "integer 'schema'"),
    "bool-schema": (manifest({}, schema=True), "integer 'schema'"),
    "newer": (manifest({}, schema=2), "expected schema 1, found 2"),
    "duplicate": (b'{"schema":1,"schema":1,"files":{}}', "the key 'schema' occurs twice"),
    "files-list": (manifest(["a"]), "expected 'files'"),
    "up": (manifest({"../a": RECORD}), "'../a' leaves the directory"),
    "up-inside": (manifest({"a/../../b": RECORD}), "leaves the directory"),
    "absolute": (manifest({"/etc/passwd": RECORD}), "'/etc/passwd' leaves the directory"),
    "empty-name": (manifest({"": RECORD}), "leaves the directory"),
    "backslash": (manifest({"..\\a": RECORD}), "leaves the directory"),
    "escape": (manifest({"a\x1b[2J": RECORD}), "'a\\x1b[2J' leaves the directory"),
    "itself": (manifest({"manifest.json": RECORD}), "leaves the directory"),
    "record-list": (manifest({"a": [1]}), "expected a size and a sha256"),
    "no-hash": (manifest({"a": {"size": 1}}), "expected a size and a sha256"),
    "bad-hash": (manifest({"a": {"size": 1, "sha256": "Z" * 64}}), "expected a size and a sha256"),
    "negative-size": (manifest({"a": {**RECORD, "size": -1}}), "expected a size and a sha256"),
    "bool-size": (manifest({"a": {**RECORD, "size": True}}), "expected a size and a sha256"),
}
