"""Weight matching by the axes of the tables: what was only permuted is found again, and the function never changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from weightgen.models.architecture import Architecture
from weightgen.models.axes import Kind
from weightgen.models.libraries import build
from weightgen.models.loading import initialised
from weightgen.models.matching import match_weights
from weightgen.models.names import resolve
from weightgen.models.proof import permute, random_permutations, randomise

VIT = {"img_size": 8, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 4}
RESNET = {"channels": (8, 8, 12, 12), "num_classes": 4}
pytestmark = pytest.mark.usefixtures("one_thread")


def made(name: str, llama: Path) -> Architecture:
    texts: dict[str, tuple[str, dict[str, Any]]] = {
        "vit": ("timm:vit_tiny_patch16_224", VIT),
        "resnet": ("timm:resnet18", RESNET),
        "llama": (str(llama), {}),
    }
    text, arguments = texts[name]
    return build(resolve(text), arguments)


@pytest.mark.parametrize("name", ["vit", "resnet", "llama"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_permuted_copy_is_found_exactly(name: str, seed: int, llama: Path) -> None:
    architecture = made(name, llama)
    layout = architecture.layout()
    assert layout is not None
    model = initialised(architecture, seed)
    randomise(model, seed)
    state = {n: t.clone() for n, t in model.state_dict().items()}
    moved = permute(state, layout, random_permutations(layout, np.random.default_rng(seed)))
    assert any(not torch.equal(moved[n], state[n]) for n in moved)
    back = permute(moved, layout, match_weights(state, moved, layout))
    assert all(torch.equal(back[n], state[n]) for n in back)
    noisy = {n: t + 1e-3 * torch.randn(t.shape) if t.is_floating_point() else t for n, t in moved.items()}
    near = permute(noisy, layout, match_weights(state, noisy, layout))
    assert max(float((near[n] - state[n]).abs().max()) for n in near if near[n].is_floating_point()) < 0.01


def test_equal_networks_stay(llama: Path) -> None:
    layout = made("vit", llama).layout()
    assert layout is not None
    model = initialised(made("vit", llama), 0)  # norms of ones, biases of zeros: full of ties
    found = match_weights(model.state_dict(), model.state_dict(), layout)
    assert all(selection.identity for selection in found.values())


def test_others_come_nearer_and_compute_the_same(llama: Path) -> None:
    architecture = made("vit", llama)
    layout = architecture.layout()
    assert layout is not None
    one, other = (initialised(architecture, seed).eval() for seed in (0, 1))
    randomise(other, 1)
    state = {n: t.clone() for n, t in other.state_dict().items()}
    found = match_weights(one.state_dict(), state, layout)
    assert all(s.identity for a, s in found.items() if a.kind is not Kind.FREE)
    assert not all(s.identity for s in found.values())
    moved = permute(state, layout, found)

    def apart(values: Any) -> float:
        return sum(float((values[n] - p.detach()).square().sum()) for n, p in one.named_parameters())

    assert apart(moved) < 0.99 * apart(state)
    x = torch.randn(2, 3, 8, 8)
    before = other(x).detach()
    other.load_state_dict(moved)
    torch.testing.assert_close(other(x), before, rtol=1e-4, atol=1e-4)
