"""A weights dataset on disk: Parquet tables of blocks and of networks that `datasets` reads, the base, the layout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightgen.diffusion.asking import check_askable
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.concepts import Concept, Split, from_json
from weightgen.diffusion.digest import sha256_of
from weightgen.diffusion.form import Form, read_form
from weightgen.diffusion.weights_table import Network, block_table, model_table
from weightgen.errors import CheckError, InputError, UsageError, printable
from weightgen.models.tensorfile import read_header
from weightgen.models.translator import TranslatorConfig, read_config
from weightgen.publishing.manifest import NAME as MANIFEST
from weightgen.publishing.manifest import find_problems
from weightgen.reading.json_files import read_json

LAYOUT, NETWORK, BASE, FROZEN = "layout.json", "translator.json", "base.safetensors", "frozen.safetensors"
FORM = "form.json"
MODELS, BLOCKS = "data/models.parquet", "data/blocks-*.parquet"
SHARD = 1 << 26  # bytes of values in a file of blocks: some hundreds of small networks, or a few adapters of large ones


@dataclass(frozen=True)
class WeightsDataset:
    """Collected networks, in the order in which they were published."""

    layout: Layout
    concepts: tuple[Concept, ...]
    """Of each network."""
    models: tuple[Mapping[str, Any], ...]
    """Rows of the table of networks."""
    blocks: Tensor
    """(networks, blocks, size), as trained: not differences, not normalised."""
    base: Mapping[str, Tensor]
    """What all networks began at, as the layout has it; zeros where that is not known."""
    config: TranslatorConfig | None
    """Of the networks, where they are translators."""
    frozen: Mapping[str, Tensor] | None
    """The base network's own weights, where the networks are adapters on it."""
    form: Form | None = None
    """Of the networks, where they are checkpoints that existed."""

    @property
    def base_sha256(self) -> str:
        """Hash of the base, as the table of networks has it."""
        return sha256_of(self.base)

    def of(self, *splits: Split) -> list[int]:
        """Return which networks belong to some splits."""
        return [i for i, concept in enumerate(self.concepts) if concept.split in splits]

    def tensors(self, which: int | Sequence[int]) -> dict[str, Tensor]:
        """Return the weights of one network, or of several stacked, (K, ...)."""
        return self.layout.join(self.blocks[which])


