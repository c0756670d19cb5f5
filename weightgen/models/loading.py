"""A model with values: a source's own, or its library's initialisation from a seed; and back to a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weightgen.models.architecture import Architecture
from weightgen.models.reloading import check_loads
from weightgen.models.source import Source
from weightgen.models.tensorfile import numpy_dtype

if TYPE_CHECKING:
    import torch


def initialised(architecture: Architecture, seed: int) -> torch.nn.Module:
    """Return the model as its own library initialises it, from a seed."""
    import torch

    if architecture.make is None:
        return architecture.model  # a module in memory has its values already
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return architecture.make()


def load_model(source: Source) -> torch.nn.Module:
    """Return the source model with its weights, float32, in evaluation mode.

    A transformers model larger than the free memory is dispatched by Accelerate over devices, memory and disk.
    """
    import psutil
    import torch

    architecture = source.architecture
    needed = sum(e.end - e.start for e in source.weights.entries.values())
    if needed > 0.7 * psutil.virtual_memory().available:
        large = architecture.adapter.load_dispatched(architecture, source.directory)
        if large is not None:
            return large
    model = initialised(architecture, seed=0)
    state = model.state_dict()
    with torch.no_grad():
        for name, stored in source.stored.items():
            values = source.weights.read(stored).view(numpy_dtype(source.weights.entries[stored].dtype))
            state[name].copy_(torch.from_numpy(values.astype("float32")).reshape(state[name].shape))
    return model.eval()


def save_model(model: torch.nn.Module, architecture: Architecture, directory: Path) -> None:
    """Write config and weights as the model's own library reads them, tied copies left out.

    Raises CheckError where it does not read them after all.
    """
    from safetensors.torch import save

    state = model.state_dict()
    tensors = {n: state[n].detach().cpu().contiguous() for n in architecture.shapes}
    (directory / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))  # save_file makes it 0600
    architecture.adapter.write_config(architecture, directory)
    check_loads(architecture, directory)
