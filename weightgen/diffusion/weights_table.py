"""The columns of a weights dataset: one row a block, and one row a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.concepts import Concept
from weightgen.diffusion.digest import sha256_of


@dataclass(frozen=True)
class Network:
    """A collected network, and how it came about."""

    concept: Concept
    tensors: Mapping[str, Tensor]
    """As the layout has them."""
    seed: int | None = None
    """Of the order in which it saw its data."""
    steps: int | None = None
    """That it was trained, from the base."""
    quality: Mapping[str, float] = field(default_factory=dict)
    """`psnr` (dB), `ssim` and `l1` on held-out photos."""
    licence: str | None = None
    """Of the photos or the checkpoint that it was made from."""


def block_columns(size: int) -> Any:
    """Return the features of the table of blocks, as `datasets` has them."""
    from datasets import Features, List, Value

    text, count = Value("string"), Value("int32")
    return Features(
        {
            "model": text,
            **_concept_columns(),
            "layer": text,
            "layer_kind": text,
            "layer_index": count,
            "layer_shape": List(count),
            "block_index": count,
            "row": count,
            "offset": count,
            "length": count,
            "values": List(Value("float32"), length=size),
        }
    )


def model_columns() -> Any:
    """Return the features of the table of networks."""
    from datasets import Features, Value

    text, count, number = Value("string"), Value("int32"), Value("float32")
    return Features(
        {
            "model": text,
            **_concept_columns(),
            "seed": Value("int64"),
            "steps": count,
            "psnr": number,
            "ssim": number,
            "l1": number,
            "licence": text,
            "base_sha256": text,
            "layout_sha256": text,
            "sha256": text,
        }
    )


def block_table(layout: Layout, networks: Sequence[Network]) -> Any:
    """Return an Arrow table of all blocks of some networks, in order; what is not a network's value is zero."""
    import pyarrow

    features = block_columns(layout.size)
    stacked = {name: torch.stack([n.tensors[name].float() for n in networks]) for name in layout.shapes}
    values = pyarrow.array(layout.split(stacked).flatten().numpy())
    layers = [layout.layers[b.layer] for b in layout.blocks]
    own: dict[str, list[Any]] = {
        "layer": [layer.name for layer in layers],
        "layer_kind": [layer.kind for layer in layers],
        "layer_index": [b.layer for b in layout.blocks],
        "layer_shape": [list(layout.shapes[layer.tensors[0]]) for layer in layers],
        "block_index": list(range(len(layout))),
        "row": [b.row for b in layout.blocks],
        "offset": [b.offset for b in layout.blocks],
        "length": [b.length for b in layout.blocks],
    }
    repeated = {key: [found for found in column for _ in layout.blocks] for key, column in _concepts(networks).items()}
    columns: dict[str, Any] = {
        **repeated,
        **{key: column * len(networks) for key, column in own.items()},
        "values": pyarrow.FixedSizeListArray.from_arrays(values, layout.size),
    }
    return pyarrow.table(columns, schema=features.arrow_schema)


def model_table(layout: Layout, networks: Iterable[Network], base_sha256: str) -> Any:
    """Return an Arrow table of networks without their values."""
    import pyarrow

    found = list(networks)
    columns: dict[str, Any] = {
        **_concepts(found),
        "seed": [n.seed for n in found],
        "steps": [n.steps for n in found],
        **{key: [n.quality.get(key) for n in found] for key in ("psnr", "ssim", "l1")},
        "licence": [n.licence for n in found],
        "base_sha256": [base_sha256] * len(found),
        "layout_sha256": [layout.sha256] * len(found),
        "sha256": [sha256_of(n.tensors) for n in found],
    }
    return pyarrow.table(columns, schema=model_columns().arrow_schema)


def _concept_columns() -> dict[str, Any]:
    from datasets import List, Value

    text = Value("string")
    clauses = List({"operation": text, "strength": Value("float64")})
    return {"concept": text, "split": text, "captions": List(text), "clauses": clauses}


def _concepts(networks: Sequence[Network]) -> dict[str, list[Any]]:
    concepts = [n.concept for n in networks]
    return {
        "model": [c.name for c in concepts],
        "concept": [c.name for c in concepts],
        "split": [c.split for c in concepts],
        "captions": [list(c.captions) for c in concepts],
        "clauses": [[asdict(clause) for clause in c.clauses] for c in concepts],
    }
