"""Meta-gradients against plain autograd, closed forms and finite differences, in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from weightgen.inr.config import FIELDS, field_config
from weightgen.inr.derivatives import Autograd, chunks
from weightgen.inr.field import Field
from weightgen.inr.fitting import derivatives_of, stacked
from weightgen.inr.learner import Gradient, Inner, MetaLearner
from weightgen.inr.learning import MetaTask
from weightgen.inr.manual_gradients import ByHand
from weightgen.inr.signals import make_kind
from weightgen.inr.strainer import Strainer
from weightgen.training.settings import Settings

KIND = make_kind("image", {"channels": 3})
SMALL = {"hidden": 6, "hidden_layers": 2}


def looks(tasks: int = 2, steps: int = 3, points: int = 7, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (tasks, steps + 1, points)
    return {
        "coordinates": torch.rand(*shape, 2, generator=generator, dtype=torch.float64) * 2 - 1,
        "values": torch.rand(*shape, 3, generator=generator, dtype=torch.float64),
    }


def learner(algorithm: Gradient, steps: int = 3, psnr: bool = False, **arguments: Any) -> MetaLearner:
    field = Field(field_config("siren", {**SMALL, "frequency": 3.0, "first_frequency": 3.0, **arguments}), 1)
    made = MetaLearner(field, KIND, Inner(steps, 0.05, True), algorithm, psnr).double()
    with torch.no_grad():  # every tensor and step a rate of its own
        made.log_rates += 0.3 * torch.randn(made.log_rates.shape, generator=torch.Generator().manual_seed(2))
    return made


def unrolled(made: MetaLearner, parts: dict[str, Tensor]) -> Tensor:
    """The mean loss after adaptation, by autograd through all steps, task by task."""
    names = [n for n, _ in made.field.named_parameters()]
    losses = []
    for task in range(len(parts["values"])):
        tensors = dict(made.field.named_parameters())
        for step in range(made.inner.steps + 1):
            x, y = parts["coordinates"][task, step], parts["values"][task, step]
            loss = (made.field(x, tensors) - y).square().mean()
            if step == made.inner.steps:
                losses.append(loss.log() if made.psnr else loss)
                break
            grads = torch.autograd.grad(loss, list(tensors.values()), create_graph=True)
            rates = made.log_rates[step].exp()
            tensors = {n: tensors[n] - r * g for n, r, g in zip(names, rates, grads, strict=True)}
    return torch.stack(losses).mean()


@pytest.mark.parametrize("psnr", [False, True])
def test_maml_is_the_gradient_through_all_steps(psnr: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightgen.inr.manual_gradients.ROWS", 3)
    made, parts = learner("maml", psnr=psnr), looks()
    made({"steps": parts}).mean().backward()
    found = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    expected = dict(
        zip(
            dict(made.named_parameters()), torch.autograd.grad(unrolled(made, parts), [*made.parameters()]), strict=True
        )
    )
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-8, atol=1e-12), name


def test_maml_agrees_with_finite_differences() -> None:
    made, parts = learner("maml"), looks()
    made({"steps": parts}).mean().backward()
    for parameter in (made.field.net[1].weight, made.field.net[0].bias, made.log_rates):
        index = (0,) * parameter.ndim
        slope = float(parameter.grad[index])
        values = []
        for shift in (1e-5, -2e-5):
            with torch.no_grad():
                parameter[index] += shift
            values.append(float(made({"steps": parts}).mean().detach()))
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-5)
        with torch.no_grad():
            parameter[index] += 1e-5


def test_maml_of_a_linear_field_is_the_closed_form() -> None:
    """L = |X w - y|^2 / N has the Hessian H = 2 X'X / N, so w_m - w* = (1 - aH)^m (w - w*)."""
    field = Field(field_config("siren", {"hidden_layers": 0, "outputs": 1}), 0)
    made = MetaLearner(field, KIND, Inner(2, 0.1, False), "maml", False).double()
    parts = looks(tasks=1, steps=2)
    parts = {
        "coordinates": parts["coordinates"][:, :1].repeat(1, 3, 1, 1),
        "values": parts["values"][:, :1, :, :1].repeat(1, 3, 1, 1),
    }
    made({"steps": parts}).mean().backward()
    x = torch.cat([parts["coordinates"][0, 0], torch.ones(7, 1)], 1).double()
    y = parts["values"][0, 0, :, 0]
    w = torch.cat([made.field.net[0].weight.detach()[0], made.field.net[0].bias.detach()])
    hessian = 2 * x.T @ x / 7
    shrink = torch.eye(3).double() - 0.1 * hessian
    best = torch.linalg.lstsq(x, y).solution
    expected = shrink @ shrink @ hessian @ (shrink @ shrink) @ (w - best)
    found = torch.cat([made.field.net[0].weight.grad[0], made.field.net[0].bias.grad])
    assert torch.allclose(found, expected, rtol=1e-6)  # the rate is a float32 number


