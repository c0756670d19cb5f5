"""The subspace denoiser: it begins with principal components, and reads no noise where nothing else is left."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.diffusion.tiny_generator import CONFIG, LAYOUT, make_base, make_denoiser
from weightgen.diffusion.condition import Condition, condition
from weightgen.diffusion.denoiser_subspace import SubspaceDenoiser
from weightgen.diffusion.embeddings import ClauseEmbedding
from weightgen.diffusion.film import modulated
from weightgen.diffusion.prompt import Phrase
from weightgen.models.translator import translate

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(count: int, seed: int = 0) -> Tensor:
    blocks = torch.randn(count, len(LAYOUT), LAYOUT.size, generator=torch.Generator().manual_seed(seed))
    return blocks * LAYOUT.mask


def asked(*strengths: float) -> Condition:
    vectors = torch.nn.functional.normalize(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)))
    phrases = [Phrase(str(i), strength) for i, strength in enumerate(strengths)]
    return condition([phrases], vectors[: len(phrases)])


def make(components: int, networks: Tensor) -> SubspaceDenoiser:
    base = make_base()
    denoiser: SubspaceDenoiser = SubspaceDenoiser(
        LAYOUT.to_json(), base.sha256, 16, width=16, depth=1, components=components
    )
    denoiser.begin(base, networks)
    return denoiser


def test_it_begins_with_the_principal_components() -> None:
    networks = drawn(5)
    basis = make(8, networks).basis.detach().flatten(1)
    centred = (networks - networks.mean(0)).flatten(1)
    gram = basis @ basis.T
    assert torch.allclose(gram, torch.diag(gram.diagonal()), atol=1e-3)
    assert not basis[5:].any()  # there are no more
    variance = centred.square().sum(1).mean()
    assert float(gram.trace()) == pytest.approx(float(variance), rel=1e-4)
    few = make(2, networks).basis.detach().flatten(1)
    assert torch.allclose(few, basis[:2])
    directions = torch.linalg.svd(centred, full_matrices=False)[2][:4]
    assert torch.allclose(centred @ directions.T @ directions, centred, atol=1e-4)
    amounts = centred @ basis[:4].T / basis[:4].square().sum(1)
    assert torch.allclose(amounts.square().mean(0), torch.ones(4), atol=1e-3)  # an amount of 1 is a deviation


def test_noise_is_read_as_long_as_there_is_something_in_it() -> None:
    denoiser = make(3, drawn(6))
    one, other = drawn(1, 1), drawn(1, 2)
    with torch.no_grad():
        late = [denoiser(noisy, torch.tensor(1000), asked(0.5)) for noisy in (one, other)]
        early = [denoiser(noisy, torch.tensor(100), asked(0.5)) for noisy in (one, other)]
    assert torch.equal(*late)
    assert not torch.allclose(*early)
    assert not late[0][:, ~LAYOUT.mask].any()


@pytest.mark.parametrize("kind", ["subspace", "film", "joint"])
def test_the_order_of_clauses_is_heard(kind: str) -> None:
    denoiser = make_denoiser(kind)
    if kind == "film":  # begins unmodulated
        last = [name for name, _ in denoiser.named_parameters() if name.startswith("modulation")][-2]
        torch.nn.init.normal_(denoiser.get_parameter(last), std=0.3)
    said = asked(0.5, 0.8)
    order = [1, 0, 2, 3]
    swapped = Condition(said.embeddings[:, order], said.strengths[:, order], said.mask)
    with torch.no_grad():
        one, other = (denoiser(drawn(1), torch.tensor(999), prompt) for prompt in (said, swapped))
    assert not torch.allclose(one, other, atol=1e-4)


def test_modulation_scales_and_shifts_what_filters_give() -> None:
    networks = {name: torch.randn(2, *shape) for name, shape in LAYOUT.shapes.items()}
    rows = sum(layer.rows for layer in LAYOUT.layers)
    last = LAYOUT.layers[-1].rows
    modulation = torch.zeros(2, 2 * rows)
    modulation[0, rows - last : rows] = 0.5
    modulation[1, 2 * rows - last :] = 0.25
    images = torch.rand(1, 1, 3, 8, 8)
    plain = translate(CONFIG, networks, images) - images
    found = translate(CONFIG, modulated(LAYOUT, networks, modulation), images) - images
    assert torch.allclose(found[0], 1.5 * plain[0], atol=1e-4)
    assert torch.allclose(found[1], plain[1] + 0.25, atol=1e-4)


def test_a_network_is_the_base_and_its_components_with_filters_scaled_and_shifted() -> None:
    base, denoiser = make_base(), make_denoiser("subspace")
    assert isinstance(denoiser, SubspaceDenoiser)
    rows = sum(layer.rows for layer in LAYOUT.layers)
    for layer in (denoiser.amounts, denoiser.modulation):
        torch.nn.init.zeros_(layer.weight)
    denoiser.amounts.bias.data[:] = torch.tensor([2.0, -1.0])
    with torch.no_grad():
        plain = denoiser.weights(base, denoiser(drawn(1), torch.tensor(999), asked(0.5)))
        denoiser.modulation.bias[:rows] = 0.5
        scaled = denoiser.weights(base, denoiser(drawn(1), torch.tensor(999), asked(0.5)))
        summed = denoiser.denormalise((2 * denoiser.basis[0] - denoiser.basis[1])[None])
    for name, tensor in base.assemble(summed).items():
        assert torch.allclose(plain[name], tensor, atol=1e-5), name
        assert torch.allclose(scaled[name], 1.5 * tensor, atol=1e-5), name


def test_a_clause_is_heard_as_loudly_as_it_is_strong() -> None:
    clauses = ClauseEmbedding(16, 16)
    with torch.no_grad():
        clauses.enter.weight[:, -1] = 0  # the strength by itself
        one = asked(0.5).embeddings[:, :1]
        tokens = [
            clauses(Condition(vector, torch.tensor([[strength]]), torch.tensor([[True]])))[0]
            for vector in (one, one.roll(1, -1))
            for strength in (0.0, 0.5, 1.0)
        ]
    assert torch.equal(tokens[0], tokens[3])
    assert not torch.allclose(tokens[1], tokens[2], atol=1e-3)
    assert not torch.allclose(tokens[2], tokens[5], atol=1e-3)
