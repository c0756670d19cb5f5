"""The colours and dashes of everything that is drawn for starts side by side: of pages and of pictures."""

from __future__ import annotations

from typing import Any

COLOURS, DASHES = 8, 7  # coprime: 56 starts differ in one or the other
PALETTE = ("#0072b2", "#c44e00", "#007a5a", "#a83f86", "#7a6000", "#5b4fc4", "#a32020", "#00788c")
PATTERNS: tuple[Any, ...] = (
    "solid",
    (0, (6, 2)),
    (0, (2, 2)),
    (0, (8, 2, 2, 2)),
    (0, (4, 1)),
    (0, (1, 1)),
    (0, (10, 3)),
)
