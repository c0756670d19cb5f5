"""A stack of networks: each learns by itself, with a critic where asked for, and a mixture is one network's."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from weightgen.diffusion.concepts import Clause, Concept
from weightgen.diffusion.critic import judged
from weightgen.diffusion.examples import Edited, Mixed
from weightgen.diffusion.photos import bundled
from weightgen.diffusion.stack import Stack, StackAdam
from weightgen.models.translator import Translator, TranslatorConfig, translate


@pytest.fixture
def stacked() -> tuple[Stack, dict[str, Tensor]]:
    config = TranslatorConfig(width=4, layers=3)
    stack = Stack(config, dict(Translator(config, 3).named_parameters()), 3)
    torch.manual_seed(0)
    with torch.no_grad():
        for tensor in stack.trained().values():
            tensor += 0.1 * torch.randn(tensor.shape)
    photos = torch.rand(1, 2, 3, 8, 8)
    return stack, {"images": photos, "positions": torch.rand(1, 2, 3, 8, 8), "targets": torch.rand(3, 2, 3, 8, 8)}


def test_networks_of_a_stack_do_not_touch_each_other(stacked: tuple[Stack, dict[str, Tensor]]) -> None:
    stack, batch = stacked
    stack(**batch)[1].backward()
    for parameter in stack.parameters():
        assert parameter.grad is not None
        assert not parameter.grad[[0, 2]].any()
        assert bool(parameter.grad[1].any())


def test_clipping_is_by_network(stacked: tuple[Stack, dict[str, Tensor]]) -> None:
    stack, batch = stacked
    optimizer = StackAdam(stack, 0.1, clip=1e-3)
    (stack(**batch) * torch.tensor([1e-6, 1.0, 1e3])).sum().backward()
    small = [p.grad[0].clone() for p in stack.parameters() if p.grad is not None]
    optimizer.step()
    gradients = [p.grad for p in stack.parameters() if p.grad is not None]
    norms = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
    assert norms[1:].tolist() == pytest.approx([1e-3, 1e-3], rel=1e-3)
    assert all(torch.equal(g[0], s) for g, s in zip(gradients, small, strict=True)), "a small gradient was scaled"


def test_critics_and_networks_learn_against_each_other(stacked: tuple[Stack, dict[str, Tensor]]) -> None:
    """Both in one backward pass, and yet no critic learns to be fooled, nor a network to be found out."""
    plain, batch = stacked
    start = {name: tensor[0].detach() for name, tensor in plain.trained().items()}
    stack = Stack(plain.config, start, 3, adversarial=0.5)
    own = list(stack.trained().values())
    critics = [p for name, p in stack.named_parameters() if name.startswith("critic")]
    assert len(critics) == 6
    stack(**batch).sum().backward()
    found = [p.grad for p in own]
    made = translate(stack.config, stack.trained(), batch["images"], batch["positions"])
    critic = {n.removeprefix("critic/").replace("/", "."): p for n, p in stack.named_parameters() if "critic" in n}
    fooling = (judged(critic, batch["images"], made) - 1).square().flatten(1).mean(1)
    whole = ((made - batch["targets"]).abs().flatten(1).mean(1) + 0.5 * fooling).sum()
    for mine, expected in zip(found, torch.autograd.grad(whole, own, retain_graph=True), strict=True):
        assert mine is not None
        assert torch.allclose(mine, expected, atol=1e-6)
    real, fake = (judged(critic, batch["images"], edited) for edited in (batch["targets"], made.detach()))
    judging = ((real - 1).square() + fake.square()).flatten(1).mean(1).sum() / 2
    for parameter, expected in zip(critics, torch.autograd.grad(0.5 * judging, critics), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, expected, atol=1e-7)

    before = _told_apart(critic, batch, made.detach())
    optimizer = torch.optim.Adam(critics, 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        stack(**batch).sum().backward()
        optimizer.step()
    assert _told_apart(critic, batch, made.detach()) > before + 0.1


@torch.no_grad()
def _told_apart(critic: Mapping[str, Tensor], batch: dict[str, Tensor], made: Tensor) -> float:
    real = judged(critic, batch["images"], batch["targets"])
    return float((real - judged(critic, batch["images"], made)).mean())


def test_the_mixture_shows_all_concepts_with_their_own_targets() -> None:
    concepts = [Concept(n, (Clause(n, 1.0),), ()) for n in ("negative", "monochrome")]
    mixed = Mixed(Edited(bundled(), concepts))
    batch = mixed.draw(range(40), 8)
    negative, grey = 1 - batch["images"], batch["targets"].std(2).amax((-1, -2)) < 1e-6
    is_negative = (batch["targets"] - negative).abs().amax((0, 2, 3, 4)) < 1e-6
    assert 8 < int(is_negative.sum()) < 32
    assert bool((is_negative | grey[0]).all())
