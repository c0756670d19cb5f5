"""Importance of every index of every axis: from the weights alone, or from activations on data.

Weight subcloning (arXiv 2312.09299) ranks the residual stream by mean |x|, Minitron (arXiv 2407.14679) by
sqrt(sum over samples of (mean over positions of |x|)^2), and blocks by the mean of 1 - cos(input, output).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from weightgen.models.axes import Axis, Dim, Kind
from weightgen.models.layout import Layout, TensorAxes
from weightgen.models.source import Source
from weightgen.models.tensorfile import numpy_dtype
from weightgen.subcloning.scores import Scores

if TYPE_CHECKING:
    import torch


def magnitude(source: Source, layout: Layout) -> Scores:
    """Score indices by the mean |w| of what they take part in, each tensor counted relative to its own mean.

    Reads every tensor once, in pieces.
    """
    tally = _Tally(layout)
    for name, axes in layout.tensors.items():
        stored = source.stored.get(axes.name)
        if stored is None or not axes.dims or len(axes.dims) < 2:
            continue
        dtype = numpy_dtype(source.weights.entries[stored].dtype)
        shape = layout.shapes[name]
        sums = [np.zeros(n) for n in shape]
        row = 0
        for piece in source.weights.iter_rows(stored):
            values = np.abs(piece.view(dtype).astype(np.float32)).reshape(len(piece), *shape[1:])
            for i in range(1, len(shape)):
                sums[i] += values.sum(axis=tuple(d for d in range(len(shape)) if d != i), dtype=np.float64)
            sums[0][row : row + len(values)] = values.reshape(len(values), -1).sum(axis=1, dtype=np.float64)
            row += len(values)
        for dim, total in zip(axes.dims, sums, strict=True):
            tally.add(dim, total / max(float(total.mean()), 1e-30))
    return Scores(axes=tally.scores())


class _Tally:
    """Adds up scores of flat dimensions by the axes they are composed of."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._totals: dict[Axis, np.ndarray] = {}

    def add(self, dim: Dim, flat: np.ndarray) -> None:
        sizes, offset = self._layout.sizes, 0
        for term in dim:
            shape = tuple(sizes[a] for a in term)
            block = flat[offset : offset + int(np.prod(shape))].reshape(shape)
            offset += block.size
            for i, axis in enumerate(term):
                if axis.kind is not Kind.FREE or not block.size:
                    continue
                parent = self._layout.family.nested.get(axis.name)
                keep = [i]
                if parent is not None and i > 0 and term[i - 1].name == parent:
                    keep = [i - 1, i]
                score = block.mean(axis=tuple(d for d in range(block.ndim) if d not in keep))
                self._totals[axis] = self._totals.get(axis, 0.0) + score

    def scores(self) -> dict[Axis, np.ndarray]:
        return self._totals


def activations(
    model: torch.nn.Module,
    layout: Layout,
    batches: Iterable[Mapping[str, Any]],
    statistic: str,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Score indices and blocks by running batches through the real model with hooks.

    `statistic` is "activation" (mean |x| over samples and positions; the residual stream is measured where
    norms read it) or "minitron" (L2 over samples of the mean over positions; measured where weights read it).
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    readers = _readers(layout, model, statistic)
    sums: dict[str, torch.Tensor] = {}
    samples: dict[str, int] = defaultdict(int)
    cosines: dict[Axis, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    handles = []

    def reader_hook(name: str, channel: int) -> Callable[..., None]:
        def hook(_: torch.nn.Module, args: tuple[Any, ...]) -> None:
            x = args[0].detach().float().abs().movedim(channel, -1)
            per_sample = x.reshape(x.shape[0], -1, x.shape[-1]).mean(dim=1)
            score = per_sample.sum(0) if statistic == "activation" else (per_sample**2).sum(0)
            sums[name] = sums.get(name, 0) + score.cpu().double()
            samples[name] += len(per_sample)

        return hook

    def block_hook(axis: Axis, block: int) -> Callable[..., None]:
        def hook(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            h_in = args[0] if args else kwargs.get("hidden_states")
            h_out = output[0] if isinstance(output, tuple) else output
            if h_in is not None and h_in.shape == h_out.shape:
                cosine = torch.nn.functional.cosine_similarity(h_in.float(), h_out.float(), dim=-1)
                cosines[axis][block].append(1.0 - cosine.mean().item())

        return hook

    modules = dict(model.named_modules())
    for name, (module, _, channel) in readers.items():
        handles.append(modules[module].register_forward_pre_hook(reader_hook(name, channel)))
    for axis, block, module in _blocks(layout):
        if module in modules:
            handles.append(modules[module].register_forward_hook(block_hook(axis, block), with_kwargs=True))
    device = next(model.parameters()).device
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        for i, batch in enumerate(batches):
            model(**{k: v.to(device) if torch.is_tensor(v) else v for k, v in batch.items()})
            if progress:
                progress(i + 1)
    for handle in handles:
        handle.remove()
    tally = _Tally(layout)
    for name, (_, dim, _) in readers.items():
        if name in sums:
            total = sums[name].numpy()
            tally.add(dim, total / samples[name] if statistic == "activation" else np.sqrt(total))
    blocks = {
        axis: np.array([np.mean(found.get(i, [np.inf])) for i in range(layout.sizes[axis])])
        for axis, found in cosines.items()
    }
    return Scores(axes=tally.scores(), blocks=blocks, flops=int(counter.get_total_flops()))


def _readers(layout: Layout, model: torch.nn.Module, statistic: str) -> dict[str, tuple[str, Dim, int]]:
    """Return tensor name -> (module, axes of the module's input channels, which dimension they are)."""
    import torch

    modules = dict(model.named_modules())
    found: dict[str, tuple[str, Dim, int]] = {}
    for tensor in layout.tensors.values():
        module, _, leaf = tensor.name.rpartition(".")
        if leaf != "weight" or module not in modules:
            continue
        channel = 1 if isinstance(modules[module], torch.nn.Conv2d) else -1
        dim = _input_dim(tensor)
        norm = len(tensor.dims) == 1 and any(a.name.startswith("embed") for t in tensor.dims[0] for a in t)
        residual = dim is not None and any(a.name.startswith("embed") for t in dim for a in t)
        if statistic == "activation" and norm:
            found[tensor.name] = (module, tensor.dims[0], channel)
        elif dim is not None and not (statistic == "activation" and residual):
            found[tensor.name] = (module, dim, channel)
    return found


def _input_dim(tensor: TensorAxes) -> Dim | None:
    if not tensor.inputs:
        return None
    dim = tensor.dims[tensor.inputs[0]]
    return dim if any(a.kind is Kind.FREE for t in dim for a in t) else None


def _blocks(layout: Layout) -> list[tuple[Axis, int, str]]:
    """Return (depth axis, block number, module path) for every block."""
    found = {}
    for canonical, tensor in layout.tensors.items():
        shift = len(tensor.name) - len(canonical)
        for i, (capture, value, _, end) in enumerate(tensor.captures):
            axis = Axis(capture, tuple((c, v) for c, v, _, _ in tensor.captures[:i]))
            if axis.kind is Kind.DEPTH and axis in layout.sizes:
                found[axis, value] = tensor.name[: end + shift]
    return [(axis, value, module) for (axis, value), module in found.items()]
