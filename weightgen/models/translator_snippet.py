"""The few lines that run a translator with torch and safetensors alone, for model cards."""

from __future__ import annotations

from weightgen.console import python_word
from weightgen.models.positions import PITCH
from weightgen.models.translator import TranslatorConfig


def snippet(config: TranslatorConfig, directory: str) -> str:
    """Return Python that defines `edit(photos)`, from (N, 3, H, W) in [0, 1] to the same shape, not clamped."""
    places = [
        "    rows, columns = torch.arange(photos.shape[2])[:, None] + 0.5, torch.arange(photos.shape[3]) + 0.5",
        "    x, y = 2 * columns / photos.shape[3] - 1, 2 * rows / photos.shape[2] - 1",
        f"    turn = 2 * math.pi / ({PITCH:g} * math.sqrt(2))",
        "    screen = (2 + torch.cos(turn * (columns + rows)) + torch.cos(turn * (columns - rows))) / 4",
        "    places = torch.stack(torch.broadcast_tensors(x, y, screen)).expand(len(photos), -1, -1, -1)",
        "    z = torch.cat([2 * photos - 1, places], 1)",
    ]
    lines = [
        *(["import math"] if config.position else []),
        "import torch",
        "from safetensors.torch import load_file",
        "from torch.nn import functional as F",
        "",
        f"w = load_file({python_word(directory + '/model.safetensors')})",
        "",
        "",
        "def edit(photos):",
        *(places if config.position else ["    z = 2 * photos - 1"]),
        f"    for i in range({config.layers}):",
        f"        z = F.leaky_relu(z, {config.slope:g}) if i else z",
        '        z = F.pad(z, (1, 1, 1, 1), "replicate")',
        '        z = F.conv2d(z, w[f"net.{2 * i}.weight"], w[f"net.{2 * i}.bias"])',
        "    return photos + z",
    ]
    return "\n".join(lines)
