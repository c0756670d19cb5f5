"""What needs no generator: means, neighbours, ridge regression, and one modulated network."""

from __future__ import annotations

import torch

from weightgen.diffusion.base import BaseNetwork
from weightgen.diffusion.baselines import Zoo, blend, features, mean, nearest, noisy, ridge, ridge_and_nearest
from weightgen.diffusion.blocks import Layout
from weightgen.diffusion.condition import Condition
from weightgen.diffusion.film import FilmDenoiser
from weightgen.models.positions import positions_of
from weightgen.models.translator import Translator, TranslatorConfig, translate

CONFIG = TranslatorConfig(width=6, layers=3)
LAYOUT = Layout(CONFIG.shapes, 64)


def zoo(count: int = 12, width: int = 5, seed: int = 0) -> Zoo:
    """Networks that depend linearly on their prompts."""
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randn(count, width, generator=generator)
    slopes = torch.randn(width, len(LAYOUT) * LAYOUT.size, generator=generator)
    differences = (1 + prompts @ slopes).reshape(count, len(LAYOUT), LAYOUT.size) * LAYOUT.mask
    return Zoo(prompts, differences)


def asked(*strengths: float, seed: int = 0) -> Condition:
    """Prompts of one clause with the same words."""
    words = torch.nn.functional.normalize(torch.randn(8, generator=torch.Generator().manual_seed(seed)), dim=0)
    embeddings = torch.zeros(len(strengths), 4, 8)
    embeddings[:, 0] = words
    found = torch.zeros(len(strengths), 4)
    found[:, 0] = torch.tensor(strengths)
    return Condition(embeddings, found, found > 0)


def test_prompts_of_one_phrase_lie_on_a_line_by_their_strength() -> None:
    weak, strong = features(asked(0.25, 1.0))
    assert torch.allclose(4 * weak, strong)
    assert torch.allclose(strong.norm(), torch.tensor(1.0))


def test_neighbours() -> None:
    known = zoo()
    at = known.prompts[[3, 7]] + 1e-3
    assert torch.equal(nearest(known, at), known.differences[[3, 7]])
    assert torch.allclose(blend(known, at, temperature=1e-3), known.differences[[3, 7]])
    assert torch.allclose(blend(known, at, neighbours=12, temperature=1e9), mean(known, at), atol=1e-4)
    assert torch.equal(mean(known, at)[0], known.differences.mean(0))
    same = noisy(known, at, 0.0, torch.Generator())
    assert torch.equal(same, nearest(known, at))
    moved = noisy(known, at, 0.5, torch.Generator().manual_seed(0)) - same
    assert torch.equal(moved != 0, LAYOUT.mask.expand_as(moved))
    deviation = known.differences.std((0, 2), correction=0)
    assert torch.allclose(moved.std((0, 2)) / deviation, torch.tensor(0.5), atol=0.25)


def test_ridge_finds_what_is_linear() -> None:
    known, new = zoo(), zoo(seed=0)
    prompts = torch.randn(4, 5, generator=torch.Generator().manual_seed(9))
    slopes = torch.linalg.lstsq(known.prompts, known.differences.flatten(1) - LAYOUT.mask.flatten().float()).solution
    true = (prompts @ slopes).reshape(4, len(LAYOUT), LAYOUT.size) + LAYOUT.mask
    assert torch.allclose(ridge(known, prompts, penalty=1e-6), true, atol=1e-2)
    assert torch.allclose(ridge(known, prompts, penalty=1e9), mean(new, prompts), atol=1e-3)
    both = ridge_and_nearest(known, prompts, penalty=1e-6)
    assert torch.allclose(2 * both, true + nearest(known, prompts), atol=2e-2)


def test_a_modulated_network_folds_into_plain_weights() -> None:
    base = BaseNetwork.of(Translator(CONFIG, 1).state_dict(), LAYOUT, CONFIG.model_dump())
    film = FilmDenoiser(LAYOUT.to_json(), base.sha256, text_width=8, width=16)
    film.begin(base, torch.zeros(1, len(LAYOUT), LAYOUT.size))
    noise = torch.zeros(2, len(LAYOUT), LAYOUT.size)
    untaught = film.weights(base, film(noise, torch.tensor(999), asked(0.5, 1.0)))
    for name, tensor in base.state_dict().items():
        assert torch.allclose(untaught[name], tensor.expand(2, *tensor.shape), atol=1e-6)
    with torch.no_grad():
        film.modulation[-1].bias.normal_(generator=torch.Generator().manual_seed(0))
    folded = film.weights(base, film(noise, torch.tensor(999), asked(0.5, 1.0)))
    photos = torch.rand(1, 2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    made = translate(CONFIG, folded, photos)[0]
    _, _, summed = film.clauses(asked(0.5))
    scales, shifts = film.modulation(summed)[0].chunk(2)
    # The same by hand: scale and shift what each filter of a plain convolution gives.
    positions = torch.cat([2 * photos[0] - 1, positions_of(9, 9).expand(2, -1, -1, -1)], 1)
    hidden, first = positions, 0
    for i in range(CONFIG.layers):
        weight, bias = base.state_dict()[f"net.{2 * i}.weight"], base.state_dict()[f"net.{2 * i}.bias"]
        hidden = torch.nn.functional.conv2d(torch.nn.functional.pad(hidden, (1, 1, 1, 1), "replicate"), weight, bias)
        rows = slice(first, first + len(bias))
        hidden = hidden * (1 + scales[rows])[:, None, None] + shifts[rows][:, None, None]
        first += len(bias)
        if i < CONFIG.layers - 1:
            hidden = torch.nn.functional.leaky_relu(hidden, CONFIG.slope)
    assert torch.allclose(made, photos[0] + hidden, atol=1e-4)
