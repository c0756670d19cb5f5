"""Names of tensors as people read them."""

from __future__ import annotations

import re

from weightgen.errors import printable


def block_pattern(name: str) -> str:
    """Return a tensor's name with a `*` for the numbers of blocks."""
    return re.sub(r"\.\d+(?=\.)", ".*", name)


def shortened(name: str, width: int) -> str:
    """Return a name cut to a width at its beginning, since the end of a name tells more."""
    shown = printable(name)
    return shown if len(shown) <= width else "..." + shown[3 - width :]
