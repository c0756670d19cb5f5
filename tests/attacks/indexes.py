"""Broken and hostile shard indexes, beside one good shard called a.safetensors that holds `w`."""

from __future__ import annotations

import json


def index(**weight_map: str) -> bytes:
    return json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


ATTACKS: dict[str, tuple[bytes, str]] = {
    "not-json": (b"{", "not valid JSON"),
    "not-utf8": (b'{"\xff', "is not UTF-8"),
    "list": (b"[]", "expected a 'weight_map'"),
    "no-map": (b"{}", "expected a 'weight_map'"),
    "empty-map": (index(), "expected a 'weight_map'"),
    "map-list": (b'{"weight_map":["w"]}', "expected a 'weight_map'"),
    "duplicate": (b'{"weight_map":{"w":"a.safetensors","w":"b.safetensors"}}', "the key 'w' occurs twice"),
    "number": (b'{"weight_map":{"w":3}}', "shard '3' is not a plain file name"),
    "up": (index(w="../a.safetensors"), "shard '../a.safetensors' is not a plain file name"),
    "inside-up": (index(w="x/../../a.safetensors"), "is not a plain file name"),
    "absolute": (index(w="/etc/passwd"), "shard '/etc/passwd' is not a plain file name"),
    "folder": (index(w="x/a.safetensors"), "is not a plain file name"),
    "backslash": (index(w="..\\a.safetensors"), "is not a plain file name"),
    "drive": (index(w="c:a.safetensors"), "is not a plain file name"),
    "dots": (index(w=".."), "shard '..' is not a plain file name"),
    "empty-name": (index(w=""), "shard '' is not a plain file name"),
    "escape": (index(w="\x1b[2J.safetensors"), "shard '\\x1b[2J.safetensors' is not a plain file name"),
    "missing-shard": (index(w="b.safetensors"), "shard b.safetensors is missing"),
    "missing-tensor": (index(w="a.safetensors", v="a.safetensors"), "tensor 'v' is not in its shard a.safetensors"),
    "mixed": (index(w="a.safetensors", v="c.bin"), "must all be .safetensors or all be pickles"),
}
