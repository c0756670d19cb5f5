"""Functional dimension: in how many directions of its parameters a network changes what it computes.

Grigsby, Lindsey and Rolnick, "Hidden symmetries of ReLU networks", ICML 2023, arXiv 2306.06179.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from weightgen.diagnostics.measure import Batch, Measurement, Probe, Tensors
from weightgen.errors import UsageError

INPUTS = 20  # for each parameter
TOLERANCE = 1e-9  # of the largest singular value
MOST = 1000  # parameters, whose Jacobian has 20 P rows and P columns


def functional_rank(probe: Probe, tolerance: float = TOLERANCE) -> int:
    """Return the rank of d f(x_i) / d theta, all outputs of all the probe's items stacked, in float64.

    At least 20 items for each parameter, for all linear regions to be seen. Singular values below `tolerance` times the
    largest count as 0. Of the sum over outputs, a shorter cut, the rank may be lower.
    Raises UsageError for more than 1,000 parameters, or for fewer than 20 items for each.
    """
    count = sum(p.numel() for p in probe.parameters().values())
    if count > MOST:
        raise UsageError(f"needs at most {MOST:,} parameters, whose Jacobian it takes the rank of; there are {count:,}")
    if probe.items < INPUTS * count:
        raise UsageError(
            f"needs at least {INPUTS} items for each of {count} parameters, {INPUTS * count}, and has {probe.items}: "
            "with fewer, linear regions go unseen and the rank is too low"
        )
    probe = probe.double()

    def outputs(parameters: Tensors, item: Batch) -> Tensor:
        single = replace(probe, batch={k: v[None] for k, v in item.items()})
        return single.outputs(parameters).flatten()

    found = vmap(jacrev(outputs), (None, 0), chunk_size=1024)(probe.parameters(), dict(probe.batch))
    jacobian = torch.cat([part.flatten(2).flatten(0, 1) for part in found.values()], -1)
    values = torch.linalg.svdvals(jacobian)
    return int((values > tolerance * values[0]).sum()) if float(values[0]) else 0


def symmetry_bound(model: nn.Module) -> int:
    """Return P less the hidden units of a chain of linear layers: the most that a ReLU network of them can have.

    Each hidden unit can be scaled against its outgoing weights, and nothing changes.
    Raises UsageError for a model with any other parameters, whose symmetries are others.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    count = sum(p.numel() for p in model.parameters())
    if not layers or count != sum(p.numel() for layer in layers for p in layer.parameters()):
        raise UsageError(
            f"the bound P - hidden units is of linear layers in a chain; {type(model).__name__} has others"
        )
    return count - sum(layer.out_features for layer in layers[:-1])


def functional_dimension(probe: Probe) -> Measurement:
    """Return the functional dimension over 20 N(0, 1) inputs for each parameter, as `functional_rank` finds it.

    Raises UsageError for models of more than 1,000 parameters or without continuous inputs.
    """
    if probe.entrance is None:
        raise UsageError("needs continuous inputs, and the model reads tokens")
    parameters = sum(p.numel() for p in probe.parameters().values())
    count = INPUTS * parameters if parameters <= MOST else 0
    like = probe.batch[probe.entrance][:1]
    drawn = torch.randn(count, *like.shape[1:], generator=probe.generator())
    rank = functional_rank(replace(probe, batch={probe.entrance: drawn}))
    return Measurement(
        "functional-dimension",
        {"rank": float(rank), "parameters": float(parameters), "share": rank / parameters},
        f"{rank} of {parameters} directions of the parameters change what the network computes",
        f"{count} random inputs",
    )
