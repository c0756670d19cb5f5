"""Denoisers and noise: what they see and do not see, where they begin, and every way back to clean blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from tests.diffusion.tiny_generator import CONFIG, KINDS, LAYOUT, make_base, make_denoiser
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.condition import Condition, condition
from weightgen.diffusion.denoiser import Denoiser
from weightgen.diffusion.pipeline import DENOISERS
from weightgen.diffusion.prompt import Phrase
from weightgen.diffusion.schedules import (
    cleaned,
    draw_timesteps,
    last_timestep,
    make_scheduler,
    noised,
    sample,
    target,
)
from weightgen.errors import UsageError
from weightgen.models.translator import TranslatorConfig, translate

pytestmark = pytest.mark.usefixtures("one_thread")
SCHEDULES: dict[str, tuple[Any, Any]] = {
    "ddim": ("ddim", "sample"),
    "ddim-v": ("ddim", "v_prediction"),
    "flow": ("flow", "sample"),
}
LAST = torch.tensor(999)


def prompts(seed: int = 0) -> Condition:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(3, 16, generator=generator))
    return condition([[Phrase("a", 0.5), Phrase("b", 1.0)], [Phrase("a", 0.5)], []], vectors)


def noise(count: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(count, len(LAYOUT), LAYOUT.size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_denoiser_says_as_the_base(kind: str) -> None:
    base = make_base()
    denoiser = make_denoiser(kind, base, trained=False)
    predicted = denoiser(noise(), LAST, prompts())
    assert predicted.shape == (3, len(LAYOUT), LAYOUT.size)
    assert not predicted.any()
    for name, tensor in denoiser.weights(base, predicted).items():
        assert torch.equal(tensor[2], base.state_dict()[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_denoiser_sees(kind: str) -> None:
    denoiser, given, asked = make_denoiser(kind), noise(), prompts()
    found = denoiser(given, LAST, asked)
    assert torch.isfinite(found).all()
    assert not found[:, ~LAYOUT.mask].any()
    assert torch.equal(denoiser(given + 9 * ~LAYOUT.mask, LAST, asked), found)  # padding is not read
    other = denoiser(given, torch.tensor(400), asked)
    assert not torch.allclose(other, found, atol=1e-3)
    assert torch.allclose(denoiser(given, LAST.expand(3), asked), found, atol=1e-6)
    stronger = Condition(asked.embeddings, asked.strengths * 0.9, asked.mask)
    changed = (denoiser(given, LAST, stronger) - found).abs().amax((1, 2))
    assert (changed > 1e-4).tolist() == [True, True, False]  # the empty prompt has no strength
    swapped = Condition(asked.embeddings[:, [1, 0, 2, 3]], asked.strengths[:, [1, 0, 2, 3]], asked.mask)
    assert not torch.allclose(denoiser(given[:1], LAST, swapped[:1]), found[:1], atol=1e-3)  # order matters
    junk = Condition(asked.embeddings + ~asked.mask[..., None], asked.strengths, asked.mask)
    assert torch.allclose(denoiser(given, LAST, junk), found, atol=1e-6)  # what is masked is not read
    assert torch.allclose(denoiser(given[1:], LAST, asked[1:]), found[1:], atol=1e-5)  # nor are other networks


@pytest.mark.parametrize(("kind", "others"), [("joint", True), ("per-block", False)])
def test_only_the_joint_denoiser_sees_other_blocks(kind: str, others: bool) -> None:
    denoiser, given, asked = make_denoiser(kind), noise(1), prompts()[:1]
    moved = given.clone()
    moved[:, 4] += 1
    changed = (denoiser(moved, LAST, asked) - denoiser(given, LAST, asked)).abs().amax((0, 2)) > 1e-6
    assert changed[4]
    assert bool(changed[[0, 1, 2, 3, 5]].all()) == others
    assert bool(changed[[0, 1, 2, 3, 5]].any()) == others
    alike = given[:, :1].expand_as(given)
    found = denoiser(alike, LAST, asked)[0, :, :10]
    assert not torch.allclose(found[4], found[5], atol=1e-3)  # each block knows which one it is


@pytest.mark.parametrize("kind", KINDS)
def test_a_denoiser_is_saved_with_its_statistics(kind: str, tmp_path: Path) -> None:
    denoiser = make_denoiser(kind)
    denoiser.save_pretrained(tmp_path)  # type: ignore[operator]
    again: Denoiser = DENOISERS[kind].from_pretrained(tmp_path)  # type: ignore[attr-defined]
    assert again.state_dict().keys() >= {"mean", "std"}
    for name, tensor in denoiser.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert torch.equal(again(noise(), LAST, prompts()), denoiser.train()(noise(), LAST, prompts()))
    blocks = noise()
    back = denoiser.denormalise(denoiser.normalise(blocks))
    assert torch.allclose(back, blocks * LAYOUT.mask, atol=1e-6)
    assert not [p for p in tmp_path.iterdir() if p.suffix not in (".json", ".safetensors")]


def test_a_shipped_denoiser_is_small() -> None:
    layout = Layout(TranslatorConfig().shapes, 256)
    for kind in KINDS:
        made = DENOISERS[kind](layout.to_json(), "")
        parameters = sum(p.numel() for p in made.parameters())
        assert 0.5e6 < parameters < 1.8e6, kind  # float32: under 8 MiB with all that is beside it


def test_widths_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="width 130: 4 heads need a multiple of 8"):
        DENOISERS["joint"](LAYOUT.to_json(), "", width=130)
    for width, depth, multiple in ((100, 3, 32), (0, 2, 16), (16, 3, 32)):
        with pytest.raises(UsageError, match=f"width {width}: {depth} levels need a multiple of {multiple}"):
            DENOISERS["per-block"](LAYOUT.to_json(), "", width=width, depth=depth)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_network_reaches_the_prompt(kind: str) -> None:
    base, denoiser, asked = make_base(), make_denoiser(kind), prompts()
    embeddings = asked.embeddings.clone().requires_grad_()
    predicted = denoiser(noise(), LAST, Condition(embeddings, asked.strengths, asked.mask))
    weights = denoiser.weights(base, predicted)
    photos = torch.rand(1, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    translate(CONFIG, weights, photos).square().sum((1, 2, 3, 4))[0].backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    reached = embeddings.grad.abs().sum(-1) > 0
    assert reached.tolist() == [[True, True, False, False], [False] * 4, [False] * 4]
    unused = [n for n, p in denoiser.named_parameters() if p.grad is None]
    assert unused == []


@pytest.mark.parametrize("name", SCHEDULES)
def test_noise_and_back(name: str) -> None:
    scheduler = make_scheduler(*SCHEDULES[name])
    generator = torch.Generator().manual_seed(0)
    timesteps = draw_timesteps(scheduler, 3, generator)
    clean, drawn = noise(seed=1), noise(seed=2)
    noisy = noised(scheduler, clean, drawn, timesteps)
    back = cleaned(scheduler, target(scheduler, clean, drawn, timesteps), noisy, timesteps)
    assert torch.allclose(back, clean, atol=1e-5)
    end = torch.full((3,), last_timestep(scheduler))
    assert torch.allclose(noised(scheduler, clean, drawn, end), drawn, atol=1e-6)  # nothing of the signal is left
    if isinstance(scheduler, DDIMScheduler):
        assert torch.allclose(scheduler.add_noise(clean, drawn, timesteps), noisy, atol=1e-6)
        if name == "ddim-v":
            found = scheduler.get_velocity(clean, drawn, timesteps)
            assert torch.allclose(found, target(scheduler, clean, drawn, timesteps), atol=1e-6)


class Oracle(torch.nn.Module):
    """Knows the clean blocks, and says them as a schedule wants them; an empty prompt has others."""

    def __init__(self, scheduler: Any, clean: Tensor) -> None:
        super().__init__()
        self.scheduler, self.clean, self.asked = scheduler, clean, 0

    def forward(self, noisy: Tensor, timestep: Tensor, asked: Condition) -> Tensor:
        self.asked += 1
        clean = torch.where(asked.mask.any(1)[:, None, None], self.clean, -self.clean)
        if self.scheduler.config.get("prediction_type") != "v_prediction":
            return clean
        kept = self.scheduler.alphas_cumprod[timestep.long()]
        drawn = (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
        velocity: Tensor = kept.sqrt() * drawn - (1 - kept).sqrt() * clean
        return velocity


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_sampling_arrives_where_the_denoiser_points(name: str, steps: int) -> None:
    scheduler, asked = make_scheduler(*SCHEDULES[name]), prompts()[:2]
    clean = 5 * noise(1, seed=3)  # far beyond 1: clipping would show
    oracle: Any = Oracle(scheduler, clean)
    found = sample(oracle, scheduler, noise(2), asked, steps)
    assert torch.allclose(found, clean.expand_as(found), atol=2e-4)
    assert oracle.asked == steps
    guided = sample(oracle, scheduler, noise(2), asked, 1, guidance=3.0)
    assert torch.allclose(guided, (-clean + 3 * (clean + clean)).expand_as(found), atol=2e-4)


def test_usual_ddim_settings_would_spoil_weights() -> None:
    """Its defaults clip at 1 and begin where a part of the signal is left."""
    clean, asked = 5 * noise(1, seed=3), prompts()[:1]
    usual = DDIMScheduler(prediction_type="sample")
    found = sample(Oracle(usual, clean), usual, noise(1), asked, 1)  # type: ignore[arg-type]
    assert float(found.abs().max()) < 1.5
    assert float(usual.alphas_cumprod[-1]) > 0
    assert float(make_scheduler().alphas_cumprod[-1]) == 0
