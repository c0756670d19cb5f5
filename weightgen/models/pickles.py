"""PyTorch pickles, read only after the user allowed it, and then only as tensors."""

from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightgen.errors import InputError, printable
from weightgen.models.header import check_name
from weightgen.reading.files import open_regular

if TYPE_CHECKING:
    import torch

DICTIONARIES = (
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)
"""What Lightning keeps hyperparameters in: read as a dictionary, without any of its code."""
CONTAINERS = ("state_dict", "model", "state_dict_ema", "model_ema")


def _broken(path: Path, what: str) -> InputError:
    return InputError(f"{printable(str(path))}: {what}")


def load_pickle(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint, out of the container it may be in; raises InputError."""
    import torch

    descriptor, _ = open_regular(path)
    with open(descriptor, "rb") as file:
        zipped = file.read(2) == b"PK"
    try:
        # What timm's and Lightning's trainings leave beside the weights: plain values under names.
        with torch.serialization.safe_globals([argparse.Namespace, *((OrderedDict, name) for name in DICTIONARIES)]):
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _broken(path, "holds objects other than tensors; refused. Ask for a .safetensors file.") from error
    except Exception as error:  # torch lets through whatever a broken pickle provokes: KeyError, AttributeError, ...
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise _broken(path, f"not a readable PyTorch file ({reason}). Download it again.") from error
    while isinstance(content, Mapping) and not any(isinstance(v, torch.Tensor) for v in content.values()):
        content = next((content[k] for k in CONTAINERS if isinstance(content.get(k), Mapping)), None)
    found = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(k): v for k, v in found if isinstance(v, torch.Tensor)}
    if not tensors:
        raise _broken(path, f"no state dict: expected tensors by name, or one of {', '.join(CONTAINERS)}.")
    for name in tensors:
        check_name(name, lambda what: _broken(path, what))
    return tensors
