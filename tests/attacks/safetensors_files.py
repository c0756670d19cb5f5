"""Broken and hostile safetensors files."""

from __future__ import annotations

import json
from typing import Any


def build(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    """Return the bytes of a file; `length` overrides the true header length."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def tensor(begin: int = 0, end: int = 8, shape: Any = (2,), dtype: Any = "F32", **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def one(name: str = "w", **changes: Any) -> bytes:
    return build({name: tensor(**changes)}, b"\0" * 8)


GOOD = one()
BAD_UTF8 = b'{"\xff":1}'

ATTACKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated: expected 8 bytes of header length, found 0"),
    "short": (b"\x01\0\0", "truncated: expected 8 bytes of header length, found 3"),
    "git-lfs-pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "zip": (b"PK\x03\x04" + b"\0" * 40, "zip archive"),
    "huge-header": (build({}, length=2**63), "over the limit of 100000000"),
    "header-over-the-end": (build({}, length=50), "truncated: expected a header of 50 bytes, found 2"),
    "leading-space": (build(b" " + json.dumps({"w": tensor()}).encode(), b"\0" * 8), "must begin with '{'"),
    "array": (build(b"[]"), "must begin with '{'"),
    "no-header": (build(b""), "must begin with '{'"),
    "not-json": (build(b"{nope}"), "not valid JSON"),
    "nan": (build(b'{"w": NaN}'), "NaN is not JSON"),
    "trailing-nul": (build(b"{}\0\0"), "not valid JSON"),
    "bad-utf8": (build(BAD_UTF8), "byte 2 is not UTF-8"),
    "deep": (build(b'{"a":' * 50_000), "nested too deeply"),
    "long-integer": (build(b'{"w":' + b"9" * 5000 + b"}"), "not valid JSON"),
    "duplicate-name": (
        build(f'{{"w":{json.dumps(tensor())},"w":{json.dumps(tensor())}}}'.encode(), b"\0" * 8),
        "the key 'w' occurs twice",
    ),
    "duplicate-field": (
        build(b'{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"\0" * 8),
        "the key 'dtype' occurs twice",
    ),
    "duplicate-metadata": (build(b'{"__metadata__":{"a":"1","a":"2"}}'), "the key 'a' occurs twice"),
    "metadata-number": (build({"__metadata__": {"a": 1}}), "must map strings to strings"),
    "metadata-list": (build({"__metadata__": ["a"]}), "must map strings to strings"),
    "not-an-object": (build({"w": [1]}), "expected exactly dtype, shape and data_offsets"),
    "extra-field": (one(extra=1), "expected exactly dtype, shape and data_offsets"),
    "unknown-dtype": (one(dtype="F31"), "unknown dtype F31"),
    "dtype-list": (one(dtype=["F32"]), "unknown dtype"),
    "sub-byte": (one(dtype="F4", shape=(16,)), "is F4, less than a byte per value"),
    "negative-shape": (one(shape=(-2,)), "integers >= 0"),
    "bool-shape": (one(shape=(True, 2)), "integers >= 0"),
    "float-shape": (one(shape=(2.0,)), "integers >= 0"),
    "huge-dimension": (one(shape=(2**64,)), "integers >= 0"),
    "many-dimensions": (one(shape=(1,) * 8 + (2,)), "at most 8 integers"),
    "product-wraps": (one(shape=(2**62, 2, 2)), "F32 (4611686018427387904, 2, 2) takes 73786976294838206464 bytes"),
    "size-differs": (one(shape=(3,)), "takes 12 bytes, data_offsets give 8"),
    "offsets-reversed": (one(begin=8, end=0), "data_offsets must be [begin, end]"),
    "offsets-negative": (one(begin=-8, end=0), "data_offsets must be [begin, end]"),
    "offsets-three": (
        build({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}}, b"\0" * 8),
        "data_offsets must be [begin, end]",
    ),
    "overlap": (build({"a": tensor(), "b": tensor(4, 12)}, b"\0" * 12), "'b' overlaps the tensor before it"),
    "same-bytes": (build({"a": tensor(), "b": tensor()}, b"\0" * 8), "'b' overlaps the tensor before it"),
    "hole": (build({"a": tensor(), "b": tensor(12, 20)}, b"\0" * 20), "'b' leaves a hole before it"),
    "hole-at-start": (one(begin=4, end=12), "'w' leaves a hole before it"),
    "truncated": (GOOD[:-1], "truncated: expected"),
    "oversized": (GOOD + b"!", "1 bytes after the last tensor"),
    "data-without-tensors": (build({}, b"code"), "4 bytes after the last tensor"),
    "control-character": (one("a\x1b[2Jb"), "'a\\x1b[2Jb': the name holds control"),
    "right-to-left": (one("a\u202eb"), "invisible characters"),
    "lone-surrogate": (build(b'{"\\ud800":' + json.dumps(tensor()).encode() + b"}", b"\0" * 8), "invisible characters"),
    "path-up": (one("../../etc/passwd"), "looks like a file path"),
    "path-up-inside": (one("a/../../b"), "looks like a file path"),
    "path-absolute": (one("/etc/passwd"), "looks like a file path"),
}
