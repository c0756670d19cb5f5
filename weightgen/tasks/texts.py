"""Text as `datasets` tables, and their parts: a text file, a folder of them, repositories on the hub."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from weightgen.errors import InputError, printable
from weightgen.reading.files import open_regular
from weightgen.reading.folders import data_files
from weightgen.reading.tables import from_hub, generated
from weightgen.training.task import Split

PIECE = 1 << 14
"""Characters of one row of a file's table, to the end of a line: what a tokenizer sees at a time."""
PARTS = 40
HELD_OUT: dict[Split, int] = {"test": 2, "validation": 1, "tune": 1}
"""Fortieths of a text that is its own test, from its end backwards: 5 %, 2.5 % and 2.5 %."""
WORDS = {"train": "train", "validation": "valid(ation)?|val|dev", "test": "test"}
Tables = dict[str, Any]
"""`train`, and where the data have them `validation` and `test`, in this order; their column `text` is the text."""


def load_texts(data: str) -> Tables:
    """Load text by name: a UTF-8 file, a folder of .txt files, or `hf:ORG/NAME[:CONFIG]`.

    In a folder, files with the word train, valid, val, dev or test in their name make those splits, all others are
    training text. Raises InputError for text that is missing or broken, NetworkError where the hub is out of reach.
    """
    import datasets

    datasets.disable_progress_bars()
    if data.startswith("hf:"):
        return _from_hub(data)
    path = Path(data).expanduser()
    if not path.exists():
        raise InputError(
            f"{printable(data)}: no such file or directory. "
            "Text is a UTF-8 file, a folder of .txt files, or hf:ORG/NAME[:CONFIG]"
        )
    if not path.is_dir():
        return {"train": _table([path])}
    files: dict[str, list[Path]] = {}
    for file in data_files(path, (".txt",), deep=False):
        files.setdefault(_split_of(file.stem), []).append(file)
    if "train" not in files:
        raise InputError(f"{printable(data)}: no training text: expected .txt files, some not named valid or test")
    return {split: _table(files[split]) for split in WORDS if split in files}


def cut(tables: Mapping[str, Any], least: int, too_short: Callable[[str, int], InputError]) -> dict[Split, Any]:
    """Return the four splits, each a run of neighbouring rows.

    What the data do not bring themselves is cut off the end of the training table: neighbouring pieces of a text
    share names and phrases, so that shuffled parts would leak into each other. `tune` is the first half of a
    validation table. `too_short(table, rows needed)` makes the error where a split would have under `least` rows.
    """
    train = tables["train"]
    missing = [s for s in HELD_OUT if (s if s == "test" else "validation") not in tables]
    needed = {"train": PARTS * least if missing else least, "validation": 2 * least, "test": least}
    for name, table in tables.items():
        if len(table) < needed[name]:
            raise too_short(name, needed[name])
    parts: dict[Split, Any] = {}
    end = len(train)
    for split in missing:
        begin = end - len(train) * HELD_OUT[split] // PARTS
        parts[split] = train.select(range(begin, end))
        end = begin
    parts["train"] = train.select(range(end))
    if "validation" in tables:
        held_out = tables["validation"]
        half = len(held_out) // 2
        parts["tune"], parts["validation"] = held_out.select(range(half)), held_out.select(range(half, len(held_out)))
    if "test" in tables:
        parts["test"] = tables["test"]
    return parts


def _split_of(stem: str) -> str:
    # Whole words: "latest" and "contest" are no tests.
    found = (s for s, words in WORDS.items() if re.search(rf"(^|[^a-z])({words})([^a-z]|$)", stem.lower()))
    return next(found, "train")


def _table(files: list[Path]) -> Any:
    import datasets

    stamps = []
    for file in files:
        with open(open_regular(file)[0], "rb") as stream:
            status = os.fstat(stream.fileno())
        stamps.append(f"{status.st_size}-{status.st_mtime_ns}")
    # Strings, since lists would be taken for shards; the stamps make replaced files be read again.
    arguments = {"files": "\n".join(str(f.resolve()) for f in files), "stamps": " ".join(stamps), "piece": PIECE}
    return generated(_pieces, arguments, datasets.Features({"text": datasets.Value("string")}))


def _pieces(files: str, stamps: str, piece: int) -> Iterator[dict[str, str]]:
    empty = True
    for file in map(Path, files.split("\n")):
        with open(open_regular(file)[0], encoding="utf-8-sig") as stream:
            try:
                # A file that is one endless line is cut all the same.
                while text := stream.read(piece) + stream.readline(piece):
                    empty = False
                    yield {"text": text}
            except UnicodeDecodeError as error:
                raise InputError(f"{printable(str(file))}: not UTF-8 text ({error.reason})") from error
    if empty:  # a table without rows cannot be written
        raise InputError(f"{printable(files)}: no text")


def _from_hub(data: str) -> Tables:
    shown = printable(data)
    found = from_hub(data, "text", "a text file, or a folder of .txt files")
    if "train" not in found:
        if len(found) > 1:
            raise InputError(f"{shown}: no split 'train' among {', '.join(map(printable, found))}")
        found = {"train": next(iter(found.values()))}
    tables = {"train": found["train"]}
    for split in ("validation", "test"):
        known = next((n for n in found if re.fullmatch(WORDS[split], n)), None)
        if known is not None:
            tables[split] = found[known]
    return {split: _text_alone(table, shown) for split, table in tables.items()}


def _text_alone(table: Any, shown: str) -> Any:
    strings = [n for n, f in table.features.items() if getattr(f, "dtype", None) in ("string", "large_string")]
    name = "text" if "text" in strings else strings[0] if len(strings) == 1 else None
    if name is None:
        raise InputError(f"{shown}: expected a column 'text', found {', '.join(map(printable, table.column_names))}")
    table = table.select_columns([name])
    return table if name == "text" else table.rename_column(name, "text")
