"""The proof of an axis table: permute every free axis consistently, and the network's output must not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from weightgen.models.axes import Axis, Dim, Kind
from weightgen.models.layout import Layout
from weightgen.models.selection import Selection, flat_indices

if TYPE_CHECKING:
    import torch


def random_permutations(layout: Layout, rng: np.random.Generator) -> dict[Axis, Selection]:
    """Draw one permutation for every free axis, the identity for every other."""
    chosen = {}
    for axis in sorted(layout.sizes):
        n = layout.sizes[axis]
        order = rng.permutation(n) if axis.kind is Kind.FREE else np.arange(n)
        chosen[axis] = Selection(axis, n, order)
    return chosen


def permute(
    state: Mapping[str, torch.Tensor], layout: Layout, permutations: Mapping[Axis, Selection]
) -> dict[str, torch.Tensor]:
    """Return the tensors of the table, permuted; tied copies and recomputed buffers are not among them."""
    import torch

    permuted = {}
    for tensor in layout.tensors.values():
        value = state[tensor.name]
        for i, dim in enumerate(tensor.dims):
            value = value.index_select(i, torch.as_tensor(flat_indices(dim, permutations)))
        permuted[tensor.name] = value
    return permuted


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Fill every parameter and floating buffer with random values, norms, biases and statistics too.

    Initial values such as ones and zeros are unchanged by any permutation, so that a wrong table would pass.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float32)
            spread = 0.3 if value.dim() < 2 else 1 / max(value[0].numel(), 1) ** 0.5
            drawn = value.float() * 0.5 + noise * spread
            value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)


def output_change(
    model: torch.nn.Module,
    inputs: Mapping[str, Any],
    layout: Layout,
    seed: int,
    output_axes: tuple[str, ...] = (),
    laid_out: Sequence[tuple[Dim, ...]] | None = None,
) -> float:
    """Return the largest change of the outputs under random permutations, relative to their spread.

    `output_axes` name free axes along which the outputs themselves are laid out (the last dimension of a
    headless model is `embed`); such outputs are compared after the same permutation. `laid_out`: what `outputs_of` the
    model are laid out along, none for predictions; only they are compared then.
    """
    import torch

    model = model.eval().double()
    inputs = {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in inputs.items()}
    permutations = random_permutations(layout, np.random.default_rng(seed))
    with torch.no_grad():
        before = _outputs(model, inputs, laid_out is not None)
        state = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(permute(state, layout, permutations), strict=False)
        after = _outputs(model, inputs, laid_out is not None)
        model.load_state_dict(state)
    worst = 0.0
    for number, (a, b) in enumerate(zip(before, after, strict=True)):
        for i, dim in enumerate(laid_out[number] if laid_out else ()):
            a = a.index_select(i, torch.as_tensor(flat_indices(dim, permutations)))
        candidates = [a]
        for name in output_axes:
            for axis, selection in permutations.items():
                for d in range(a.dim()) if axis.name == name else ():
                    if a.shape[d] == selection.source_size:
                        candidates.append(a.index_select(d, torch.as_tensor(selection.indices)))
        change = min((c - b).abs().max().item() for c in candidates)
        worst = max(worst, change / max(a.std().item() if a.numel() > 1 else 1.0, 1e-12))
    return worst


def _outputs(model: torch.nn.Module, inputs: Mapping[str, Any], chosen: bool) -> list[torch.Tensor]:
    import torch

    from weightgen.models.exact import outputs_of, tensors_in

    torch.manual_seed(0)  # masked autoencoders draw their mask in every pass
    output = model(**inputs)
    return outputs_of(output)[0] if chosen else tensors_in(output)