def test_first_order_methods() -> None:
    parts = looks()
    made = learner("reptile")
    names = [n for n, _ in made.field.named_parameters()]
    tensors = stacked(made.field, 2)
    for step in range(3):
        look = {n: v[:, step] for n, v in parts.items()}
        grads = derivatives_of(made.field, KIND).gradient(tensors, [(look, 1.0)])[1]
        rates = made.log_rates[step].exp().detach()
        tensors = {n: tensors[n] - r * grads[n] for n, r in zip(names, rates, strict=True)}
    made({"steps": parts}).mean().backward()
    for name, parameter in made.field.named_parameters():  # Tancik et al. 2021: the displacement, for Adam
        assert torch.allclose(parameter.grad, (parameter - tensors[name]).mean(0).detach())
    first = learner("fomaml")
    first({"steps": parts}).mean().backward()
    look = {n: v[:, 3] for n, v in parts.items()}
    outer = derivatives_of(first.field, KIND).gradient(tensors, [(look, 1.0)])[1]
    for name, parameter in first.field.named_parameters():
        assert torch.allclose(parameter.grad, outer[name].mean(0))


def test_interpolation_moves_towards_the_mean_of_the_adapted_weights() -> None:
    """Nichol et al. 2018: theta + eps * (mean of theta_m - theta)."""
    made, parts = learner("reptile"), looks()
    task = MetaTask(KIND, {}, 3, 7, relative=True, interpolate=True)
    optimizer = task.optimizer(made, Settings(steps=1, batch_size=2, learning_rate=0.25))
    before = {n: p.detach().clone() for n, p in made.field.named_parameters()}
    made({"steps": parts}).mean().backward()
    displacement = {n: p.grad.clone() for n, p in made.field.named_parameters()}
    optimizer.step()
    for name, parameter in made.field.named_parameters():
        assert torch.allclose(parameter, before[name] - 0.25 * displacement[name])


def test_the_outer_rate_of_harmonics_follows_their_distance() -> None:
    """However high their frequencies are: two of the highest are no farther apart than two of the lowest."""
    for hidden in (6, 600):
        made = MetaLearner(Field(field_config("harmonic", {"hidden": hidden})), KIND, Inner(2, 0.05, True), "maml")
        groups = MetaTask(KIND, {}, 2, 0, relative=True).optimizer(made, Settings(1, 1, 0.5)).param_groups
        rates = {group["params"][0]: group["lr"] for group in groups}
        first, last = made.field.net
        assert rates[first.weight] == rates[first.bias] == pytest.approx(0.5 * 0.1 * 2 * math.pi / 2.2 / 30)
        assert rates[last.weight] == pytest.approx(0.5 * float(last.weight.detach().square().mean().sqrt()))


