"""Masks: which entries of a model are zero for good, and which tensors stay as they are, whatever is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from weightgen.errors import InputError, UsageError, printable
from weightgen.models.tensorfile import read_header
from weightgen.training.held import freeze_, hold_, kept_of

FILE = "mask.safetensors"


@dataclass(frozen=True)
class Mask:
    """Booleans for some of a model's parameters; the others are not touched."""

    kept: Mapping[str, Tensor]
    """Parameter -> booleans of its shape, on the CPU: what stays and is trained. Everything else is and stays zero."""
    frozen: frozenset[str] = frozenset()
    """Parameters that training leaves as they are."""

    @property
    def count(self) -> int:
        """Entries that stay."""
        return sum(int(k.sum()) for k in self.kept.values())

    @property
    def density(self) -> float:
        """Share of the entries that stay, over the tensors that have a mask."""
        return self.count / max(1, sum(k.numel() for k in self.kept.values()))

    def densities(self) -> dict[str, float]:
        """Return the share of each tensor that stays."""
        return {name: int(kept.sum()) / max(1, kept.numel()) for name, kept in self.kept.items()}

    def __and__(self, other: Mask) -> Mask:
        """Return what stays in both, each tensor that only one of them has as there; frozen is what either freezes."""
        shared = {n: self.kept[n] & other.kept[n] for n in self.kept if n in other.kept}
        return Mask({**self.kept, **other.kept, **shared}, self.frozen | other.frozen)

    def apply_(self, model: nn.Module) -> None:
        """Set everything that does not stay to zero, in place; raises UsageError where the mask does not fit."""
        with torch.no_grad():
            for parameter, kept in self._pairs(model):
                parameter.mul_(kept.to(parameter.device))

    def hold_(self, model: nn.Module) -> None:
        """Apply the mask, let no gradient reach what it masks, and exclude from training what it freezes.

        AdamW and SGD keep zeros without a gradient at zero. Weight decay would move frozen values, so that optimizers
        are given only what requires a gradient. Lasts as long as the parameters do, and comes before the optimizer.
        Raises UsageError where the mask does not fit the model.
        """
        self.apply_(model)
        freeze_(model, self.frozen)
        for parameter, kept in self._pairs(model):
            if parameter.requires_grad:
                hold_(parameter, kept)

    def _pairs(self, model: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
        parameters = dict(model.named_parameters(remove_duplicate=False))
        for name, kept in self.kept.items():
            if name not in parameters:
                raise UsageError(f"mask: the model has no parameter '{printable(name)}'")
            found = parameters[name].shape
            if kept.shape != found:
                raise UsageError(f"mask: '{printable(name)}' is {list(kept.shape)}, the parameter is {list(found)}")
        return [(parameters[name], kept) for name, kept in self.kept.items()]


def distance(one: Mask, other: Mask) -> float:
    """Return the share of entries in which two masks of the same tensors differ.

    Masks have settled, and pruning may stop, when some distances in a row stay below 0.1: You et al., "Drawing
    early-bird tickets", ICLR 2020. Raises UsageError for masks of other tensors.
    """
    if {n: k.shape for n, k in one.kept.items()} != {n: k.shape for n, k in other.kept.items()}:
        raise UsageError("masks: expected two of the same tensors")
    changed = sum(int((kept != other.kept[name]).sum()) for name, kept in one.kept.items())
    return changed / max(1, sum(kept.numel() for kept in one.kept.values()))


def save_mask(mask: Mask, directory: Path) -> None:
    """Write mask.safetensors into a directory that is being published."""
    from safetensors.torch import save

    tensors = {name: kept.cpu().contiguous() for name, kept in mask.kept.items()}
    (directory / FILE).write_bytes(save(tensors, metadata={"frozen": json.dumps(sorted(mask.frozen))}))


def load_mask(directory: Path) -> Mask | None:
    """Return the mask beside the weights, None where there is none; raises InputError where it is no mask."""
    from safetensors.torch import load_file

    path = directory / FILE
    if not path.is_file():
        return None
    entries, metadata = read_header(path)  # refuses what the library would trust
    odd = next((n for n, e in entries.items() if e.dtype != "BOOL"), None)
    if odd is not None:
        raise InputError(f"{printable(str(path))}: '{printable(odd)}' is {entries[odd].dtype}, expected BOOL")
    try:
        frozen = json.loads(metadata.get("frozen", "[]"))
    except (ValueError, RecursionError):
        frozen = None
    if not isinstance(frozen, list) or not all(isinstance(name, str) for name in frozen):
        raise InputError(f"{printable(str(path))}: expected a list of names as 'frozen' in the metadata")
    return Mask(load_file(path), frozenset(frozen))


def held(model: nn.Module) -> Mask | None:
    """Return the mask that a model is held to, without what is frozen; None where it is held to none."""
    kept = {n: k for n, p in model.named_parameters() if (k := kept_of(p)) is not None}
    return Mask(kept) if kept else None
