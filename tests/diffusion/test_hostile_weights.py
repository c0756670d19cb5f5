"""Weights datasets whose manifest says that all is well, and whose tables hold what none should: each is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import Command
from tests.diffusion.collected import TRAIN, collected, copied, draw_concepts, republish
from tests.diffusion.tiny_generator import save_encoder
from tests.inr.fields import refused
from weightgen.diffusion.asking import check_askable
from weightgen.diffusion.concepts import Clause, Concept
from weightgen.diffusion.weights_dataset import load_weights
from weightgen.errors import InputError

BLOCKS, MODELS = "data/blocks-00000.parquet", "data/models.parquet"
SIZE = 16
FLOATS = pa.list_(pa.float32())
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made")
    draw_concepts(place / "concepts")
    return collected(place, concepts="concepts")


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return copied(made, tmp_path / "data")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def put(data: Path, file: str, column: str, values: Callable[[int], Any]) -> None:
    """Replace a column by an array of so many rows."""
    table = pq.read_table(data / file)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, values(len(table))), data / file)
    republish(data)


def every(value: Any, kind: Any = None) -> Callable[[int], Any]:
    return lambda rows: pa.array([value] * rows, kind)


def one(value: Any, other: Any, kind: Any = None) -> Callable[[int], Any]:
    """One row that is wrong among those that are not."""
    return lambda rows: pa.array([other] * (rows - 1) + [value], kind)


RIGHT = [0.5] * SIZE
KINDS: dict[str, tuple[Callable[[int], Any], str]] = {
    "strings": (every("a"), "expected lists of numbers for 'values', found string"),
    "lists of strings": (every(["a"] * SIZE), "expected lists of numbers for 'values', found list<"),
    "digits": (every(["0"] * SIZE), "expected lists of numbers"),
    "whole numbers": (every([1] * SIZE), "expected lists of numbers"),
    "truth": (every([True] * SIZE), "expected lists of numbers"),
    "single numbers": (every(0.5), "expected lists of numbers for 'values', found double"),
    "nothing": (every(None), "expected lists of numbers for 'values', found null"),
    "lists of nothing": (every([None] * SIZE), "expected lists of numbers"),
    "lists of lists": (every([RIGHT]), "expected lists of numbers"),
    "mappings": (every({"a": 0.5}), "expected lists of numbers"),
    "NaN": (every([math.nan] * SIZE, FLOATS), "has 'values' that are missing or not finite"),
    "one NaN": (one([math.nan, *RIGHT[1:]], RIGHT, FLOATS), "missing or not finite"),
    "infinity": (one([-math.inf, *RIGHT[1:]], RIGHT, FLOATS), "missing or not finite"),
    "too large": (one([1e300, *RIGHT[1:]], RIGHT, pa.list_(pa.float64())), "missing or not finite"),
    "a null among them": (one([None, *RIGHT[1:]], RIGHT, FLOATS), "missing or not finite"),
    "a null list": (one(None, RIGHT, FLOATS), "values"),
    "a short list": (one(RIGHT[1:], RIGHT, FLOATS), "blocks of 16 values"),
    "empty lists": (every([], FLOATS), "blocks of 16 values"),
    "lists of 15 and 17": (one([0.5] * 17, RIGHT, FLOATS), "blocks of 16 values"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_are_no_weights(command: Command, encoder: Path, data: Path, kind: str) -> None:
    values, expected = KINDS[kind]
    put(data, BLOCKS, "values", values)
    outcome = command("train-generator", "data", "--encoder", encoder, *TRAIN, "--out", "generator")
    outcome.refused(3, f"data/{BLOCKS}: ", expected)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), SIZE), pa.list_(pa.float16())]
)
def test_other_lists_of_numbers_are_read(data: Path, kind: Any) -> None:
    put(data, BLOCKS, "values", lambda rows: pa.array([RIGHT] * rows, FLOATS).cast(kind))
    assert load_weights(data).blocks.unique().tolist() == [0.5]


TEXTS = pa.list_(pa.string())
CLAUSES = pa.list_(pa.struct({"operation": pa.string(), "strength": pa.float64()}))
MODEL: list[tuple[str, Callable[[int], Any], str]] = [
    ("captions", every([], TEXTS), "concept 'a': has no caption"),
    ("captions", one([], ["sepia"], TEXTS), "concept 'c': has no caption"),
    ("captions", every(None, TEXTS), "captions"),
    ("captions", every([None], TEXTS), "captions"),
    ("captions", every("sepia"), "captions"),
    ("captions", every([1]), "captions"),
    ("captions", every(["strength 0.5"]), "concept 'a': caption 'strength 0.5' asks for nothing"),
    ("captions", every(["sepia", " , "]), "concept 'a': caption ' , ' asks for nothing"),
    ("captions", every(["", "sepia"]), "concept 'a': caption '' asks for nothing"),
    ("captions", every(["sepia 300 %"]), "caption 'sepia 300 %': prompt: '300 %': expected a strength"),
    ("captions", every(["b " * 300]), "600 characters, at most 400"),
    ("captions", every(["a1, b, c, d, e"]), "5 clauses, at most 4"),
    ("captions", every(["\x1b[2J, strength 2.0"]), "caption"),
    ("clauses", every([{"operation": "dance", "strength": 0.5}], CLAUSES), "'dance' is no operation that is known"),
    ("clauses", every([{"operation": "\x1b[2J", "strength": 0.5}], CLAUSES), r"'\x1b[2J' is no operation"),
    *(
        ("clauses", every([{"operation": "sepia", "strength": s}], CLAUSES), "expected strengths above 0 and up to 1")
        for s in (0, -0.5, 1.01, 1e300, math.nan, math.inf)
    ),
    ("clauses", every([{"operation": "sepia", "strength": None}], CLAUSES), "clauses"),
    ("clauses", every(["sepia"]), "clauses"),
    ("clauses", every(None), "clauses"),
    ("concept", every("a"), "two concepts are called 'a'"),
    ("concept", every(None), "name"),
    ("concept", every(7), "name"),
    ("split", every("validation"), "split"),
    ("layout_sha256", every("0" * 64), "layout.json: is not the one that"),
    ("base_sha256", every(None), "base.safetensors: is not the one that"),
]


@pytest.mark.parametrize("case", range(len(MODEL)))
def test_networks_that_no_prompt_can_ask_for(command: Command, encoder: Path, data: Path, case: int) -> None:
    column, values, expected = MODEL[case]
    put(data, MODELS, column, values)
    outcome = command("train-generator", "data", "--encoder", encoder, *TRAIN, "--out", "generator")
    outcome.refused(3, "data/", expected)


@pytest.mark.parametrize(
    ("file", "column"),
    [(BLOCKS, "values"), *((MODELS, column) for column in ("concept", "captions", "clauses", "split"))],
)
def test_columns_that_are_missing(command: Command, encoder: Path, data: Path, file: str, column: str) -> None:
    table = pq.read_table(data / file)
    pq.write_table(table.drop_columns([column]), data / file)
    republish(data)
    command("train-generator", "data", "--encoder", encoder, *TRAIN, "--out", "generator").refused(3, f"data/{file}: ")


@pytest.mark.parametrize("table", [BLOCKS, MODELS])
def test_tables_without_rows(command: Command, encoder: Path, data: Path, table: str) -> None:
    pq.write_table(pq.read_table(data / table).slice(0, 0), data / table)
    republish(data)
    command("train-generator", "data", "--encoder", encoder, *TRAIN, "--out", "generator").refused(3, "data")


def test_strengths_up_to_one_are_asked_for() -> None:
    for strength in (1e-6, 0.5, 1, 1.0):
        check_askable([Concept("a", (Clause("sepia", strength),), ())], "here")
    no_clause = Concept("\x1b[2J", (), ())
    refused(InputError, lambda: check_askable([no_clause], "here\n"), r"here\n: concept '\x1b[2J': has no caption")


@pytest.mark.parametrize("caption", ["strength 0.5", " , ", "70 %", "sepia 300 %", "a photo of", "x" * 401])
def test_they_are_not_collected_either(command: Command, tmp_path: Path, caption: str) -> None:
    draw_concepts(tmp_path / "concepts")
    (tmp_path / "concepts" / "b" / "prompt.txt").write_text(f"soft blur\n{caption}")
    words = ("--out", "weights", "--steps", "1", "--width", "4", "--crop", "8", "--workers", "1")
    command("collect", "--concepts", "concepts", *words).refused(3, "concepts: concept 'b': caption '")
    (tmp_path / "loras").mkdir()
    save_file({"w": torch.ones(2, 2)}, tmp_path / "loras" / "b.safetensors")
    (tmp_path / "loras" / "b.txt").write_text(caption)
    command("collect", "--from-checkpoints", "loras", *words).refused(3, "loras: concept 'b': caption '")
