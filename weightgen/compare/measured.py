"""Reading what finished jobs of a race measured: files of ours, in a place where anybody may have changed them."""

from __future__ import annotations

import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from weightgen.errors import InputError, printable
from weightgen.reading.json_files import read_json

M = TypeVar("M", bound=BaseModel)


class Measured(BaseModel):
    """What a job's result.json says that a race needs; it says more."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    seconds: float
    flops: float
    marks: list[int]


class Trained(Measured):
    """What that of a training says."""

    start: str
    seed: int | None
    learning_rate: float
    diverged: int | None
    value: float | None


def unusable(file: Path, reason: str) -> InputError:
    """Return the error of a finished job that is not what a race writes."""
    return InputError(
        f"{printable(str(file))}: {printable(reason)}.\n"
        f"Remove {printable(str(file.parent))}, and the same command repeats what it held."
    )


def read_measured(kind: type[M], file: Path) -> M:
    """Return what a job's JSON file says; raises InputError naming what is wrong."""
    try:
        return kind.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        raise unusable(file, f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from error


def read_scores(file: Path, rows: Sequence[int], items: int) -> np.ndarray:
    """Return scores (rows, items) whose number of rows is one of some, or (items,) where there are none.

    Raises InputError for a file that holds anything else.
    """
    try:
        found = np.load(file, allow_pickle=False)
    except (ValueError, TypeError, EOFError, SyntaxError, tokenize.TokenError, MemoryError, OverflowError) as error:
        raise unusable(file, f"holds no scores ({(str(error).splitlines() or [type(error).__name__])[0]})") from error
    shapes: list[tuple[int, ...]] = [(n, items) for n in rows] or [(items,)]
    if not isinstance(found, np.ndarray) or found.dtype != np.float32 or found.shape not in shapes:
        told = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise unusable(file, f"expected float32 {shapes[-1]}, found {told}")
    return found
