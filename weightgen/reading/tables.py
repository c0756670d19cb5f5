"""Tables of `datasets`: made of rows that are generated once, or fetched from the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from weightgen.errors import InputError, NetworkError, WeightgenError, printable


def generated(rows: Callable[..., Iterator[dict[str, Any]]], arguments: dict[str, Any], features: Any) -> Any:
    """Return the table of a generator's rows, which `datasets` finds again by the generator's arguments.

    Of several processes that ask at a time, one generates and the others wait.
    """
    import datasets

    try:
        return datasets.Dataset.from_generator(rows, gen_kwargs=arguments, features=features)
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, WeightgenError):  # what the rows themselves found wrong
            raise error.__cause__ from None
        raise


def from_hub(data: str, kind: str, instead: str) -> dict[str, Any]:
    """Return the splits of `hf:ORG/NAME[:CONFIG]`.

    Raises NetworkError where the hub is out of reach, saying what to pass `instead`, and InputError where what is
    there holds no such `kind` of data.
    """
    name, _, config = data.removeprefix("hf:").partition(":")
    return loaded(data, kind, instead, name, config or None)


def loaded(data: str, kind: str, instead: str, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Call datasets.load_dataset and put its errors into our words; `data` is what the user wrote."""
    import datasets

    try:
        return dict(datasets.load_dataset(*arguments, **options))
    except (ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        raise NetworkError(
            f"could not reach the hub for the dataset '{printable(data)}' ({type(error).__name__})\n"
            f"Download it elsewhere and pass {instead}."
        ) from error
    except (datasets.exceptions.DatasetsError, FileNotFoundError, ValueError) as error:
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise InputError(f"{printable(data)}: no usable {kind}: {reason}") from error
