"""Which name of a file is which tensor of an architecture: as its library would load the file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from weightgen.models.architecture import Architecture

WRAPPED = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|module)\.")
"""What torch.compile and DistributedDataParallel put into names, before all of them or around single blocks."""
COUNTERS = "num_batches_tracked"  # batch norms of old checkpoints have none, and torch does not miss it
ADAPTERS = re.compile(r"(^|\.)(lora_(A|B|down|up)|base_layer|loha_w|hada_w|oft_)(\.|_|$)")


@dataclass(frozen=True)
class StoredNames:
    """How the names of a file and of an architecture fit."""

    stored: dict[str, str]
    """Name in the architecture -> name in the file."""
    unused: list[str]
    """Names in the file without a place in the architecture."""
    converted: list[str]
    """Names whose values the library converts on loading."""
    doubled: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Tied name -> the two names in the file that should hold the same values."""

    @property
    def adapter(self) -> str | None:
        """A tensor of an adapter that was not merged into the weights."""
        return next((name for name in self.unused if ADAPTERS.search(name)), None)


def match_names(architecture: Architecture, names: list[str]) -> StoredNames:
    """Match file names to the architecture's; a tensor that is stored under a name tied to it is found by that name."""
    shapes, tied = architecture.shapes, architecture.tied
    rename = architecture.adapter.renaming(architecture)
    base = getattr(architecture.model, "base_model_prefix", "")
    stored: dict[str, str] = {}
    copies: dict[str, str] = {}
    unused, converted = [], []
    for name in names:
        bare = WRAPPED.sub("", name)
        renamed, needs_conversion = (name, False) if name in shapes else rename(bare)
        candidates = [renamed, f"{base}.{renamed}", renamed.removeprefix(f"{base}."), renamed.removeprefix("model.")]
        candidates += [renamed.removeprefix("backbone."), renamed.removeprefix("encoder."), name, bare]
        known = next((c for c in candidates if c in shapes and c not in stored), None)
        copy = next((c for c in candidates if c in tied and c not in copies), None)
        if needs_conversion:
            converted.append(name)
        elif known is not None:
            stored[known] = name
        elif copy is not None:
            copies[copy] = name
        else:
            unused.append(name)
    doubled = {}
    for alias, file_name in copies.items():
        if tied[alias] in stored:
            doubled[alias] = (file_name, stored[tied[alias]])
        else:
            stored[tied[alias]] = file_name
    return StoredNames(stored, unused, converted, doubled)


def missing_names(architecture: Architecture, stored: dict[str, str]) -> list[str]:
    """Return the tensors of an architecture that a file lacks, though its library would want them."""
    lacking = [n for n in architecture.shapes if n not in stored and not n.endswith(COUNTERS)]
    return [n for n in lacking if not architecture.adapter.may_miss(architecture, n)]


def values_of(architecture: Architecture, names: list[str]) -> int:
    """Return how many values tensors have."""
    return sum(math.prod(architecture.shapes[n]) for n in names)
