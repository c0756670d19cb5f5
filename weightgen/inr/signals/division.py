"""Which signals of a set to learn from or choose by, and which are held out: one rule for learning and for races."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from weightgen.inr.signals.files import splits
from weightgen.inr.signals.kind import Kind, Signal

HELD_OUT = 0.1  # of the signals, where no folder is named for it


def divided(kind: Kind, data: str) -> tuple[list[Signal], list[Signal]]:
    """Return signals to learn from, in an order of chance, and those held out: a folder's, else a tenth of all."""
    folders = splits(data)
    found = kind.load(folders.get("train", data))
    order = [found[i] for i in np.random.default_rng(0).permutation(len(found))]
    if "test" in folders:
        return order, kind.load(folders["test"])
    count = max(1, round(HELD_OUT * len(order)))
    return order[count:], order[:count]


def names_digest(*parts: Sequence[Signal]) -> str:
    """Return a digest of the names of a set's signals: where it is another, the set is divided otherwise."""
    names = sorted(signal.name for part in parts for signal in part)
    return hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()
