"""Where in its photo a pixel lies: what an edit by position needs, and the network that is to learn it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CHANNELS = 3
PITCH = 6.0  # pixels between the dots of a printer's screen


def positions_of(height: int, width: int) -> Tensor:
    """Return x, y and screen of each pixel of a complete photo, (3, height, width).

    x and y go from -1 to 1 between the edges. The screen is what halftone printing compares brightness with: in [0, 1],
    a dot every 6 pixels along both diagonals.
    """
    columns, rows = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    x, y = (columns * (2 / width) - 1).expand(height, width), (rows * (2 / height) - 1)[:, None].expand(height, width)
    falling, rising = columns + rows[:, None], columns - rows[:, None]
    turn = 2 * math.pi / (PITCH * math.sqrt(2))
    screen = (2 + torch.cos(turn * falling) + torch.cos(turn * rising)) / 4
    return torch.stack([x, y, screen])
