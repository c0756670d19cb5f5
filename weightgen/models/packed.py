"""Packed quantised weights are recognised and refused: their rows are not the rows of the matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from weightgen.errors import InputError, printable
from weightgen.models.header import Entry

PACKED = {
    "qweight": "GPTQ or AWQ",
    "qzeros": "GPTQ or AWQ",
    "SCB": "bitsandbytes 8-bit",
    "weight_packed": "compressed-tensors",
}


def refuse_packed(found: Mapping[str, Entry], source: Path) -> None:
    """Raise InputError for the first tensor that GPTQ, AWQ, bitsandbytes, MXFP4, ... packed."""
    for name, entry in found.items():
        stem, _, last = name.rpartition(".")
        scheme = PACKED.get(last)
        if "quant_state" in name:
            scheme = "bitsandbytes 4-bit"
        elif name.endswith("_blocks") and name.removesuffix("_blocks") + "_scales" in found:
            scheme = "MXFP4"
        elif last in ("weight_scale", "weight_scale_inv"):
            weight = found.get(f"{stem}.weight")
            scheme = "scaled 8-bit" if weight is not None and weight.itemsize == 1 else None
        if scheme:
            raise InputError(
                f"{printable(str(source))}: tensor '{printable(name)}' ({entry.dtype}) is packed by {scheme}.\n"
                "Rows of packed values cannot be selected: dequantise the model first, or use its original weights.",
            )
