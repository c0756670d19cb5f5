"""How many threads torch computes with: sums over other numbers of parts round differently."""

from __future__ import annotations

import os

import torch


def use_threads(count: int) -> None:
    """Give torch a number of threads; 0: as many as there are cores."""
    torch.set_num_threads(count or os.cpu_count() or 1)