def autograd(field: Field) -> Autograd:
    return Autograd(lambda tensors, look: KIND.loss(field(look["coordinates"], tensors), look))


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_derivatives_in_chunks_are_those_of_the_whole(
    name: str, layers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weightgen.inr.manual_gradients.ROWS", 2)
    monkeypatch.setattr("weightgen.inr.manual_gradients._workers", lambda like: threads)
    monkeypatch.setattr("weightgen.inr.derivatives.CHUNK", 6)
    arguments = {**SMALL, "hidden_layers": layers, "offset": 0.5, "frequency": 5.0, "spread": 2.0}
    if not layers:
        arguments["period"] = None
    field = Field(field_config(name, arguments), 0).double()
    look = {n: v[:, 0] for n, v in looks().items()}
    plain, found, tensors = autograd(field), derivatives_of(field, KIND), stacked(field, 2)
    assert isinstance(found, ByHand) == (name not in ("wire", "fourier"))  # complex numbers; a sigmoid at the end
    whole, parts = plain.gradient(tensors, [(look, 1.0)]), found.gradient(tensors, chunks(look, 6))
    assert torch.allclose(whole[0], parts[0])
    generator = torch.Generator().manual_seed(1)
    vector = {n: torch.randn(t.shape, dtype=t.dtype, generator=generator) for n, t in tensors.items()}
    bent = plain.hessian_vector(tensors, [(look, 1.0)], vector)
    products = found.hessian_vector(tensors, chunks(look, 6), vector)
    for key in tensors:
        assert torch.allclose(parts[1][key], whole[1][key], rtol=1e-9, atol=1e-14), key
        assert parts[1][key].is_contiguous()  # else torch's fused Adam would mix up their entries
        assert torch.allclose(products[key], bent[key], rtol=1e-9, atol=1e-12), key


def test_observations_of_several_points_are_their_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weightgen.inr.manual_gradients.ROWS", 9)
    field = Field(field_config("siren", {**SMALL, "outputs": 1, "frequency": 5.0}), 0).double()
    kind = make_kind("ct", {})
    generator = torch.Generator().manual_seed(0)
    rays = torch.rand(2, 7, 4, 2, generator=generator, dtype=torch.float64)
    look = {"coordinates": rays, "values": torch.rand(2, 7, 1, generator=generator, dtype=torch.float64)}
    plain = Autograd(lambda t, part: kind.loss(kind.predict(lambda x: field(x, t), part), part))
    found, tensors = derivatives_of(field, kind), stacked(field, 2)
    assert isinstance(found, ByHand)
    expected, grads = plain.gradient(tensors, [(look, 1.0)]), found.gradient(tensors, [(look, 1.0)])
    vector = {n: torch.randn(t.shape, dtype=t.dtype, generator=generator) for n, t in tensors.items()}
    bent = plain.hessian_vector(tensors, [(look, 1.0)], vector)
    products = found.hessian_vector(tensors, [(look, 1.0)], vector)
    means = torch.stack([field(rays[:, :, i]) for i in range(4)]).mean(0)
    assert torch.allclose(expected[0], (means - look["values"]).square().mean((1, 2)))
    for key in tensors:
        assert torch.allclose(grads[1][key], expected[1][key], rtol=1e-9, atol=1e-14), key
        assert torch.allclose(products[key], bent[key], rtol=1e-9, atol=1e-12), key


@pytest.mark.parametrize("name", ["siren", "gauss", "wire"])  # FINER's factor is held constant, ReLU has kinks
def test_hessian_vector_products_agree_with_finite_differences(name: str) -> None:
    field = Field(field_config(name, {**SMALL, "frequency": 5.0, "spread": 2.0}), 0).double()
    look = {n: v[:, 0] for n, v in looks().items()}
    found, tensors = derivatives_of(field, KIND), stacked(field, 2)
    vector = {
        n: torch.randn(t.shape, dtype=t.dtype, generator=torch.Generator().manual_seed(1)) for n, t in tensors.items()
    }
    products = found.hessian_vector(tensors, chunks(look), vector)
    step = 1e-6
    up = found.gradient({n: t + step * vector[n] for n, t in tensors.items()}, chunks(look))[1]
    down = found.gradient({n: t - step * vector[n] for n, t in tensors.items()}, chunks(look))[1]
    for key, product in products.items():
        difference = (up[key] - down[key]) / (2 * step)
        assert torch.allclose(product, difference, rtol=1e-4, atol=1e-6 * float(product.abs().max())), key


def test_strainer_shares_all_layers_but_the_last() -> None:
    field = Field(field_config("siren", SMALL), 0)
    last = field.net[2].weight.detach().clone()
    made = Strainer(field, KIND, 4, 2, 1e-3)
    optimizer = MetaTask(KIND, {}, 0, 7).optimizer(made, Settings(steps=1, batch_size=2, learning_rate=0.1))
    parts = {n: v.float() for n, v in looks(steps=0).items()}
    before = made.weights.detach().clone()
    made({"steps": parts, "items": {"item": torch.tensor([[1], [3]])}}).mean().backward()
    optimizer.step()
    moved = (made.weights.detach() - before).abs().sum((1, 2)) > 0
    assert moved.tolist() == [False, True, False, True]
    assert torch.equal(field.net[2].weight, last)  # random, as published: the fit begins with it
    assert field.net[0].weight.grad.abs().sum() > 0
