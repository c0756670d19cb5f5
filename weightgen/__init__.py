"""weightgen: start a PyTorch model from better than random weights, and show how much better.

weightgen.subclone(src, dst, ...)   cut a small model's weights out of a larger one
weightgen.init(model, method, ...)  write them down in closed form, for a name or in place for a module
weightgen.fit(start, data, ...)     fit signals from a learned start (which weightgen.load_start reads)
weightgen.verify(directory)         check a checkpoint against its manifest
weightgen.load_recipe(path)         read a recipe; weightgen.run_recipe(recipe, out) carries it out
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weightgen.version import __version__

if TYPE_CHECKING:
    from weightgen.api import fit, init, run_recipe, subclone
    from weightgen.inr.start import load_start
    from weightgen.jobs.table import load_recipe
    from weightgen.publishing.checkpoint import verify

__all__ = ["__version__", "fit", "init", "load_recipe", "load_start", "run_recipe", "subclone", "verify"]

_HOMES = {
    "fit": "weightgen.api",
    "init": "weightgen.api",
    "load_start": "weightgen.inr.start",
    "subclone": "weightgen.api",
    "run_recipe": "weightgen.api",
    "verify": "weightgen.publishing.checkpoint",
    "load_recipe": "weightgen.jobs.table",
}


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import weightgen` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'weightgen' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
