"""What a result depends on: versions of packages, and the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from weightgen.version import __version__


def versions(library: str, beside: Sequence[str] = ("accelerate", "datasets")) -> dict[str, str]:
    """Return the versions that a result depends on: of weightgen, torch, a library, and what is `beside` it."""
    others = {n: version(n) for n in ("torch", library, *beside) if n != "weightgen"}
    return {"weightgen": __version__, **others}


def environment() -> dict[str, Any]:
    """Return what a reader needs to know of the machine."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine() + " CPU"
    return {"device": device, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
