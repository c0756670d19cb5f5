"""The libraries whose models weightgen knows, one adapter each; a further library is one file, and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from weightgen.models.architecture import Adapter, Architecture
from weightgen.models.libraries.own import Own
from weightgen.models.libraries.timm import Timm
from weightgen.models.libraries.transformers import Transformers
from weightgen.models.reference import Reference

if TYPE_CHECKING:
    import torch

LIBRARIES: dict[str, Adapter] = {adapter.name: adapter for adapter in (Timm(), Transformers(), Own())}


def adapter_of(module: torch.nn.Module) -> Adapter:
    """Return whose conventions a module in memory follows: timm's, that is torch's, unless it says otherwise."""
    others = [adapter for adapter in LIBRARIES.values() if adapter.made(module)]
    return others[0] if others else LIBRARIES["timm"]


def described(module: torch.nn.Module) -> Architecture:
    """Return the architecture of a module in memory."""
    return adapter_of(module).describe(type(module).__name__, module)


def build(reference: Reference, arguments: Mapping[str, Any]) -> Architecture:
    """Build the architecture a name stands for, with overriding arguments, on the meta device."""
    return LIBRARIES[reference.library].build(reference, arguments)