def write_weights(
    directory: Path,
    layout: Layout,
    networks: Iterable[Network],
    base: Mapping[str, Tensor] | None = None,
    config: TranslatorConfig | None = None,
    frozen: Mapping[str, Tensor] | None = None,
    form: Form | None = None,
) -> int:
    """Write tables, layout and base into a directory that is being published; returns the number of networks.

    `base`: what all networks began at, in the layout's shapes; `frozen`: the network that adapters are made for.
    Networks are taken one shard at a time. Raises CheckError where there are none.
    """
    import pyarrow.parquet
    from safetensors.torch import save

    (directory / "data").mkdir()
    base = dict(base) if base is not None else {n: torch.zeros(s) for n, s in layout.shapes.items()}
    at_once = max(1, SHARD // (4 * len(layout) * layout.size))
    waiting: list[Network] = []
    tables: list[Any] = []

    def write(table: Any, name: str) -> None:
        coded = [column for column in table.column_names if column != "values"]  # numbers of weights never repeat
        pyarrow.parquet.write_table(table, directory / name, use_dictionary=coded, compression="snappy")

    def flush() -> None:
        write(block_table(layout, waiting), f"data/blocks-{len(tables):05d}.parquet")
        tables.append(model_table(layout, waiting, sha256_of(base)))
        waiting.clear()

    for network in networks:
        waiting.append(network)
        if len(waiting) == at_once:
            flush()
    if waiting:
        flush()
    if not tables:
        raise CheckError("no network is finite: there is nothing to publish. Try a lower --lr.")
    models = pyarrow.concat_tables(tables)
    write(models, MODELS)
    (directory / LAYOUT).write_text(json.dumps(layout.to_json(), indent=1) + "\n", encoding="utf-8")
    for name, tensors in ((BASE, base), (FROZEN, frozen)):
        if tensors is not None:
            (directory / name).write_bytes(save({n: t.detach().cpu().contiguous() for n, t in tensors.items()}))
    for name, told in ((NETWORK, config), (FORM, form)):
        if told is not None:
            text = json.dumps(told.model_dump(mode="json"), indent=1)
            (directory / name).write_text(text + "\n", encoding="utf-8")
    return int(models.num_rows)


def load_weights(directory: Path) -> WeightsDataset:
    """Read a weights dataset.

    Raises UsageError where there is none, InputError naming the file that was changed, is missing or is broken.
    """
    shown = printable(str(directory))
    if not (directory / LAYOUT).is_file() or not (directory / MANIFEST).is_file():
        raise UsageError(f"{shown}: no weights dataset here ({LAYOUT} is missing). Make one: weightgen collect")
    problems = find_problems(directory)
    if problems:
        raise InputError(f"{shown}: not as published.\n{'; '.join(problems[:3])}.\nCollect it again, or copy it again.")
    layout = Layout.from_json(read_json(directory / LAYOUT), str(directory / LAYOUT))
    models = _read(directory / MODELS).to_pylist()
    fields = ("name", "clauses", "captions", "split")
    values = [{**{k: m.get(k) for k in fields}, "name": m.get("concept")} for m in models]
    concepts = from_json(values, str(directory / MODELS))
    check_askable(concepts, str(directory / MODELS))
    base = _tensors(directory / BASE)
    for name, key, found in ((LAYOUT, "layout_sha256", layout.sha256), (BASE, "base_sha256", sha256_of(base))):
        if any(m.get(key) != found for m in models):
            raise InputError(f"{printable(str(directory / name))}: is not the one that {MODELS} was written with")
    shards = [_values(file, layout) for file in sorted(directory.glob(BLOCKS))]
    blocks = torch.cat(shards) if shards else torch.zeros(0, len(layout), layout.size)
    if len(blocks) != len(concepts):
        raise InputError(f"{shown}: {len(concepts)} networks in {MODELS}, {len(blocks)} in {BLOCKS}")
    config = read_config(directory / NETWORK) if (directory / NETWORK).is_file() else None
    frozen = _tensors(directory / FROZEN) if (directory / FROZEN).is_file() else None
    form = read_form(read_json(directory / FORM), str(directory / FORM)) if (directory / FORM).is_file() else None
    return WeightsDataset(layout, concepts, tuple(models), blocks, base, config, frozen, form)


def _values(file: Path, layout: Layout) -> Tensor:
    """Return the blocks of one shard, (networks, blocks, size)."""
    import pyarrow

    column = _read(file, ["values"]).column("values").combine_chunks()
    kind = column.type
    lists = pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind)
    if not lists or not pyarrow.types.is_floating(kind.value_type):
        raise InputError(
            f"{printable(str(file))}: expected lists of numbers for 'values', found {printable(str(kind))}"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold is no finite number, and is refused as such
        values = np.asarray(column.flatten()).astype(np.float32)
    if len(values) % (len(layout) * layout.size) or len(values) != len(column) * layout.size:
        raise InputError(f"{printable(str(file))}: expected networks of {len(layout)} blocks of {layout.size} values")
    if not np.isfinite(values).all():
        raise InputError(f"{printable(str(file))}: has 'values' that are missing or not finite. Collect it again.")
    return torch.from_numpy(values).reshape(-1, len(layout), layout.size)


def _read(file: Path, columns: list[str] | None = None) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(file, columns=columns)
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise InputError(f"{printable(str(file))}: is no Parquet file that can be read: {reason}") from error


def _tensors(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    read_header(file)  # refuses what the library would trust
    found: dict[str, Tensor] = load_file(file)
    return found
