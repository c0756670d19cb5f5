"""The header of a safetensors file: parsed strictly, because it comes from strangers, and built aligned."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightgen.errors import InputError, printable
from weightgen.reading.json_files import strict_json

MAX_HEADER = 100_000_000  # the limit of the format itself
MAX_TENSORS = 1_000_000  # ten times the largest public mixture-of-experts file; bounds the memory of a hostile header
MAX_DIMS = 8  # a 3-D convolution has 5, a packed expert convolution 6

NUMPY_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
ML_DTYPES_NAMES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
ITEMSIZE = {code: np.dtype(name).itemsize for code, name in NUMPY_NAMES.items()}
ITEMSIZE |= {code: 2 if code == "BF16" else 1 for code in ML_DTYPES_NAMES}
SUB_BYTE = ("F4", "F6_E2M3", "F6_E3M2")


def numpy_dtype(code: str) -> np.dtype[Any]:
    """Return the numpy type of a safetensors type code; BF16 and FP8 come from ml_dtypes."""
    if code in NUMPY_NAMES:
        return np.dtype(NUMPY_NAMES[code])
    import ml_dtypes

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, ML_DTYPES_NAMES[code]))
    return dtype


def bytes_dtype(code: str) -> np.dtype[Any]:
    """Return the unsigned integer type of the same width, in which values are moved without being read."""
    return np.dtype(f"<u{ITEMSIZE[code]}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a file: type code, shape, and its bytes [start, end) in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def itemsize(self) -> int:
        """Bytes per value."""
        return ITEMSIZE[self.dtype]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor."""
        return math.prod(self.shape) * self.itemsize


Fail = Callable[[str], InputError]


def check_name(name: str, fail: Fail) -> None:
    """Refuse a tensor name that could mislead a terminal or be taken for a path."""
    if not name.isprintable():
        raise fail(f"tensor '{printable(name)}': the name holds control or invisible characters. The file is unsafe.")
    if name.startswith("/") or "../" in name:
        raise fail(f"tensor '{printable(name)}': the name looks like a file path. The file is unsafe.")


def parse_header(raw: bytes, file_size: int, fail: Fail) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the tensors, in the order of their bytes, and the metadata; `fail` makes the error to raise."""
    if raw[:1] != b"{":
        raise fail(f"the header must begin with '{{', found {raw[:1]!r}: not a safetensors file.")
    if raw.count(b"[") > 4 * MAX_TENSORS:  # before parsing: each list costs twenty times its text in memory
        raise fail(f"the header holds more than {MAX_TENSORS} tensors: not a model.")
    try:
        table = strict_json(raw)
    except ValueError as error:
        raise fail(f"the header is not valid JSON ({error}). Download the file again.") from None
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise fail("__metadata__ must map strings to strings.")
    if len(table) > MAX_TENSORS:
        raise fail(f"the header holds {len(table)} tensors, the limit is {MAX_TENSORS}.")
    base = 8 + len(raw)
    entries = {name: _entry(name, value, base, fail) for name, value in table.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)))
    _check_coverage(entries, base, file_size, fail)
    return entries, metadata


def _entry(name: str, value: Any, base: int, fail: Fail) -> Entry:
    shown = printable(name)
    check_name(name, fail)
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise fail(f"tensor '{shown}': expected exactly dtype, shape and data_offsets in the header.")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if dtype in SUB_BYTE:
        raise fail(f"tensor '{shown}' is {dtype}, less than a byte per value. Use the checkpoint before quantisation.")
    if not isinstance(dtype, str) or dtype not in ITEMSIZE:
        raise fail(f"tensor '{shown}': unknown dtype {printable(str(dtype), 40)}; known: {', '.join(ITEMSIZE)}.")
    if not _naturals(shape) or len(shape) > MAX_DIMS:
        raise fail(
            f"tensor '{shown}': shape must be at most {MAX_DIMS} integers >= 0, found {printable(str(shape), 60)}."
        )
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise fail(f"tensor '{shown}': data_offsets must be [begin, end], found {printable(str(offsets), 60)}.")
    needed = math.prod(shape) * ITEMSIZE[dtype]  # Python integers cannot overflow
    if needed != offsets[1] - offsets[0]:
        raise fail(
            f"tensor '{shown}': {dtype} {tuple(shape)} takes {printable(str(needed), 40)} bytes, "
            f"data_offsets give {offsets[1] - offsets[0]}."
        )
    return Entry(dtype, tuple(shape), base + offsets[0], base + offsets[1])


def _naturals(value: Any) -> bool:
    # type() and not isinstance(): true is an int in Python, and 2**63 no size on any disk.
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 63 for v in value)


def _check_coverage(entries: dict[str, Entry], base: int, file_size: int, fail: Fail) -> None:
    position = base
    for name, entry in entries.items():
        if entry.start != position:
            what = "overlaps the tensor before it" if entry.start < position else "leaves a hole before it"
            raise fail(
                f"tensor '{printable(name)}' {what}: expected it at byte {position - base}, "
                f"found {entry.start - base}. The file is unsafe."
            )
        position = entry.end
    if file_size < position:
        raise fail(f"truncated: expected {position} bytes, found {file_size}. Download the file again.")
    if file_size > position:
        raise fail(
            f"{file_size - position} bytes after the last tensor: expected {position} bytes, found {file_size}. "
            "The file is unsafe."
        )


def build_header(
    tensors: Sequence[tuple[str, str, Sequence[int]]], metadata: dict[str, str]
) -> tuple[bytes, dict[str, Entry]]:
    """Return the first bytes of a file and where each tensor belongs; wide types first, so that all are aligned."""
    offset = 0
    table: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    for name, dtype, shape in sorted(tensors, key=lambda t: -ITEMSIZE[t[1]]):
        if name in table or name == "__metadata__":
            raise ValueError(f"tensor name {name!r} is used twice")
        end = offset + math.prod(shape) * ITEMSIZE[dtype]
        table[name] = {"dtype": dtype, "shape": [int(s) for s in shape], "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    entries, _ = parse_header(raw, 8 + len(raw) + offset, lambda what: InputError(f"cannot write: {what}"))
    return len(raw).to_bytes(8, "little") + raw, entries
