"""The rotary axes of the tables pair the entries that the real classes rotate together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.models.test_families import layout_of
from tests.zoo import Case
from tests.zoo.decoders import CASES
from weightgen.models.layout import Layout
from weightgen.models.proof import randomise
from weightgen.models.selection import Selection, flat_indices
from weightgen.subcloning.select import rotary

ROTARY = (
    "gemma3",
    "gpt-neox",
    "falcon-grouped",
    "llama-tied-biased",
    "olmo2",
    "phi3-partial-rotary",
    "qwen3",
    "stablelm",
)


def change_when_flipped(case: Case, entries: list[int]) -> float:
    """Return the relative change of the outputs when these entries of every query and key head change sign.

    Turning a whole pair by half a circle commutes with every rotation, and cancels between query and key.
    """
    model = case.build("source").eval()
    randomise(model, seed=1)
    model.double()
    layout: Layout = layout_of(case, model)
    kept = {a: Selection(a, n, np.arange(n)) for a, n in layout.sizes.items()}
    rotating = [a for a in kept if a.name == "rotary"]
    flipped = kept | {a: Selection(a, kept[a].source_size, np.array(entries)) for a in rotating}
    empty = kept | {a: Selection(a, kept[a].source_size, np.array([], dtype=np.int64)) for a in rotating}
    inputs = case.inputs()
    with torch.no_grad():
        before = model(**inputs).logits
        for tensor in layout.tensors.values():
            # The weight of an RMS norm multiplies what is flipped already.
            if "norm" in tensor.name:
                continue
            for i, dim in enumerate(tensor.dims):
                if any(axis.name == "rotary" for term in dim for axis in term):
                    # What does not rotate is in both selections, and cancels.
                    of_rotary = set(flat_indices(dim, flipped)) - set(flat_indices(dim, empty))
                    sign = torch.ones(len(flat_indices(dim, kept)), dtype=torch.float64)
                    sign[sorted(of_rotary)] = -1
                    shape = [-1 if d == i else 1 for d in range(len(tensor.dims))]
                    model.state_dict()[tensor.name].mul_(sign.view(shape))
        after = model(**inputs).logits
    return float((after - before).abs().max() / before.std())


@pytest.mark.parametrize("case", [c for c in CASES if c.id in ROTARY], ids=lambda c: c.id)
def test_a_rotary_pair_may_change_sign_together_but_not_half_of_it(case: Case) -> None:
    layout = layout_of(case, case.build("source"))
    (size,) = {n for a, n in layout.sizes.items() if a.name == "rotary"}
    (axis, *_) = (a for a in layout.sizes if a.name == "rotary")
    pair = rotary(size, 2, interleaved=False, axis=axis).tolist()
    assert change_when_flipped(case, pair) < case.tolerance
    assert change_when_flipped(case, pair[:1]) > 100 * case.tolerance
    assert change_when_flipped(case, [0, 1]) > 100 * case.tolerance
